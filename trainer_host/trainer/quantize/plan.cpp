#include "trainer_host/trainer/quantize/plan.hpp"

#include <algorithm>
#include <iomanip>
#include <set>
#include <sstream>

#include "platform/config/toml_reader.hpp"
#include "protocol/base/join.hpp"

namespace outcrop::quantize {
namespace {

constexpr const char* heading = "# What becomes of each layer in this variant.";
constexpr const char* heading_of_a_choice = R"( A layer may be made float (format = "float"): give the
# file back by outcrop quantize MODEL OUT --calibration DIR --plan FILE.)";
constexpr const char* heading_to_read = R"(
# weights, multiply_adds and ranges are there to read.
)";

bool may_be_made_float(const LayerDecision& layer) {
  return layer.formats.size() > 1 && std::find(layer.formats.begin(), layer.formats.end(), "float") != layer.formats.end();
}

std::string toml_text(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

// A key of a TOML table: paths of layers have dots.
std::string table_name(const std::string& layer) {
  return "[layers." + toml_text(layer) + "]";
}

std::string to_toml(const LayerCost& cost) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(6) << "int8_ms = " << cost.int8_ms << "\nfloat_ms = " << cost.float_ms
       << "\nenter_ms = " << cost.enter_ms << "\nleave_ms = " << cost.leave_ms << "\nend_ms = " << cost.end_ms
       << std::setprecision(2) << "\nalone_db = " << cost.alone_db << "\n";
  return text.str();
}

std::optional<LayerCost> read_cost(platform::TomlReader::Table& table) {
  if (!table.has("int8_ms") && !table.has("float_ms")) return std::nullopt;
  constexpr double longest = 1e7;
  constexpr double most_db = 150.0;
  LayerCost cost;
  cost.int8_ms = table.number("int8_ms", std::nullopt, 0.0, longest);
  cost.float_ms = table.number("float_ms", std::nullopt, 0.0, longest);
  cost.enter_ms = table.number("enter_ms", 0.0, 0.0, longest);
  cost.leave_ms = table.number("leave_ms", 0.0, 0.0, longest);
  cost.end_ms = table.number("end_ms", 0.0, 0.0, longest);
  cost.alone_db = table.number("alone_db", 0.0, -most_db, most_db);
  return cost;
}

}  // namespace

const LayerDecision* Plan::layer(const std::string& name) const {
  const auto found = std::find_if(layers.begin(), layers.end(),
                                  [&](const LayerDecision& one) { return one.layer == name; });
  return found == layers.end() ? nullptr : &*found;
}

std::string to_toml(const Plan& plan) {
  std::ostringstream text;
  const bool any_choice = std::any_of(plan.layers.begin(), plan.layers.end(), may_be_made_float);
  text << std::boolalpha << heading << (any_choice ? heading_of_a_choice : "") << heading_to_read << "variant = " << toml_text(plan.variant)
       << "\nmethod = " << toml_text(plan.method) << "\n";
  if (!plan.observer.empty()) text << "observer = " << toml_text(plan.observer) << "\n";
  if (plan.corrections) {
    std::vector<std::string> names;
    for (const std::string& name : *plan.corrections) names.push_back(toml_text(name));
    text << "corrections = [" << join(names, ", ") << "]\n";
  }
  if (plan.weights) {
    const WeightOptions& options = *plan.weights;
    text << "\n[weights]\ngroup_size = " << options.group_size << "\nsym = " << options.sym
         << "\ndamp_percent = " << options.damp_percent << "\ndesc_act = " << options.desc_act
         << "\ndouble_quant = " << options.double_quant << "\n";
  }
  if (plan.other_ms) text << "\n[costs]\nother_ms = " << *plan.other_ms << "\n";
  for (const PlannedRange& range : plan.ranges) {
    text << "\n[ranges." << toml_text(range.tensor) << "]\nlow = " << range.low << "\nhigh = " << range.high << "\n";
  }
  for (const LayerDecision& layer : plan.layers) {
    text << "\n" << table_name(layer.layer) << "\noperation = " << toml_text(layer.operation)
         << "\nformat = " << toml_text(layer.format) << "\n";
    if (!layer.reason.empty()) text << "reason = " << toml_text(layer.reason) << "\n";
    text << "weights = " << layer.weights << "\nmultiply_adds = " << layer.multiply_adds << "\n";
    if (layer.cost) text << to_toml(*layer.cost);
  }
  return text.str();
}

WeightOptions read_weight_options(platform::TomlReader::Table& table, const WeightOptions& fallback) {
  WeightOptions options;
  options.group_size = table.integer("group_size", fallback.group_size, -1, 1 << 20);
  if (options.group_size == 0) table.refuse("group_size", "is 0; a number of weights, or -1 for all of a row, is wanted");
  options.sym = table.boolean("sym", fallback.sym);
  options.damp_percent = table.number("damp_percent", fallback.damp_percent, 0.0, 1.0);
  options.desc_act = table.boolean("desc_act", fallback.desc_act);
  options.double_quant = table.boolean("double_quant", fallback.double_quant);
  return options;
}

Result<Plan> read_plan(const std::filesystem::path& file) {
  OUTCROP_TRY(reader, platform::TomlReader::open(file));
  auto root = reader.root();
  Plan plan;
  plan.variant = root.text("variant", std::nullopt);
  plan.method = root.text("method", std::nullopt);
  plan.observer = root.text("observer", "");
  constexpr std::size_t most_corrections = 16;
  if (root.has("corrections")) plan.corrections = root.texts("corrections", std::nullopt, most_corrections);
  if (root.has("weights")) {
    auto weights = root.table("weights");
    plan.weights = read_weight_options(weights, {});
    weights.finish();
  }
  if (root.has("costs")) {
    auto costs = root.table("costs");
    plan.other_ms = costs.number("other_ms", std::nullopt, 0.0, 1e7);
    costs.finish();
  }
  auto ranges = root.table("ranges");
  for (const std::string& name : ranges.table_names()) {
    constexpr double farthest = 1e30;
    auto table = ranges.table(name);
    plan.ranges.push_back({name, table.number("low", std::nullopt, -farthest, 0.0),
                           table.number("high", std::nullopt, 0.0, farthest)});
    table.finish();
  }
  ranges.finish();
  constexpr std::int64_t most = std::int64_t{1} << 53;
  auto layers = root.table("layers");
  for (const std::string& name : layers.table_names()) {
    auto table = layers.table(name);
    LayerDecision layer{.layer = name,
                        .operation = table.text("operation", std::nullopt),
                        .format = table.text("format", std::nullopt),
                        .reason = table.text("reason", ""),
                        .weights = table.integer("weights", 0, 0, most),
                        .multiply_adds = table.integer("multiply_adds", 0, 0, most)};
    layer.cost = read_cost(table);
    table.finish();
    plan.layers.push_back(std::move(layer));
  }
  layers.finish();
  root.finish();
  OUTCROP_CHECK(reader.status());
  return plan;
}

}  // namespace outcrop::quantize
