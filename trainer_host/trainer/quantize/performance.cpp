#include "trainer_host/trainer/quantize/performance.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/number.hpp"
#include "protocol/base/join.hpp"
#include "protocol/trust/digest.hpp"
#include "protocol/trust/verified_blob.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "runtime/runner/described_goldens.hpp"
#include "runtime/runner/trial.hpp"
#include "platform/console/table.hpp"

namespace outcrop::quantize {
namespace {

constexpr const char* csv_heading =
    "model,stage,variant,size_bytes,load_ms,first_ms,inferences,mean_ms,min_ms,max_ms,std_ms,"
    "p50_ms,p90_ms,peak_memory_bytes,engine_memory_bytes,velocity_ssim,velocity_mae_m_per_s,"
    "seismic_ssim,seismic_mae,int8_modules,int8_parameters,int8_multiply_adds,valid";

std::string number(double value, const char* format = "%.6g") {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string csv_line(const PerformanceRow& row) {
  const VariantFile& variant = row.variant;
  const auto measured = [&](const std::string& cell) {
    return row.unmeasured.empty() ? cell : std::string();
  };
  const std::vector<std::string> cells{row.model,
                                       std::to_string(row.stage),
                                       variant.name,
                                       std::to_string(variant.size.value()),
                                       measured(number(row.load.count())),
                                       measured(number(row.first.count())),
                                       std::to_string(row.steady.calls),
                                       measured(number(row.steady.mean.count())),
                                       measured(number(row.steady.minimum.count())),
                                       measured(number(row.steady.maximum.count())),
                                       measured(number(row.steady.standard_deviation.count())),
                                       measured(number(row.steady.p50.count())),
                                       measured(number(row.steady.p90.count())),
                                       measured(std::to_string(row.peak_memory.value())),
                                       measured(std::to_string(row.engine_memory.value())),
                                       number(variant.velocity.ssim),
                                       number(variant.velocity.average_abs_error),
                                       number(variant.seismic.ssim),
                                       number(variant.seismic.average_abs_error),
                                       number(variant.coverage.modules),
                                       number(variant.coverage.parameters),
                                       number(variant.coverage.multiply_adds),
                                       row.valid && row.unmeasured.empty() ? "yes" : "no"};
  return join(cells, ",");
}

// The lines of a table that is already there, by model, stage and variant in their order.
class Lines {
 public:
  Status read(const std::string& text, const std::filesystem::path& path) {
    std::istringstream stream(text);
    std::string line;
    std::getline(stream, line);
    if (line != csv_heading) {
      return fail(ErrorCode::invalid_data,
                  path.string() + ", line 1: not the heading of quantization_performance.csv; move "
                                    "it away, and a new table begins");
    }
    for (int at = 2; std::getline(stream, line); ++at) {
      std::istringstream cells(line);
      std::string model;
      std::string stage;
      std::string variant;
      std::getline(cells, model, ',');
      std::getline(cells, stage, ',');
      std::getline(cells, variant, ',');
      const auto number = read_number<int>(stage);
      if (variant.empty() || !number) {
        return fail(ErrorCode::invalid_data, path.string() + ", line " + std::to_string(at) +
                                                 ": not a row of model, stage and variant");
      }
      put(model, *number, variant, line);
    }
    return {};
  }

  void put(const std::string& model, int stage, const std::string& variant,
           const std::string& line) {
    auto& rows = lines_[{model, stage}];
    for (auto& [name, old] : rows) {
      if (name == variant) {
        old = line;
        return;
      }
    }
    rows.emplace_back(variant, line);
  }

  [[nodiscard]] std::string to_string() const {
    std::string text = std::string(csv_heading) + "\n";
    for (const auto& [stage, rows] : lines_) {
      for (const auto& [variant, line] : rows) text += line + "\n";
    }
    return text;
  }

 private:
  std::map<std::pair<std::string, int>, std::vector<std::pair<std::string, std::string>>> lines_;
};

// The table that stands there, or an empty one where there is none.
Result<Lines> read_lines(const std::filesystem::path& path) {
  Lines lines;
  if (std::filesystem::exists(path)) {
    OUTCROP_TRY(text, read_text_file(path));
    OUTCROP_CHECK(lines.read(text, path));
  }
  return lines;
}

PerformanceRow row_of(const VariantFile& variant, const std::string& model, int stage) {
  PerformanceRow row;
  row.model = model;
  row.stage = stage;
  row.variant = variant;
  return row;
}

Result<trust::VerifiedBlob> seal(const VariantFile& variant) {
  // Our own file of a moment ago: its digest names it for the runner, no signature is needed.
  OUTCROP_TRY(digest, trust::sha256_file(variant.file));
  return trust::verify_blob(variant.file, digest, variant.size);
}

// "not measured: float, int8-qint8: this machine cannot …", a line for each reason.
std::string why_unmeasured(const std::vector<PerformanceRow>& rows) {
  std::map<std::string, std::vector<std::string>> variants;
  for (const PerformanceRow& row : rows) {
    if (!row.unmeasured.empty()) variants[row.unmeasured].push_back(row.variant.name);
  }
  std::string text;
  for (const auto& [why, names] : variants) text += "not measured: " + join(names) + ": " + why + "\n";
  return text;
}

nlohmann::ordered_json error_to_json(const OutputError& error) {
  return {{"mean_abs_error", error.mean_abs_error},
          {"max_abs_error", error.max_abs_error},
          {"average_abs_error", error.average_abs_error},
          {"ssim", error.ssim}};
}

}  // namespace

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
    PerformanceRow row = row_of(exported.variants[i], model, stage);
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
    rows.push_back(row_of(variant, model, stage));
    rows.back().unmeasured = why;
  }
  return rows;
}

Status update_performance_csv(const std::filesystem::path& path,
                              const std::vector<PerformanceRow>& rows) {
  OUTCROP_TRY(lines, read_lines(path));
  for (const PerformanceRow& row : rows) {
    lines.put(row.model, row.stage, row.variant.name, csv_line(row));
  }
  return write_file_durably(path, lines.to_string());
}

Status check_performance_csv(const std::filesystem::path& path) {
  const auto lines = read_lines(path);
  if (!lines) return fail(lines.error());
  return {};
}

std::string performance_table(const std::vector<PerformanceRow>& rows) {
  Table table({"variant", "size", "of float", "ms p50", "ms p90", "peak",
               "m/s against float", "SSIM map against float", "SSIM gather against float",
               "int8 MAC %", "int8 params %"});
  for (const PerformanceRow& row : rows) {
    const VariantFile& variant = row.variant;
    const bool measured = row.steady.calls > 0;
    const auto whole = static_cast<double>(rows.front().variant.size.value());
    table.add_row({variant.name + (row.valid ? "" : " (busy machine)"), variant.size.human(),
                   number(static_cast<double>(variant.size.value()) / whole, "%.3f"),
                   measured ? number(row.steady.p50.count(), "%.1f") : "–",
                   measured ? number(row.steady.p90.count(), "%.1f") : "–",
                   measured ? row.peak_memory.human() : "–",
                   number(variant.velocity.average_abs_error, "%.2f"),
                   number(variant.velocity.ssim, "%.4f"), number(variant.seismic.ssim, "%.4f"),
                   number(100 * variant.coverage.multiply_adds, "%.3f"),
                   number(100 * variant.coverage.parameters, "%.1f")});
  }
  const bool disturbed =
      std::any_of(rows.begin(), rows.end(), [](const PerformanceRow& row) { return !row.valid; });
  std::string text = table.to_string();
  if (disturbed) text += "busy machine: other work disturbed these times; the CSV says valid: no\n";
  return text + why_unmeasured(rows);
}

std::string exported_to_json(const ExportedStage& exported) {
  nlohmann::ordered_json variants = nlohmann::ordered_json::array();
  for (const VariantFile& variant : exported.variants) {
    nlohmann::ordered_json parts = nlohmann::ordered_json::array();
    for (const FloatPart& part : variant.float_parts) {
      parts.push_back({{"name", part.name}, {"reason", part.reason}});
    }
    variants.push_back({{"name", variant.name},
                        {"file", variant.file.filename().string()},
                        {"engine", variant.engine},
                        {"backend", variant.backend},
                        {"size", variant.size.value()},
                        {"int8_share",
                         {{"modules", variant.coverage.modules},
                          {"parameters", variant.coverage.parameters},
                          {"multiply_adds", variant.coverage.multiply_adds}}},
                        {"velocity", error_to_json(variant.velocity)},
                        {"seismic", error_to_json(variant.seismic)},
                        {"stays_float", std::move(parts)}});
  }
  return json_text(nlohmann::ordered_json{{"variants", std::move(variants)}}, 2) + "\n";
}

}  // namespace outcrop::quantize
