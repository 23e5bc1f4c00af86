#include "protocol/trust/digest.hpp"

#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "protocol/base/hex.hpp"
#include "protocol/base/regular_file.hpp"

namespace outcrop::trust {
namespace {

void require(bool success) {
  if (!success) std::abort();
}

EVP_MD_CTX* evp(void* context) {
  return static_cast<EVP_MD_CTX*>(context);
}

}  // namespace

Result<Sha256Digest> Sha256Digest::from_hex(std::string_view text) {
  if (text.size() != 2 * size) {
    return fail(ErrorCode::invalid_data,
                "a SHA-256 digest has 64 hexadecimal digits, not " + std::to_string(text.size()));
  }
  OUTCROP_TRY(bytes, outcrop::from_hex(text));
  return from_bytes(bytes);
}

Result<Sha256Digest> Sha256Digest::from_bytes(BytesView bytes) {
  if (bytes.size() != size) {
    return fail(ErrorCode::invalid_data,
                "a SHA-256 digest has 32 bytes, not " + std::to_string(bytes.size()));
  }
  Sha256Digest digest;
  std::copy(bytes.begin(), bytes.end(), digest.bytes_.begin());
  return digest;
}

std::string Sha256Digest::hex() const {
  return to_hex(bytes_);
}

std::string Sha256Digest::short_hex() const {
  return hex().substr(0, 12);
}

void Sha256Hasher::FreeContext::operator()(void* context) const {
  EVP_MD_CTX_free(evp(context));
}

Sha256Hasher::Sha256Hasher() : context_(EVP_MD_CTX_new()) {
  require(context_ != nullptr);
  require(EVP_DigestInit_ex(evp(context_.get()), EVP_sha256(), nullptr) == 1);
}

void Sha256Hasher::update(BytesView bytes) {
  require(EVP_DigestUpdate(evp(context_.get()), bytes.data(), bytes.size()) == 1);
}

Sha256Digest Sha256Hasher::finish() {
  std::array<std::byte, Sha256Digest::size> bytes;
  unsigned length = 0;
  require(EVP_DigestFinal_ex(evp(context_.get()), reinterpret_cast<unsigned char*>(bytes.data()),
                             &length) == 1 &&
          length == bytes.size());
  require(EVP_DigestInit_ex(evp(context_.get()), EVP_sha256(), nullptr) == 1);
  return Sha256Digest(bytes);
}

Sha256Digest sha256(BytesView bytes) {
  Sha256Hasher hasher;
  hasher.update(bytes);
  return hasher.finish();
}

Result<Sha256Digest> sha256_file(const std::filesystem::path& path) {
  OUTCROP_TRY(fd, open_regular_file(path));
  Sha256Hasher hasher;
  Bytes buffer(std::size_t{1} << 18);
  while (true) {
    const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(Error::from_errno("reading " + path.string()));
    if (got == 0) return hasher.finish();
    hasher.update(BytesView(buffer).first(static_cast<std::size_t>(got)));
  }
}

}  // namespace outcrop::trust

std::size_t std::hash<outcrop::trust::Sha256Digest>::operator()(
    const outcrop::trust::Sha256Digest& digest) const noexcept {
  // The digest is uniformly distributed already: its first bytes are a hash.
  std::size_t value = 0;
  std::memcpy(&value, digest.bytes().data(), sizeof value);
  return value;
}
