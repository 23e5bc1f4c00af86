#pragma once

#include <string>

#include "protocol/base/clock.hpp"
#include "protocol/trust/ed25519.hpp"

namespace outcrop::agent {

// An authority whose certificates are valid when a test wants them to be. Ends the process where
// OpenSSL fails.
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name);

  struct Wish {
    std::string common_name;
    std::string alternative_name;  // "IP:127.0.0.1", or nothing
    Timestamp not_before;
    Timestamp not_after;
  };
  [[nodiscard]] std::string issue(const Wish& wish, const trust::PublicKey& key) const;
  [[nodiscard]] const std::string& certificate() const { return certificate_; }

 private:
  std::string name_;
  trust::PrivateKey key_;
  std::string certificate_;
};

}  // namespace outcrop::agent
