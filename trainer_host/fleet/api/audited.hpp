#pragma once

#include <string>

namespace outcrop::fleet {

// A call that changed something, as the audit log has it: "rollout-started", of rollout "stage2", with what was asked.
struct Audited {
  std::string action;
  std::string subject;
  std::string detail;  // JSON object: call, status, and what was asked where that is short
};

// `route`: the path with {names}; `answer`: what was answered, which names what came of it. Never has a token's secret.
[[nodiscard]] Audited audited(const std::string& method, const std::string& route, const std::string& path,
                              const std::string& body, unsigned status, const std::string& answer);

// Longer bodies (releases, certificates) are named by what came of them.
inline constexpr std::size_t longest_audited_body = 1024;

}  // namespace outcrop::fleet
