#include "agent/telemetry/machine_sample.hpp"

#include <sys/statvfs.h>

#include "runtime/measure/disk_wear.hpp"
#include "runtime/measure/sensors.hpp"
#include "runtime/measure/throttling.hpp"

namespace outcrop::agent {

void sample_machine(const runtime::MachineFiles& files, const std::filesystem::path& folder,
                    messages::Telemetry& into) {
  if (const auto read = runtime::read_temperature(files)) into.temperature = read->celsius;
  into.frequency = runtime::read_frequency_share(files);
  if (const auto bits = runtime::read_throttled(files)) {
    into.throttled = messages::ThrottlingBits{*bits & runtime::throttled_now,
                                              *bits >> 16 & runtime::throttled_now};
  }
  if (const auto memory = runtime::read_memory(files)) into.free_memory = memory->available;
  into.uptime = runtime::read_uptime(files);
  const runtime::DiskWear wear = runtime::read_disk_wear(files, folder);
  into.disk_written = wear.written;
  into.disk_worn = wear.worn;
  struct statvfs disk {};
  if (::statvfs(folder.c_str(), &disk) == 0) {
    into.free_disk = ByteCount(std::uint64_t{disk.f_bavail} * disk.f_frsize);
  }
}

}  // namespace outcrop::agent
