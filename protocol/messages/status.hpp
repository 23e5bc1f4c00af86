#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "protocol/base/version.hpp"
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

  int protocol = first_protocol;  // that of the latest command about a release; before one, the first
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
  // Of protocol 6 and later; else 0.
  std::uint64_t instance = 0;       // of the agent's process, drawn by chance
  std::uint64_t stage_version = 0;  // of its model's list; it takes none below
  std::optional<Deployment> deployment;                // the latest
  std::optional<trust::Sha256Digest> active_manifest;  // what serves
  std::string active_variant;
  bool operator==(const DeviceStatus&) const = default;
};

// The first protocol whose status tells processes of an agent apart, and of lists.
inline constexpr int instances_since = 6;

inline constexpr ByteCount status_limit = ByteCount::kib(16);
inline constexpr std::string_view status_kind = "status";  // of the envelope of a board that signs

[[nodiscard]] std::string to_json(const DeviceStatus& status);
[[nodiscard]] Result<DeviceStatus> parse_status(std::string_view text);

}  // namespace outcrop::messages
