#include "agent/deploy/machine.hpp"

#include <cstdlib>

#include <spdlog/spdlog.h>

#include "agent/deploy/by_hand.hpp"
#include "platform/service/service.hpp"

namespace outcrop::agent {
namespace {

bool is_failure(DeploymentState state) {
  return state == DeploymentState::rejected || state == DeploymentState::failed ||
         state == DeploymentState::rolled_back;
}

}  // namespace

void Machine::open() {
  record_ = parts_.ledger.found().record;
  trouble_ = parts_.ledger.trouble();
  if (trouble_) spdlog::error("what this board decides by: {}", *trouble_);
  parts_.ledger.settle();
}

bool Machine::at_work() const {
  return has_deployment() && !is_end(record_.deployment->state);
}

bool Machine::unfinished() const {
  return at_work() || (has_deployment() && record_.deployment->state == DeploymentState::held &&
                       record_.deployment->waits());
}

bool Machine::waits_for_owner() const {
  return has_deployment() && record_.deployment->state == DeploymentState::held && record_.deployment->awaits_owner;
}

bool Machine::waits_for_limits() const {
  return has_deployment() && record_.deployment->state == DeploymentState::held && record_.deployment->awaits_limits;
}

void Machine::clear_up() {
  if (unwritten_) return;  // after a kill, the disk is believed
  if (auto cleaned = parts_.slots.collect_garbage({}); !cleaned) {
    spdlog::warn("cleaning up: {}", cleaned.error().message());
  }
}

void Machine::begin(Deployment deployment) {
  if (!is_by_hand(deployment)) record_.generation = deployment.offer.generation;
  record_.deployment = std::move(deployment);
  spdlog::info("{} of rollout {} (generation {}, release {})",
               record_.deployment->cancel ? "cancel" : "offer", record_.deployment->offer.rollout,
               record_.generation, record_.deployment->offer.manifest.short_hex());
  if (!write(Ledger::Space::free)) return advance(Event::failed, not_written());
  reached(" written");
  announce();
}

// What cannot be written down is not begun.
std::string Machine::not_written() const {
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
  const bool same = told_apart(*next) == told_apart(current.state);
  current.awaits_owner =
      event == Event::owner_holds || (event == Event::resumed && current.awaits_owner);
  current.awaits_limits =
      event == Event::must_wait || (event == Event::resumed && current.awaits_limits);
  enter(*next, reason);
  const bool ends = is_end(current.state);
  const bool must_be_written = !same || event == Event::resumed;
  if (must_be_written && !write(ends ? Ledger::Space::set_aside : Ledger::Space::free) && !ends) {
    undo();
    enter(DeploymentState::failed, not_written());
    write(Ledger::Space::set_aside);
  }
  if (must_be_written) reached(" written");
  announce();
  if (is_end(current.state)) parts_.announcer.send();
}

void Machine::enter(DeploymentState state, const std::string& reason) {
  Deployment& current = deployment();
  current.state = state;
  current.reason = messages::as_reason(reason);
  spdlog::info("{} {}{}{}", messages::to_string(state), current.offer.manifest.short_hex(),
               current.reason.empty() ? "" : ": ", current.reason);
  if (is_end(state)) parts_.announcer.hold(current);
}

void Machine::abandon(std::string reason) {
  if (unfinished()) advance(Event::cancelled, std::move(reason));
}

bool Machine::write(Ledger::Space space) {
  record_.stopped = false;
  record_.boot = parts_.times.boot;
  const Status written = parts_.ledger.commit(
      {record_, parts_.slots.table(), parts_.announcer.held_report()}, space);
  if (!written) {
    trouble_ = written.error().message();
    spdlog::error("writing down what was decided: {}", *trouble_);
  } else if (unwritten_) {
    trouble_.reset();
  }
  unwritten_ = !written;
  return written.has_value();
}

bool Machine::save() {
  const bool written = write(Ledger::Space::free);
  reached(" saved");
  return written;
}

void Machine::reached(const char* what) const {
  if (!parts_.times.reached || !has_deployment()) return;
  (void)parts_.times.reached(std::string(messages::to_string(record_.deployment->state)) + what);
}

void Machine::stop() {
  Decided decided{record_, parts_.slots.table(), parts_.announcer.held_report()};
  decided.record.stopped = true;
  decided.record.boot = parts_.times.boot;
  if (const Status written = parts_.ledger.commit(decided); !written) {
    spdlog::error("writing down what was decided: {}", written.error().message());
  }
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
