#include "protocol/messages/quality.hpp"

#include <algorithm>
#include <utility>

#include "protocol/base/json_text.hpp"
#include "protocol/messages/fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {
namespace {

constexpr ByteCount quality_limit = ByteCount::kib(64);
constexpr std::size_t most_outputs = 16;
constexpr std::size_t most_metrics = 8;
constexpr double largest_score = 1e30;

Json scored_to_json(const ScoredModel& scored) {
  Json outputs = Json::object();
  for (const auto& [output, score] : scored.outputs) {
    Json metrics = Json::object();
    for (const auto& [metric, value] : score.metrics) metrics[metric] = value;
    outputs[output] = std::move(metrics);
  }
  return {{"name", scored.name}, {"outputs", outputs}};
}

// A correlation may be below zero; all other metrics are errors or shares.
double least_of(std::string_view metric) {
  return metric == "ssim" ? -1 : 0;
}
double most_of(std::string_view metric) {
  return has_unit(metric) ? largest_score : 1;
}

ScoredModel read_scored(ObjectReader& reader, const std::string& judged_by) {
  ScoredModel scored;
  scored.name = reader.text("name");
  ObjectReader outputs = reader.object("outputs");
  for (const std::string& output : outputs.keys(most_outputs)) {
    ObjectReader metrics = outputs.object(output);
    OutputScore& score = scored.outputs[output];
    for (const std::string& metric : metrics.keys(most_metrics)) {
      score.metrics[metric] = metrics.number(metric, least_of(metric), most_of(metric));
    }
    if (metrics.ok() && score.find(judged_by) == nullptr) {
      metrics.refuse(judged_by, "is missing, and the model is judged by it");
    }
    metrics.done();
  }
  reader.done();
  return scored;
}

}  // namespace

const double* OutputScore::find(std::string_view metric) const {
  const auto found = metrics.find(metric);
  return found == metrics.end() ? nullptr : &found->second;
}

double* OutputScore::find(std::string_view metric) {
  return const_cast<double*>(std::as_const(*this).find(metric));
}

bool has_unit(std::string_view metric) {
  return metric == "mae" || metric == "rmse";
}

std::string shown_metric(std::string_view metric) {
  std::string text(metric);
  if (text != "mae" && text != "rmse" && text != "ssim" && text != "iou") return text;
  for (char& c : text) c = static_cast<char>(c - 'a' + 'A');
  return text;
}

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
  Json json{{"samples", quality.samples},
            {"data", quality.held_out ? "held-out" : "training"},
            {"units", quality.units}};
  // What protocol 3 had is written as it was.
  if (quality.judged_by != Quality().judged_by) json["judged_by"] = quality.judged_by;
  json["model"] = scored_to_json(quality.model);
  json["baselines"] = std::move(baselines);
  if (quality.drawn > 0) {
    json["drawn"] = quality.drawn;
    json["spread"] = std::move(spread);
  }
  return json;
}

Quality read_quality(ObjectReader reader) {
  Quality quality;
  quality.samples = reader.integer("samples", 1);
  quality.held_out = reader.choice("data", {"held-out", "training"}) == 0;
  ObjectReader units = reader.object("units");
  for (const std::string& output : units.keys(most_outputs)) {
    quality.units[output] = units.text(output, 64);
  }
  if (reader.has("judged_by")) quality.judged_by = reader.text("judged_by", 64);
  ObjectReader model = reader.object("model");
  quality.model = read_scored(model, quality.judged_by);
  reader.objects("baselines", 1, 16, [&](ObjectReader& element) {
    quality.baselines.push_back(read_scored(element, quality.judged_by));
  });
  if (reader.ok() && quality.baseline(mean_baseline) == nullptr) {
    reader.refuse("baselines", "must have one named '" + std::string(mean_baseline) + "'");
  }
  if (reader.has("drawn")) {
    quality.drawn = reader.integer("drawn", 1);
    ObjectReader spread = reader.object("spread");
    for (const std::string& output : spread.keys(most_outputs)) {
      ObjectReader of = spread.object(output);
      quality.spread[output] = {of.number("drawn", 0, largest_score),
                                of.number("data", 0, largest_score)};
      of.done();
    }
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
