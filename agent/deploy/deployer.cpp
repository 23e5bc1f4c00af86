#include "agent/deploy/deployer.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include <spdlog/spdlog.h>

#include "agent/deploy/by_hand.hpp"
#include "agent/deploy/drawing.hpp"
#include "agent/deploy/machine.hpp"
#include "agent/deploy/remeasuring.hpp"
#include "agent/deploy/steps.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

using SteadyClock = std::chrono::steady_clock;

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
        watch_(parts_.config.state / "proved.json",
               {parts_.config.prove_again, parts_.config.measure_again, parts_.config.runner_program}, clock_),
        remeasuring_(parts_, machine_, steps_, changed_),
        drawing_(parts_, steps_, changed_) {}

  asio::awaitable<void> run() {
    machine_.open();
    count_anew();
    steps_.greet_engine();
    recover();
    co_await look_over();
    if (const auto serves = parts_.slots.serving()) {
      spdlog::info("{} of release {} serves", serves->variant, serves->manifest.short_hex());
    }
    parts_.announcer.report_trouble(machine_.record());
    while (!stopping_) {
      if (!machine_.at_work()) {
        co_await look_after();
        continue;
      }
      steps_.begin();
      const Outcome outcome = co_await step();
      // Whatever interrupted it has changed the record already.
      if (steps_.interrupted() || stopping_) continue;
      machine_.advance(outcome.event, outcome.reason);
      if (!machine_.unfinished()) finish();  // one that waits goes on with what it pulled
    }
  }

  void stop() {
    stopping_ = true;
    interrupt();
    machine_.stop();
  }

  void on_offer(const messages::Offer& offer) {
    if (!is_new(offer.generation)) return;
    end_current(offer.generation);
    Deployment deployment;
    deployment.offer = offer;
    deployment.budget_left = offer.byte_budget;
    machine_.begin(std::move(deployment));
    interrupt();
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
    interrupt();
  }

  void on_metadata() {
    count_anew();
    check_what_serves();
    if (machine_.unfinished() && !machine_.deployment().cancel) {
      const auto& manifest = machine_.deployment().offer.manifest;
      if (auto allowed = parts_.metadata.check_run(manifest); !allowed) {
        machine_.advance(not_permitted_in(machine_.deployment().state), allowed.error().message());
        finish();
        interrupt();
      }
    }
    parts_.announcer.status(machine_.record());
    if (looked_at_ != installed()) look_again();
    changed_.notify();
  }

  void on_call(const Installed& release, CallEnd end) {
    watch_.on_call(release, end);
    if (watch_.complaint_of_calls()) changed_.notify();
  }

  void on_unloadable() {
    looked_at_.reset();
    look_again();
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
    if (!held && waits_for_owner() && !parts_.config.approve_updates) {
      machine_.advance(Event::owner_agrees, describe(owner) + " lets updates through");
      interrupt();
    } else {
      machine_.announce();
    }
    return {};
  }

  Status approve(const Owner& owner) {
    if (!waits_for_owner()) {
      return fail(ErrorCode::refused, "no update waits for approval");
    }
    machine_.deployment().approved = true;
    machine_.advance(Event::owner_agrees, describe(owner) + " approved");
    interrupt();
    return {};
  }

  Status roll_back(const Owner& owner) {
    const std::string reason = describe(owner) + " rolled back";
    if (machine_.unfinished()) {
      machine_.abandon(reason);
      finish();
      interrupt();
      return {};
    }
    const auto previous = parts_.slots.previous();
    if (!previous) return fail(ErrorCode::refused, "there is no release to return to");
    OUTCROP_CHECK(parts_.metadata.check_run(previous->manifest));
    if (parts_.slots.lies(*previous) != Slots::Lies::whole) {
      return fail(ErrorCode::refused, "the release to return to, " +
                                          previous->manifest.short_hex() +
                                          ", lies here damaged; it is pulled again as soon as the "
                                          "host can be reached");
    }
    Status left = leave_active(reason);
    look_again();
    return left;
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
    interrupt();
    return {};
  }

  void on_measure(const messages::Measure& measure) {
    remeasuring_.on_measure(measure);
  }

  void on_draw(const messages::Draw& draw) {
    drawing_.on_draw(draw);
  }

  std::vector<std::string> troubles() const {
    std::vector<std::string> all;
    if (machine_.trouble()) all.push_back(*machine_.trouble());
    if (unhealthy_) all.push_back(*unhealthy_);
    for (const auto& release : {parts_.slots.active(), parts_.slots.previous()}) {
      if (!release || parts_.slots.lies(*release) == Slots::Lies::whole) continue;
      all.push_back("release " + release->manifest.short_hex() +
                    (release == parts_.slots.active() ? ", which should serve," : ", the previous one,") +
                    (parts_.slots.damaged(*release) ? " is damaged: " : " cannot be used now: ") +
                    damage_);
    }
    return all;
  }

  const DeployParts parts_;
  Machine machine_;
  Signal changed_;
  Steps steps_;
  bool stopping_ = false;

 private:
  // Between attempts to pull a damaged release again, to read one, or to write down what was decided.
  static constexpr std::chrono::hours last_retry{1};
  static constexpr std::chrono::seconds look_at_limits_every{20};
  // For a change of what proofs hang on.
  static constexpr std::chrono::minutes look_around_every{5};

  asio::awaitable<Outcome> step() {
    const std::string state(messages::to_string(machine_.deployment().state));
    const auto reached = [&](const char* where) {
      return parts_.times.reached ? parts_.times.reached(state + where) : Status();
    };
    if (const Status fault = reached(" begins"); !fault) {
      co_return Outcome{Event::failed, fault.error().message()};
    }
    Outcome outcome = co_await steps_.step();
    if (const Status fault = reached(" ends"); !fault) {
      co_return Outcome{Event::failed, fault.error().message()};
    }
    co_return outcome;
  }

  bool waits_for_owner() const {
    const auto& deployment = machine_.record().deployment;
    return deployment && deployment->state == DeploymentState::held && deployment->awaits_owner;
  }

  bool waits_for_limits() const {
    const auto& deployment = machine_.record().deployment;
    return deployment && deployment->state == DeploymentState::held && deployment->awaits_limits;
  }

  // What is installed is another, or not what it was: what is pulled again may not be wanted.
  void look_again() {
    if (machine_.at_work()) return;  // afterwards
    interrupt();
  }

  void interrupt() {
    steps_.interrupt();
    changed_.notify();
  }

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

  // What lies here of releases that neither serve nor served before is not needed any more.
  void finish() {
    steps_.forget();
    if (machine_.unwritten()) return;  // after a kill, the disk is believed
    if (auto cleaned = parts_.slots.collect_garbage({}); !cleaned) {
      spdlog::warn("cleaning up: {}", cleaned.error().message());
    }
  }

  void recover() {
    Record& record = machine_.record();
    const bool in_order = record.stopped;
    if (!record.deployment) return finish();
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
        finish();  // the agent may have been killed before it was
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
        finish();
    }
  }

  using Installations = std::pair<std::optional<Installed>, std::optional<Installed>>;

  [[nodiscard]] Installations installed() const {
    return {parts_.slots.active(), parts_.slots.previous()};
  }

  // What to do while no deployment is at work, until something changes.
  asio::awaitable<void> look_after() {
    watch_.serves(parts_.slots.serving(), SteadyClock::now());
    if (waits_for_limits() && !steps_.still_waits()) {
      machine_.advance(Event::may_go_on);
    } else if (looked_at_ != installed()) {
      co_await look_over();
    } else if (const auto complaint = watch_.complaint_of_calls()) {
      leave_unhealthy(*complaint);
    } else if (const auto damaged = damaged_release()) {
      co_await pull_again(*damaged);
    } else if (remeasuring_.asked()) {
      co_await remeasuring_.as_asked();
    } else if (drawing_.asked()) {
      co_await drawing_.as_asked();
    } else if (remeasuring_.serves_unmeasured()) {
      co_await remeasuring_.at_rest();
    } else if (watch_.due() && SteadyClock::now() >= *watch_.due()) {
      co_await prove_again();
    } else {
      remeasuring_.begin_anew();
      co_await wait_for_change();
    }
  }

  // What cannot be read may be readable later, and so with what could not be written down.
  asio::awaitable<void> wait_for_change() {
    if (!machine_.unwritten() && !unread_release()) {
      const auto due = watch_.due();
      auto next = due ? std::min(*due, SteadyClock::now() + look_around_every) : SteadyClock::time_point::max();
      if (waits_for_limits()) next = std::min(next, SteadyClock::now() + look_at_limits_every);
      co_await changed_.wait_until(next);
      if (due) watch_.look_around(SteadyClock::now());
      co_return;
    }
    const auto next = std::chrono::steady_clock::now() + retry_;
    co_await changed_.wait_until(next);
    if (stopping_ || machine_.at_work() || std::chrono::steady_clock::now() < next) co_return;
    const auto longer = std::min<std::chrono::milliseconds>(2 * retry_, last_retry);
    if (machine_.unwritten()) machine_.save();
    if (unread_release()) co_await look_over();
    retry_ = longer;
  }

  // What served before serves again, if it may run and is still what it was. A damaged release is
  // left for the one before it where that one is whole: else it is pulled again.
  asio::awaitable<void> look_over() {
    check_what_serves();
    const auto [active, previous] = installed();
    looked_at_ = {active, previous};
    retry_ = parts_.times.first_retry;
    using Lies = Slots::Lies;
    bool can_return = false;
    if (previous) can_return = co_await look_at(*previous) == Lies::whole;
    if (!active) co_return;
    const bool served = parts_.slots.serving() == active;
    const Lies lies = co_await look_at(*active);
    if (parts_.slots.active() != active) co_return;
    if (served != (lies == Lies::whole)) machine_.announce();
    if (lies == Lies::whole) co_return;
    if (lies == Lies::unread) {
      spdlog::error("the release that should serve cannot be used now, and is looked at again: {}",
                    damage_);
      parts_.serving.end();
      co_return;
    }
    const std::string reason = "the release that served is damaged: " + damage_;
    if (can_return && parts_.metadata.check_run(previous->manifest)) {
      (void)leave_active(reason);
      looked_at_ = installed();
    } else {
      spdlog::error("{}; it is pulled again as soon as the host can be reached", reason);
      parts_.serving.end();
      machine_.announce();
    }
  }

  asio::awaitable<Slots::Lies> look_at(Installed release) {
    const Status whole = co_await steps_.check_installed(release);
    if (!whole) damage_ = whole.error().message();
    co_return Slots::judge(whole);
  }

  [[nodiscard]] bool unread_release() const {
    for (const auto& release : {parts_.slots.active(), parts_.slots.previous()}) {
      if (release && parts_.slots.lies(*release) == Slots::Lies::unread) return true;
    }
    return false;
  }

  // The one that should serve comes first.
  [[nodiscard]] std::optional<Installed> damaged_release() const {
    for (const auto& release : {parts_.slots.active(), parts_.slots.previous()}) {
      if (release && parts_.slots.damaged(*release)) return release;
    }
    return std::nullopt;
  }

  asio::awaitable<void> pull_again(Installed release) {
    steps_.begin();
    const Status pulled = co_await steps_.pull_again(release);
    if (steps_.interrupted() || stopping_) co_return;
    const std::string name = release.manifest.short_hex();
    if (pulled) {
      spdlog::info("release {} was damaged and is whole again", name);
      machine_.announce();
      co_return;
    }
    damage_ = pulled.error().message();
    spdlog::warn("pulling release {} again: {}", name, damage_);
    const auto next = std::chrono::steady_clock::now() + retry_;
    retry_ = std::min<std::chrono::milliseconds>(2 * retry_, last_retry);
    while (!stopping_ && !machine_.at_work() && looked_at_ == installed() &&
           std::chrono::steady_clock::now() < next) {
      co_await changed_.wait_until(next);
    }
  }

  // What serves is watched for as long as it does.
  asio::awaitable<void> prove_again() {
    if (parts_.serving.busy()) {
      co_await changed_.wait_until(SteadyClock::now() + Remeasuring::look_for_rest);
      co_return;
    }
    parts_.serving.end();
    steps_.begin();
    auto measured = co_await steps_.measure_serving(*parts_.slots.serving());
    if (steps_.interrupted() || stopping_) co_return;
    steps_.forget();
    if (!measured) {
      spdlog::warn("proving what serves again: {}", measured.error().message());
      watch_.postpone(SteadyClock::now());
      if (Slots::judge(fail(measured.error())) == Slots::Lies::damaged) looked_at_.reset();
      co_return;
    }
    const auto complaint = watch_.proved(measured->result, measured->in_words, SteadyClock::now());
    if (measured->result == ProvedAgain::right) unhealthy_.reset();
    if (complaint) leave_unhealthy("proved again, " + *complaint);
  }

  // To the release before, and no further: one that was returned to serves on whatever its calls say, or what a program
  // asks would bring a board to nothing.
  void leave_unhealthy(const std::string& why) {
    const auto& deployment = machine_.record().deployment;
    const bool committed_last = deployment && deployment->state == DeploymentState::updated &&
                                !deployment->cancel && parts_.slots.active() == deployment->target();
    if (committed_last && may_return()) {
      (void)leave_active("what served is no good any more: " + why, Slots::Leaving::on_trial);
      return;
    }
    watch_.forgive(SteadyClock::now());
    const std::string said = "what serves is no good any more, and there is no release to return to: " + why;
    const bool new_to_host = unhealthy_ != said;
    unhealthy_ = said;
    spdlog::error("{}", said);
    if (deployment && new_to_host) {
      Deployment about = *deployment;
      about.reason = messages::as_reason(said);
      parts_.announcer.report(about);
    }
  }

  void check_what_serves() {
    // Twice: the previous release may be revoked, too.
    for (int i = 0; i < 2 && parts_.slots.active(); ++i) {
      const auto allowed = parts_.metadata.check_run(parts_.slots.active()->manifest);
      if (allowed) return;
      (void)leave_active(allowed.error().message());
    }
  }

  // The host may have gone back from the previous release because it revoked that one.
  [[nodiscard]] bool may_return() const {
    const auto& previous = parts_.slots.previous();
    return previous && parts_.slots.lies(*previous) == Slots::Lies::whole &&
           parts_.metadata.check_run(previous->manifest).has_value();
  }

  // Stops serving the active release, returns to the one before and says so.
  Status leave_active(const std::string& reason, Slots::Leaving leaving = Slots::Leaving::committed) {
    const Installed left = *parts_.slots.active();
    Record& record = machine_.record();
    const bool is_latest = record.deployment && record.deployment->target() == left &&
                           next_state(record.deployment->state, Event::serving_lost).has_value();
    parts_.serving.end();
    if (is_latest && record.deployment->state != DeploymentState::updated) {
      machine_.advance(Event::serving_lost, reason);  // undoes the activation itself
      finish();
      interrupt();
      return {};
    }
    auto back = may_return() ? parts_.slots.roll_back(leaving) : parts_.slots.return_to(std::nullopt);
    if (!back) {
      spdlog::error("returning to the previous release: {}", back.error().message());
      back = parts_.slots.return_to(std::nullopt);
    }
    if (!back) return back;
    if (is_latest) {
      machine_.advance(Event::serving_lost, reason);
    } else {
      machine_.save();
      spdlog::warn("release {} serves no more: {}", left.manifest.short_hex(), reason);
      if (record.deployment) {
        Deployment about = *record.deployment;
        about.reason = messages::as_reason("release " + left.manifest.short_hex() +
                                           " serves no more: " + reason);
        parts_.announcer.report(about);
      }
      machine_.announce();
    }
    if (!machine_.unfinished()) finish();
    return {};
  }

  SystemClock clock_;
  Watch watch_;
  Remeasuring remeasuring_;
  Drawing drawing_;
  std::optional<std::string> unhealthy_;  // and serves on
  std::optional<Installations> looked_at_;  // and found whole or damaged
  std::string damage_;                      // of what was found damaged last
  std::chrono::milliseconds retry_{0};
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
  impl_->on_measure(measure);
}
void Deployer::on_draw(const messages::Draw& draw) {
  impl_->on_draw(draw);
}
void Deployer::on_metadata() {
  impl_->on_metadata();
}
void Deployer::on_call(const Installed& release, CallEnd end) {
  impl_->on_call(release, end);
}
void Deployer::on_unloadable() {
  impl_->on_unloadable();
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
