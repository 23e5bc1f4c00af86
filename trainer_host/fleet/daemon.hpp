#pragma once

#include <utility>  // before Asio

#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "protocol/base/error.hpp"
#include "trainer_host/fleet/config/host_config.hpp"

namespace outcrop::fleet {

// outcropd, all parts put together, on two threads: the one that runs `io` decides and writes, and one of its own runs `answers`,
// the API and the pages. Both contexts live longer than this, and `answers` longer than `io`.
class Daemon {
 public:
  // Everything that can fail at once: refused where another outcropd works in this state folder,
  // and the errors of its parts. Serves from here on, once `io` runs.
  [[nodiscard]] static Result<std::unique_ptr<Daemon>> start(boost::asio::io_context& io, boost::asio::io_context& answers,
                                                             const HostConfig& config);
  ~Daemon();

  // What start() would refuse of the files that the configuration names; starts and changes
  // nothing, also while an outcropd works. Returns what will have to be done soon, a sentence each.
  [[nodiscard]] static Result<std::vector<std::string>> check(const HostConfig& config);

  // Ends what is under way in good order, then stops `io`.
  void stop();

 private:
  class Impl;
  explicit Daemon(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace outcrop::fleet
