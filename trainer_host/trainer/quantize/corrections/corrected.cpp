#include "trainer_host/trainer/quantize/corrections/corrected.hpp"

#include <algorithm>
#include <utility>

#include "protocol/base/join.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"
#include "trainer_host/trainer/quantize/corrections/bias_correction.hpp"
#include "trainer_host/trainer/quantize/corrections/equalization.hpp"
#include "trainer_host/trainer/quantize/corrections/smoothing.hpp"
#include "trainer_host/trainer/quantize/corrections/split_concatenation.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;
using torch::jit::Module;

constexpr const char* split_inputs = "split-inputs";
constexpr const char* smoothing = "smoothing";
constexpr const char* equalization = "equalization";
constexpr const char* bias = "bias";
constexpr const char* adaround = "adaround";
constexpr std::int64_t fewest_samples = 8;

// What steps are fitted to, and what they are judged by.
struct Samples {
  ArgumentRows fitted;
  ArgumentRows judged;
};

ArgumentRows chosen_rows(const ArgumentRows& all, const std::vector<std::int64_t>& rows, std::int64_t most) {
  const auto there = static_cast<std::int64_t>(rows.size());
  const std::int64_t count = std::min(there, most);
  std::vector<std::int64_t> chosen;
  for (std::int64_t i = 0; i < count; ++i) chosen.push_back(rows[static_cast<std::size_t>(i * there / count)]);
  return all.at(torch::tensor(chosen));
}

// Every fourth sample is for judging.
Samples divide(const ArgumentRows& calibration, const CorrectionOptions& how) {
  std::vector<std::int64_t> fitted;
  std::vector<std::int64_t> judged;
  for (std::int64_t row = 0; row < calibration.size(); ++row) (row % 4 == 3 ? judged : fitted).push_back(row);
  return {chosen_rows(calibration, fitted, how.most_fitted), chosen_rows(calibration, judged, how.most_judged)};
}

// One network and its scales on the way.
struct Candidate {
  Module network;
  std::map<std::string, Tensor> weight_scales;
};

class Trials {
 public:
  Trials(const Module& network, const ArgumentRows& calibration, const StaticQuantization& options,
         const CorrectionOptions& how)
      : options_(options), how_(how), samples_(divide(calibration, how)) {
    options_.answer_codes = false;
    best_.network = fold_batch_norm(reload(network));
    truth_ = answers(best_.network);
  }

  Status run(std::vector<CorrectionStep>& steps) {
    for (const CorrectionKind& kind : correction_kinds()) {
      if (std::find(how_.wanted.begin(), how_.wanted.end(), kind.name) == how_.wanted.end()) continue;
      if (how_.progress) how_.progress(kind.name, 0.0);
      Candidate candidate{reload(best_.network), best_.weight_scales};
      if (!change(kind.name, candidate)) continue;
      if (error_ < 0.0) {
        OUTCROP_TRY(error, error_of(best_));
        error_ = error;
      }
      OUTCROP_TRY(after, error_of(candidate));
      CorrectionStep step{kind.name, error_, after, after < error_};
      if (step.kept) {
        best_ = std::move(candidate);
        error_ = after;
      }
      steps.push_back(std::move(step));
    }
    return {};
  }

  Candidate take() { return std::move(best_); }

 private:
  // Answers whether there was something to do.
  bool change(const std::string& name, Candidate& candidate) {
    if (name == split_inputs) {
      const auto names = split_concatenations(candidate.network, samples_.fitted, options_.batch,
                                              how_.split_factor, options_.kept_float);
      for (const std::string& split : names) candidate.weight_scales.erase(split);
      return !names.empty();
    }
    if (name == smoothing) {
      const auto names = smooth(candidate.network, samples_.fitted, options_.batch, options_.kept_float,
                                [&](const LayerCall& call) { return axis_of(call); });
      for (const std::string& layer : names) candidate.weight_scales.erase(layer);
      return !names.empty();
    }
    if (name == equalization) {
      candidate.weight_scales.clear();
      return equalize(candidate.network) > 0;
    }
    if (name == bias) {
      return correct_biases(candidate.network, samples_.fitted, options_.batch,
                            [&](const LayerCall& call) { return rounded(call, candidate); }) > 0;
    }
    AdaptiveRounding rounding = how_.rounding;
    if (how_.progress) {
      rounding.progress = [this](const std::string& layer, double share) {
        how_.progress(std::string(adaround) + " of " + layer, share);
      };
    }
    candidate.weight_scales = round_adaptively(
        candidate.network, samples_.fitted, rounding, [&](const LayerCall& call) { return axis_of(call); },
        [&](const LayerCall& call) { return options_.kept_float.contains(call.name); });
    return !candidate.weight_scales.empty();
  }

  [[nodiscard]] std::optional<std::int64_t> axis_of(const LayerCall& call) const {
    return weight_scale_axis(call.operation, call.weight(), call.groups(), options_.activations);
  }

  // The scales that are searched here are kept: the search need not be done again.
  Tensor rounded(const LayerCall& call, Candidate& candidate) const {
    if (options_.kept_float.contains(call.name)) return {};
    const auto axis = axis_of(call);
    Tensor& scales = candidate.weight_scales[call.name];
    if (!scales.defined()) scales = choose_weight_scales(call.weight(), axis);
    std::vector<std::int64_t> shape(static_cast<std::size_t>(call.weight().dim()), 1);
    if (axis) shape[static_cast<std::size_t>(*axis)] = -1;
    const Tensor shaped = scales.reshape(shape);
    return (call.weight() / shaped).round().clamp(-127, 127) * shaped;
  }

  [[nodiscard]] std::vector<Tensor> answers(const Module& network) const {
    return answers_to(samples_.judged, network, options_.batch, options_.output_limit);
  }

  // Of several outputs the sum of each one's share of its own power: they may be of other units.
  [[nodiscard]] double distance(const std::vector<Tensor>& answers) const {
    double sum = 0.0;
    for (std::size_t i = 0; i < truth_.size(); ++i) {
      const double noise = (answers.at(i) - truth_[i]).square().mean().item<double>();
      if (truth_.size() == 1) return noise;
      sum += noise / std::max(truth_[i].square().mean().item<double>(), 1e-30);
    }
    return sum;
  }

  [[nodiscard]] Result<double> error_of(const Candidate& candidate) const {
    StaticQuantization options = options_;
    options.weight_scales = candidate.weight_scales;
    OUTCROP_TRY(quantized, quantize_static(candidate.network, samples_.fitted, options));
    return distance(answers(quantized.module));
  }

  StaticQuantization options_;
  const CorrectionOptions& how_;
  Samples samples_;
  Candidate best_;
  std::vector<Tensor> truth_;  // what float answers to those that judge
  double error_ = -1.0;  // of best_; not measured yet
};

}  // namespace

const std::vector<CorrectionKind>& correction_kinds() {
  static const std::vector<CorrectionKind> kinds{
      {split_inputs, "layers of concatenated inputs as one for each input, where their ranges differ", true},
      {smoothing, "columns that layer norms hand to linear layers made to span as much (SmoothQuant, Xiao 2023)",
       false},
      {equalization, "weights of consecutive layers scaled so that channels span as much (Nagel 2019)", true},
      {adaround, "weights rounded up or down by what their layer answers (AdaRound, Nagel 2020); takes minutes",
       false},
      {bias, "biases take back what rounded weights do to mean answers (Nagel 2019)", true}};
  return kinds;
}

std::vector<std::string> usual_corrections() {
  std::vector<std::string> names;
  for (const CorrectionKind& kind : correction_kinds()) {
    if (kind.usual) names.push_back(kind.name);
  }
  return names;
}

Status check_corrections(const std::vector<std::string>& names) {
  std::vector<std::string> there;
  for (const CorrectionKind& kind : correction_kinds()) there.push_back(kind.name);
  for (const std::string& name : names) {
    if (std::find(there.begin(), there.end(), name) != there.end()) continue;
    return fail(ErrorCode::invalid_argument,
                "there is no correction '" + name + "'; there are: " + join(there, ", "));
  }
  return {};
}

Result<Corrected> correct(const Module& network, const ArgumentRows& calibration, const StaticQuantization& options,
                          const CorrectionOptions& how) {
  OUTCROP_CHECK(check_corrections(how.wanted));
  try {
    const torch::NoGradGuard no_gradient;
    const torch::jit::GraphOptimizerEnabledGuard no_optimizer(false);
    if (calibration.size() < fewest_samples || how.wanted.empty()) {
      return Corrected{fold_batch_norm(reload(network)), {}, {}};
    }
    Corrected corrected;
    Trials trials(network, calibration, options, how);
    OUTCROP_CHECK(trials.run(corrected.steps));
    Candidate best = trials.take();
    corrected.network = std::move(best.network);
    corrected.weight_scales = std::move(best.weight_scales);
    return corrected;
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, "correcting: " + models::words_of(error));
  }
}

}  // namespace outcrop::quantize
