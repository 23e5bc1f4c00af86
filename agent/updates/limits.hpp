#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "agent/config/config.hpp"
#include "agent/updates/window.hpp"
#include "protocol/base/bytes.hpp"
#include "protocol/base/clock.hpp"

namespace outcrop::agent {

// What its owner allows updates of a board ([updates] of agent.toml): hours, bytes a day, a link that costs.
// What was received is counted over restarts (<state>/received.json), to within some megabytes.
class UpdateLimits {
 public:
  struct Times {
    std::function<bool()> clock_synchronised;
    std::function<std::chrono::steady_clock::time_point()> steady = [] { return std::chrono::steady_clock::now(); };
    // Why the link costs, by somebody's word who knows; none where it does not.
    std::function<std::optional<std::string>()> link_costs = [] { return std::optional<std::string>(); };
  };
  // `config` and `clock` must outlive it.
  UpdateLimits(const AgentConfig& config, const Clock& clock, Times times);

  // Why no update may begin, or go on to receive, now; none where it may. A clock that nobody keeps says nothing of hours: it is
  // waited for, an hour from the agent's start, and then updates come at any hour.
  [[nodiscard]] std::optional<std::string> closed() const;
  // ... and why nothing may be received, which what lies here already does not need.
  [[nodiscard]] std::optional<std::string> may_not_receive() const;

  void received(ByteCount bytes);

 private:
  struct Received {
    Timestamp since;  // the first byte of these 24 hours
    ByteCount bytes;
  };
  Status read_received();
  [[nodiscard]] Received counted() const;
  void keep();

  const AgentConfig& config_;
  const Clock& clock_;
  Times times_;
  std::filesystem::path file_;
  std::chrono::steady_clock::time_point started_;
  Received received_{};
  std::uint64_t kept_ = 0;  // of these bytes, on the disk
};

}  // namespace outcrop::agent
