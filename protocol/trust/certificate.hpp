#pragma once

#include <string>
#include <string_view>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/ed25519.hpp"

namespace outcrop::trust {

// What host and board both need of X.509 (RFC 5280) and PKCS #10 (RFC 2986): Ed25519 keys only, all
// of it in PEM.

struct CertificateInfo {
  std::string common_name;
  PublicKey key;
  std::string serial;  // hexadecimal, lower case
  Timestamp not_before;
  Timestamp not_after;
};
// The first certificate of the text; invalid_data for what is none or has no Ed25519 key.
[[nodiscard]] Result<CertificateInfo> read_certificate(std::string_view pem);

// untrusted where it is not signed by that authority.
[[nodiscard]] Status check_issued_by(std::string_view certificate_pem,
                                     std::string_view authority_pem);

// A request with an empty name: who the key belongs to is for the authority to say.
[[nodiscard]] Result<std::string> make_certificate_request(const PrivateKey& key);

// The public key of a request whose self-signature holds; untrusted where it does not. Whatever
// else is asked for is ignored.
[[nodiscard]] Result<PublicKey> read_certificate_request(std::string_view pem);

}  // namespace outcrop::trust
