#include "trainer_host/release/signing_key.hpp"

#include <algorithm>

#include "protocol/base/durable_file.hpp"
#include "protocol/trust/envelope.hpp"
#include "protocol/trust/openssl.hpp"
#include "trainer_host/release/offline_key.hpp"
#include "trainer_host/release/token_key.hpp"

namespace outcrop::release {
namespace fs = std::filesystem;
namespace {

constexpr ByteCount largest_key_file = ByteCount::kib(16);
constexpr std::string_view public_pem = "-----BEGIN PUBLIC KEY-----";

Result<trust::PublicKey> from_public_pem(const std::string& file, std::string_view text) {
  const auto bio = trust::read_only_bio(text);
  const trust::Owned<EVP_PKEY> key(bio ? PEM_read_bio_PUBKEY(bio.get(), nullptr, trust::refuse_password, nullptr) : nullptr);
  if (!key) return fail(ErrorCode::invalid_data, file + ": not a PEM public key: " + trust::openssl_reason());
  Bytes bytes(trust::ed25519_key_size);
  std::size_t length = bytes.size();
  const bool good = EVP_PKEY_is_a(key.get(), "ED25519") == 1 &&
                    EVP_PKEY_get_raw_public_key(key.get(), reinterpret_cast<unsigned char*>(bytes.data()), &length) == 1;
  if (!good) return fail(ErrorCode::invalid_data, file + ": not an Ed25519 key");
  return trust::PublicKey::from_bytes(bytes);
}

}  // namespace

SigningKey::SigningKey(const trust::PrivateKey& key)
    : public_key_(key.public_key()), sign_([key](BytesView message) -> Result<Bytes> { return key.sign(message); }) {}

Result<Bytes> SigningKey::sign(BytesView message) const {
  OUTCROP_TRY(signature, sign_(message));
  if (!public_key_.verifies(message, signature)) {
    return fail(ErrorCode::internal, "what the key " + id().short_hex() + " signed does not hold under its public half");
  }
  return signature;
}

Result<SigningKey> open_signing_key(const std::string& reference) {
  if (const auto uri = token_uri(reference)) return open_token_key(*uri, ask_pin);
  OUTCROP_TRY(key, read_offline_key(reference));
  return SigningKey(key);
}

Result<std::string> sign_envelope(std::string_view kind, BytesView payload, std::span<const SigningKey> keys) {
  const Bytes message = trust::pre_authentication_encoding(trust::payload_type(kind), payload);
  trust::Signatures signatures;
  for (const SigningKey& key : keys) {
    OUTCROP_TRY(signature, key.sign(message));
    signatures[key.id()] = std::move(signature);
  }
  return trust::write_envelope(kind, payload, signatures);
}

Result<trust::PublicKey> read_public_key(const std::string& reference) {
  if (auto key = trust::PublicKey::from_hex(reference)) return key;
  std::error_code error;
  if (fs::is_regular_file(reference, error)) {
    OUTCROP_TRY(text, read_text_file(reference, largest_key_file));
    if (text.starts_with(public_pem)) return from_public_pem(reference, text);
  } else if (!token_uri(reference)) {
    return fail(ErrorCode::invalid_argument, "'" + reference + "' is no public key: 64 hexadecimal digits (outcrop keys make-key prints them), "
                                                 "a PEM file that is there, or a PKCS #11 URI (pkcs11:token=…;object=…) would be right");
  }
  OUTCROP_TRY(key, open_signing_key(reference));
  return key.public_key();
}

std::vector<fs::path> offline_key_files(const KeyStorePaths& paths, std::string_view role) {
  std::vector<fs::path> files;
  const fs::path folder = paths.offline_key(role).parent_path();
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (name.starts_with(std::string(role) + "-") && name.ends_with(".key")) files.push_back(entry->path());
  }
  std::sort(files.begin(), files.end());
  if (fs::exists(paths.offline_key(role), error)) files.insert(files.begin(), paths.offline_key(role));
  return files;
}

}  // namespace outcrop::release
