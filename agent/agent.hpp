#pragma once

#include <utility>  // before Asio

#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "agent/config/config.hpp"
#include "agent/deploy/deployer.hpp"
#include "protocol/base/error.hpp"
#include "protocol/transport/paho/paho_session.hpp"

namespace outcrop::agent {

// A whole agent: one session with the broker, one deployment at a time, one socket for the owner.
// Everything but runners and hashing happens on the executor.
class Agent {
 public:
  using MakeSession = std::function<std::unique_ptr<transport::Session>(
      boost::asio::any_io_executor, transport::SessionOptions)>;

  // Identity, state and socket are where the configuration says; the broker is the enrolment's.
  [[nodiscard]] static Result<std::unique_ptr<Agent>> open(
      boost::asio::any_io_executor executor, const AgentConfig& config,
      const DeployTimes& times = {}, const MakeSession& make_session = transport::make_paho_session);
  ~Agent();

  // Whoever runs the agent is to end it and open it again: its identity is another. Before start().
  void on_begin_again(std::function<void()> begin_again);
  // Connects, serves and works until stop().
  void start();
  // Says good-bye to the broker; then nothing of the agent runs on the executor any more.
  [[nodiscard]] boost::asio::awaitable<void> stop();

  // A job that blocks is still at work: the process should end without waiting for its thread.
  [[nodiscard]] bool busy() const;

 private:
  class Impl;
  explicit Agent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace outcrop::agent
