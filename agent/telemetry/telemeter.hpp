#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

#include <boost/asio/any_io_executor.hpp>

#include "agent/deploy/announcer.hpp"
#include "agent/prove/serving.hpp"
#include "protocol/messages/telemetry.hpp"
#include "runtime/measure/machine_files.hpp"

namespace outcrop::agent {

struct TelemeterParts {
  Board board;                                 // whose messages they are
  std::function<ServedCalls()> take_served;    // Serving::take_served
  std::function<std::uint64_t()> restarts;     // Serving::restarts
  runtime::MachineFiles machine{};
};

// Tells the host how the board fares (SCHEMA.md, "Telemetry"), for as long and as often as the host's latest
// Watch says, and not at all where the owner does not want it. A sample waits in memory until the host
// acknowledges it: of more than 288 the oldest goes, and the next one says how many went. All on the executor.
class Telemeter {
 public:
  static constexpr std::size_t most_kept = 288;  // a day of five minutes

  Telemeter(boost::asio::any_io_executor executor, TelemeterParts parts);
  ~Telemeter();

  // Before the first use. The session must outlive the telemeter's use.
  void speak_through(transport::Session& session);

  void on_watch(const messages::Watch& watch);
  void on_connected();
  void on_acknowledged(const messages::Acknowledgement& acknowledgement);
  void stop();

  // Takes a sample now; where the connection is there it is sent. For tests, and by its own timer.
  void sample();
  [[nodiscard]] std::size_t waiting() const;
  [[nodiscard]] bool watched() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::agent
