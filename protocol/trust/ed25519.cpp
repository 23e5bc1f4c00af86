#include "protocol/trust/ed25519.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/hex.hpp"
#include "protocol/base/unfinished_files.hpp"
#include "protocol/base/unique_fd.hpp"
#include "protocol/trust/openssl.hpp"

namespace outcrop::trust {
namespace {

constexpr ByteCount largest_key_file = ByteCount::kib(16);

const unsigned char* unsigned_bytes(BytesView bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}
unsigned char* unsigned_bytes(Bytes& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

// `secret` is a std::string: what was asked for before OpenSSL reads the key.
int give_password(char* buffer, int size, int, void* secret) {
  const auto& text = *static_cast<const std::string*>(secret);
  if (text.empty() || text.size() > static_cast<std::size_t>(size)) return -1;
  std::copy(text.begin(), text.end(), buffer);
  return static_cast<int>(text.size());
}

Status write_private(const std::filesystem::path& path, std::string_view text,
                     const std::string& where) {
  ::unlink(path.c_str());  // of a killed process that had our number
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return fail(Error::from_errno("creating " + where));
  const bool written =
      ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::fsync(fd.get()) == 0;
  if (written) return {};
  Error error = Error::from_errno("writing " + where);
  ::unlink(path.c_str());
  return fail(std::move(error));
}

// Never over another key. Where there are no hard links, only a writer of this very moment could be
// overlooked.
Status place_new(const std::filesystem::path& temporary, const std::filesystem::path& path,
                 const std::string& where) {
  if (::link(temporary.c_str(), path.c_str()) == 0) return {};
  const bool taken = errno == EEXIST || ::access(path.c_str(), F_OK) == 0;
  if (taken) return fail(ErrorCode::already_exists, where + " exists already");
  if (::rename(temporary.c_str(), path.c_str()) == 0) return {};
  return fail(Error::from_errno("renaming to " + where));
}

}  // namespace

Result<PublicKey> PublicKey::from_bytes(BytesView bytes) {
  if (bytes.size() != ed25519_key_size) {
    return fail(ErrorCode::invalid_data,
                "an Ed25519 public key has 32 bytes, not " + std::to_string(bytes.size()));
  }
  PublicKey key;
  std::copy(bytes.begin(), bytes.end(), key.bytes_.begin());
  return key;
}

Result<PublicKey> PublicKey::from_hex(std::string_view text) {
  OUTCROP_TRY(bytes, outcrop::from_hex(text));
  return from_bytes(bytes);
}

std::string PublicKey::hex() const {
  return to_hex(bytes_);
}

bool PublicKey::verifies(BytesView message, BytesView signature) const {
  if (signature.size() != ed25519_signature_size) return false;
  const Owned<EVP_PKEY> key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr,
                                                        unsigned_bytes(bytes_), bytes_.size()));
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  const bool good =
      key && context &&
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
      EVP_DigestVerify(context.get(), unsigned_bytes(signature), signature.size(),
                       unsigned_bytes(message), message.size()) == 1;
  ERR_clear_error();
  return good;
}

Result<PrivateKey> PrivateKey::wrap(void* raw) {
  std::shared_ptr<void> key(raw, [](void* owned) { EVP_PKEY_free(static_cast<EVP_PKEY*>(owned)); });
  Bytes bytes(ed25519_key_size);
  std::size_t length = bytes.size();
  if (EVP_PKEY_get_raw_public_key(static_cast<EVP_PKEY*>(raw), unsigned_bytes(bytes), &length) !=
          1 ||
      length != bytes.size()) {
    return fail(ErrorCode::internal, "deriving a public key: " + openssl_reason());
  }
  OUTCROP_TRY(public_key, PublicKey::from_bytes(bytes));
  return PrivateKey(std::move(key), public_key);
}

Result<PrivateKey> PrivateKey::generate() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  if (key == nullptr)
    return fail(ErrorCode::internal, "making an Ed25519 key: " + openssl_reason());
  return wrap(key);
}

Result<PrivateKey> PrivateKey::from_seed(BytesView seed) {
  EVP_PKEY* key =
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, unsigned_bytes(seed), seed.size());
  if (key == nullptr) {
    return fail(ErrorCode::invalid_data, "not the seed of an Ed25519 key: " + openssl_reason());
  }
  return wrap(key);
}

Result<PrivateKey> PrivateKey::read_pem(const std::filesystem::path& path, const Passphrase& passphrase) {
  const std::string where = "private key " + path.string();
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return fail(Error::from_errno("opening " + where));
  if ((info.st_mode & 077) != 0) {
    return fail(ErrorCode::untrusted,
                where +
                    ": others than its owner may use the file; chmod 600 it, and replace the "
                    "key if somebody did");
  }
  OUTCROP_TRY(text, read_text_file(path, largest_key_file));
  const bool encrypted = text.find("-----BEGIN ENCRYPTED PRIVATE KEY-----") != std::string::npos;
  std::string secret;
  if (encrypted) {
    if (!passphrase) {
      return fail(ErrorCode::invalid_data, where + " is encrypted, and nobody is here to open it: only keys that a person brings may be");
    }
    OUTCROP_TRY(given, passphrase(path));
    secret = std::move(given);
  }
  const Owned<BIO> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  Owned<EVP_PKEY> key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, give_password, &secret) : nullptr);
  if (!key) {
    const std::string reason = openssl_reason();
    if (encrypted) return fail(ErrorCode::untrusted, where + ": this is not its passphrase, or the file is damaged");
    return fail(ErrorCode::invalid_data, where + ": not a PEM key: " + reason);
  }
  if (EVP_PKEY_is_a(key.get(), "ED25519") != 1) {
    return fail(ErrorCode::invalid_data, where + ": not an Ed25519 key");
  }
  return wrap(key.release());
}

Status PrivateKey::write_pem(const std::filesystem::path& path, const std::string& passphrase) const {
  const std::string where = "private key " + path.string();
  const Owned<BIO> bio(BIO_new(BIO_s_secmem()));
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), static_cast<EVP_PKEY*>(key_.get()),
                                            passphrase.empty() ? nullptr : EVP_aes_256_cbc(), passphrase.data(),
                                            static_cast<int>(passphrase.size()), nullptr, nullptr) != 1) {
    return fail(ErrorCode::internal, "encoding " + where + ": " + openssl_reason());
  }
  char* text = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &text);
  const auto temporary = unfinished_name(path);
  OUTCROP_CHECK(write_private(temporary, {text, static_cast<std::size_t>(length)}, where));
  Status placed = place_new(temporary, path, where);
  ::unlink(temporary.c_str());
  OUTCROP_CHECK(std::move(placed));
  return sync_folder(path.has_parent_path() ? path.parent_path() : ".");
}

Bytes PrivateKey::sign(BytesView message) const {
  Bytes signature(ed25519_signature_size);
  std::size_t length = signature.size();
  const Owned<EVP_MD_CTX> context(EVP_MD_CTX_new());
  // Fails only without memory; an unsigned document must never leave here as signed.
  if (!context ||
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr,
                         static_cast<EVP_PKEY*>(key_.get())) != 1 ||
      EVP_DigestSign(context.get(), unsigned_bytes(signature), &length, unsigned_bytes(message),
                     message.size()) != 1 ||
      length != signature.size()) {
    std::abort();
  }
  return signature;
}

}  // namespace outcrop::trust
