#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::trust {

inline constexpr std::size_t ed25519_key_size = 32;
inline constexpr std::size_t ed25519_signature_size = 64;

// SHA-256 of the 32 bytes of a public key: how keys are named in metadata and envelopes.
using KeyId = Sha256Digest;

// An Ed25519 public key (RFC 8032, pure, by OpenSSL 3).
class PublicKey {
 public:
  constexpr PublicKey() = default;
  // invalid_data unless there are 32 bytes.
  [[nodiscard]] static Result<PublicKey> from_bytes(BytesView bytes);
  [[nodiscard]] static Result<PublicKey> from_hex(std::string_view text);

  [[nodiscard]] BytesView bytes() const { return bytes_; }
  [[nodiscard]] std::string hex() const;
  [[nodiscard]] KeyId id() const { return sha256(BytesView(bytes_)); }

  // Whether `signature` over `message` was made with this key's private half. Anything that
  // OpenSSL cannot judge counts as no.
  [[nodiscard]] bool verifies(BytesView message, BytesView signature) const;

  auto operator<=>(const PublicKey&) const = default;

 private:
  std::array<std::byte, ed25519_key_size> bytes_{};
};

// The private half. Kept inside OpenSSL, which wipes it when it is freed. Copies share the key;
// signing is safe from any thread.
class PrivateKey {
 public:
  // From the system's random generator.
  [[nodiscard]] static Result<PrivateKey> generate();
  // The 32-byte seed of RFC 8032.
  [[nodiscard]] static Result<PrivateKey> from_seed(BytesView seed);
  // What opens the encrypted key of that file; called for no other.
  using Passphrase = std::function<Result<std::string>(const std::filesystem::path& file)>;
  // PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` writes it. Refuses other kinds of
  // keys (invalid_data), a file that others may read or write, and a wrong passphrase (untrusted).
  // Without `passphrase` an encrypted one is refused: a service has nobody to ask.
  [[nodiscard]] static Result<PrivateKey> read_pem(const std::filesystem::path& path, const Passphrase& passphrase = {});
  // Writes a whole new file, mode 0600 from its first byte on; already_exists where one is there.
  // With a passphrase encrypted by AES-256.
  [[nodiscard]] Status write_pem(const std::filesystem::path& path, const std::string& passphrase = {}) const;

  [[nodiscard]] const PublicKey& public_key() const { return public_key_; }
  [[nodiscard]] Bytes sign(BytesView message) const;

  // The EVP_PKEY inside, for OpenSSL's X.509 calls; it lives as long as this key.
  [[nodiscard]] void* openssl() const { return key_.get(); }

 private:
  explicit PrivateKey(std::shared_ptr<void> key, const PublicKey& public_key)
      : key_(std::move(key)), public_key_(public_key) {}
  static Result<PrivateKey> wrap(void* key);

  std::shared_ptr<void> key_;
  PublicKey public_key_;
};

}  // namespace outcrop::trust
