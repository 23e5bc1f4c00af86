#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/bytes.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::messages {

// The first protocol whose boards follow their broker.
inline constexpr int moves_since = 6;

// Where a fleet's broker is from now on, and whom to believe that it is (SCHEMA.md, "Move"). Signed by the keys of targets, which are not
// on the host; it reaches a board inside a command of the director.
struct BrokerMove {
  std::uint64_t number = 1;  // higher than that of the move before
  Timestamp expires;
  std::string host;
  std::uint16_t port = 1;
  std::string authority;  // PEM
  int protocol = moves_since;
  bool operator==(const BrokerMove&) const = default;
};
inline constexpr std::string_view broker_move_kind = "broker-move";  // of its envelope
inline constexpr ByteCount broker_move_limit = ByteCount::kib(48);   // of that envelope

[[nodiscard]] std::string to_json(const BrokerMove& move);
[[nodiscard]] Result<BrokerMove> parse_broker_move(BytesView verified);

}  // namespace outcrop::messages
