#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "agent/deploy/deployer.hpp"
#include "agent/deploy/steps.hpp"
#include "agent/wait/signal.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/messages/picture.hpp"

namespace outcrop::agent {

// Has what serves draw the first golden call of its release, once for each time that the host asks, while no deployment
// is at work and nobody uses it. All that it is given must outlive it.
class Drawing {
 public:
  Drawing(const DeployParts& parts, Steps& steps, Signal& changed) : parts_(parts), steps_(steps), changed_(changed) {}

  void on_draw(const messages::Draw& draw);
  // The host asks, and was not answered yet.
  [[nodiscard]] bool asked() const { return asked_.has_value(); }
  // Waits for a moment of rest, then draws and tells; or tells why it does not.
  [[nodiscard]] boost::asio::awaitable<void> as_asked();

 private:
  using SteadyClock = std::chrono::steady_clock;
  [[nodiscard]] std::optional<std::string> not_drawn_because() const;
  void tell(messages::Picture picture);

  const DeployParts& parts_;
  Steps& steps_;
  Signal& changed_;
  struct Asked {
    messages::Draw draw;
    SteadyClock::time_point until;
  };
  std::optional<Asked> asked_;
};

}  // namespace outcrop::agent
