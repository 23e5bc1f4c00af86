#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "platform/http/url.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::http {

struct Post {
  Url url;
  std::vector<std::pair<std::string, std::string>> headers{};
  std::string body{};
  std::chrono::milliseconds deadline{10'000};  // of all of it: a receiver that hangs is left
  // Who vouches for the receiver, PEM; none: those whom the system trusts.
  std::optional<std::filesystem::path> authority{};
};

// The status of the answer, whose body nobody reads; redirections are not followed. Errors: timeout, io, untrusted (a
// certificate that does not hold, or is another host's).
[[nodiscard]] boost::asio::awaitable<Result<int>> post(Post what);

}  // namespace outcrop::http
