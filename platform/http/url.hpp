#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/error.hpp"

namespace outcrop::http {

struct Url {
  bool secure = true;
  std::string host;
  std::uint16_t port = 443;
  std::string target = "/";  // path and query
};
// "https://ops.example:8443/hook?a=b"; in plain ("http://") only 127.0.0.1, [::1] and localhost. Else invalid_argument.
[[nodiscard]] Result<Url> read_url(std::string_view text);

}  // namespace outcrop::http
