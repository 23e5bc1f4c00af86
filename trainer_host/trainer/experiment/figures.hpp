#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "protocol/base/error.hpp"
#include "protocol/messages/quality.hpp"
#include "trainer_host/trainer/analyze/contender.hpp"

namespace outcrop::experiment {

// What a model is judged by, for people: of its first output with one of these, "accuracy" before "ssim" before "iou"; else what its
// quality is judged by, of which less is better.
struct Score {
  std::string metric;
  analyze::Interval value;  // of shares, Wilson's (Journal of the American Statistical Association 22, 1927): 95 %; of others a point
};
[[nodiscard]] Score score_of(const messages::Quality& quality);

// What metrics.json says of a step.
struct StepFigures {
  std::string digest;  // of what it was made of
  std::string step;
  double seconds = 0;          // that making it took, without training
  double trained_seconds = 0;  // of training, where the step trains
  std::uint64_t samples = 0;   // that scores are of
  bool held_out = false;       // else they are training samples
  std::vector<analyze::Contender> contenders{};
  std::vector<std::pair<std::string, std::string>> left_out{};  // variants that could not be made, and why
};
// Of metrics.json, and of a stage's quantization.json: each variant's name, and the reason.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> left_out_in(const nlohmann::json& json);
[[nodiscard]] std::string to_json(const StepFigures& figures);
[[nodiscard]] Result<StepFigures> read_figures(const std::filesystem::path& metrics);

}  // namespace outcrop::experiment
