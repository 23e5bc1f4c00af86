#include <optional>
#include <sstream>

#include "agent/doctor/machine.hpp"

namespace outcrop::agent {
namespace {

// A LibTorch takes 100 to 200 MB, a generator's weights and activations as much again.
constexpr ByteCount least_available(512'000'000);

std::optional<ByteCount> line(const std::string& meminfo, const std::string& key) {
  std::istringstream lines(meminfo);
  for (std::string text; std::getline(lines, text);) {
    std::istringstream words(text);
    std::string name, unit;
    std::uint64_t kib = 0;
    if (words >> name >> kib >> unit && name == key && unit == "kB" &&
        kib < (std::uint64_t{1} << 50)) {
      return ByteCount::kib(kib);
    }
  }
  return std::nullopt;
}

}  // namespace

Finding check_memory(const MachineFiles& files) {
  const std::string meminfo = files.text("proc/meminfo").value_or("");
  const auto total = line(meminfo, "MemTotal:");
  const auto available = line(meminfo, "MemAvailable:");
  if (!total || !available) {
    return {"memory", Verdict::unknown, "/proc/meminfo does not say how much there is",
            "is /proc mounted?"};
  }
  const std::string text = available->human() + " available of " + total->human();
  if (*available >= least_available) return {"memory", Verdict::ok, text, {}};
  return {"memory", Verdict::warn, text,
          *total < least_available
              ? "this board is small: keep memory_limit_mb in [runner] of agent.toml within it"
              : "end what else runs here (a desktop?): a runner wants " + least_available.human()};
}

}  // namespace outcrop::agent
