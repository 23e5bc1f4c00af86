// How fast the processor may go, and goes.

#include <algorithm>
#include <cstdio>
#include <optional>
#include <set>

#include "agent/doctor/machine.hpp"

namespace outcrop::agent {
namespace {

constexpr const char* cores = "sys/devices/system/cpu/cpu[0-9]*/cpufreq/";

struct Span {
  std::int64_t lowest;
  std::int64_t highest;
};

// Of all cores, kHz.
std::optional<Span> frequencies(const MachineFiles& files, const char* name) {
  std::optional<Span> span;
  for (const auto& file : files.matching(std::string(cores) + name)) {
    const auto value = files.number(file);
    if (!value || *value <= 0) continue;
    span = span ? Span{std::min(span->lowest, *value), std::max(span->highest, *value)}
                : Span{*value, *value};
  }
  return span;
}

std::string megahertz(const Span& span) {
  const std::string low = std::to_string(span.lowest / 1000);
  const std::string high = std::to_string(span.highest / 1000);
  return (low == high ? low : low + " to " + high) + " MHz";
}

// Drivers that choose the frequency themselves call that "powersave".
bool chooses_itself(const MachineFiles& files) {
  const std::string driver =
      files.text("sys/devices/system/cpu/cpu0/cpufreq/scaling_driver").value_or("");
  return driver == "intel_pstate" || driver.starts_with("amd-pstate");
}

}  // namespace

Finding check_governor(const MachineFiles& files) {
  constexpr const char* advice =
      "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor";
  std::set<std::string> governors;
  for (const auto& file : files.matching(std::string(cores) + "scaling_governor")) {
    if (const auto governor = files.text(file)) governors.insert(*governor);
  }
  if (governors.empty()) {
    return {"governor", Verdict::unknown, "the kernel shows no control of the frequency",
            "nothing, where it is a virtual machine"};
  }
  const std::string text = enumerate({governors.begin(), governors.end()});
  if (governors.size() > 1) {
    return {"governor", Verdict::warn, text + ": cores differ, and so will measurements", advice};
  }
  if (text == "powersave" && !chooses_itself(files)) {
    return {"governor", Verdict::warn, text + ": the lowest frequency, always", advice};
  }
  if (text == "userspace") {
    return {"governor", Verdict::warn, text + ": what a program has set, for good", advice};
  }
  return {"governor", Verdict::ok, text, {}};
}

Finding check_frequency(const MachineFiles& files) {
  const auto now = frequencies(files, "scaling_cur_freq");
  const auto ceiling = frequencies(files, "scaling_max_freq");
  const auto possible = frequencies(files, "cpuinfo_max_freq");
  if (!now && !ceiling) {
    return {"frequency", Verdict::unknown, "the kernel shows no frequency",
            "nothing, where it is a virtual machine"};
  }
  std::string text = now ? megahertz(*now) + " now" : "";
  if (ceiling) text += (text.empty() ? "" : ", ") + std::string("up to ") + megahertz(*ceiling);
  if (ceiling && possible && ceiling->highest < possible->highest) {
    return {"frequency", Verdict::warn, text + "; the processor could " + megahertz(*possible),
            "who lowered scaling_max_freq? measurements count for this ceiling only"};
  }
  return {"frequency", Verdict::ok, text, {}};
}

}  // namespace outcrop::agent
