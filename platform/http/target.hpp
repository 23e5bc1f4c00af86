#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace outcrop::http {

struct Target {
  std::string path;
  std::map<std::string, std::string> query;
};

// Takes apart and decodes "/v1/reports?device=pi-1"; nothing where it is no path of this server:
// without a leading slash, or with broken percent-encoding.
[[nodiscard]] std::optional<Target> parse_target(std::string_view target);

}  // namespace outcrop::http
