#include "protocol/trust/enrolment_token.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "protocol/base/hex.hpp"

namespace outcrop::trust {
namespace {

constexpr std::size_t id_digits = 16;
constexpr std::size_t secret_digits = 32;

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char digit) {
    return (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f');
  });
}

}  // namespace

Result<EnrolmentToken> EnrolmentToken::generate() {
  std::array<std::byte, (id_digits + secret_digits) / 2> bytes{};
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size()) != 1) {
    return fail(ErrorCode::internal, "the system gives no random numbers");
  }
  const std::string digits = to_hex(bytes);
  return EnrolmentToken{digits.substr(0, id_digits), digits.substr(id_digits)};
}

Result<EnrolmentToken> EnrolmentToken::parse(std::string_view text) {
  if (text.size() != id_digits + 1 + secret_digits || text[id_digits] != '-' ||
      !is_hex(text.substr(0, id_digits)) || !is_hex(text.substr(id_digits + 1))) {
    return fail(ErrorCode::invalid_argument,
                "that is no enrolment token: 16 and 32 hexadecimal digits with a '-' between, as "
                "`outcrop device enroll` printed it");
  }
  return EnrolmentToken{std::string(text.substr(0, id_digits)),
                        std::string(text.substr(id_digits + 1))};
}

Sha256Digest token_mac(std::string_view secret, std::string_view certificate_request) {
  std::array<std::byte, Sha256Digest::size> mac{};
  unsigned length = 0;
  const auto* result =
      HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(certificate_request.data()),
           certificate_request.size(), reinterpret_cast<unsigned char*>(mac.data()), &length);
  // Fails only without memory; a MAC that could be missing would be one that could be skipped.
  if (result == nullptr || length != mac.size()) std::abort();
  return Sha256Digest(mac);
}

Sha256Digest answer_key(std::string_view secret) {
  return token_mac(secret, "outcrop enrolment answer");
}

bool equal_macs(const Sha256Digest& a, const Sha256Digest& b) {
  return CRYPTO_memcmp(a.bytes().data(), b.bytes().data(), Sha256Digest::size) == 0;
}

}  // namespace outcrop::trust
