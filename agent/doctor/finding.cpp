#include "agent/doctor/finding.hpp"

#include <algorithm>
#include <iterator>

#include "protocol/base/without_controls.hpp"  // what was found may come from anywhere

namespace outcrop::agent {
std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::unknown:
      return "unknown";
    case Verdict::warn:
      return "warn";
    case Verdict::fail:
      return "fail";
  }
  return "unknown";
}

void add(Findings& findings, Findings more) {
  std::move(more.begin(), more.end(), std::back_inserter(findings));
}

std::size_t count(const Findings& findings, Verdict verdict) {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [&](const Finding& finding) { return finding.verdict == verdict; }));
}

std::string to_table(const Findings& findings) {
  const auto padded = [](std::string cell, std::size_t width) {
    cell.resize(std::max(width, cell.size()), ' ');
    return cell + "  ";
  };
  const std::size_t verdict_width = to_string(Verdict::unknown).size();
  std::size_t check_width = 0;
  for (const Finding& finding : findings) check_width = std::max(check_width, finding.check.size());
  std::string text;
  for (const Finding& finding : findings) {
    text += padded(std::string(to_string(finding.verdict)), verdict_width) +
            padded(without_controls(finding.check), check_width) +
            without_controls(finding.found) + "\n";
    if (finding.advice.empty()) continue;
    text +=
        padded("", verdict_width) + padded("", check_width) + "→ " +
        without_controls(finding.advice) + "\n";
  }
  return text;
}

nlohmann::json to_json(const Findings& findings) {
  nlohmann::json checks = nlohmann::json::array();
  for (const Finding& finding : findings) {
    checks.push_back({{"check", finding.check},
                      {"verdict", to_string(finding.verdict)},
                      {"found", without_controls(finding.found)},
                      {"advice", without_controls(finding.advice)}});
  }
  return {{"failed", count(findings, Verdict::fail)},
          {"warned", count(findings, Verdict::warn)},
          {"checks", std::move(checks)}};
}

std::string enumerate(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 == words.size() ? " and " : ", ";
    text += words[i];
  }
  return text;
}

}  // namespace outcrop::agent
