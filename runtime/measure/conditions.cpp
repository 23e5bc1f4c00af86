#include "runtime/measure/conditions.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>

#include "runtime/measure/machine_files.hpp"
#include "runtime/measure/throttling.hpp"

namespace outcrop::runtime {
namespace {

// Others may take this share of a core beyond the idle ones: the clock ticks of /proc are coarse.
constexpr double tolerated_load = 0.15;
// Time for the governor to find the frequency when the work begins.
constexpr double tolerated_change = 0.1;
// Below this the ticks say nothing.
constexpr std::chrono::milliseconds shortest_window{300};

// The first line of /proc/stat: user nice system idle iowait irq softirq steal, in clock ticks
// (proc(5)). Guest time is contained in user.
void read_busy_time(const std::filesystem::path& path, MachineState& state) {
  std::ifstream file(path);
  std::string name;
  std::uint64_t user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0;
  if (!(file >> name >> user >> nice >> system >> idle >> wait >> irq >> soft) || name != "cpu") {
    return;
  }
  file >> steal;
  const auto tick = static_cast<std::uint64_t>(1000 / ::sysconf(_SC_CLK_TCK));
  state.busy = std::chrono::milliseconds((user + nice + system + irq + soft) * tick);
  state.stolen = std::chrono::milliseconds(steal * tick);
}

void judge_frequency(const MachineState& before, const MachineState& after, Validity& validity) {
  const auto span = frequency_between(before.frequency_times, after.frequency_times);
  const bool ceilings = before.frequency_ceiling && after.frequency_ceiling;
  if (!ceilings && !span) {
    validity.unknown.emplace_back("processor frequency");
    return;
  }
  if (ceilings && *before.frequency_ceiling != *after.frequency_ceiling) {
    validity.void_because.emplace_back("the processor's highest frequency was changed");
  } else if (span && span->elsewhere > tolerated_change) {
    char text[160];
    std::snprintf(text, sizeof text,
                  "the processor ran at %.0f MHz, but at others for %.0f %% of the time",
                  static_cast<double>(span->mostly) / 1000, span->elsewhere * 100);
    validity.void_because.emplace_back(text);
  }
}

}  // namespace

MachineState read_machine_state(const std::filesystem::path& root) {
  MachineState state;
  state.when = std::chrono::steady_clock::now();
  read_busy_time(root / "proc/stat", state);
  const MachineFiles files(root);
  state.throttled = read_throttled(files);
  state.frequency_ceiling = read_frequency_ceiling(files);
  state.frequency_times = read_frequency_times(files);
  state.cores = static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  return state;
}

Validity judge(const MachineState& before, const MachineState& after, std::chrono::milliseconds own,
               int threads) {
  Validity validity;
  const std::chrono::duration<double> window = after.when - before.when;
  if (before.busy && after.busy && window >= shortest_window) {
    const auto stolen = after.stolen.value_or(std::chrono::milliseconds(0)) -
                        before.stolen.value_or(std::chrono::milliseconds(0));
    const std::chrono::duration<double> others = *after.busy - *before.busy - own + stolen;
    const double load = std::max(0.0, others / window);
    validity.other_load = load;
    const double idle_cores = std::max(0.0, static_cast<double>(after.cores) - threads);
    if (load > idle_cores + tolerated_load) {
      char text[160];
      std::snprintf(text, sizeof text,
                    "other work kept %.1f of %u cores busy, so the model had no core of its own",
                    load, after.cores);
      validity.void_because.emplace_back(text);
    }
  } else {
    validity.unknown.emplace_back("load by others");
  }
  if (before.throttled && after.throttled) {
    if (((*before.throttled | *after.throttled) & throttled_now) != 0 ||
        *before.throttled != *after.throttled) {
      validity.void_because.emplace_back(
          "the firmware throttled the processor (under-voltage or "
          "heat)");
    }
  } else {
    validity.unknown.emplace_back("throttling");
  }
  judge_frequency(before, after, validity);
  return validity;
}

}  // namespace outcrop::runtime
