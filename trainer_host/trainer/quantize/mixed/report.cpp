#include "trainer_host/trainer/quantize/mixed/report.hpp"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "platform/console/table.hpp"

namespace outcrop::quantize {
namespace {

std::string shown(double value, const char* format) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string milliseconds(double ms) {
  return shown(ms, ms < 10.0 ? "%.3f" : "%.1f");
}

std::string bytes(double count) {
  return ByteCount(static_cast<std::uint64_t>(count > 0.0 ? count : 0.0)).human();
}

std::string decibels(const Whole& whole) {
  return whole.noise > 0.0 ? shown(whole.db(), "%.1f") : "–";
}

}  // namespace

std::string mixed_text(const MixedReport& report) {
  std::string text = "int8-mixed: " + kinds::in_words(report.wishes) + "\n";
  Table layers({"layer", "operation", "is", "int8 ms", "float ms", "to int8", "to float", "float is larger by", "dB alone",
                "why"});
  layers.less_needed({"operation", "to int8", "to float"});
  for (const MixedLayer& layer : report.layers) {
    const LayerFigures& figures = layer.figures;
    layers.add_row({layer.name, layer.operation, layer.int8 ? "int8" : "float", milliseconds(figures.int8_ms),
                    milliseconds(figures.float_ms), milliseconds(figures.enter_ms), milliseconds(figures.leave_ms),
                    bytes(figures.more_bytes), decibels({.noise = figures.noise}), layer.why});
  }
  text += layers.to_string();
  std::vector<std::string> headings{"tried", "layers in int8", "ms p50", "size", "dB"};
  if (!report.likeness_name.empty()) headings.push_back(report.likeness_name);
  headings.push_back("");
  Table tried(headings);
  for (const MixedEvaluation& one : report.evaluations) {
    std::vector<std::string> cells{one.what, std::to_string(one.int8_layers), milliseconds(one.whole.ms),
                                   bytes(one.whole.bytes), decibels(one.whole)};
    if (!report.likeness_name.empty()) cells.push_back(one.likeness ? shown(*one.likeness, "%.4f") : "–");
    cells.push_back(one.chosen ? "chosen" : keeps(one.whole, report.wishes) ? "" : "beyond the budget");
    tried.add_row(cells);
  }
  text += tried.to_string();
  text += "dB alone: what the answers keep with this layer alone in int8. to int8, to float: what comes in, where a "
          "neighbour is otherwise\n";
  for (const std::string& remark : report.remarks) text += "note: " + remark + "\n";
  return text;
}

nlohmann::ordered_json mixed_to_json(const MixedReport& report) {
  nlohmann::ordered_json json{{"wanted", kinds::in_words(report.wishes)}};
  for (const MixedLayer& layer : report.layers) {
    const LayerFigures& figures = layer.figures;
    json["layers"].push_back({{"name", layer.name},
                              {"operation", layer.operation},
                              {"format", layer.int8 ? "int8" : "float"},
                              {"int8_ms", figures.int8_ms},
                              {"float_ms", figures.float_ms},
                              {"enter_ms", figures.enter_ms},
                              {"leave_ms", figures.leave_ms},
                              {"end_ms", figures.end_ms},
                              {"alone_db", Whole{.noise = figures.noise}.db()},
                              {"float_is_larger_by", figures.more_bytes},
                              {"why", layer.why}});
  }
  for (const MixedEvaluation& one : report.evaluations) {
    nlohmann::ordered_json tried{{"what", one.what},
                                 {"int8_layers", one.int8_layers},
                                 {"ms", one.whole.ms},
                                 {"size", one.whole.bytes},
                                 {"sqnr_db", one.whole.db()},
                                 {"keeps_budget", keeps(one.whole, report.wishes)},
                                 {"chosen", one.chosen}};
    if (one.likeness) tried["likeness"] = *one.likeness;
    json["evaluations"].push_back(std::move(tried));
  }
  if (!report.remarks.empty()) json["remarks"] = report.remarks;
  return json;
}

}  // namespace outcrop::quantize
