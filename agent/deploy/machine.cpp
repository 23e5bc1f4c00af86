#include "agent/deploy/machine.hpp"

#include <cstdlib>

#include <spdlog/spdlog.h>

#include "agent/deploy/recovery.hpp"
#include "platform/service/service.hpp"

namespace outcrop::agent {
namespace {

bool is_failure(DeploymentState state) {
  return state == DeploymentState::rejected || state == DeploymentState::failed ||
         state == DeploymentState::rolled_back;
}

}  // namespace

void Machine::open() {
  ReadRecord read = read_record(parts_.record_file);
  record_ = std::move(read.record);
  if (read.status) return;
  // What was under way is unknown, and so whether what serves was ever committed.
  spdlog::error("the record of deployments cannot be used, rolling back: {}",
                read.status.error().message());
  if (parts_.slots.previous()) {
    if (auto back = parts_.slots.roll_back(); !back) {
      spdlog::error("rolling back: {}", back.error().message());
    }
  }
  save();
}

bool Machine::at_work() const {
  return has_deployment() && !is_end(record_.deployment->state);
}

bool Machine::unfinished() const {
  return at_work() || (has_deployment() && record_.deployment->state == DeploymentState::held &&
                       record_.deployment->awaits_owner);
}

void Machine::begin(Deployment deployment) {
  record_.generation = deployment.offer.generation;
  record_.deployment = std::move(deployment);
  spdlog::info("{} of rollout {} (generation {}, release {})",
               record_.deployment->cancel ? "cancel" : "offer", record_.deployment->offer.rollout,
               record_.generation, record_.deployment->offer.manifest.short_hex());
  save();
  announce();
}

void Machine::advance(Event event, std::string reason) {
  Deployment& current = deployment();
  const auto next = next_state(current.state, event);
  if (!next) {
    spdlog::critical("the state {} has no answer to the event '{}'",
                     messages::to_string(current.state), to_string(event));
    spdlog::default_logger()->flush();
    std::abort();
  }
  if (is_failure(*next)) undo();
  if (*next == DeploymentState::updating && event != Event::resumed) {
    current.before = parts_.slots.active();
  }
  current.state = *next;
  current.reason = messages::as_reason(reason);
  current.awaits_owner =
      event == Event::owner_holds || (event == Event::resumed && current.awaits_owner);
  spdlog::info("{} {}{}{}", messages::to_string(current.state), current.offer.manifest.short_hex(),
               current.reason.empty() ? "" : ": ", current.reason);
  if (!save() && !is_end(current.state)) {
    // What cannot be written down is not begun.
    undo();
    current.state = DeploymentState::failed;
    current.reason = "the record of the deployment could not be written";
  }
  announce();
  if (is_end(current.state)) parts_.announcer.report(current);
}

void Machine::abandon(std::string reason) {
  if (unfinished()) advance(Event::cancelled, std::move(reason));
}

bool Machine::save() {
  record_.stopped = false;
  auto written = write_record(parts_.record_file, record_);
  if (!written) spdlog::error("writing the record: {}", written.error().message());
  return written.has_value();
}

void Machine::announce(const std::string& variant) {
  platform::notify_status(summary());
  parts_.announcer.status(record_);
  if (has_deployment()) parts_.announcer.progress(deployment(), variant);
}

std::string Machine::summary() const {
  const auto& active = parts_.slots.active();
  std::string text =
      active ? "serving " + active->variant + " of release " + active->manifest.short_hex()
             : std::string("serving nothing yet");
  if (unfinished()) {
    text += "; " + std::string(messages::to_string(record_.deployment->state)) + " release " +
            record_.deployment->offer.manifest.short_hex();
  }
  return text;
}

// Back to what served before an activation that was not committed.
void Machine::undo() {
  const Deployment& current = deployment();
  const bool activated =
      current.state == DeploymentState::updating || current.state == DeploymentState::soaking;
  if (!activated || parts_.slots.active() != current.target()) return;
  auto before = current.before;
  if (before == current.target()) return;  // it served all the time
  if (before) {
    if (auto allowed = parts_.metadata.check_run(before->manifest); !allowed) {
      spdlog::warn("the release that served before may not return: {}", allowed.error().message());
      before.reset();
    }
  }
  parts_.serving.end();
  auto back = parts_.slots.return_to(before);
  if (!back && before) {
    spdlog::error("returning to {}: {}", before->manifest.short_hex(), back.error().message());
    back = parts_.slots.return_to(std::nullopt);
  }
  if (!back) spdlog::error("returning: {}", back.error().message());
}

}  // namespace outcrop::agent
