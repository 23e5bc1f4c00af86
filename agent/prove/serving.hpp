#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "agent/config/config.hpp"
#include "agent/health/call_window.hpp"
#include "agent/prove/named_arguments.hpp"
#include "agent/slots/slots.hpp"
#include "protocol/base/log_histogram.hpp"
#include "runtime/engine/tensor.hpp"
#include "runtime/runner/first_map.hpp"

namespace outcrop::agent {

// What was served to the owner's programs, since it was asked last.
struct ServedCalls {
  std::uint64_t calls = 0;   // errors among them; what made no sense as a question is none
  std::uint64_t errors = 0;
  LogHistogram latency_ms;   // of those that did not fail, without the wait for a runner to load
};

// The release that serves, in a confined runner of its own on a thread of its own: inferences for
// the owner's programs, and the golden inferences of a soak. The runner is started with the first
// of either, kept while it is used, and ended when nobody asked for five minutes. A release that is to take over may be made
// ready beside it: then no call waits for it to load.
class Serving {
 public:
  Serving(boost::asio::any_io_executor executor, const AgentConfig& config, Slots& slots,
          std::chrono::milliseconds idle = std::chrono::minutes(5));
  ~Serving();

  // One call of the method that the release serves; outputs have their names. invalid_argument
  // where the arguments are not what its signature says, before anything runs.
  [[nodiscard]] boost::asio::awaitable<Result<std::vector<runtime::Tensor>>> infer(
      Installed release, NamedArguments arguments);

  // The first golden call, judged by the variant's tolerances.
  [[nodiscard]] boost::asio::awaitable<Status> prove(Installed release);

  // prove() in a second runner, beside the one that serves on: it takes over with the first call of this release, and the other
  // ends then. What is not used goes as the other does. out_of_memory, before anything runs, where release and engine want more
  // than `available` (0: unknown).
  [[nodiscard]] boost::asio::awaitable<Status> make_ready(Installed release, ByteCount engine, ByteCount available);

  // The first golden call, and the first map of its first output. Errors: those of the call; unsupported and invalid_data where that
  // is none (runtime::first_map).
  struct Drawing {
    std::string output;
    runtime::FirstMap map;
  };
  [[nodiscard]] boost::asio::awaitable<Result<Drawing>> draw(Installed release);

  // Told on the executor of each call that infer() made, by what serves then.
  void tell(std::function<void(const Installed& release, CallEnd end)> listener);

  // What was served since the last time; zero from then on.
  [[nodiscard]] ServedCalls take_served();
  // Runners that crashed, hung or ran out of memory while they served.
  [[nodiscard]] std::uint64_t restarts() const;

  // Ends the runners, after the calls at work.
  void end();
  // The same, and waits for it.
  [[nodiscard]] boost::asio::awaitable<void> rest();

  [[nodiscard]] bool loaded() const;
  // A call at work or waiting.
  [[nodiscard]] bool busy() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::agent
