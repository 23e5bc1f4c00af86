#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace outcrop::agent {

// What doctor thinks of one thing: as it should be; nobody can say; works, but not as well as it
// could or not for long; does not work.
enum class Verdict { ok, unknown, warn, fail };

[[nodiscard]] std::string_view to_string(Verdict verdict);

struct Finding {
  std::string check;  // "temperature"
  Verdict verdict = Verdict::ok;
  std::string found;   // "71.5 °C"
  std::string advice;  // what to do; empty where it is ok
};
using Findings = std::vector<Finding>;

void add(Findings& findings, Findings more);

[[nodiscard]] std::size_t count(const Findings& findings, Verdict verdict);

// For people: a line each, "warn  memory  what was found", its advice below it. Control characters
// are shown as '?'.
[[nodiscard]] std::string to_table(const Findings& findings);

// {"failed": n, "warned": n, "checks": [{"check", "verdict", "found", "advice"}]}
[[nodiscard]] nlohmann::json to_json(const Findings& findings);

// "a, b and c"
[[nodiscard]] std::string enumerate(const std::vector<std::string>& words);

}  // namespace outcrop::agent
