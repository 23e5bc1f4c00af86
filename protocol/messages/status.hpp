#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "protocol/messages/device_message.hpp"

namespace outcrop::messages {

// What the broker keeps of a board (SCHEMA.md, "Status"): published retained at birth and at every
// change of state; the will is the same with `online` false. The host brings desired and
// reported state together from it.
struct DeviceStatus {
  struct Deployment {
    DeploymentId id;
    DeploymentState state = DeploymentState::offered;
    std::string reason;
    bool operator==(const Deployment&) const = default;
  };

  std::string device;
  std::uint64_t session = 1;
  bool online = false;
  std::string agent;  // "0.1.0"
  int speaks = 1;     // highest protocol that the agent reads
  std::string model;
  std::string device_class;
  bool held = false;             // its owner holds updates back
  std::uint64_t generation = 0;  // highest seen; 0: none yet
  std::uint64_t root_version = 1;
  std::uint64_t snapshot_version = 0;                  // newest verified; 0: none yet
  std::optional<Deployment> deployment;                // the latest
  std::optional<trust::Sha256Digest> active_manifest;  // what serves
  std::string active_variant;
  bool operator==(const DeviceStatus&) const = default;
};

inline constexpr ByteCount status_limit = ByteCount::kib(16);
inline constexpr std::string_view status_kind = "status";  // of the envelope of a board that signs

[[nodiscard]] std::string to_json(const DeviceStatus& status);
[[nodiscard]] Result<DeviceStatus> parse_status(std::string_view text);

}  // namespace outcrop::messages
