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
  if (read.reading.trouble) trouble_ = read.reading.trouble->message();
  KeptTwice(parts_.record_file).heal(read.reading);
  if (read.status) return restore_slots();
  trouble_ = read.status.error().message();
  // What was under way is unknown, and so whether what serves was ever committed.
  spdlog::error("the record of deployments cannot be used, rolling back: {}",
                read.status.error().message());
  if (parts_.slots.previous()) {
    if (auto back = parts_.slots.roll_back(Slots::Leaving::on_trial); !back) {
      spdlog::error("rolling back: {}", back.error().message());
    }
  }
  save();
}

// A deployment that was committed serves; before that, what it found serves.
void Machine::restore_slots() {
  if (!parts_.slots.forgotten() || !has_deployment()) return;
  const bool committed = deployment().state == DeploymentState::updated;
  const auto serves = committed ? std::optional(deployment().target()) : deployment().before;
  if (!serves) return;
  if (const Status restored = parts_.slots.remember(*serves); !restored) {
    spdlog::error("what served is not known any more: {}", restored.error().message());
  }
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
  if (!save()) return advance(Event::failed, unwritten());
  announce();
}

// What cannot be written down is not begun.
std::string Machine::unwritten() const {
  return "the record of the deployment could not be written: " + trouble_.value_or("");
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
    undo();
    current.state = DeploymentState::failed;
    current.reason = messages::as_reason(unwritten());
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
  if (!written) {
    trouble_ = written.error().message();
    spdlog::error("writing the record: {}", *trouble_);
  } else if (unwritten_) {
    trouble_.reset();
  }
  unwritten_ = !written;
  return written.has_value();
}

void Machine::announce(const std::string& variant) {
  platform::notify_status(summary());
  parts_.announcer.status(record_);
  if (has_deployment()) parts_.announcer.progress(deployment(), variant);
}

std::string Machine::summary() const {
  const auto active = parts_.slots.serving();
  std::string text =
      active ? "serving " + active->variant + " of release " + active->manifest.short_hex()
             : std::string(parts_.slots.active() ? "serving nothing: what should is damaged"
                                                 : "serving nothing yet");
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
  auto back = parts_.slots.return_to(before, Slots::Leaving::on_trial);
  if (!back && before) {
    spdlog::error("returning to {}: {}", before->manifest.short_hex(), back.error().message());
    back = parts_.slots.return_to(std::nullopt, Slots::Leaving::on_trial);
  }
  if (!back) spdlog::error("returning: {}", back.error().message());
}

}  // namespace outcrop::agent
