#include "protocol/messages/layers.hpp"

#include <algorithm>
#include <cmath>

#include "protocol/base/json_text.hpp"
#include "protocol/messages/deployment_fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {
namespace {

constexpr std::size_t most_variants = 16;
constexpr std::size_t most_names = 256;
constexpr std::size_t longest_name = 128;
constexpr double longest_time = 3600e9;  // ns

// Names once, and times as pairs, "0, 31000, 1, 4000": which name, and nanoseconds.
Json variant_to_json(const VariantLayers& variant) {
  std::vector<std::string> names;
  Json times = Json::array();
  for (const VariantLayers::Operator& one : variant.operators) {
    const auto known = std::find(names.begin(), names.end(), one.name);
    times.push_back(known - names.begin());
    times.push_back(one.time.count());
    if (known == names.end()) names.push_back(one.name);
  }
  return {{"name", variant.name},
          {"reason", variant.reason},
          {"calls", variant.calls},
          {"operators", names},
          {"times", std::move(times)}};
}

VariantLayers read_variant(ObjectReader& reader) {
  VariantLayers variant;
  variant.name = reader.name("name");
  variant.reason = reader.text("reason", longest_reason);
  variant.calls = reader.integer("calls", 0);
  const auto names = reader.texts("operators", most_names, longest_name);
  const auto pairs = reader.numbers("times", 0, 2 * most_operators_told, longest_time);
  bool right = pairs.size() % 2 == 0;
  for (std::size_t i = 0; right && i < pairs.size(); i += 2) {
    const double name = pairs[i];
    const double time = pairs[i + 1];
    right = std::trunc(name) == name && name >= 0 && name < static_cast<double>(names.size()) &&
            std::trunc(time) == time && time >= 0;
    if (!right) break;
    variant.operators.push_back({names[static_cast<std::size_t>(name)],
                                 std::chrono::nanoseconds(static_cast<std::int64_t>(time))});
  }
  if (!right) reader.refuse("times", "must be pairs of a place in operators, and nanoseconds");
  if (reader.ok() && variant.operators.empty() != !variant.reason.empty()) {
    reader.refuse("times", "must be there, or a reason why they are not");
  }
  reader.done();
  return variant;
}

}  // namespace

std::string to_json(const Layers& layers) {
  Json json = header_to_json(layers.header, layers_kind);
  json["device_class"] = layers.device_class;
  json["engine"] = {{"name", layers.engine}, {"version", layers.engine_version}};
  json["manifest"] = layers.manifest.hex();
  json["variants"] = Json::array();
  for (const VariantLayers& variant : layers.variants) json["variants"].push_back(variant_to_json(variant));
  return json_text(json);
}

Result<Layers> parse_layers(BytesView verified) {
  OUTCROP_TRY(json, parse_object(as_text(verified), layers_limit, layers_kind));
  OUTCROP_CHECK(check_type(json, layers_kind, "protocol"));
  ObjectReader reader(json, std::string(layers_kind));
  Layers layers;
  layers.header = read_header(reader, layers_kind);
  layers.device_class = reader.name("device_class");
  ObjectReader engine = reader.object("engine");
  layers.engine = engine.name("name");
  layers.engine_version = engine.text("version");
  engine.done();
  layers.manifest = reader.digest("manifest");
  std::size_t told = 0;
  reader.objects("variants", 1, most_variants, [&](ObjectReader& element) {
    layers.variants.push_back(read_variant(element));
    told += layers.variants.back().operators.size();
  });
  if (reader.ok() && told > most_operators_told) {
    reader.refuse("variants", "tell of " + std::to_string(told) + " operators, more than " + std::to_string(most_operators_told));
  }
  reader.done();
  OUTCROP_CHECK(reader.status());
  return layers;
}

}  // namespace outcrop::messages
