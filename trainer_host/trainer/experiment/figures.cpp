#include "trainer_host/trainer/experiment/figures.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"
#include "trainer_host/trainer/analyze/read_results.hpp"

namespace outcrop::experiment {
namespace {

using Json = nlohmann::ordered_json;

bool is_share_of_samples(const std::string& metric) {
  return metric == "accuracy";
}

// Wilson's interval of a share of `samples`.
analyze::Interval wilson(double share, double samples) {
  constexpr double z = 1.959964;  // 95 %
  const double scale = 1 / (1 + z * z / samples);
  const double middle = scale * (share + z * z / (2 * samples));
  const double half = scale * z * std::sqrt(share * (1 - share) / samples + z * z / (4 * samples * samples));
  return {share, middle - half, middle + half};
}

Json number(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json form_of(const analyze::Contender& one) {
  Json form{{"name", one.name},
            {"role", one.is_float ? "float" : "quantized"},
            {"disk_bytes", one.disk},
            {"transfer_bytes", one.transfer},
            {"peak_memory_bytes", one.memory},
            {"p50_ms", number(one.p50_ms)},
            {"p90_ms", number(one.p90_ms)},
            {"mean_abs_error", number(one.error)},
            {"sqnr_db", number(one.sqnr_db)},
            {"multiply_adds_in_codes", number(one.in_codes)}};
  if (one.score) {
    form["metric"] = one.metric;
    form["score"] = {{"value", one.score->value}, {"low", one.score->low}, {"high", one.score->high}};
  }
  if (one.mcnemar) {
    form["mcnemar"] = {{"only_before", one.mcnemar->only_before},
                       {"only_after", one.mcnemar->only_after},
                       {"p", one.mcnemar->p}};
    form["logits_sqnr_db"] = number(one.logits_db);
  }
  return form;
}

double number_in(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number() ? found->get<double>() : 0.0;
}

std::string text_in(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

Score score_of(const messages::Quality& quality) {
  for (const char* metric : {"accuracy", "ssim", "iou"}) {
    for (const auto& [output, score] : quality.model.outputs) {
      const double* value = score.find(metric);
      if (value == nullptr) continue;
      if (is_share_of_samples(metric)) return {metric, wilson(*value, static_cast<double>(quality.samples))};
      return {metric, {*value, *value, *value}};
    }
  }
  for (const auto& [output, score] : quality.model.outputs) {
    if (const double* value = score.find(quality.judged_by)) return {quality.judged_by, {*value, *value, *value}};
  }
  return {};
}

std::string to_json(const StepFigures& figures) {
  Json json{{"step", figures.step},
            {"digest", figures.digest},
            {"seconds", figures.seconds},
            {"trained_seconds", figures.trained_seconds},
            {"samples", figures.samples},
            {"held_out", figures.held_out},
            {"forms", Json::array()},
            {"left_out", Json::array()}};
  for (const analyze::Contender& one : figures.contenders) json["forms"].push_back(form_of(one));
  for (const auto& [variant, why] : figures.left_out) json["left_out"].push_back({{"name", variant}, {"reason", why}});
  return json_text(json, 2) + "\n";
}

std::vector<std::pair<std::string, std::string>> left_out_in(const nlohmann::json& json) {
  std::vector<std::pair<std::string, std::string>> all;
  const auto left_out = json.find("left_out");
  if (left_out == json.end() || !left_out->is_array()) return all;
  for (const auto& one : *left_out) {
    if (one.is_object()) all.emplace_back(text_in(one, "name"), text_in(one, "reason"));
  }
  return all;
}

Result<StepFigures> read_figures(const std::filesystem::path& metrics) {
  constexpr ByteCount largest = ByteCount::mib(16);
  OUTCROP_TRY(text, read_text_file(metrics, largest));
  OUTCROP_TRY(json, messages::parse_object(text, largest, metrics.string()));
  StepFigures figures;
  figures.step = text_in(json, "step");
  figures.digest = text_in(json, "digest");
  figures.seconds = number_in(json, "seconds");
  figures.trained_seconds = number_in(json, "trained_seconds");
  figures.samples = static_cast<std::uint64_t>(number_in(json, "samples"));
  figures.held_out = json.value("held_out", nlohmann::json()) == true;
  OUTCROP_TRY(contenders, analyze::read_results({metrics.parent_path()}));
  figures.contenders = std::move(contenders);
  figures.left_out = left_out_in(json);
  return figures;
}

}  // namespace outcrop::experiment
