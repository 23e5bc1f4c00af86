#include "platform/http/url.hpp"

#include <algorithm>

#include "protocol/base/number.hpp"

namespace outcrop::http {
namespace {

constexpr std::string_view what_is_right = "; write it as https://HOST[:PORT]/PATH";

bool is_this_machine(std::string_view host) {
  return host == "127.0.0.1" || host == "::1" || host == "localhost";
}

}  // namespace

Result<Url> read_url(std::string_view text) {
  const auto wrong = [&](const std::string& why) {
    return fail(ErrorCode::invalid_argument, "'" + std::string(text) + "' " + why + std::string(what_is_right));
  };
  Url url;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
    url.secure = false;
    url.port = 80;
  } else {
    return wrong("is no URL that can be posted to");
  }
  const std::size_t slash = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view place = rest.substr(0, slash);
  if (slash < rest.size()) url.target = (rest[slash] == '?' ? "/" : "") + std::string(rest.substr(slash));
  if (text.find_first_of(" \t\r\n#@") != std::string_view::npos) return wrong("has characters that no such URL has");
  const std::size_t bracket = place.rfind(']');
  const std::size_t colon = place.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon != std::string_view::npos) {
    const auto port = read_number<std::uint16_t>(place.substr(colon + 1));
    if (!port || *port == 0) return wrong("has no port behind its colon");
    url.port = *port;
    place = place.substr(0, colon);
  }
  if (place.starts_with('[') && place.ends_with(']')) place = place.substr(1, place.size() - 2);
  if (place.empty()) return wrong("names no host");
  url.host = place;
  if (!url.secure && !is_this_machine(url.host)) {
    return fail(ErrorCode::invalid_argument, "'" + std::string(text) + "' would travel in plain: https://, or a receiver on 127.0.0.1");
  }
  return url;
}

}  // namespace outcrop::http
