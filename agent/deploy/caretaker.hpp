#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "agent/deploy/deployer.hpp"
#include "agent/deploy/drawing.hpp"
#include "agent/deploy/machine.hpp"
#include "agent/deploy/remeasuring.hpp"
#include "agent/deploy/steps.hpp"
#include "agent/health/watch.hpp"
#include "agent/wait/signal.hpp"

namespace outcrop::agent {

// Looks after what serves and what served before, while no deployment is at work: that it lies here whole and is permitted, that it
// is as good as when it was committed, that it is measured and draws as the host asks. All that it is given must outlive it.
class Caretaker {
 public:
  Caretaker(const DeployParts& parts, Machine& machine, Steps& steps, Signal& changed);

  // What is to be done first, or a wait until something changes; steps_.interrupt() ends either.
  [[nodiscard]] boost::asio::awaitable<void> look_after();
  // What served before serves again, if it may run and is still what it was. A damaged release is
  // left for the one before it where that one is whole: else it is pulled again.
  [[nodiscard]] boost::asio::awaitable<void> look_over();

  // Metadata have changed: what serves may be permitted no more.
  void on_metadata();
  void on_call(const Installed& release, CallEnd end);
  void on_unloadable();
  void on_measure(const messages::Measure& measure) { remeasuring_.on_measure(measure); }
  void on_draw(const messages::Draw& draw) { drawing_.on_draw(draw); }

  // To the release before, as the owner asks. Errors: refused, saying why.
  [[nodiscard]] Status return_to_previous(const std::string& reason);

  // Of what lies on this board and what serves.
  [[nodiscard]] std::vector<std::string> troubles() const;

 private:
  using SteadyClock = std::chrono::steady_clock;
  using Installations = std::pair<std::optional<Installed>, std::optional<Installed>>;

  [[nodiscard]] Installations installed() const;
  [[nodiscard]] bool unread_release() const;
  [[nodiscard]] std::optional<Installed> damaged_release() const;
  [[nodiscard]] bool may_return() const;
  void look_again();
  void check_what_serves();
  void leave_unhealthy(const std::string& why);
  Status leave_active(const std::string& reason, Slots::Leaving leaving = Slots::Leaving::committed);

  boost::asio::awaitable<void> wait_for_change();
  boost::asio::awaitable<Slots::Lies> look_at(Installed release);
  boost::asio::awaitable<void> pull_again(Installed release);
  boost::asio::awaitable<void> prove_again();

  const DeployParts& parts_;
  Machine& machine_;
  Steps& steps_;
  Signal& changed_;
  SystemClock clock_;
  Watch watch_;
  Remeasuring remeasuring_;
  Drawing drawing_;
  std::optional<std::string> unhealthy_;    // and serves on
  std::optional<Installations> looked_at_;  // and found whole or damaged
  std::string damage_;                      // of what was found damaged last
  std::chrono::milliseconds retry_{0};
};

}  // namespace outcrop::agent
