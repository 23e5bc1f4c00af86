#include "agent/health/surroundings.hpp"

#include <sys/stat.h>

#include <cmath>

#include "runtime/measure/sensors.hpp"

namespace outcrop::agent {
namespace {

constexpr double cold_below = 10;
constexpr double hot_from = 70;
constexpr double border = 3;

std::string class_of(double celsius) {
  return celsius < cold_below ? "cold" : celsius < hot_from ? "warm" : "hot";
}

}  // namespace

std::string surroundings(const runtime::MachineFiles& files, const std::filesystem::path& runner) {
  std::string text;
  for (const char* file : {"proc/sys/kernel/osrelease", "proc/sys/kernel/version",
                           "proc/device-tree/chosen/bootloader/version",
                           "proc/device-tree/chosen/bootloader/build-timestamp",
                           "sys/class/dmi/id/bios_version"}) {
    text += files.text(file).value_or("-") + "; ";
  }
  struct stat info {};
  if (::stat(runner.c_str(), &info) == 0) {
    text += "runner of " + std::to_string(info.st_size) + " bytes, " +
            std::to_string(info.st_mtim.tv_sec) + "." + std::to_string(info.st_mtim.tv_nsec);
  }
  return text;
}

std::string temperature_class(const runtime::MachineFiles& files, const std::string& before) {
  const auto hottest = runtime::read_temperature(files);
  if (!hottest) return {};
  const std::string now = class_of(hottest->celsius);
  const bool near = class_of(hottest->celsius - border) == before || class_of(hottest->celsius + border) == before;
  return near ? before : now;
}

}  // namespace outcrop::agent
