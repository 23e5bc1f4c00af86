#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "platform/console/table.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/quantize/performance.hpp"

namespace outcrop::quantize {
namespace {

std::string shown_number(double value, const char* format) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string shown_time(runtime::Milliseconds time) {
  return shown_number(time.count(), time.count() < 1.0 ? "%.3f" : "%.1f");
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

// Of each output its error against float, and how like it is.
std::vector<std::string> output_headings(const PerformanceRow& row) {
  std::vector<std::string> headings;
  for (const auto& [name, output] : row.variant.outputs) {
    const std::string& unit = row.unit(name);
    headings.push_back(name + (unit.empty() ? " error" : " " + unit));
    headings.push_back(name + " dB");
    if (!row.likeness_name.empty()) headings.push_back(name + " " + row.likeness_name);
  }
  return headings;
}

std::vector<std::string> output_cells(const PerformanceRow& row) {
  std::vector<std::string> cells;
  for (const auto& [name, output] : row.variant.outputs) {
    cells.push_back(shown_number(output.average_abs_error, "%.3g"));
    cells.push_back(output.noise > 0 ? shown_number(output.sqnr_db(), "%.1f") : "–");
    if (!row.likeness_name.empty()) cells.push_back(shown_number(output.likeness, "%.4f"));
  }
  return cells;
}

nlohmann::ordered_json error_to_json(const OutputError& error) {
  return {{"mean_abs_error", error.mean_abs_error},
          {"max_abs_error", error.max_abs_error},
          {"average_abs_error", error.average_abs_error},
          {"sqnr_db", error.sqnr_db()},
          {"likeness", error.likeness}};
}

}  // namespace

double OutputError::sqnr_db() const {
  constexpr double most = 150.0;
  if (noise <= 0.0) return most;
  return signal > 0.0 ? std::min(most, 10.0 * std::log10(signal / noise)) : -most;
}

std::string performance_table(const std::vector<PerformanceRow>& rows) {
  std::vector<std::string> headings{"variant", "size", "of float", "ms p50", "ms p90", "peak"};
  const auto of_outputs = output_headings(rows.front());
  headings.insert(headings.end(), of_outputs.begin(), of_outputs.end());
  headings.insert(headings.end(), {"int8 MAC %", "quantized weights %"});
  Table table(headings);
  for (const PerformanceRow& row : rows) {
    const VariantFile& variant = row.variant;
    const bool measured = row.steady.calls > 0;
    const auto whole = static_cast<double>(rows.front().variant.size.value());
    std::vector<std::string> cells{
        variant.name + (row.valid ? "" : " (busy machine)"), variant.size.human(),
        shown_number(static_cast<double>(variant.size.value()) / whole, "%.3f"),
        measured ? shown_time(row.steady.p50) : "–",
        measured ? shown_time(row.steady.p90) : "–",
        measured ? row.peak_memory.human() : "–"};
    const auto errors = output_cells(row);
    cells.insert(cells.end(), errors.begin(), errors.end());
    cells.push_back(shown_number(100 * variant.coverage.multiply_adds, "%.3f"));
    cells.push_back(shown_number(100 * variant.coverage.parameters, "%.1f"));
    table.add_row(cells);
  }
  const bool disturbed =
      std::any_of(rows.begin(), rows.end(), [](const PerformanceRow& row) { return !row.valid; });
  std::string text = table.to_string();
  if (!of_outputs.empty()) text += join(of_outputs) + ": against float (dB: 10·log10 of the answers' power to the difference's)\n";
  if (disturbed) text += "busy machine: other work disturbed these times; the CSV says valid: no\n";
  return text + why_unmeasured(rows);
}

std::string remarks_text(const ExportedStage& exported) {
  std::string text;
  for (const VariantFile& variant : exported.variants) {
    std::map<std::string, std::vector<std::string>> names;  // by what is said of them
    for (const kinds::FloatPart& one : variant.remarks) names[one.reason].push_back(one.name);
    for (const auto& [reason, of] : names) text += "note: " + variant.name + ", " + join(of) + ": " + reason + "\n";
    if (variant.degenerate.empty()) continue;
    const kinds::FloatPart& first = variant.degenerate.front();
    const std::size_t others = variant.degenerate.size() - 1;
    text += "note: " + variant.name + ", range of " + first.name + ": " + first.reason +
            (others > 0 ? "; " + std::to_string(others) + " more in quantization.json" : "") + "\n";
  }
  return text;
}

std::string left_out_text(const ExportedStage& exported) {
  std::string text;
  for (const auto& [variant, why] : exported.left_out) {
    text += "left out: " + variant + ": " + why + "\n";
  }
  return text;
}

std::string exported_to_json(const ExportedStage& exported) {
  nlohmann::ordered_json variants = nlohmann::ordered_json::array();
  for (const VariantFile& variant : exported.variants) {
    nlohmann::ordered_json parts = nlohmann::ordered_json::array();
    for (const kinds::FloatPart& part : variant.stays_float) {
      parts.push_back({{"name", part.name}, {"reason", part.reason}});
    }
    nlohmann::ordered_json json{{"name", variant.name},
                                {"file", variant.file.filename().string()},
                                {"plan", variant.plan.filename().string()},
                                {"engine", variant.engine},
                                {"backend", variant.backend},
                                {"size", variant.size.value()},
                                {"int8_share",
                                 {{"modules", variant.coverage.modules},
                                  {"parameters", variant.coverage.parameters},
                                  {"multiply_adds", variant.coverage.multiply_adds}}}};
    for (const auto& [name, error] : variant.outputs) json[name] = error_to_json(error);
    json["stays_float"] = std::move(parts);
    for (const CorrectionStep& step : variant.corrections) {
      json["corrections"].push_back(
          {{"name", step.name}, {"error_before", step.before}, {"error_after", step.after}, {"kept", step.kept}});
    }
    for (const kinds::FloatPart& one : variant.degenerate) {
      json["degenerate_ranges"].push_back({{"tensor", one.name}, {"why", one.reason}});
    }
    for (const kinds::FloatPart& one : variant.remarks) {
      json["remarks"].push_back({{"of", one.name}, {"remark", one.reason}});
    }
    if (variant.mixed) json["mixed"] = mixed_to_json(*variant.mixed);
    variants.push_back(std::move(json));
  }
  nlohmann::ordered_json json{{"variants", std::move(variants)}};
  for (const auto& [variant, why] : exported.left_out) {
    json["left_out"].push_back({{"name", variant}, {"reason", why}});
  }
  return json_text(json, 2) + "\n";
}

}  // namespace outcrop::quantize
