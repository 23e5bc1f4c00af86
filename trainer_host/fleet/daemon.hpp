#pragma once

#include <utility>  // before Asio

#include <memory>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "protocol/base/error.hpp"
#include "trainer_host/fleet/config/host_config.hpp"

namespace outcrop::fleet {

// Where things are in the state folder.
//
//   registry.sqlite   devices, releases, rollouts, reports, metadata
//   blobs/            manifests, variants, golden files, chunk tables
//   broker/           certificates and configuration of the broker that outcropd starts
//   lock              held while an outcropd works in this folder
struct StateFolder {
  std::filesystem::path folder;
  [[nodiscard]] std::filesystem::path registry() const { return folder / "registry.sqlite"; }
  [[nodiscard]] std::filesystem::path blobs() const { return folder / "blobs"; }
  [[nodiscard]] std::filesystem::path broker() const { return folder / "broker"; }
  [[nodiscard]] std::filesystem::path lock() const { return folder / "lock"; }
};

// outcropd, all parts put together, on the thread that runs `io`.
class Daemon {
 public:
  // Everything that can fail at once: refused where another outcropd works in this state folder,
  // and the errors of its parts. Serves from here on, once `io` runs.
  [[nodiscard]] static Result<std::unique_ptr<Daemon>> start(boost::asio::io_context& io,
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
