#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/error.hpp"
#include "trainer_host/release/signing_key.hpp"

namespace outcrop::release {

// Ed25519 keys that stay on a token: a smart card, a security module, SoftHSM. Named by an RFC 7512 URI, as RAUC's
// --key takes one: "pkcs11:token=…;object=…", or id=…; with ?module-path=… of one module, else of those that p11-kit
// knows (pkcs11.conf(5)). Reached by p11-kit and CKM_EDDSA of PKCS #11 3.0; OpenSSL's engine of Debian 12 has no EdDSA.

// What names a token: the text itself, or the first line of such a file; nothing where it is a file of a key.
[[nodiscard]] std::optional<std::string> token_uri(const std::string& reference);

using AskPin = std::function<Result<std::string>(const std::string& token)>;

// Logs in with the PIN that the URI's pin-source (a file that nobody else may read) or else `ask` gives. Errors:
// invalid_data for what is no such URI; refused for one with a PIN in it, which others could read, or of several keys; not_found
// where no token has such a key; untrusted where the PIN is wrong (it is tried once: tokens lock themselves); unsupported
// where the token signs no Ed25519.
[[nodiscard]] Result<SigningKey> open_token_key(const std::string& uri, const AskPin& ask);

}  // namespace outcrop::release
