#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/messages/device_message.hpp"

namespace outcrop::messages {

// What a host sends to a board on `cmd` (SCHEMA.md: command, offer, cancel, acknowledgement, used).

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

// A command as the director signs it: whom it is for, and until when.
struct SignedCommand {
  std::string device;
  Timestamp expires;
  Command command;
  bool operator==(const SignedCommand&) const = default;
};
inline constexpr std::string_view command_kind = "command";  // of its envelope
inline constexpr ByteCount command_limit = ByteCount::kib(80);

// How far a number that only rises (generation, session) may lie above the highest one known: a
// forged or mistaken one must not use up all there are, and there is room for millions of steps.
inline constexpr std::uint64_t farthest_ahead = std::uint64_t{1} << 30;
[[nodiscard]] constexpr bool leaps(std::uint64_t said, std::uint64_t known) {
  return said > known && said - known > farthest_ahead;
}

[[nodiscard]] std::string to_json(const Cancel& cancel);
[[nodiscard]] std::string to_json(const Acknowledgement& acknowledgement);
[[nodiscard]] std::string to_json(const Used& used);
[[nodiscard]] std::string to_json(const Command& command);
[[nodiscard]] std::string to_json(const SignedCommand& command);
// Takes verified bytes (trust::VerifiedPayload).
[[nodiscard]] Result<SignedCommand> parse_signed_command(BytesView verified);
// By its `type`; errors as those of the other parsers.
[[nodiscard]] Result<Command> parse_command(std::string_view text);

}  // namespace outcrop::messages
