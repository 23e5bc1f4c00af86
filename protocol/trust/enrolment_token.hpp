#pragma once

#include <string>
#include <string_view>

#include "protocol/base/error.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::trust {

// A one-time token that authorizes one enrolment request (SCHEMA.md, "Enrolment"): printed as
// "<id>-<secret>", 16 and 32 lower-case hexadecimal digits.
struct EnrolmentToken {
  std::string id;
  std::string secret;

  // From the system's random generator.
  [[nodiscard]] static Result<EnrolmentToken> generate();
  // invalid_argument where it is no token.
  [[nodiscard]] static Result<EnrolmentToken> parse(std::string_view text);
  [[nodiscard]] std::string text() const { return id + "-" + secret; }
};

// HMAC-SHA256 of the request's bytes under the digits of the secret.
[[nodiscard]] Sha256Digest token_mac(std::string_view secret, std::string_view certificate_request);
// What the host keeps of a token to prove its answer by, and the board to know it by: of no use in asking for a
// certificate. token_mac under its hexadecimal digits.
[[nodiscard]] Sha256Digest answer_key(std::string_view secret);
// Takes the same time wherever they differ.
[[nodiscard]] bool equal_macs(const Sha256Digest& a, const Sha256Digest& b);

}  // namespace outcrop::trust
