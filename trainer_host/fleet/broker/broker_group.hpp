#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::fleet {

struct GroupPlaces {
  std::filesystem::path mounted = "/sys/fs/cgroup";
  std::filesystem::path own = "/proc/self/cgroup";
};

// A control group (v2) of the broker's own below that of outcropd's unit, with a limit of its own: what the broker takes too
// much ends the broker, and not the host. systemd gives a unit such groups where that says `Delegate=memory`; a group with
// children that are limited may hold no process itself, so outcropd moves into one beside the broker's:
//
//   <unit>/host      outcropd
//   <unit>/broker    mosquitto, memory.max
//
// https://docs.kernel.org/admin-guide/cgroup-v2.html, https://systemd.io/CGROUP_DELEGATION
class BrokerGroup {
 public:
  // Errors: unsupported, naming what is missing, where there is no such group to be had: then nothing has changed.
  [[nodiscard]] static Result<BrokerGroup> make(ByteCount most_memory, const GroupPlaces& places = {});

  [[nodiscard]] Status take(pid_t broker) const;
  // How often the kernel ended the broker for its memory so far; 0 where that cannot be read.
  [[nodiscard]] std::uint64_t killed() const;
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  explicit BrokerGroup(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

}  // namespace outcrop::fleet
