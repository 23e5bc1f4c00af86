#pragma once

#include <utility>  // before Asio

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include "agent/config/config.hpp"
#include "agent/deploy/announcer.hpp"
#include "agent/deploy/ledger.hpp"
#include "agent/deploy/recovery.hpp"
#include "agent/health/watch.hpp"
#include "agent/prove/fitting.hpp"
#include "agent/prove/serving.hpp"
#include "agent/pull/puller.hpp"
#include "agent/slots/slots.hpp"
#include "agent/updates/limits.hpp"
#include "agent/verify/commands.hpp"
#include "agent/verify/metadata_store.hpp"
#include "protocol/messages/command.hpp"
#include "protocol/messages/picture.hpp"

namespace outcrop::agent {

// Waiting times that a test shortens, a machine that it invents, and faults that it brings about.
struct DeployTimes {
  std::chrono::milliseconds metadata{120'000};     // connected, for metadata that an offer asks for
  std::chrono::milliseconds soak_interval{5'000};  // between golden inferences of a soak
  std::chrono::milliseconds progress{500};         // between messages while downloading
  std::chrono::milliseconds first_retry{10'000};   // of what could not be read or pulled again
  std::chrono::milliseconds trial{600'000};        // for a connection by a new certificate
  std::string boot = this_boot();
  std::function<ByteCount()> available_memory = agent::available_memory;
  // Called where a state is "written" and where it is "saved" once more, where its work "begins" and
  // where it "ends" ("SOAKING ends"). A failure becomes that of the work.
  std::function<Status(const std::string& point)> reached;
};

// What the deployer works with. All must outlive it.
struct DeployParts {
  const AgentConfig& config;
  MetadataStore& metadata;
  Slots& slots;
  Puller& puller;
  Announcer& announcer;
  Serving& serving;
  std::optional<runtime::Hello>& engine;  // filled in when a runner first says hello
  CommandAuthority& authority;
  Ledger& ledger;
  const UpdateLimits& limits;
  DeployTimes times;
  // What was drawn, or why nothing was, as the host asked; the header is the teller's.
  std::function<void(messages::Picture)> tell_picture{};
};

// Who asked for something on this machine.
struct Owner {
  std::uint32_t uid = 0;
};

// Takes releases from offer to commit, one at a time (transitions.hpp has the machine). Each state
// is on the disk before it is acted on, so that the agent may be killed anywhere. All members are
// to be called on the executor; none blocks.
class Deployer {
 public:
  Deployer(boost::asio::any_io_executor executor, const DeployParts& parts);
  ~Deployer();

  // Takes up what was under way and what serves, then works until stop(). Call once.
  [[nodiscard]] boost::asio::awaitable<void> run();
  // run() returns soon; the record says that the agent ended in order.
  void stop();

  void on_offer(const messages::Offer& offer);
  void on_cancel(const messages::Cancel& cancel);
  // What serves is measured when nobody uses it, if it is this release; a report tells.
  void on_measure(const messages::Measure& measure);
  // What serves draws when nobody uses it, if it is this release; DeployParts::tell_picture tells.
  void on_draw(const messages::Draw& draw);
  // The metadata store has accepted something.
  void on_metadata();
  // A call of what serves has ended.
  void on_call(const Installed& release, CallEnd end);
  // What serves could not be loaded: it is looked at, and pulled again where it is damaged.
  void on_unloadable();

  // Errors: refused, saying why; io or no_space where it could not be written down: then nothing has
  // changed.
  [[nodiscard]] Status hold(bool held, const Owner& owner);
  [[nodiscard]] Status approve(const Owner& owner);
  [[nodiscard]] Status roll_back(const Owner& owner);
  // What the owner brings of a release may be put here now: refused while an update is at work.
  [[nodiscard]] Status may_install() const;
  // Takes the release, which metadata permit and whose blobs lie here as transfers do, through every state
  // of an offer. An offer or a cancel of the host takes its place.
  [[nodiscard]] Status install(const trust::Sha256Digest& manifest, std::chrono::seconds soak, const Owner& owner);

  [[nodiscard]] const Record& record() const;
  // What is wrong with what lies on this board: the record, or a release that is damaged.
  [[nodiscard]] std::vector<std::string> troubles() const;
  struct Work {
    std::string variant;  // at work, or empty
    Announcer::Transfer transfer;
  };
  [[nodiscard]] Work work() const;

  // A job that blocks is still at work on one of its threads.
  [[nodiscard]] bool busy() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace outcrop::agent
