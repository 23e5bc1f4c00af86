#pragma once

#include <set>
#include <string>
#include <string_view>

#include "protocol/base/error.hpp"

namespace outcrop::pki {

// A list of revoked certificates (CRL, RFC 5280) that its authority signed.
class RevocationList {
 public:
  // Both PEM. invalid_data for what is no certificate or no list, untrusted for a list that another
  // authority signed.
  [[nodiscard]] static Result<RevocationList> read(std::string_view authority_pem,
                                                   std::string_view list_pem);

  // `serial`: as CertificateInfo has it.
  [[nodiscard]] bool names(const std::string& serial) const { return serials_.contains(serial); }

 private:
  std::set<std::string> serials_;
};

}  // namespace outcrop::pki
