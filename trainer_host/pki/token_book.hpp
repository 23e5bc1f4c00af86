#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/enrolment.hpp"

namespace outcrop::pki {

// One-time enrolment tokens, kept beside the device authority: <folder>/tokens/<id>.json. The file
// holds the secret (mode 0600) until it is used, then who used it and the key of the answer.
struct TokenGrant {
  std::string device;
  std::string model;
  std::string device_class;
};

struct Redeemed {
  TokenGrant grant;
  trust::Sha256Digest answer_key;  // what the answer is proved by (protocol/trust/enrolment_token.hpp)
};

// invalid_argument where a name in it is none.
[[nodiscard]] Status check_grant(const TokenGrant& grant);
// The token to print: "<id>-<secret>".
[[nodiscard]] Result<std::string> grant_token(const std::filesystem::path& folder,
                                              const TokenGrant& grant, Timestamp now,
                                              std::chrono::minutes valid);

// Checks the request's MAC against its token and marks the token used, durably, before it returns.
// Errors: untrusted (no such token, wrong MAC), expired, already_exists (used, saying for whom and
// when). The very request that used it may come again: signing that was cut off is completed so.
[[nodiscard]] Result<Redeemed> redeem(const std::filesystem::path& folder,
                                        const messages::EnrolmentRequest& request, Timestamp now);

}  // namespace outcrop::pki
