#include "trainer_host/cli/quality_note.hpp"

#include <map>

#include "protocol/base/json_text.hpp"
#include "protocol/messages/quality.hpp"
#include "trainer_host/cli/human.hpp"

namespace outcrop::cli {
namespace {

std::string error_in_words(const messages::OutputScore& score, const messages::Quality& quality) {
  const double* error = score.find(quality.judged_by);
  return error == nullptr ? "–" : short_number(*error);
}

// "RMSE on 64 held-out samples: map 250 m/s (mean of the training data 710), …"
std::string errors_in_words(const messages::Quality& quality) {
  const messages::ScoredModel& mean = *quality.baseline(messages::mean_baseline);
  std::string text = messages::shown_metric(quality.judged_by) + " on " + std::to_string(quality.samples) +
                     (quality.held_out ? " held-out samples:" : " training samples:");
  std::string baseline(messages::mean_baseline);
  std::string separator = " ";
  for (const auto& [output, score] : quality.model.outputs) {
    text += separator + output + " " + error_in_words(score, quality);
    const auto unit = quality.units.find(output);
    if (unit != quality.units.end() && messages::has_unit(quality.judged_by)) {
      text += " " + unit->second;
    }
    if (const auto of_mean = mean.outputs.find(output); of_mean != mean.outputs.end()) {
      text += " (" + baseline + " " + error_in_words(of_mean->second, quality) + ")";
      baseline = "mean";
    }
    separator = ", ";
  }
  return text;
}

std::string line_of(const Json& release) {
  const std::string stage = release.at("model").get<std::string>() + " stage " +
                            std::to_string(release.at("stage").get<std::uint64_t>());
  if (release.at("quality").is_null()) return stage + ": nobody wrote down how good it is\n";
  const auto quality = messages::parse_quality(json_text(release.at("quality")));
  if (!quality) return stage + ": " + quality.error().message() + "\n";
  return stage + ": " + errors_in_words(*quality) + "\n";
}

}  // namespace

std::string quality_notes(const Json& devices) {
  std::map<std::string, std::string> lines;  // by manifest
  for (const Json& device : devices.at("devices")) {
    const auto release = device.find("active_release");
    if (!device.at("revoked").is_null() || release == device.end() || release->is_null()) continue;
    lines.emplace(release->at("manifest").get<std::string>(), line_of(*release));
  }
  std::string text;
  for (const auto& [manifest, line] : lines) text += line;
  return text;
}

}  // namespace outcrop::cli
