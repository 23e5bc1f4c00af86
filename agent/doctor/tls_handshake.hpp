#pragma once

#include <chrono>
#include <string>

#include "agent/doctor/broker_probe.hpp"

namespace outcrop::agent {

// Waits for an event of poll(2); false at the deadline.
[[nodiscard]] bool wait_for(int fd, short event, std::chrono::steady_clock::time_point deadline);

// TLS over a connected, non-blocking socket, both ends proven as MQTT will have it. Returns the
// protocol's version.
[[nodiscard]] tl::expected<std::string, BrokerProblem> shake_hands(
    int socket, const BrokerTarget& target, std::chrono::milliseconds patience);

}  // namespace outcrop::agent
