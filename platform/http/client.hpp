#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "protocol/base/error.hpp"

namespace outcrop::http {

struct Answer {
  int status = 0;
  std::string content_type;
  std::string body;
};

struct Call {
  std::string method = "GET";
  std::string target;  // path and query, percent-encoded by the caller (see encode())
  std::string content_type = "application/json";
  std::string body{};
  std::chrono::milliseconds deadline{30'000};
  // Where there is one, the call is made again when its connection breaks before the answer: a server that is started
  // anew has seen it or not, and does what is asked once.
  std::string idempotency_key{};
};

// One request over a Unix socket, blocking. Errors: not_found where there is no socket ("is
// outcropd running?" is the caller's to add), io where nobody listens or it breaks, refused where
// permissions forbid it, timeout. An answer with an error status is an answer here; see call_ok().
[[nodiscard]] Result<Answer> call(const std::filesystem::path& socket, const Call& call);

// The answer if its status says that all is well, else the server's {"error": ...} as an Error.
[[nodiscard]] Result<Answer> checked(Answer answer, const Call& call);

// Both in one.
[[nodiscard]] Result<Answer> call_ok(const std::filesystem::path& socket, const Call& call);

[[nodiscard]] std::string encode(std::string_view text);  // percent-encoding of one path segment

}  // namespace outcrop::http
