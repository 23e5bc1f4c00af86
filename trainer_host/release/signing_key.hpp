#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/trust/ed25519.hpp"
#include "trainer_host/release/key_store.hpp"

namespace outcrop::release {

// A key that a person signs with. The private half is in a file, or stays on a token.
class SigningKey {
 public:
  using Sign = std::function<Result<Bytes>(BytesView message)>;

  explicit SigningKey(const trust::PrivateKey& key);
  SigningKey(const trust::PublicKey& public_key, Sign sign) : public_key_(public_key), sign_(std::move(sign)) {}

  [[nodiscard]] const trust::PublicKey& public_key() const { return public_key_; }
  [[nodiscard]] trust::KeyId id() const { return public_key_.id(); }
  // Errors: those of the token; internal where what it gave does not hold.
  [[nodiscard]] Result<Bytes> sign(BytesView message) const;

 private:
  trust::PublicKey public_key_;
  Sign sign_;
};

// A PEM file (offline_key.hpp says whom its passphrase is asked of), the PKCS #11 URI of a key on a token, or a file that
// holds such a URI (token_key.hpp).
[[nodiscard]] Result<SigningKey> open_signing_key(const std::string& reference);

// The envelope of a payload, signed by each of these keys.
[[nodiscard]] Result<std::string> sign_envelope(std::string_view kind, BytesView payload, std::span<const SigningKey> keys);

// The public half of such a key, of a PEM file of a public key (`openssl pkey -pubout` writes it), or of 64
// hexadecimal digits.
[[nodiscard]] Result<trust::PublicKey> read_public_key(const std::string& reference);

// The files of offline/ that hold keys of a role: <role>.key, then <role>-*.key by name.
[[nodiscard]] std::vector<std::filesystem::path> offline_key_files(const KeyStorePaths& paths, std::string_view role);

}  // namespace outcrop::release
