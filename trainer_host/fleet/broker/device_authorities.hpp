#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "protocol/base/error.hpp"
#include "protocol/trust/ed25519.hpp"

namespace outcrop::fleet {

// The authorities whose certificates let boards in, each with its list of revoked ones (CRL):
// <folder>/<sha256 of the key>.pem and .crl, durable.
class DeviceAuthorities {
 public:
  explicit DeviceAuthorities(std::filesystem::path folder) : folder_(std::move(folder)) {}

  enum class Change {
    none,
    list,       // a newer list of one that was known
    authority,  // a new one, or a list that OpenSSL would not find newer than the one it has
  };
  // invalid_data for what is no authority or no list, untrusted for a list that it did not sign,
  // expired for a list older than the one that is known.
  [[nodiscard]] Result<Change> add(std::string_view authority_pem, std::string_view crl_pem);

  // Its boards are let in no more. False where it was not known.
  [[nodiscard]] Result<bool> remove(const trust::KeyId& key);

  struct All {
    std::string authorities;  // PEM, one behind the other
    std::string lists;
  };
  [[nodiscard]] Result<All> all() const;

 private:
  std::filesystem::path folder_;
};

}  // namespace outcrop::fleet
