#include "agent/deploy/deployer.hpp"

#include <malloc.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include <spdlog/spdlog.h>

#include "agent/deploy/by_hand.hpp"
#include "agent/deploy/caretaker.hpp"
#include "agent/deploy/machine.hpp"
#include "agent/deploy/steps.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

std::string describe(const Owner& owner) {
  return "owner (uid " + std::to_string(owner.uid) + ")";
}

}  // namespace

class Deployer::Impl {
 public:
  Impl(asio::any_io_executor executor, const DeployParts& parts)
      : parts_(parts),
        machine_(parts_),
        changed_(executor),
        steps_(executor, parts_, machine_, changed_),
        caretaker_(parts_, machine_, steps_, changed_) {}

  asio::awaitable<void> run() {
    machine_.open();
    count_anew();
    steps_.greet_engine();
    recover();
    co_await caretaker_.look_over();
    if (const auto serves = parts_.slots.serving()) {
      spdlog::info("{} of release {} serves", serves->variant, serves->manifest.short_hex());
    }
    parts_.announcer.report_trouble(machine_.record());
    while (!steps_.stopped()) {
      if (machine_.waits_for_limits() && !steps_.still_waits()) machine_.advance(Event::may_go_on);
      if (machine_.at_work()) {
        co_await steps_.run(deploy());
        ::malloc_trim(0);  // what an update took lies about in pieces, and nothing of that size comes for long
      } else {
        co_await steps_.run(caretaker_.look_after());
      }
    }
  }

  void stop() {
    steps_.stop();
    machine_.stop();
  }

  void on_offer(const messages::Offer& offer) {
    if (!is_new(offer.generation)) return;
    end_current(offer.generation);
    Deployment deployment;
    deployment.offer = offer;
    deployment.budget_left = offer.byte_budget;
    machine_.begin(std::move(deployment));
    steps_.interrupt();
  }

  void on_cancel(const messages::Cancel& cancel) {
    if (!is_new(cancel.generation)) return;
    end_current(cancel.generation);
    Deployment deployment;
    deployment.offer.rollout = cancel.rollout;
    deployment.offer.generation = cancel.generation;
    deployment.offer.manifest = cancel.manifest;
    deployment.offer.model = parts_.config.model;
    deployment.offer.device_class = parts_.config.device_class;
    deployment.cancel = cancel;
    machine_.begin(std::move(deployment));
    steps_.interrupt();
  }

  void on_metadata() {
    count_anew();
    caretaker_.on_metadata();
    if (machine_.unfinished() && !machine_.deployment().cancel) {
      const auto& manifest = machine_.deployment().offer.manifest;
      if (auto allowed = parts_.metadata.check_run(manifest); !allowed) {
        machine_.advance(not_permitted_in(machine_.deployment().state), allowed.error().message());
        machine_.clear_up();
        steps_.interrupt();
      }
    }
    parts_.announcer.status(machine_.record());
    changed_.notify();
  }

  Status hold(bool held, const Owner& owner) {
    Record& record = machine_.record();
    const auto before = std::pair(record.held, record.held_by);
    record.held = held;
    record.held_by = held ? "uid " + std::to_string(owner.uid) : std::string();
    if (!machine_.save()) {
      std::tie(record.held, record.held_by) = before;
      return fail(ErrorCode::io, std::string("updates are ") + (before.first ? "" : "not ") +
                                     "held, as before, since that could not be written: " +
                                     machine_.trouble().value_or("the disk takes nothing"));
    }
    spdlog::info("{} {}", describe(owner), held ? "holds updates" : "lets updates through");
    if (!held && machine_.waits_for_owner() && !parts_.config.approve_updates) {
      machine_.advance(Event::owner_agrees, describe(owner) + " lets updates through");
      steps_.interrupt();
    } else {
      machine_.announce();
    }
    return {};
  }

  Status approve(const Owner& owner) {
    if (!machine_.waits_for_owner()) {
      return fail(ErrorCode::refused, "no update waits for approval");
    }
    machine_.deployment().approved = true;
    machine_.advance(Event::owner_agrees, describe(owner) + " approved");
    steps_.interrupt();
    return {};
  }

  Status roll_back(const Owner& owner) {
    const std::string reason = describe(owner) + " rolled back";
    if (machine_.unfinished()) {
      machine_.abandon(reason);
      machine_.clear_up();
      steps_.interrupt();
      return {};
    }
    return caretaker_.return_to_previous(reason);
  }

  Status may_install() const {
    if (!machine_.unfinished()) return {};
    return fail(ErrorCode::refused, "an update is at work (rollout " + machine_.record().deployment->offer.rollout +
                                        "): wait for its end, or end it with `outcrop-agent rollback`");
  }

  Status install(const trust::Sha256Digest& manifest, std::chrono::seconds soak, const Owner& owner) {
    OUTCROP_CHECK(may_install());
    OUTCROP_TRY(release, parts_.metadata.check_install(manifest, 0));
    spdlog::info("{} installs release {}", describe(owner), manifest.short_hex());
    machine_.begin(by_hand(parts_.config, machine_.record(), release, parts_.metadata.snapshot_version(), soak));
    steps_.interrupt();
    return {};
  }

  std::vector<std::string> troubles() const {
    std::vector<std::string> all = caretaker_.troubles();
    if (machine_.trouble()) all.insert(all.begin(), *machine_.trouble());
    return all;
  }

  const DeployParts parts_;
  Machine machine_;
  Signal changed_;
  Steps steps_;
  Caretaker caretaker_;

 private:
  // One deployment from where it stands until it ends, waits for somebody, or something else has taken its place.
  asio::awaitable<void> deploy() {
    using S = DeploymentState;
    const S begun = machine_.deployment().state;
    bool on = true;
    if (begun == S::offered) on = co_await work(steps_.offered());
    if (on && stands_at(S::downloading)) on = co_await try_out();
    if (on && stands_at(S::updating)) on = co_await work(steps_.updating());
    if (on && stands_at(S::soaking)) on = co_await work(steps_.soaking());
    if (!on) co_return;
    spdlog::critical("the state {} has no work", to_string(machine_.deployment().state));
    std::abort();
  }

  // From the first byte to the choice of a variant; whether it goes on.
  asio::awaitable<bool> try_out() {
    Steps::Plan plan;
    if (bool on = co_await work(steps_.downloading(plan)); !on) co_return false;
    if (bool on = co_await work(steps_.downloaded(plan)); !on) co_return false;
    if (bool on = co_await work(steps_.verified()); !on) co_return false;
    Steps::Trial trial(steps_.interruption());
    if (bool on = co_await work(steps_.proving(plan, trial)); !on) co_return false;
    bool on = co_await work(steps_.measuring(plan, trial));
    co_return on;
  }

  // The work of the state at which the deployment stands, and the edge that it leads to. Whether more is to be done.
  asio::awaitable<bool> work(asio::awaitable<Outcome> of_state) {
    const std::string state(messages::to_string(machine_.deployment().state));
    const auto reached = [&](const char* where) {
      return parts_.times.reached ? parts_.times.reached(state + where) : Status();
    };
    Outcome outcome;
    Status fault = reached(" begins");
    if (fault) {
      outcome = co_await std::move(of_state);
      fault = reached(" ends");
    }
    if (!fault) outcome = {Event::failed, fault.error().message()};
    throw_if_cancelled(steps_.interruption());  // the record is another's by now
    machine_.advance(outcome.event, outcome.reason);
    if (!machine_.unfinished()) machine_.clear_up();  // one that waits goes on with what it pulled
    co_return machine_.at_work();
  }

  [[nodiscard]] bool stands_at(DeploymentState state) const { return machine_.record().deployment->state == state; }

  // By another enrolment, or under another director, whatever was seen before is past.
  void count_anew() {
    if (!parts_.authority.is_new()) return;
    Record& record = machine_.record();
    spdlog::info("commands come from another enrolment or director: generations, of which {} was "
                 "seen, begin anew", record.generation);
    record.generation = 0;
    if (machine_.save()) parts_.authority.settle();
  }

  bool is_new(std::uint64_t generation) {
    const std::uint64_t seen = machine_.record().generation;
    if (messages::leaps(generation, seen)) {
      spdlog::warn("refusing generation {}, which leaps beyond {}: none would be left", generation,
                   seen);
      return false;
    }
    if (generation < seen) {
      spdlog::info("ignoring generation {}: {} was seen", generation, seen);
    } else if (generation == seen) {
      machine_.announce();
    }
    return generation > seen;
  }

  void end_current(std::uint64_t generation) {
    machine_.abandon("superseded by generation " + std::to_string(generation));
  }

  void recover() {
    Record& record = machine_.record();
    const bool in_order = record.stopped;
    if (!record.deployment) return machine_.clear_up();
    Deployment& deployment = *record.deployment;
    const std::string state(messages::to_string(deployment.state));
    const bool at_work = machine_.at_work();
    const bool same_boot = record.boot.empty() || record.boot == parts_.times.boot;
    if (at_work && !in_order) ++(same_boot ? deployment.crashes : deployment.power_cuts)[state];
    const auto crashes = at_work ? deployment.crashes[state] : 0;
    const Recovery recovery =
        recovery_from(deployment.state, deployment.waits(), in_order ? 0 : crashes,
                      at_work && !in_order ? deployment.power_cuts[state] : 0);
    switch (recovery.action) {
      case Recovery::Action::nothing:
        machine_.clear_up();  // the agent may have been killed before it was
        [[fallthrough]];
      case Recovery::Action::wait:
        machine_.save();
        return;
      case Recovery::Action::resume:
        machine_.advance(Event::resumed, in_order ? "" : same_boot ? "the agent was started again"
                                                                     : "the board was started again");
        return;
      case Recovery::Action::give_up:
        machine_.advance(Event::failed, recovery.reason);
        machine_.clear_up();
    }
  }
};

Deployer::Deployer(asio::any_io_executor executor, const DeployParts& parts)
    : impl_(std::make_shared<Impl>(std::move(executor), parts)) {}
Deployer::~Deployer() = default;

asio::awaitable<void> Deployer::run() {
  return impl_->run();
}
void Deployer::stop() {
  impl_->stop();
}
void Deployer::on_offer(const messages::Offer& offer) {
  impl_->on_offer(offer);
}
void Deployer::on_cancel(const messages::Cancel& cancel) {
  impl_->on_cancel(cancel);
}
void Deployer::on_measure(const messages::Measure& measure) {
  impl_->caretaker_.on_measure(measure);
}
void Deployer::on_draw(const messages::Draw& draw) {
  impl_->caretaker_.on_draw(draw);
}
void Deployer::on_metadata() {
  impl_->on_metadata();
}
void Deployer::on_call(const Installed& release, CallEnd end) {
  impl_->caretaker_.on_call(release, end);
}
void Deployer::on_unloadable() {
  impl_->caretaker_.on_unloadable();
}
std::vector<std::string> Deployer::troubles() const {
  return impl_->troubles();
}
Status Deployer::hold(bool held, const Owner& owner) {
  return impl_->hold(held, owner);
}
Status Deployer::approve(const Owner& owner) {
  return impl_->approve(owner);
}
Status Deployer::roll_back(const Owner& owner) {
  return impl_->roll_back(owner);
}
Status Deployer::may_install() const {
  return impl_->may_install();
}
Status Deployer::install(const trust::Sha256Digest& manifest, std::chrono::seconds soak, const Owner& owner) {
  return impl_->install(manifest, soak, owner);
}
const Record& Deployer::record() const {
  return impl_->machine_.record();
}
Deployer::Work Deployer::work() const {
  return impl_->steps_.work();
}
bool Deployer::busy() const {
  return impl_->steps_.busy();
}

}  // namespace outcrop::agent
