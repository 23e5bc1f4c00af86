#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/ed25519.hpp"

namespace outcrop::pki {

// What a file with one certificate in PEM may hold.
constexpr ByteCount longest_certificate = ByteCount::kib(64);

// The X.509 that an authority writes (RFC 5280), in PEM. Valid from 2020 to 2120.

[[nodiscard]] Result<std::string> make_authority_certificate(std::string_view common_name,
                                                             const trust::PrivateKey& key);

struct LeafProfile {
  std::string common_name;
  bool server = false;                         // else client
  std::vector<std::string> alternative_names;  // DNS names and IP addresses
};
// invalid_argument where a name is neither DNS name nor address.
[[nodiscard]] Result<std::string> make_leaf_certificate(const LeafProfile& profile,
                                                        const trust::PublicKey& key,
                                                        const trust::PrivateKey& authority_key,
                                                        std::string_view authority_pem);

struct RevokedSerial {
  std::string serial;  // hexadecimal
  Timestamp time;
};
// Its number is one more than it has entries, and its date 2020 and as many seconds: lists only
// grow, and a later one is newer.
[[nodiscard]] Result<std::string> make_revocation_list(const std::vector<RevokedSerial>& revoked,
                                                       const trust::PrivateKey& authority_key,
                                                       std::string_view authority_pem);

}  // namespace outcrop::pki
