#include "protocol/messages/quality.hpp"

#include <algorithm>

#include "protocol/base/json_text.hpp"
#include "protocol/messages/fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {
namespace {

constexpr ByteCount quality_limit = ByteCount::kib(64);
constexpr std::size_t most_outputs = 16;
constexpr double largest_score = 1e30;

Json scored_to_json(const ScoredModel& scored) {
  Json outputs = Json::object();
  for (const auto& [output, score] : scored.outputs) {
    outputs[output] = {{"ssim", score.ssim}, {"mae", score.mae}, {"rmse", score.rmse}};
  }
  return {{"name", scored.name}, {"outputs", outputs}};
}

ScoredModel read_scored(ObjectReader& reader) {
  ScoredModel scored;
  scored.name = reader.text("name");
  ObjectReader outputs = reader.object("outputs");
  for (const std::string& output : outputs.keys(most_outputs)) {
    ObjectReader score = outputs.object(output);
    scored.outputs[output] = {score.number("ssim", -1, 1), score.number("mae", 0, largest_score),
                              score.number("rmse", 0, largest_score)};
    score.done();
  }
  reader.done();
  return scored;
}

}  // namespace

const ScoredModel* Quality::baseline(std::string_view name) const {
  const auto found = std::find_if(baselines.begin(), baselines.end(),
                                  [&](const ScoredModel& scored) { return scored.name == name; });
  return found == baselines.end() ? nullptr : &*found;
}

Json quality_to_json(const Quality& quality) {
  Json baselines = Json::array();
  for (const ScoredModel& scored : quality.baselines) baselines.push_back(scored_to_json(scored));
  Json spread = Json::object();
  for (const auto& [output, of] : quality.spread) {
    spread[output] = {{"drawn", of.drawn}, {"data", of.data}};
  }
  return {{"samples", quality.samples},
          {"data", quality.held_out ? "held-out" : "training"},
          {"units", quality.units},
          {"model", scored_to_json(quality.model)},
          {"baselines", baselines},
          {"drawn", quality.drawn},
          {"spread", spread}};
}

Quality read_quality(ObjectReader reader) {
  Quality quality;
  quality.samples = reader.integer("samples", 1);
  quality.held_out = reader.choice("data", {"held-out", "training"}) == 0;
  ObjectReader units = reader.object("units");
  for (const std::string& output : units.keys(most_outputs)) {
    quality.units[output] = units.text(output, 64);
  }
  ObjectReader model = reader.object("model");
  quality.model = read_scored(model);
  reader.objects("baselines", 1, 16, [&](ObjectReader& element) {
    quality.baselines.push_back(read_scored(element));
  });
  if (reader.ok() && quality.baseline(mean_baseline) == nullptr) {
    reader.refuse("baselines", "must have one named '" + std::string(mean_baseline) + "'");
  }
  quality.drawn = reader.integer("drawn", 1);
  ObjectReader spread = reader.object("spread");
  for (const std::string& output : spread.keys(most_outputs)) {
    ObjectReader of = spread.object(output);
    quality.spread[output] = {of.number("drawn", 0, largest_score),
                              of.number("data", 0, largest_score)};
    of.done();
  }
  reader.done();
  return quality;
}

std::string to_json(const Quality& quality) {
  return json_text(quality_to_json(quality));
}

Result<Quality> parse_quality(std::string_view text) {
  OUTCROP_TRY(json, parse_object(text, quality_limit, "quality"));
  ObjectReader reader(json, "quality");
  Quality quality = read_quality(reader);
  OUTCROP_CHECK(reader.status());
  return quality;
}

}  // namespace outcrop::messages
