#include "agent/deploy/caretaker.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

// Between attempts to pull a damaged release again, to read one, or to write down what was decided.
constexpr std::chrono::hours last_retry{1};
constexpr std::chrono::seconds look_at_limits_every{20};
// For a change of what proofs hang on.
constexpr std::chrono::minutes look_around_every{5};

}  // namespace

Caretaker::Caretaker(const DeployParts& parts, Machine& machine, Steps& steps, Signal& changed)
    : parts_(parts),
      machine_(machine),
      steps_(steps),
      changed_(changed),
      watch_(parts_.config.state / "proved.json",
             {parts_.config.prove_again, parts_.config.measure_again, parts_.config.runner_program}, clock_),
      remeasuring_(parts_, machine_, steps_, changed_),
      drawing_(parts_, steps_, changed_) {}

void Caretaker::on_metadata() {
  check_what_serves();
  if (looked_at_ != installed()) look_again();
}

void Caretaker::on_call(const Installed& release, CallEnd end) {
  watch_.on_call(release, end);
  if (watch_.complaint_of_calls()) changed_.notify();
}

void Caretaker::on_unloadable() {
  looked_at_.reset();
  look_again();
}

// What is installed is another, or not what it was: what is pulled again may not be wanted.
void Caretaker::look_again() {
  if (!machine_.at_work()) steps_.interrupt();  // else afterwards
}

Status Caretaker::return_to_previous(const std::string& reason) {
  const auto previous = parts_.slots.previous();
  if (!previous) return fail(ErrorCode::refused, "there is no release to return to");
  OUTCROP_CHECK(parts_.metadata.check_run(previous->manifest));
  if (parts_.slots.lies(*previous) != Slots::Lies::whole) {
    return fail(ErrorCode::refused, "the release to return to, " + previous->manifest.short_hex() +
                                        ", lies here damaged; it is pulled again as soon as the host can be reached");
  }
  Status left = leave_active(reason);
  look_again();
  return left;
}

std::vector<std::string> Caretaker::troubles() const {
  std::vector<std::string> all;
  if (unhealthy_) all.push_back(*unhealthy_);
  for (const auto& release : {parts_.slots.active(), parts_.slots.previous()}) {
    if (!release || parts_.slots.lies(*release) == Slots::Lies::whole) continue;
    all.push_back("release " + release->manifest.short_hex() +
                  (release == parts_.slots.active() ? ", which should serve," : ", the previous one,") +
                  (parts_.slots.damaged(*release) ? " is damaged: " : " cannot be used now: ") + damage_);
  }
  return all;
}

Caretaker::Installations Caretaker::installed() const {
  return {parts_.slots.active(), parts_.slots.previous()};
}

asio::awaitable<void> Caretaker::look_after() {
  watch_.serves(parts_.slots.serving(), SteadyClock::now());
  if (looked_at_ != installed()) {
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
asio::awaitable<void> Caretaker::wait_for_change() {
  if (!machine_.unwritten() && !unread_release()) {
    const auto due = watch_.due();
    auto next = due ? std::min(*due, SteadyClock::now() + look_around_every) : SteadyClock::time_point::max();
    if (machine_.waits_for_limits()) next = std::min(next, SteadyClock::now() + look_at_limits_every);
    co_await steps_.wait_for_change(next);
    if (due) watch_.look_around(SteadyClock::now());
    co_return;
  }
  const auto next = SteadyClock::now() + retry_;
  co_await steps_.wait_for_change(next);
  if (SteadyClock::now() < next) co_return;
  const auto longer = std::min<std::chrono::milliseconds>(2 * retry_, last_retry);
  if (machine_.unwritten()) machine_.save();
  if (unread_release()) co_await look_over();
  retry_ = longer;
}

asio::awaitable<void> Caretaker::look_over() {
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

asio::awaitable<Slots::Lies> Caretaker::look_at(Installed release) {
  const Status whole = co_await steps_.check_installed(release);
  if (!whole) damage_ = whole.error().message();
  co_return Slots::judge(whole);
}

bool Caretaker::unread_release() const {
  for (const auto& release : {parts_.slots.active(), parts_.slots.previous()}) {
    if (release && parts_.slots.lies(*release) == Slots::Lies::unread) return true;
  }
  return false;
}

// The one that should serve comes first.
std::optional<Installed> Caretaker::damaged_release() const {
  for (const auto& release : {parts_.slots.active(), parts_.slots.previous()}) {
    if (release && parts_.slots.damaged(*release)) return release;
  }
  return std::nullopt;
}

asio::awaitable<void> Caretaker::pull_again(Installed release) {
  const Status pulled = co_await steps_.pull_again(release);
  const std::string name = release.manifest.short_hex();
  if (pulled) {
    spdlog::info("release {} was damaged and is whole again", name);
    machine_.announce();
    co_return;
  }
  damage_ = pulled.error().message();
  spdlog::warn("pulling release {} again: {}", name, damage_);
  const auto next = SteadyClock::now() + retry_;
  retry_ = std::min<std::chrono::milliseconds>(2 * retry_, last_retry);
  while (SteadyClock::now() < next) co_await steps_.wait_for_change(next);
}

// What serves is watched for as long as it does.
asio::awaitable<void> Caretaker::prove_again() {
  if (parts_.serving.busy()) {
    co_await steps_.wait_for_change(SteadyClock::now() + Remeasuring::look_for_rest);
    co_return;
  }
  parts_.serving.end();
  auto measured = co_await steps_.measure_serving(*parts_.slots.serving());
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
void Caretaker::leave_unhealthy(const std::string& why) {
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

void Caretaker::check_what_serves() {
  // Twice: the previous release may be revoked, too.
  for (int i = 0; i < 2 && parts_.slots.active(); ++i) {
    const auto allowed = parts_.metadata.check_run(parts_.slots.active()->manifest);
    if (allowed) return;
    (void)leave_active(allowed.error().message());
  }
}

// The host may have gone back from the previous release because it revoked that one.
bool Caretaker::may_return() const {
  const auto& previous = parts_.slots.previous();
  return previous && parts_.slots.lies(*previous) == Slots::Lies::whole &&
         parts_.metadata.check_run(previous->manifest).has_value();
}

// Stops serving the active release, returns to the one before and says so.
Status Caretaker::leave_active(const std::string& reason, Slots::Leaving leaving) {
  const Installed left = *parts_.slots.active();
  Record& record = machine_.record();
  const bool is_latest = record.deployment && record.deployment->target() == left &&
                         next_state(record.deployment->state, Event::serving_lost).has_value();
  parts_.serving.end();
  if (is_latest && record.deployment->state != DeploymentState::updated) {
    machine_.advance(Event::serving_lost, reason);  // undoes the activation itself
    machine_.clear_up();
    steps_.interrupt();
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
  if (!machine_.unfinished()) machine_.clear_up();
  return {};
}

}  // namespace outcrop::agent
