#include "agent/deploy/remeasuring.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

// Between attempts to measure what serves.
constexpr std::chrono::hours last_measure_after{24};

}  // namespace

void Remeasuring::on_measure(const messages::Measure& measure) {
  asked_ = Asked{measure, SteadyClock::now() + measure.lasts};
  changed_.notify();
}

bool Remeasuring::serves_unmeasured() const {
  const auto& deployment = machine_.record().deployment;
  if (!deployment || deployment->state != DeploymentState::updated || deployment->cancel ||
      is_emulated(parts_.config) || parts_.slots.active() != deployment->target()) {
    return false;
  }
  return std::any_of(deployment->variants.begin(), deployment->variants.end(),
                     [&](const messages::ReportedVariant& variant) {
                       return variant.name == deployment->variant &&
                              variant.outcome == messages::VariantOutcome::not_measurable;
                     });
}

asio::awaitable<void> Remeasuring::at_rest() {
  if (!measure_at_) {
    measure_after_ = parts_.config.measure_again;
    measure_at_ = SteadyClock::now() + measure_after_;
  }
  if (SteadyClock::now() < *measure_at_) {
    co_await steps_.wait_for_change(*measure_at_);
    co_return;
  }
  measure_after_ = std::min<std::chrono::seconds>(2 * measure_after_, last_measure_after);
  measure_at_ = SteadyClock::now() + measure_after_;
  if (parts_.serving.busy()) co_return;
  parts_.serving.end();
  auto measured = co_await steps_.measure_serving(machine_.deployment().target());
  if (!serves_unmeasured()) co_return;
  if (!measured) {
    spdlog::warn("measuring what serves: {}", measured.error().message());
  } else if (measured->variant.outcome == messages::VariantOutcome::not_measurable) {
    spdlog::info("what serves can still not be measured: {}", measured->in_words);
  } else {
    tell(std::move(*measured));
  }
}

// Why what the host asked for cannot be measured; none where it can.
std::optional<std::string> Remeasuring::not_measured_because(const messages::Measure& asked) const {
  if (is_emulated(parts_.config)) return "an emulator starts the runner: no figure of it is valid";
  const auto& active = parts_.slots.active();
  if (!active || active->manifest != asked.manifest) return "another release serves, or none";
  const auto& deployment = machine_.record().deployment;
  if (!deployment || deployment->state != DeploymentState::updated || deployment->cancel ||
      deployment->target() != *active) {
    return "what serves was returned to: there is no deployment to report under";
  }
  return std::nullopt;
}

asio::awaitable<void> Remeasuring::as_asked() {
  const Asked asked = *asked_;
  if (const auto why = not_measured_because(asked.measure)) {
    spdlog::info("not measured, as the host asked: {}", *why);
    asked_.reset();
    co_return;
  }
  if (SteadyClock::now() >= asked.until) {
    spdlog::info("not measured, as the host asked: there was no rest");
    asked_.reset();
    co_return;
  }
  const auto earliest = asked_measured_ ? *asked_measured_ + parts_.config.measure_again
                                        : SteadyClock::time_point::min();
  if (parts_.serving.busy() || SteadyClock::now() < earliest) {
    const auto next = std::max(earliest, SteadyClock::now() + look_for_rest);
    co_await steps_.wait_for_change(std::min(next, asked.until));
    co_return;
  }
  parts_.serving.end();
  auto measured = co_await steps_.measure_serving(
      machine_.deployment().target(), asked.measure.layers ? Steps::Layers::asked : Steps::Layers::unasked);
  if (not_measured_because(asked.measure)) co_return;
  asked_.reset();
  asked_measured_ = SteadyClock::now();
  if (!measured) {
    spdlog::warn("measuring what serves: {}", measured.error().message());
    co_return;
  }
  const auto layers = std::move(measured->layers);
  tell(std::move(*measured));
  if (!layers) {
    spdlog::warn("timing layers, as the host asked: {}", layers.error().message());
  } else if (!layers->empty()) {
    parts_.announcer.layers(asked.measure.manifest, *layers);
  }
}

// Also what breaks the budget serves on: there is nothing better here, and the host knows.
void Remeasuring::tell(Steps::Remeasured measured) {
  Deployment told = machine_.deployment();
  for (messages::ReportedVariant& variant : told.variants) {
    if (variant.name == told.variant) variant = measured.variant;
  }
  told.reason = messages::as_reason("measured while it serves: " + measured.in_words);
  spdlog::info("{}", told.reason);
  if (measured.variant.outcome == messages::VariantOutcome::measured) {
    machine_.deployment() = told;
    machine_.save();
    machine_.announce();
  }
  parts_.announcer.report(told);
}

}  // namespace outcrop::agent
