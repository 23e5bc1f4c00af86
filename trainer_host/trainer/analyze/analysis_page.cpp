#include "trainer_host/trainer/analyze/analysis_page.hpp"

#include <algorithm>
#include <set>

#include "protocol/base/join.hpp"
#include "trainer_host/trainer/analyze/contender_page.hpp"
#include "trainer_host/trainer/analyze/figures.hpp"
#include "trainer_host/trainer/analyze/html_page.hpp"
#include "trainer_host/trainer/analyze/summary.hpp"
#include "trainer_host/trainer/analyze/svg.hpp"

namespace outcrop::analyze {
namespace {

constexpr std::size_t most_bars = 30;       // layers; the table has all
constexpr std::size_t most_histograms = 6;  // of the worst layers

std::string list_of(const std::vector<std::string>& sentences, const std::string& kind) {
  std::string html = "<ul" + (kind.empty() ? "" : " class=\"" + kind + "\"") + ">\n";
  for (const std::string& sentence : sentences) html += "<li>" + escaped(sentence) + "</li>\n";
  return html + "</ul>\n";
}

std::string tiles_of(const Analysis& analysis) {
  std::vector<Tile> tiles;
  if (!analysis.forms.empty()) {
    const Form& quantized = analysis.forms.back();
    tiles.push_back({fixed(static_cast<double>(quantized.disk) / static_cast<double>(analysis.forms.front().disk), 2) + " ×",
                     "float's size: " + bytes_text(quantized.disk)});
    const Form* fastest = analysis.fastest_float();
    if (fastest != nullptr && quantized.p50_ms) {
      tiles.push_back({fixed(*quantized.p50_ms / *fastest->p50_ms, 2) + " ×",
                       "the fastest float's time: " + milliseconds(quantized.p50_ms)});
    }
  }
  if (!analysis.outputs.empty()) tiles.push_back({sqnr_text(analysis.outputs.front().distance), "SQNR of the output"});
  if (analysis.task) {
    tiles.push_back({fixed(analysis.task->after.value, 4),
                     analysis.task->metric + ", float " + fixed(analysis.task->before.value, 4)});
  }
  if (!analysis.layers.empty()) {
    tiles.push_back({percent(analysis.coverage.multiply_adds_in_codes), "of multiply-adds on codes"});
  }
  return html_tiles(tiles);
}

std::string layer_bars(const Analysis& analysis, double float_below_db) {
  std::vector<Bar> bars;
  const auto worst = analysis.worst_first();
  for (const Layer* layer : worst) {
    if (bars.size() == most_bars) break;
    const auto db = layer->output->sqnr_db();
    if (!db) continue;
    std::string colour = layer->is_float() ? "before" : "after";
    if (!layer->is_float() && *db < float_below_db) colour = "warn";
    bars.push_back({layer->name, *db, fixed(*db, 1) + " dB", colour,
                    layer->name + ": " + layer->quantized_operator + ", mean error " +
                        significant(layer->output->mean())});
  }
  if (bars.empty()) return {};
  const std::string note = worst.size() > bars.size()
                               ? "the worst " + std::to_string(bars.size()) + " of " + std::to_string(worst.size())
                               : "";
  return "<p class=\"key\"><i class=\"after\"></i>quantized<i class=\"warn\"></i>below " + significant(float_below_db) +
         " dB<i class=\"before\"></i>float (what it gets is off already)</p>\n" +
         bar_chart("SQNR of each layer's output, the worst first", bars, note);
}

std::string layer_table(const Analysis& analysis) {
  HtmlTable table({"#", "layer", "format", "in float", "what ran", "SQNR", "of weights", "mean error", "largest",
                   "weights", "multiply-adds"});
  double place = 0;
  for (const Layer& layer : analysis.layers) {
    place += 1;
    const auto db = layer.output ? layer.output->sqnr_db() : std::nullopt;
    const auto weight_db = layer.weight ? layer.weight->sqnr_db() : std::nullopt;
    std::string before = layer.float_operator;
    if (!layer.compared_after.empty()) before += ", " + layer.compared_after;
    table.add_row({{fixed(place, 0), place},
                   layer.name,
                   layer.format,
                   before,
                   layer.quantized_operator,
                   {layer.output ? sqnr_text(layer.output) : layer.not_compared, db},
                   {sqnr_text(layer.weight), weight_db},
                   {layer.output ? significant(layer.output->mean()) : nothing,
                    layer.output ? std::optional<double>(layer.output->mean()) : std::nullopt},
                   {layer.output ? significant(layer.output->most) : nothing,
                    layer.output ? std::optional<double>(layer.output->most) : std::nullopt},
                   {std::to_string(layer.weights), static_cast<double>(layer.weights)},
                   {std::to_string(layer.multiply_adds), static_cast<double>(layer.multiply_adds)}});
  }
  return table.to_string();
}

std::string histograms_of(const Analysis& analysis) {
  std::string values;
  std::size_t shown = 0;
  for (const Layer* layer : analysis.worst_first()) {
    if (shown == most_histograms) break;
    if (!layer->activations || layer->output->exact()) continue;
    values += histogram_chart(layer->name + ", output", *layer->activations);
    if (layer->weight_values) values += histogram_chart(layer->name + ", weights", *layer->weight_values);
    ++shown;
  }
  if (values.empty()) return {};
  return html_section("Values of the worst layers",
                      "How often each value is there; heights are square roots, so that rare ones are seen.",
                      "<p class=\"key\"><i class=\"before\"></i>float<i class=\"after\"></i>quantized</p>\n"
                      "<div class=\"charts small\">\n" + values + "</div>\n");
}

std::string forms_section(const Analysis& analysis) {
  HtmlTable table({"form", "on disk", "in transfer", "peak memory", "p50", "p90", "calls"});
  std::vector<std::string> notes;
  for (const Form& form : analysis.forms) {
    table.add_row({form.name + (form.undisturbed ? "" : " (busy machine)"),
                   {bytes_text(form.disk), static_cast<double>(form.disk)},
                   {bytes_text(form.transfer), static_cast<double>(form.transfer)},
                   {bytes_text(form.memory), static_cast<double>(form.memory)},
                   {milliseconds(form.p50_ms), form.p50_ms},
                   {milliseconds(form.p90_ms), form.p90_ms},
                   {std::to_string(form.calls), static_cast<double>(form.calls)}});
    if (!form.unmeasured.empty()) notes.push_back(form.name + " was not measured: " + form.unmeasured);
  }
  return html_section("Cost",
                      "Times of one row in the boards' confined runner on this machine, one thread, forms taking turns. Peak "
                      "memory is the whole runner's, its engine included.",
                      contender_charts(contenders_of(analysis)) + table.to_string() +
                          (notes.empty() ? "" : list_of(notes, "about")));
}

std::string task_section(const TaskComparison& task, const std::string& title) {
  HtmlTable table({"", task.metric, "95 % from", "to"});
  const auto add = [&](const std::string& name, const Interval& interval) {
    table.add_row({name,
                   {fixed(interval.value, 4), interval.value},
                   {fixed(interval.low, 4), interval.low},
                   {fixed(interval.high, 4), interval.high}});
  };
  add("float", task.before);
  add(title, task.after);
  add("change, the same rows", task.change);
  std::string words = task.no_mcnemar;
  if (task.mcnemar) {
    words = "Float alone is right in " + std::to_string(task.mcnemar->only_before) + " rows, " + title + " alone in " +
            std::to_string(task.mcnemar->only_after) + ": p = " + significant(task.mcnemar->p) +
            " by McNemar's exact test.";
    if (task.logits_db) words += " SQNR of logits: " + fixed(*task.logits_db, 1) + " dB.";
  }
  return html_section("Task", "On " + std::to_string(task.rows) + " rows; intervals by bootstrap over rows.",
                      table.to_string() + "<p>" + escaped(words) + "</p>\n");
}

std::string coverage_section(const Analysis& analysis) {
  HtmlTable shares({"format", "of layers", "of values stored"});
  for (const Share& share : analysis.coverage.formats) {
    shares.add_row({share.format, {percent(share.modules), share.modules}, {percent(share.parameters), share.parameters}});
  }
  HtmlTable islands({"where values are floats", "what ran", "layers", "multiply-adds"});
  for (const FloatIsland& island : analysis.islands) {
    std::vector<std::string> operators;
    for (const auto& [name, count] : island.operators) operators.push_back(std::to_string(count) + " × " + name);
    islands.add_row({island.place, join(operators), island.layers.empty() ? nothing : join(island.layers),
                     {std::to_string(island.multiply_adds), static_cast<double>(island.multiply_adds)}});
  }
  std::string words = percent(analysis.coverage.multiply_adds_in_codes) + " of " +
                      std::to_string(analysis.coverage.multiply_adds) + " multiply-adds of one row ran on codes";
  if (analysis.coverage.product_multiply_adds > 0) {
    words += "; " + std::to_string(analysis.coverage.product_multiply_adds) + " are of products without weights, as attention's";
  }
  words += ". Calls that cross from floats to codes: " + std::to_string(analysis.quantizations) + ", and back: " +
           std::to_string(analysis.dequantizations) + ".";
  const auto enclosed = std::count_if(analysis.islands.begin(), analysis.islands.end(),
                                      [](const FloatIsland& island) { return island.enclosed; });
  if (enclosed > 0) words += " " + std::to_string(enclosed) + " float " + (enclosed == 1 ? "island lies" : "islands lie") + " between codes.";
  return html_section("What is quantized, and what stays float", words,
                      (analysis.layers.empty() ? "" : shares.to_string()) +
                          (analysis.islands.empty() ? "" : islands.to_string()));
}

std::string operator_section(const Analysis& analysis) {
  HtmlTable table({"operator", "float", "quantized"});
  std::set<std::string> names;
  for (const auto* counts : {&analysis.float_operators, &analysis.quantized_operators}) {
    for (const auto& [name, count] : *counts) names.insert(name);
  }
  const auto count_in = [](const std::map<std::string, int>& counts, const std::string& name) {
    const auto found = counts.find(name);
    const double count = found == counts.end() ? 0 : found->second;
    return HtmlTable::Cell(count > 0 ? fixed(count, 0) : nothing, count);
  };
  for (const std::string& name : names) {
    table.add_row({name, count_in(analysis.float_operators, name), count_in(analysis.quantized_operators, name)});
  }
  return html_section("What really ran", "Operators that the interpreter called for one row, counted.", table.to_string());
}

std::string outputs_table(const Analysis& analysis) {
  HtmlTable table({"output", "SQNR", "mean error", "largest error"});
  for (const OutputComparison& output : analysis.outputs) {
    const Distance& distance = output.distance;
    table.add_row({output.name,
                   {sqnr_text(distance), distance.sqnr_db()},
                   {significant(distance.mean()), distance.mean()},
                   {significant(distance.most), distance.most}});
  }
  return table.to_string();
}

}  // namespace

std::string analysis_page(const Analysis& analysis, double float_below_db) {
  const std::string title = title_of(analysis);
  std::string body = list_of(summary_of(analysis), "summary") + tiles_of(analysis);
  if (analysis.layers.empty()) {
    body += html_section("Layers", "", "<p>They could not be matched: " + escaped(analysis.unmatched) + ".</p>\n");
  } else {
    body += html_section("Layers",
                         "Signal to quantization noise of each layer's output on " + std::to_string(analysis.rows) +
                             " rows: 6 dB are one bit; what comes in is off already by the layers before.",
                         layer_bars(analysis, float_below_db) + "<p class=\"about hint\">Click a heading to sort.</p>\n" +
                             layer_table(analysis));
  }
  body += html_section("Outputs", "", outputs_table(analysis));
  if (analysis.task) body += task_section(*analysis.task, title);
  if (!analysis.forms.empty()) body += forms_section(analysis);
  body += coverage_section(analysis) + histograms_of(analysis) + operator_section(analysis);
  if (!analysis.remarks.empty()) body += html_section("To know", "", list_of(analysis.remarks, ""));
  if (!analysis.variant.empty()) {
    body += html_section("To change it",
                         "plan.toml beside this page makes layers below " + significant(float_below_db) +
                             " dB float: outcrop quantize … --plan plan.toml",
                         "");
  }
  return html_page(title + " beside float",
                   analysis.quantized + " beside " + analysis.original + ", " + analysis.called + ", asked rows of " +
                       analysis.rows_from,
                   body);
}

}  // namespace outcrop::analyze
