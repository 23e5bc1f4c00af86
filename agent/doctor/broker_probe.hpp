#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "protocol/base/error.hpp"
#include "protocol/trust/ed25519.hpp"

namespace outcrop::agent {

// Who is asked, and as whom.
struct BrokerTarget {
  std::string host;  // a name or an address
  std::uint16_t port = 8883;
  std::string authority;    // PEM: vouches for the broker
  std::string certificate;  // PEM: the board's
  trust::PrivateKey key;
};

struct BrokerProblem {
  std::string found;
  std::string advice;
};

// Goes the way of a connection as far as TLS: the name, every address of it as the agent tries them,
// TCP, the handshake with the board's identity, and whether the broker takes that. Sends nothing of MQTT, so that a running agent keeps
// its session. Each step takes `patience` at most. Returns what was reached, "fleet.example:8883 at
// 10.0.0.5, TLSv1.3". Ignores SIGPIPE in this process from then on.
[[nodiscard]] tl::expected<std::string, BrokerProblem> probe_broker(
    const BrokerTarget& target, std::chrono::milliseconds patience = std::chrono::seconds(5));

}  // namespace outcrop::agent
