#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/messages/device_message.hpp"

namespace outcrop::messages {

// What a host sends to a board on `cmd` (SCHEMA.md: offer, cancel, acknowledgement, used).

// Ends a deployment and names what is to serve instead. Obeyed like an offer: by its generation.
struct Cancel {
  std::string rollout;
  std::uint64_t generation = 1;
  trust::Sha256Digest manifest;                  // the release that is taken back
  std::optional<trust::Sha256Digest> return_to;  // a release committed before; none: serve nothing
  std::string reason;
  int protocol = protocol_version;
  bool operator==(const Cancel&) const = default;
};

struct MessageId {
  std::uint64_t session = 1;
  std::uint64_t sequence = 1;
  auto operator<=>(const MessageId&) const = default;
};

// The host has these reports in its database: the board may forget them.
struct Acknowledgement {
  std::vector<MessageId> reports;  // 1 to 256
  int protocol = protocol_version;
  bool operator==(const Acknowledgement&) const = default;
};

// The host has messages of this session from the board: what the board says next must be of a later
// one, or it is taken for what it said before.
struct Used {
  std::uint64_t session = 1;
  int protocol = first_protocol;
  bool operator==(const Used&) const = default;
};

using Command = std::variant<Offer, Cancel, Acknowledgement, Used>;

[[nodiscard]] std::string to_json(const Cancel& cancel);
[[nodiscard]] std::string to_json(const Acknowledgement& acknowledgement);
[[nodiscard]] std::string to_json(const Used& used);
// By its `type`; errors as those of the other parsers.
[[nodiscard]] Result<Command> parse_command(std::string_view text);

}  // namespace outcrop::messages
