// Temperature, and what the firmware of a Raspberry Pi does about it.

#include <array>
#include <cstdio>

#include "agent/doctor/machine.hpp"
#include "runtime/measure/sensors.hpp"
#include "runtime/measure/throttling.hpp"

namespace outcrop::agent {
namespace {

// °C. A Raspberry Pi slows down from 80, and more from 85.
constexpr double warm = 75;
constexpr double hot = 85;

constexpr const char* cool_it = "cool it: a heat sink, a fan, air around the board";

std::string hexadecimal(std::uint32_t bits) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "0x%x", bits);
  return text.data();
}

std::vector<std::string> words(std::uint32_t bits) {
  static constexpr std::array<const char*, 4> names{"under-voltage", "frequency capped",
                                                    "throttled", "soft temperature limit"};
  std::vector<std::string> found;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if ((bits >> i & 1U) != 0) found.emplace_back(names[i]);
  }
  return found;
}

// Low voltage lowers the frequency as heat does: it is the cause where it shows.
std::string remedy(std::uint32_t bits) {
  if ((bits & 1U) == 0) return cool_it;
  return "use the power supply made for this board (Pi 3: 5.1 V 2.5 A, Pi 4: 5.1 V 3 A, Pi 5: 5.1 "
         "V "
         "5 A) with its own cable, and take power-hungry things off its USB ports";
}

}  // namespace

Finding check_temperature(const MachineFiles& files) {
  const auto read = runtime::read_temperature(files);
  if (!read) {
    return {"temperature", Verdict::unknown, "no sensor says",
            "nothing, where it is a virtual machine"};
  }
  std::array<char, 32> degrees{};
  std::snprintf(degrees.data(), degrees.size(), "%.1f °C", read->celsius);
  Finding finding{"temperature", Verdict::ok, degrees.data() + (" (" + read->where + ")"), {}};
  if (read->celsius >= warm) {
    finding.verdict = read->celsius >= hot ? Verdict::fail : Verdict::warn;
    finding.advice = cool_it;
  }
  return finding;
}

Findings check_throttling(const MachineFiles& files) {
  const auto bits = runtime::read_throttled(files);
  if (!bits) {
    const std::string model = board_model(files);
    if (!model.empty() && model.find("Raspberry Pi") == std::string::npos) return {};
    return {{"throttling", Verdict::unknown, "the firmware's word cannot be read",
             "Raspberry Pi OS's kernel passes it on; without it no measurement here is voided by "
             "under-voltage or heat"}};
  }
  const std::uint32_t now = *bits & runtime::throttled_now;
  const std::uint32_t before = *bits >> 16 & runtime::throttled_now;
  if (now == 0 && before == 0) return {{"throttling", Verdict::ok, "none since boot", {}}};
  std::string text;
  if (now != 0) text = "now: " + enumerate(words(now)) + "; ";
  if (before != 0) text += "since boot: " + enumerate(words(before)) + " ";
  text += "(" + hexadecimal(*bits) + ")";
  return {{"throttling", now != 0 ? Verdict::fail : Verdict::warn, text,
           remedy(now | before) + (now != 0 ? "; no measurement is valid meanwhile" : "")}};
}

}  // namespace outcrop::agent
