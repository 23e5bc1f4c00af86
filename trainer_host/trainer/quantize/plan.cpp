#include "trainer_host/trainer/quantize/plan.hpp"

#include <algorithm>
#include <set>
#include <sstream>

#include "platform/config/toml_reader.hpp"

namespace outcrop::quantize {
namespace {

constexpr const char* heading = R"(# What becomes of each layer in this variant. A layer may be made float (format = "float"): give the
# file back by outcrop quantize WEIGHTS --data DIR --out DIR --plan FILE. weights and multiply_adds
# are there to read.
)";

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

}  // namespace

const LayerDecision* Plan::layer(const std::string& name) const {
  const auto found = std::find_if(layers.begin(), layers.end(),
                                  [&](const LayerDecision& one) { return one.layer == name; });
  return found == layers.end() ? nullptr : &*found;
}

std::string to_toml(const Plan& plan) {
  std::ostringstream text;
  text << heading << "variant = " << toml_text(plan.variant)
       << "\nmethod = " << toml_text(plan.method) << "\n";
  if (!plan.observer.empty()) text << "observer = " << toml_text(plan.observer) << "\n";
  for (const LayerDecision& layer : plan.layers) {
    text << "\n" << table_name(layer.layer) << "\noperation = " << toml_text(layer.operation)
         << "\nformat = " << toml_text(layer.format) << "\n";
    if (!layer.reason.empty()) text << "reason = " << toml_text(layer.reason) << "\n";
    text << "weights = " << layer.weights << "\nmultiply_adds = " << layer.multiply_adds << "\n";
  }
  return text.str();
}

Result<Plan> read_plan(const std::filesystem::path& file) {
  OUTCROP_TRY(reader, platform::TomlReader::open(file));
  auto root = reader.root();
  Plan plan;
  plan.variant = root.text("variant", std::nullopt);
  plan.method = root.text("method", std::nullopt);
  plan.observer = root.text("observer", "");
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
    table.finish();
    plan.layers.push_back(std::move(layer));
  }
  layers.finish();
  root.finish();
  OUTCROP_CHECK(reader.status());
  return plan;
}

}  // namespace outcrop::quantize
