#include "trainer_host/trainer/analyze/analysis_text.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "protocol/base/join.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/analyze/figures.hpp"
#include "trainer_host/trainer/analyze/summary.hpp"

namespace outcrop::analyze {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json json_of(const Distance& distance) {
  return {{"sqnr_db", json_of(distance.sqnr_db())},
          {"exact", distance.exact()},
          {"mean_abs_error", distance.mean()},
          {"max_abs_error", distance.most},
          {"values", distance.values}};
}

Json json_of(const std::optional<Distance>& distance) {
  return distance ? json_of(*distance) : Json(nullptr);
}

Json json_of(const std::optional<HistogramPair>& pair) {
  if (!pair) return nullptr;
  return {{"least", pair->before.least},
          {"most", pair->before.most},
          {"before", pair->before.counts},
          {"after", pair->after.counts}};
}

Json json_of(const Interval& interval) {
  return {{"value", interval.value}, {"low", interval.low}, {"high", interval.high}};
}

Json json_of(const Layer& layer) {
  return {{"name", layer.name},
          {"operation", layer.operation},
          {"format", layer.format},
          {"float_operator", layer.float_operator},
          {"quantized_operator", layer.quantized_operator},
          {"compared_after", layer.compared_after},
          {"computes_in_codes", layer.computes_in_codes},
          {"weights", layer.weights},
          {"biases", layer.biases},
          {"multiply_adds", layer.multiply_adds},
          {"output", json_of(layer.output)},
          {"not_compared", layer.not_compared},
          {"weight", json_of(layer.weight)},
          {"activation_histogram", json_of(layer.activations)},
          {"weight_histogram", json_of(layer.weight_values)}};
}

Json json_of(const Form& form) {
  Json json{{"name", form.name},
            {"role", form.role},
            {"disk_bytes", form.disk},
            {"transfer_bytes", form.transfer},
            {"p50_ms", json_of(form.p50_ms)},
            {"p90_ms", json_of(form.p90_ms)},
            {"calls", form.calls},
            {"peak_memory_bytes", form.memory},
            {"engine_memory_bytes", form.engine_memory},
            {"undisturbed", form.undisturbed}};
  if (!form.unmeasured.empty()) json["unmeasured"] = form.unmeasured;
  return json;
}

Json json_of(const Coverage& coverage) {
  Json formats = Json::array();
  for (const Share& share : coverage.formats) {
    formats.push_back({{"format", share.format}, {"modules", share.modules}, {"parameters", share.parameters}});
  }
  return {{"formats", std::move(formats)},
          {"below_float", {{"modules", coverage.below_float_modules}, {"parameters", coverage.below_float_parameters}}},
          {"multiply_adds_in_codes", coverage.multiply_adds_in_codes},
          {"parameters", coverage.parameters},
          {"multiply_adds", coverage.multiply_adds},
          {"product_multiply_adds", coverage.product_multiply_adds}};
}

Json json_of(const TaskComparison& task) {
  Json json{{"metric", task.metric},
            {"more_is_better", task.more_is_better},
            {"rows", task.rows},
            {"before", json_of(task.before)},
            {"after", json_of(task.after)},
            {"change", json_of(task.change)}};
  if (task.mcnemar) {
    json["mcnemar"] = {{"only_before", task.mcnemar->only_before},
                       {"only_after", task.mcnemar->only_after},
                       {"p", task.mcnemar->p}};
  } else {
    json["no_mcnemar"] = task.no_mcnemar;
  }
  if (task.logits_db) json["logits_sqnr_db"] = *task.logits_db;
  return json;
}

// No cell of a table of ours holds a comma or a line's end.
std::string csv_cell(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return c == ',' || c == '\n' || c == '\r'; }, ' ');
  return text;
}

std::string csv_number(const std::optional<double>& value) {
  return value ? significant(*value) : "";
}

// No cell ends for a bar in it, and nothing in it is markup.
std::string md_cell(const std::string& text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|' || c == '`' || c == '*' || c == '<' || c == '_') cell += '\\';
    cell += c == '\n' ? ' ' : c;
  }
  return cell;
}

std::string md_row(const std::vector<std::string>& cells) {
  std::string row = "|";
  for (const std::string& cell : cells) row += " " + md_cell(cell) + " |";
  return row + "\n";
}

std::string md_heading(const std::vector<std::string>& cells) {
  std::string rule = "|";
  for (std::size_t i = 0; i < cells.size(); ++i) rule += "---|";
  return md_row(cells) + rule + "\n";
}

std::string forms_markdown(const Analysis& analysis) {
  std::string text = "\n## Cost\n" + md_heading({"form", "on disk", "in transfer", "peak memory", "p50", "p90"});
  for (const Form& form : analysis.forms) {
    text += md_row({form.name + (form.undisturbed ? "" : " (busy machine)"), bytes_text(form.disk),
                    bytes_text(form.transfer), bytes_text(form.memory), milliseconds(form.p50_ms),
                    milliseconds(form.p90_ms)});
  }
  for (const Form& form : analysis.forms) {
    if (!form.unmeasured.empty()) text += "\n" + md_cell(form.name + " was not measured: " + form.unmeasured) + "\n";
  }
  return text;
}

std::string layers_markdown(const Analysis& analysis) {
  if (analysis.layers.empty()) return {};
  std::string text = "\n## Layers, the worst first\n" +
                     md_heading({"layer", "format", "float", "what ran", "SQNR", "of weights", "mean error",
                                 "multiply-adds"});
  for (const Layer* layer : analysis.worst_first()) {
    text += md_row({layer->name, layer->format, layer->float_operator, layer->quantized_operator,
                    sqnr_text(layer->output), sqnr_text(layer->weight), significant(layer->output->mean()),
                    std::to_string(layer->multiply_adds)});
  }
  for (const Layer& layer : analysis.layers) {
    if (layer.output) continue;
    text += md_row({layer.name, layer.format, layer.float_operator, layer.quantized_operator, layer.not_compared,
                    sqnr_text(layer.weight), nothing, std::to_string(layer.multiply_adds)});
  }
  return text;
}

std::string islands_markdown(const Analysis& analysis) {
  std::string text = "\n## Where values are floats\n" + std::to_string(analysis.quantizations) +
                     " quantize and " + std::to_string(analysis.dequantizations) +
                     " dequantize operators ran for one row.\n";
  if (analysis.islands.empty()) return text;
  text += "\n" + md_heading({"where", "what ran", "multiply-adds"});
  for (const FloatIsland& island : analysis.islands) {
    std::vector<std::string> operators;
    for (const auto& [name, count] : island.operators) {
      operators.push_back(std::to_string(count) + " × " + name);
    }
    text += md_row({island.place, join(operators), std::to_string(island.multiply_adds)});
  }
  return text;
}

}  // namespace

std::string analysis_json(const Analysis& analysis, int indent) {
  Json layers = Json::array();
  for (const Layer& layer : analysis.layers) layers.push_back(json_of(layer));
  Json outputs = Json::array();
  for (const OutputComparison& output : analysis.outputs) {
    Json one = json_of(output.distance);
    one["name"] = output.name;
    outputs.push_back(std::move(one));
  }
  Json forms = Json::array();
  for (const Form& form : analysis.forms) forms.push_back(json_of(form));
  Json islands = Json::array();
  for (const FloatIsland& island : analysis.islands) {
    islands.push_back({{"place", island.place},
                       {"enclosed", island.enclosed},
                       {"layers", island.layers},
                       {"operators", island.operators},
                       {"multiply_adds", island.multiply_adds}});
  }
  Json json{{"original", analysis.original},
            {"quantized", analysis.quantized},
            {"variant", analysis.variant},
            {"method", analysis.method},
            {"called", analysis.called},
            {"rows_from", analysis.rows_from},
            {"rows", analysis.rows},
            {"summary", summary_of(analysis)},
            {"forms", std::move(forms)},
            {"outputs", std::move(outputs)},
            {"task", analysis.task ? json_of(*analysis.task) : Json(nullptr)},
            {"coverage", json_of(analysis.coverage)},
            {"quantize_calls", analysis.quantizations},
            {"dequantize_calls", analysis.dequantizations},
            {"float_islands", std::move(islands)},
            {"operators", {{"float", analysis.float_operators}, {"quantized", analysis.quantized_operators}}},
            {"layers", std::move(layers)},
            {"unmatched", analysis.unmatched},
            {"remarks", analysis.remarks}};
  return json_text(json, indent) + "\n";
}

std::string layers_csv(const Analysis& analysis) {
  std::string text =
      "layer,operation,format,float_operator,quantized_operator,compared_after,in_codes,weights,"
      "multiply_adds,sqnr_db,exact,mean_abs_error,max_abs_error,weight_sqnr_db\n";
  for (const Layer& layer : analysis.layers) {
    const Distance output = layer.output.value_or(Distance{});
    const bool known = layer.output.has_value();
    std::vector<std::string> cells{layer.name,
                                   layer.operation,
                                   layer.format,
                                   layer.float_operator,
                                   layer.quantized_operator,
                                   layer.compared_after,
                                   layer.computes_in_codes ? "yes" : "no",
                                   std::to_string(layer.weights),
                                   std::to_string(layer.multiply_adds),
                                   csv_number(output.sqnr_db()),
                                   known ? (output.exact() ? "yes" : "no") : "",
                                   known ? significant(output.mean()) : "",
                                   known ? significant(output.most) : "",
                                   layer.weight ? csv_number(layer.weight->sqnr_db()) : ""};
    std::transform(cells.begin(), cells.end(), cells.begin(), csv_cell);
    text += join(cells, ",") + "\n";
  }
  return text;
}

std::string analysis_markdown(const Analysis& analysis, double float_below_db) {
  std::string text = "# " + md_cell(title_of(analysis)) + " beside float\n\n";
  for (const std::string& sentence : summary_of(analysis)) text += "- " + md_cell(sentence) + "\n";
  text += "\n" + md_cell(analysis.quantized) + " beside " + md_cell(analysis.original) + ", " +
          md_cell(analysis.called) + ", asked rows of " + md_cell(analysis.rows_from) + ".\n";
  if (!analysis.forms.empty()) text += forms_markdown(analysis);
  text += "\n## Outputs\n" + md_heading({"output", "SQNR", "mean error", "largest error"});
  for (const OutputComparison& output : analysis.outputs) {
    text += md_row({output.name, sqnr_text(output.distance), significant(output.distance.mean()),
                    significant(output.distance.most)});
  }
  if (analysis.task) {
    const TaskComparison& task = *analysis.task;
    text += "\n## Task\n" + md_heading({task.metric, "on " + std::to_string(task.rows) + " rows"}) +
            md_row({"float", interval_text(task.before, 4)}) +
            md_row({title_of(analysis), interval_text(task.after, 4)}) +
            md_row({"change", interval_text(task.change, 4)});
    if (task.mcnemar) {
      text += md_row({"right in float alone", std::to_string(task.mcnemar->only_before)}) +
              md_row({"right in the other alone", std::to_string(task.mcnemar->only_after)}) +
              md_row({"p (McNemar, exact)", significant(task.mcnemar->p)});
      if (task.logits_db) text += md_row({"SQNR of logits", fixed(*task.logits_db, 1) + " dB"});
    } else {
      text += "\n" + task.no_mcnemar + ".\n";
    }
  }
  if (!analysis.layers.empty()) {
    text += "\n## Shares\n" + md_heading({"format", "of layers", "of values stored"});
    for (const Share& share : analysis.coverage.formats) {
      text += md_row({share.format, percent(share.modules), percent(share.parameters)});
    }
    text += "\n" + percent(analysis.coverage.multiply_adds_in_codes) + " of " +
            std::to_string(analysis.coverage.multiply_adds) + " multiply-adds of one row ran on codes; " +
            std::to_string(analysis.coverage.product_multiply_adds) + " are of products without weights.\n";
  }
  text += islands_markdown(analysis) + layers_markdown(analysis);
  if (!analysis.unmatched.empty()) text += "\nLayers could not be matched: " + md_cell(analysis.unmatched) + ".\n";
  if (!analysis.remarks.empty()) {
    text += "\n## To know\n";
    for (const std::string& remark : analysis.remarks) text += "- " + md_cell(remark) + "\n";
  }
  if (!analysis.variant.empty()) {
    text += "\n`plan.toml` makes layers below " + significant(float_below_db) +
            " dB float: `outcrop quantize … --plan plan.toml`.\n";
  }
  return text;
}

}  // namespace outcrop::analyze
