#include <cctype>

#include "agent/doctor/machine.hpp"

namespace outcrop::agent {
namespace {

// How many processors a list like "0-3,6" names; 0 where it is none.
int listed(std::string_view list) {
  int count = 0;
  std::size_t at = 0;
  const auto number = [&]() -> long {
    long value = -1;
    while (at < list.size() && std::isdigit(static_cast<unsigned char>(list[at])) != 0 &&
           value < 100'000) {
      value = (value < 0 ? 0 : value * 10) + (list[at++] - '0');
    }
    return value;
  };
  while (at < list.size()) {
    const long first = number();
    long last = first;
    if (at < list.size() && list[at] == '-') {
      ++at;
      last = number();
    }
    if (first < 0 || last < first || (at < list.size() && list[at++] != ',')) return 0;
    count += static_cast<int>(last - first + 1);
  }
  return count;
}

}  // namespace

std::string board_model(const MachineFiles& files) {
  if (const auto model = files.text("proc/device-tree/model")) return *model;
  const auto name = files.text("sys/class/dmi/id/product_name");
  if (!name) return {};
  const auto vendor = files.text("sys/class/dmi/id/sys_vendor");
  return vendor ? *vendor + " " + *name : *name;
}

Finding check_board(const MachineFiles& files) {
  const std::string model = board_model(files);
  if (!model.empty()) return {"board", Verdict::ok, model, {}};
  return {"board", Verdict::unknown, "neither a device tree nor DMI names this machine",
          "nothing, where it is a virtual machine"};
}

Finding check_cores(const MachineFiles& files, int threads) {
  const int cores = listed(files.text("sys/devices/system/cpu/online").value_or(""));
  if (cores == 0) {
    return {"cores", Verdict::unknown, "the kernel does not say how many there are",
            "is /sys mounted?"};
  }
  const std::string text = std::to_string(cores) + (cores == 1 ? " core" : " cores");
  if (cores < threads) {
    return {"cores", Verdict::warn,
            text + "; a model is given " + std::to_string(threads) + " threads",
            "set threads in [runner] of agent.toml to " + std::to_string(cores) + " or less"};
  }
  return {"cores", Verdict::ok, text, {}};
}

}  // namespace outcrop::agent
