#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/version.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::messages {

// What host and board say about a deployment (SCHEMA.md: offer, progress, report). Parsers take
// text from the network: they refuse, with the path of what is wrong, everything that SCHEMA.md
// does not name, and documents of a newer protocol as unsupported.

inline constexpr ByteCount offer_limit = ByteCount::kib(64);
inline constexpr ByteCount progress_limit = ByteCount::kib(16);

// Where a deployment stands on a board, in the words of fleet operators.
enum class DeploymentState {
  offered,
  rejected,
  held,
  downloading,
  downloaded,
  verified,
  proving,
  measuring,
  not_measurable,
  updating,
  soaking,
  updated,
  failed,
  rolled_back,
};
[[nodiscard]] std::string_view to_string(DeploymentState state);  // "NOT_MEASURABLE"

// What a board does when no valid measurement can be had.
enum class OnUnmeasurable { hold, fail, activate };

// Host to board. Carries nothing to be trusted: it points at what is signed.
struct Offer {
  std::string rollout;
  std::uint64_t generation = 1;
  std::string model;
  std::string device_class;
  trust::Sha256Digest manifest;
  ByteCount manifest_size;
  std::uint64_t snapshot_version = 1;
  std::vector<std::string> variants;  // to measure; empty: every variant that fits
  OnUnmeasurable on_unmeasurable = OnUnmeasurable::hold;
  std::chrono::seconds soak{0};
  ByteCount byte_budget;
  int protocol = protocol_version;  // the lower of the host's and the board's; answers are in it
  bool operator==(const Offer&) const = default;
};

// Whose message it is: (device, session, sequence) is one message, however often it arrives.
struct DeviceHeader {
  std::string device;
  std::uint64_t session = 1;
  std::uint64_t sequence = 1;
  Timestamp time;
  bool clock_synchronised = false;
  int protocol = protocol_version;  // that of the offer
  bool operator==(const DeviceHeader&) const = default;
};

// Which deployment a message is about.
struct DeploymentId {
  std::string rollout;
  std::uint64_t generation = 1;
  trust::Sha256Digest manifest;
  bool operator==(const DeploymentId&) const = default;
};

struct Progress {
  DeviceHeader header;
  DeploymentId deployment;
  DeploymentState state = DeploymentState::offered;
  std::string reason;
  std::string variant;  // at work, or empty
  ByteCount bytes_done;
  ByteCount bytes_total;
  bool operator==(const Progress&) const = default;
};

// Any text as the `reason` of a message: one line of at most 1000 printable bytes. What a dying
// runner said has many, and a message with line breaks is refused whole by its reader.
[[nodiscard]] std::string as_reason(std::string_view text);

[[nodiscard]] std::string to_json(const Offer& offer);
[[nodiscard]] Result<Offer> parse_offer(std::string_view text);
[[nodiscard]] std::string to_json(const Progress& progress);
[[nodiscard]] Result<Progress> parse_progress(std::string_view text);

}  // namespace outcrop::messages
