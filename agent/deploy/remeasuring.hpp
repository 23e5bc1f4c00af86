#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <optional>
#include <string>

#include <boost/asio/awaitable.hpp>

#include "agent/deploy/machine.hpp"
#include "agent/deploy/steps.hpp"
#include "agent/wait/signal.hpp"
#include "protocol/messages/command.hpp"

namespace outcrop::agent {

// Measures what serves while no deployment is at work and nobody uses it: what was activated without a
// measurement, and what the host asks for. All that it is given must outlive it.
class Remeasuring {
 public:
  // Between looks whether what serves is in use.
  static constexpr std::chrono::seconds look_for_rest{5};

  Remeasuring(const DeployParts& parts, Machine& machine, Steps& steps, Signal& changed)
      : parts_(parts), machine_(machine), steps_(steps), changed_(changed) {}

  void on_measure(const messages::Measure& measure);

  // The host asks, and what became of it is not known yet.
  [[nodiscard]] bool asked() const { return asked_.has_value(); }
  // Waits for a moment in which nobody uses what serves, then measures. A void measurement is told, too.
  [[nodiscard]] boost::asio::awaitable<void> as_asked();

  // Activated without a measurement, since none could be had then. Of an emulator none is to be had.
  [[nodiscard]] bool serves_unmeasured() const;
  // Waits, then measures what serves, unless its owner uses it just then; a measurement that was
  // disturbed is void and leaves all as it is.
  [[nodiscard]] boost::asio::awaitable<void> at_rest();
  // There is nothing unmeasured: what will be waits from its beginning.
  void begin_anew() { measure_at_.reset(); }

 private:
  using SteadyClock = std::chrono::steady_clock;
  [[nodiscard]] std::optional<std::string> not_measured_because(const messages::Measure& asked) const;
  void tell(Steps::Remeasured measured);

  const DeployParts& parts_;
  Machine& machine_;
  Steps& steps_;
  Signal& changed_;
  struct Asked {
    messages::Measure measure;
    SteadyClock::time_point until;
  };
  std::optional<Asked> asked_;
  std::optional<SteadyClock::time_point> asked_measured_;  // when, the last time
  std::optional<SteadyClock::time_point> measure_at_;      // what serves unmeasured
  std::chrono::seconds measure_after_{0};
};

}  // namespace outcrop::agent
