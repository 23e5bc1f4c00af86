// Steps of the deployment from the proof to the commit.
#include <algorithm>

#include <spdlog/spdlog.h>
#include <boost/asio/post.hpp>

#include "agent/decide/decide.hpp"
#include "agent/deploy/steps.hpp"
#include "platform/spawn/spawn.hpp"
#include "protocol/messages/names.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

using messages::OnUnmeasurable;

constexpr std::chrono::milliseconds shortest_soak_interval{200};
constexpr std::chrono::milliseconds longest_unsaved_soak = std::chrono::minutes(10);
constexpr std::size_t most_left_alone = 2;

// What the trial of the release that serves says of it.
ProvedAgain judge(const TrialOutcome& outcome, const Decision& decision, bool emulated) {
  if (!outcome.runner_started) return ProvedAgain::not_possible;
  switch (outcome.variants.front().outcome) {
    case messages::VariantOutcome::refused:
    case messages::VariantOutcome::failed:
      return ProvedAgain::wrong;
    case messages::VariantOutcome::not_measurable:
      return emulated ? ProvedAgain::right : ProvedAgain::void_figures;
    case messages::VariantOutcome::not_measured:
      return ProvedAgain::not_possible;  // for want of memory
    case messages::VariantOutcome::measured:
      break;
  }
  return decision.verdict == Decision::Verdict::fail ? ProvedAgain::wrong : ProvedAgain::right;
}

}  // namespace

// A trial that nobody waits for any more ends with the call it is at, which may hang for minutes:
// the next one does not wait for it.
void Steps::make_way() {
  std::erase_if(left_alone_, [](const auto& worker) { return !worker->busy(); });
  if (!trials_->busy() || left_alone_.size() >= most_left_alone) return;
  left_alone_.push_back(std::move(trials_));
  trials_ = std::make_unique<Worker>(executor_);
}

void Steps::start(const Plan& plan, Trial& begun) {
  make_way();
  const auto trial = begun.state_;
  TrialRequest request;
  request.manifest = plan.manifest;
  request.variants = plan.fitting.variants;
  if (const auto& active = parts_.slots.active(); active && active->manifest != machine_.deployment().offer.manifest) {
    request.incumbent = *active;
  }
  request.engine_memory = plan.fitting.engine_memory;
  request.available_memory = parts_.times.available_memory;
  request.config = &parts_.config;
  request.slots = &parts_.slots;
  request.abandoned = trial->abandoned.get_token();
  request.progress = [this, trial](const std::string& next) {
    asio::post(executor_, [this, trial, next] {
      if (trial->abandoned.stop_requested()) return;  // of a deployment that has ended
      // "proving float", "measuring what serves", "done": what serves is no variant of this release.
      const std::string what = next.substr(std::min(next.find(' '), next.size() - 1) + 1);
      work_.variant = messages::is_name(what) ? what : std::string();
      trial->measuring = trial->measuring || next.starts_with("measuring");
      machine_.announce(work_.variant);
      changed_.notify();
    });
  };
  // Told while it lasts: whoever follows a rollout asks why nothing happens.
  request.lasts = [this, trial](const std::string& why) {
    asio::post(executor_, [this, trial, why] {
      if (trial->abandoned.stop_requested() || trial->outcome) return;
      machine_.deployment().reason = messages::as_reason(why);
      machine_.announce(work_.variant);
    });
  };
  auto outcome = std::make_shared<TrialOutcome>();
  trials_->post([request = std::move(request), outcome] { *outcome = run_trial(request); },
                [this, trial, outcome] {
                  trial->outcome = std::move(*outcome);
                  changed_.notify();
                });
}

Steps::Awaitable Steps::proving(const Plan& plan, Trial& begun) {
  start(plan, begun);
  const auto trial = begun.state_;
  while (!trial->outcome && !trial->measuring) co_await wait_for_change();
  if (trial->outcome && !trial->outcome->status) {
    co_return Outcome{Event::failed, trial->outcome->status.error().message()};
  }
  co_return Outcome{Event::proved, {}};
}

Steps::Awaitable Steps::measuring(const Plan& plan, const Trial& begun) {
  const auto trial = begun.state_;
  while (!trial->outcome) co_await wait_for_change();
  if (!trial->outcome->status) {
    co_return Outcome{Event::failed, trial->outcome->status.error().message()};
  }
  Outcome outcome = decided(plan, *trial->outcome);
  // The figures are worth a report, whatever comes of the release.
  Deployment measured = machine_.deployment();
  measured.reason = messages::as_reason(outcome.reason);
  parts_.announcer.report(measured);
  co_return outcome;
}

Outcome Steps::decided(const Plan& plan, const TrialOutcome& tried) {
  Deployment& deployment = machine_.deployment();
  deployment.variants = tried.variants;
  deployment.incumbent = tried.incumbent;
  for (const auto& variant : plan.fitting.left_out) deployment.variants.push_back(variant);
  Decision decision = decide(plan.manifest, parts_.config.device_class, deployment.variants);
  switch (decision.verdict) {
    case Decision::Verdict::activate:
      deployment.variant = decision.variant;
      return {Event::chosen, decision.reason};
    case Decision::Verdict::no_budget:
      return {Event::nothing_to_choose, decision.reason};
    case Decision::Verdict::unmeasurable:
      return unmeasurable(plan, decision.reason);
    case Decision::Verdict::fail:
      break;
  }
  return {Event::failed, decision.reason};
}

Outcome Steps::unmeasurable(const Plan& plan, const std::string& why) {
  Deployment& deployment = machine_.deployment();
  const OnUnmeasurable wanted = deployment.offer.on_unmeasurable;
  if (wanted == OnUnmeasurable::fail) return {Event::failed, "not measurable: " + why};
  if (wanted == OnUnmeasurable::hold) return {Event::unmeasurable, why};
  const bool emulated = is_emulated(parts_.config);
  if (parts_.slots.active() && !emulated) {
    return {Event::unmeasurable, why + "; only a first install is activated without a measurement"};
  }
  const std::string variant = first_proved(plan.manifest, deployment.variants);
  if (variant.empty()) return {Event::unmeasurable, why + "; no variant was proved"};
  const auto& budgets = plan.manifest.budgets;
  const bool has_budget = std::any_of(budgets.begin(), budgets.end(), [&](const auto& budget) {
    return budget.device_class == parts_.config.device_class;
  });
  if (!has_budget && !emulated) {
    return {Event::unmeasurable, why + "; no budget for boards of this class"};
  }
  deployment.variant = variant;
  return {Event::accepted_unmeasured,
          (emulated ? "proved, and activated without a measurement: "
                    : "first install, activated without a measurement: ") +
              why};
}

Steps::Awaitable Steps::updating() {
  const Deployment& deployment = machine_.deployment();
  const Installed target = deployment.target();
  if (const auto allowed = parts_.metadata.check_run(target.manifest); !allowed) {
    co_return Outcome{Event::failed, allowed.error().message()};
  }
  const bool serves = parts_.slots.active() == target;
  if (!serves) {
    const bool ready = co_await made_ready(target);
    if (!ready) parts_.serving.end();
    // Also where it returns to the release before: the host may take that offer back, and then what
    // serves now must still lie here.
    const Status done = parts_.slots.activate(target);
    if (!done) parts_.serving.end();
    if (!done) co_return Outcome{Event::failed, done.error().message()};
  }
  if (deployment.returns()) {
    co_return Outcome{Event::soaked,
                      serves ? "it serves already" : "returned to it: it served before"};
  }
  co_return Outcome{Event::activated, deployment.reason};
}

// Where somebody uses what serves, no call of his waits for the next to load, if there is memory for both.
asio::awaitable<bool> Steps::made_ready(Installed target) {
  if (!parts_.serving.loaded() || !parts_.engine) co_return false;
  const Status ready = co_await unless_interrupted(
      parts_.serving.make_ready(std::move(target), parts_.engine->memory, parts_.times.available_memory()));
  if (!ready) spdlog::info("what serves ends before the next is loaded: {}", ready.error().message());
  co_return ready.has_value();
}

Steps::Awaitable Steps::soaking() {
  const std::chrono::milliseconds soak = machine_.deployment().offer.soak;
  const std::string reason = machine_.deployment().reason;
  // The agent was killed while it returned from this release: what does not serve does not soak.
  if (parts_.slots.active() != machine_.deployment().target()) {
    co_return Outcome{Event::failed,
                      "the agent ended while it returned to the release that served before"};
  }
  const auto interval =
      std::max(shortest_soak_interval, std::min(parts_.times.soak_interval, soak / 4));
  const auto saved_every = std::clamp<std::chrono::milliseconds>(soak / 16, interval, longest_unsaved_soak);
  const std::chrono::milliseconds soaked = machine_.deployment().soaked;  // before this start
  std::chrono::milliseconds saved = soaked;
  std::optional<SteadyClock::time_point> begun;
  for (;;) {
    const Status proved = co_await unless_interrupted(parts_.serving.prove(machine_.deployment().target()));
    if (!proved) {
      co_return Outcome{Event::failed, "while it soaked: " + proved.error().message()};
    }
    const auto now = SteadyClock::now();
    if (!begun) begun = now;
    const auto done =
        soaked + std::chrono::duration_cast<std::chrono::milliseconds>(now - *begun);
    if (done >= soak) break;
    machine_.deployment().soaked = done;
    if (done >= saved + saved_every) {
      saved = done;
      machine_.deployment().power_cuts.clear();  // it goes on, however often the power fails
      machine_.save();
    }
    const auto next = now + std::min(interval, soak - done);
    while (SteadyClock::now() < next) co_await wait_for_change(next);
  }
  co_return Outcome{Event::soaked, reason};
}

asio::awaitable<Result<Steps::Remeasured>> Steps::measure_serving(Installed release, Layers layers) {
  struct Shared {
    messages::Manifest manifest;
    TrialOutcome outcome;
    Result<std::vector<messages::VariantLayers>> layers;
  };
  make_way();
  const Trial begun(interruption());
  const auto trial = begun.state_;
  auto shared = std::make_shared<Shared>();
  TrialRequest request;
  request.variants = {release.variant};
  request.config = &parts_.config;
  request.slots = &parts_.slots;
  request.abandoned = trial->abandoned.get_token();
  std::function<void()> job = [request = std::move(request), release, layers, shared]() mutable {
    auto manifest = request.slots->manifest(release.manifest, release.manifest_size);
    if (!manifest) {
      shared->outcome.status = fail(std::move(manifest).error());
      return;
    }
    shared->manifest = std::move(*manifest);
    request.manifest = shared->manifest;
    shared->outcome = run_trial(request);
    if (layers == Layers::asked) shared->layers = time_layers(request);
  };
  trials_->post(std::move(job), [this, trial, shared] {
    trial->outcome = std::move(shared->outcome);
    changed_.notify();
  });
  while (!trial->outcome) co_await wait_for_change();
  if (trial->outcome->status && trial->outcome->variants.empty()) {
    co_return fail(ErrorCode::internal, "nothing was tried");
  }
  if (!trial->outcome->status) co_return fail(trial->outcome->status.error());
  const auto& variants = trial->outcome->variants;
  const Decision decision = decide(shared->manifest, parts_.config.device_class, variants);
  co_return Remeasured{variants.front(), judge(*trial->outcome, decision, is_emulated(parts_.config)),
                       decision.reason, std::move(shared->layers)};
}

Outcome Steps::take_back() {
  const messages::Cancel& cancel = *machine_.deployment().cancel;
  const std::string reason = cancel.reason.empty() ? "taken back by the host" : cancel.reason;
  std::optional<Installed> target;
  if (cancel.return_to) {
    for (const Installed& release : parts_.slots.installed()) {
      if (release.manifest == *cancel.return_to) target = release;
    }
    const std::string name = cancel.return_to->short_hex();
    if (!target) {
      return {Event::failed, reason + "; release " + name + " is not here to return to"};
    }
    if (const auto allowed = parts_.metadata.check_run(target->manifest); !allowed) {
      return {Event::failed,
              reason + "; release " + name + " may not serve: " + allowed.error().message()};
    }
  }
  // It takes back what it names, and nothing else.
  const auto& active = parts_.slots.active();
  if (active && active != target && active->manifest != cancel.manifest) {
    return {Event::refused, reason + "; release " + cancel.manifest.short_hex() +
                                ", which is taken back, does not serve here, and what serves stays"};
  }
  if (active != target) {
    parts_.serving.end();
    if (auto back = parts_.slots.return_to(target); !back) {
      return {Event::failed, reason + "; returning failed: " + back.error().message()};
    }
  }
  return {Event::cancelled, reason};
}

}  // namespace outcrop::agent
