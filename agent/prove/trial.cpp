#include "agent/prove/trial.hpp"

#include <algorithm>
#include <iterator>

#include <spdlog/spdlog.h>

#include "agent/prove/golden_files.hpp"
#include "protocol/base/join.hpp"
#include "runtime/runner/trial.hpp"

namespace outcrop::agent {
namespace {

constexpr int emulator_patience = 5;  // qemu is slower by about ten than the machine it runs on

using messages::ReportedVariant;
using messages::VariantOutcome;

// Rounds that were disturbed in the same way say so with other figures: the first stands for all.
std::vector<std::string> without_repetitions(const std::vector<std::string>& reasons) {
  std::vector<std::string> kept;
  std::vector<std::string> shapes;
  for (const std::string& reason : reasons) {
    std::string shape;
    std::copy_if(reason.begin(), reason.end(), std::back_inserter(shape),
                 [](char c) { return (c < '0' || c > '9') && c != '.'; });
    if (std::find(shapes.begin(), shapes.end(), shape) != shapes.end()) continue;
    shapes.push_back(std::move(shape));
    kept.push_back(reason);
  }
  return kept;
}

messages::ReportedMeasurement describe(const runtime::LoadReport& load,
                                       const runtime::Measurement& measurement) {
  messages::ReportedMeasurement result;
  result.load_ms = load.load_time.count();
  result.first_ms = measurement.first.count();
  const runtime::Latency& steady = measurement.steady;
  result.calls = steady.calls;
  result.mean_ms = steady.mean.count();
  result.min_ms = steady.minimum.count();
  result.max_ms = steady.maximum.count();
  result.std_ms = steady.standard_deviation.count();
  result.p50_ms = steady.p50.count();
  result.p90_ms = steady.p90.count();
  result.p99_ms = steady.p99.count();
  result.peak_memory = measurement.peak_memory;
  result.engine_memory = measurement.engine_memory;
  result.void_because = without_repetitions(measurement.validity.void_because);
  result.unknown = measurement.validity.unknown;
  return result;
}

ReportedVariant describe(const runtime::TrialResult& result) {
  ReportedVariant variant;
  variant.name = result.name;
  if (result.proof) {
    for (const runtime::OutputError& error : result.proof->outputs) {
      variant.proof.push_back({error.name, error.mean_abs_error, error.max_abs_error});
    }
  }
  if (result.load && result.measurement) {
    variant.measurement = describe(*result.load, *result.measurement);
  }
  if (result.no_memory) {
    // That speaks of this board, not of the release.
    variant.outcome = VariantOutcome::not_measured;
    variant.reason = messages::as_reason("does not fit here: " + result.outcome.error().message());
  } else if (result.unmeasured) {
    variant.outcome = VariantOutcome::not_measurable;
    variant.reason = messages::as_reason(result.outcome.error().message());
  } else if (!result.outcome) {
    variant.outcome = result.outcome.error().code() == ErrorCode::refused ? VariantOutcome::refused
                                                                          : VariantOutcome::failed;
    variant.reason = messages::as_reason(result.outcome.error().message());
  } else if (variant.measurement && variant.measurement->void_because.empty()) {
    variant.outcome = VariantOutcome::measured;
  } else {
    variant.outcome = VariantOutcome::not_measurable;
    if (variant.measurement) variant.reason = messages::as_reason(join(variant.measurement->void_because, "; "));
  }
  return variant;
}

// No variant has this name: names have no blanks.
constexpr const char* incumbent_name = "what serves";

// The blobs and goldens of a trial, alive as long as it is.
struct Prepared {
  std::vector<trust::VerifiedBlob> blobs;
  std::vector<runtime::Candidate> candidates;
  std::optional<messages::ReportedIncumbent> incumbent;  // among the candidates, by incumbent_name
  runtime::TrialOptions options;
};

runtime::Candidate candidate_of(const messages::Variant& variant, const trust::VerifiedBlob& blob,
                                const TrialRequest& request) {
  runtime::Candidate candidate;
  candidate.name = variant.name;
  candidate.blob = &blob;
  candidate.load = load_request(variant, request.config->threads);
  candidate.memory = ByteCount(variant.memory.value() + request.engine_memory.value());
  candidate.tolerances = tolerances(variant);
  return candidate;
}

// Adds what serves to the candidates. Errors say why it is not measured.
Status add_incumbent(const TrialRequest& request, Prepared& prepared) {
  const Installed& release = *request.incumbent;
  OUTCROP_TRY(manifest, request.slots->manifest(release.manifest, release.manifest_size));
  const messages::Variant* variant = manifest.variant(release.variant);
  if (variant == nullptr) return fail(ErrorCode::internal, "no variant '" + release.variant + "'");
  OUTCROP_TRY(goldens, read_goldens(*request.slots, manifest));
  OUTCROP_TRY(blob, request.slots->blob(variant->blob.sha256, variant->blob.size));
  prepared.blobs.push_back(std::move(blob));
  runtime::Candidate candidate = candidate_of(*variant, prepared.blobs.back(), request);
  candidate.name = incumbent_name;
  candidate.goldens = std::move(goldens);
  prepared.candidates.push_back(std::move(candidate));
  prepared.incumbent.emplace().manifest = release.manifest;
  prepared.incumbent->variant.name = release.variant;
  return {};
}

Result<Prepared> prepare(const TrialRequest& request) {
  Prepared prepared;
  OUTCROP_TRY(goldens, read_goldens(*request.slots, request.manifest));
  prepared.options.goldens = std::move(goldens);
  prepared.blobs.reserve(request.variants.size() + 1);  // candidates point to them
  for (const std::string& name : request.variants) {
    const messages::Variant* variant = request.manifest.variant(name);
    if (variant == nullptr) return fail(ErrorCode::internal, "no variant '" + name + "'");
    OUTCROP_TRY(blob, request.slots->blob(variant->blob.sha256, variant->blob.size));
    prepared.blobs.push_back(std::move(blob));
    prepared.candidates.push_back(candidate_of(*variant, prepared.blobs.back(), request));
  }
  if (request.incumbent) {
    if (const Status added = add_incumbent(request, prepared); !added) {
      spdlog::info("what serves is not measured beside the new release: {}", added.error().message());
    }
  }
  runtime::TrialOptions& options = prepared.options;
  options.runner = runner_options(*request.config);
  options.calls = request.config->measure_calls;
  options.time = request.config->measure_time;
  options.rounds = request.config->measure_rounds;
  options.patience = request.config->measure_patience;
  options.available_memory = request.available_memory;
  options.stopped = [abandoned = request.abandoned] { return abandoned.stop_requested(); };
  options.waits = request.lasts;
  if (request.progress) {
    options.progress = [&request](std::size_t, std::size_t, const std::string& next) {
      request.progress(next);
    };
  }
  return prepared;
}

ReportedVariant* find(std::vector<ReportedVariant>& variants, const std::string& name) {
  const auto found = std::find_if(variants.begin(), variants.end(),
                                  [&](const ReportedVariant& v) { return v.name == name; });
  return found == variants.end() ? nullptr : &*found;
}

void replace(std::vector<ReportedVariant>& variants, ReportedVariant with) {
  if (ReportedVariant* old = find(variants, with.name)) {
    *old = std::move(with);
  } else {
    variants.push_back(std::move(with));
  }
}

// One go at the candidates that are left. What is disturbed stays in `candidates`.
void attempt(Prepared& prepared, TrialOutcome& outcome) {
  const auto trial = runtime::try_candidates(prepared.candidates, prepared.options);
  if (!trial) {
    for (const runtime::Candidate& candidate : prepared.candidates) {
      ReportedVariant variant;
      variant.name = candidate.name;
      variant.outcome = VariantOutcome::failed;
      variant.reason = messages::as_reason(trial.error().message());
      replace(outcome.variants, std::move(variant));
    }
  } else {
    for (const runtime::TrialResult& result : trial->results) {
      outcome.runner_started = outcome.runner_started || result.hello;
      replace(outcome.variants, describe(result));
    }
  }
  const auto is_undisturbed = [&](const runtime::Candidate& candidate) {
    const ReportedVariant* variant = find(outcome.variants, candidate.name);
    return variant != nullptr && variant->outcome != VariantOutcome::not_measurable;
  };
  const bool again = !std::all_of(prepared.candidates.begin(), prepared.candidates.end(), [&](const runtime::Candidate& candidate) {
    return is_undisturbed(candidate) || candidate.name == incumbent_name;
  });
  // What serves is measured as long as anything is: its times are worth something beside theirs only.
  std::erase_if(prepared.candidates, [&](const runtime::Candidate& candidate) {
    return candidate.name == incumbent_name ? !again : is_undisturbed(candidate);
  });
  if (!prepared.incumbent) return;
  const ReportedVariant* found = find(outcome.variants, incumbent_name);
  if (found != nullptr) {
    const std::string name = prepared.incumbent->variant.name;
    prepared.incumbent->variant = *found;
    prepared.incumbent->variant.name = name;
  }
  outcome.incumbent = prepared.incumbent;
  std::erase_if(outcome.variants, [](const ReportedVariant& variant) { return variant.name == incumbent_name; });
}

// "is measured anew (2 of 3): other work kept the processors busy", by the first that is left.
void explain(const TrialRequest& request, const Prepared& prepared, TrialOutcome& outcome,
             std::size_t next, std::size_t attempts) {
  if (!request.lasts) return;
  const ReportedVariant* variant = find(outcome.variants, prepared.candidates.front().name);
  request.lasts("is measured anew (" + std::to_string(next) + " of " + std::to_string(attempts) +
                ")" + (variant == nullptr || variant->reason.empty() ? "" : ": " + variant->reason));
}

}  // namespace

runtime::RunnerOptions runner_options(const AgentConfig& config) {
  runtime::RunnerOptions options;
  options.program = config.runner_program;
  options.launcher = config.runner_launcher;
  options.confinement =
      config.allow_reduced_confinement ? runtime::Confinement::reduced : runtime::Confinement::full;
  options.memory_limit = config.memory_limit;
  if (is_emulated(config)) {
    options.start_deadline *= emulator_patience;
    options.load_deadline *= emulator_patience;
    options.call_deadline *= emulator_patience;
  }
  return options;
}

TrialOutcome run_trial(const TrialRequest& request) {
  TrialOutcome outcome;
  auto prepared = prepare(request);
  if (!prepared) {
    outcome.status = fail(std::move(prepared).error());
    return outcome;
  }
  // An emulated board's figures stay void, however often they are taken.
  const std::size_t attempts =
      is_emulated(*request.config) ? 1 : std::max<std::size_t>(1, request.config->measure_attempts);
  for (std::size_t i = 0; i < attempts && !prepared->candidates.empty(); ++i) {
    if (request.abandoned.stop_requested()) break;
    if (i > 0) explain(request, *prepared, outcome, i + 1, attempts);
    attempt(*prepared, outcome);
  }
  return outcome;
}

}  // namespace outcrop::agent
