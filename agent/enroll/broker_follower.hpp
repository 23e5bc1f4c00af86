#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "agent/config/config.hpp"
#include "agent/enroll/identity.hpp"
#include "agent/verify/metadata_store.hpp"
#include "protocol/messages/command.hpp"

namespace outcrop::agent {

// All must outlive the follower.
struct BrokerFollowerParts {
  const Identity& identity;
  const AgentConfig& config;
  const MetadataStore& metadata;
  // The agent is to end and be started again: it connects to another place.
  std::function<void()> begin_again;
  std::chrono::milliseconds trial;  // for a connection there
};

// Takes a board to another broker when the keys of targets say so (SCHEMA.md, "Move"): it is written down, tried, and kept once the
// board got through there; else the board goes back to the broker it had.
class BrokerFollower {
 public:
  BrokerFollower(boost::asio::any_io_executor executor, BrokerFollowerParts parts);
  ~BrokerFollower();

  void start();
  void stop();

  // Errors: untrusted, expired, invalid_data; refused where it is not to be followed now, saying why. Nothing has changed then.
  [[nodiscard]] Status on_move(const messages::Move& move);
  // The broker has let this board in and granted its subscriptions.
  void on_subscribed();
  // What became of the last move, where the board did not follow it.
  [[nodiscard]] std::optional<std::string> trouble() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::agent
