#include "trainer_host/trainer/quantize/performance.hpp"

#include <utility>

#include "protocol/trust/digest.hpp"
#include "protocol/trust/verified_blob.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "runtime/runner/described_goldens.hpp"
#include "runtime/runner/trial.hpp"

namespace outcrop::quantize {
namespace {

PerformanceRow row_of(const ExportedStage& exported, const VariantFile& variant,
                      const std::string& model, int stage) {
  PerformanceRow row;
  row.model = model;
  row.stage = stage;
  row.variant = variant;
  row.likeness_name = exported.likeness_name;
  for (const messages::Method& method : exported.signature.methods) {
    for (const messages::Output& output : method.outputs) row.units[output.name] = output.type.unit;
  }
  return row;
}

Result<trust::VerifiedBlob> seal(const VariantFile& variant) {
  // Our own file of a moment ago: its digest names it for the runner, no signature is needed.
  OUTCROP_TRY(digest, trust::sha256_file(variant.file));
  return trust::verify_blob(variant.file, digest, variant.size);
}

}  // namespace

const std::string& PerformanceRow::unit(const std::string& output) const {
  static const std::string none;
  const auto found = units.find(output);
  return found == units.end() ? none : found->second;
}

Result<std::vector<PerformanceRow>> measure_performance(const ExportedStage& exported,
                                                        const std::string& model, int stage,
                                                        const MeasureOptions& options) {
  std::vector<trust::VerifiedBlob> blobs;
  for (const VariantFile& variant : exported.variants) {
    OUTCROP_TRY(blob, seal(variant));
    blobs.push_back(std::move(blob));
  }
  std::vector<runtime::Candidate> candidates;
  for (std::size_t i = 0; i < blobs.size(); ++i) {
    runtime::Candidate candidate;
    candidate.name = exported.variants[i].name;
    candidate.blob = &blobs[i];
    candidate.load.backend = exported.variants[i].backend;
    candidate.load.threads = options.threads;
    candidate.allow_all_operators = true;
    candidates.push_back(std::move(candidate));
  }
  runtime::TrialOptions trial_options;
  trial_options.runner = options.runner;
  OUTCROP_TRY(inputs, runtime::read_tensor_file(exported.golden_input));
  OUTCROP_TRY(outputs, runtime::read_tensor_file(exported.golden_output));
  OUTCROP_TRY(goldens, runtime::proof_calls(exported.signature, exported.golden_calls, inputs,
                                            outputs));
  trial_options.goldens = std::move(goldens);
  trial_options.calls = options.calls;
  trial_options.time = options.time;
  trial_options.rounds = options.rounds;
  trial_options.progress = options.progress;
  OUTCROP_TRY(trial, runtime::try_candidates(candidates, trial_options));

  std::vector<PerformanceRow> rows;
  for (std::size_t i = 0; i < trial.results.size(); ++i) {
    const runtime::TrialResult& result = trial.results[i];
    PerformanceRow row = row_of(exported, exported.variants[i], model, stage);
    if (result.outcome) {
      row.load = result.load->load_time;
      row.first = result.measurement->first;
      row.steady = result.measurement->steady;
      row.peak_memory = result.measurement->peak_memory;
      row.engine_memory = result.measurement->engine_memory;
      row.valid = result.measurement->validity.valid();
    } else {
      row.unmeasured = result.outcome.error().message();
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<PerformanceRow> unmeasured_rows(const ExportedStage& exported, const std::string& model,
                                            int stage, const std::string& why) {
  std::vector<PerformanceRow> rows;
  for (const VariantFile& variant : exported.variants) {
    rows.push_back(row_of(exported, variant, model, stage));
    rows.back().unmeasured = why;
  }
  return rows;
}

}  // namespace outcrop::quantize
