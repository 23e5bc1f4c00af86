#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/messages/broker_move.hpp"
#include "protocol/messages/device_message.hpp"

namespace outcrop::messages {

// What a host sends to a board on `cmd` and `ask` (SCHEMA.md: command, offer,
// cancel, acknowledgement, used, watch, measure, draw, certificate, move).

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

// The host wants to know how the board fares, for so long from now on.
struct Watch {
  std::chrono::seconds interval{60};      // between telemetry: shortest_interval to longest_interval
  std::chrono::seconds lasts{86'400};     // at most a week; then the board says nothing until asked again
  int protocol = signed_since;
  bool operator==(const Watch&) const = default;
};

// The release that serves is to be measured again, when the board is at rest; a report tells what came of
// it. Another release than this, or none, is not measured.
struct Measure {
  trust::Sha256Digest manifest;
  std::chrono::seconds lasts{86'400};  // how long the board may wait for rest; at most a week
  bool layers = false;                 // from protocol 6: operators are timed, too (layers.hpp)
  int protocol = signed_since;
  bool operator==(const Measure&) const = default;
};

// The first protocol whose boards draw.
inline constexpr int pictures_since = 6;

// What serves is to make the first golden call of its release, and the board to say the picture of it (picture.hpp), when
// nobody uses it; or why there is none.
struct Draw {
  trust::Sha256Digest manifest;
  std::chrono::seconds lasts{86'400};  // how long the board may wait for rest; at most a week
  int protocol = pictures_since;
  bool operator==(const Draw&) const = default;
};

// Of the key for which the board asked for one (renewal.hpp).
struct Certificate {
  std::string certificate;  // PEM
  int protocol = signed_since;
  bool operator==(const Certificate&) const = default;
};

// The board's broker is elsewhere from now on.
struct Move {
  std::string move;  // envelope of a broker-move (broker_move.hpp)
  int protocol = moves_since;
  bool operator==(const Move&) const = default;
};

using Command = std::variant<Offer, Cancel, Acknowledgement, Used, Watch, Measure, Draw, Certificate, Move>;

// Those of the topic `ask`, which boards that do not know them do not read; the others come on `cmd`.
[[nodiscard]] inline bool is_asked(const Command& command) {
  return std::holds_alternative<Watch>(command) || std::holds_alternative<Measure>(command) ||
         std::holds_alternative<Draw>(command) || std::holds_alternative<Certificate>(command) ||
         std::holds_alternative<Move>(command);
}

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
[[nodiscard]] std::string to_json(const Watch& watch);
[[nodiscard]] std::string to_json(const Measure& measure);
[[nodiscard]] std::string to_json(const Draw& draw);
[[nodiscard]] std::string to_json(const Certificate& certificate);
[[nodiscard]] std::string to_json(const Move& move);
[[nodiscard]] std::string to_json(const Command& command);
[[nodiscard]] std::string to_json(const SignedCommand& command);
// Takes verified bytes (trust::VerifiedPayload).
[[nodiscard]] Result<SignedCommand> parse_signed_command(BytesView verified);
// By its `type`; errors as those of the other parsers.
[[nodiscard]] Result<Command> parse_command(std::string_view text);

}  // namespace outcrop::messages
