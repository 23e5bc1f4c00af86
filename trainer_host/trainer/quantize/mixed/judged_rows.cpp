#include "trainer_host/trainer/quantize/mixed/judged_rows.hpp"

#include <algorithm>
#include <cmath>

#include "trainer_host/trainer/quantize/batch_norm.hpp"
#include "trainer_host/trainer/quantize/static_quantization.hpp"

namespace outcrop::quantize {
namespace {

constexpr std::int64_t fewest_apart = 8;  // rows
constexpr std::int64_t asked_at_once = 16;
constexpr std::int64_t judged_share = 4;  // every fourth

std::vector<torch::Tensor> answers_of(const torch::jit::Module& network, const ArgumentRows& rows, double limit) {
  return answers_to(rows, network, asked_at_once, limit);
}

}  // namespace

JudgedRows::JudgedRows(const kinds::Export& model, std::int64_t most_calibrated, std::int64_t most_judged)
    : model_(model) {
  for (kinds::ExportPart& part : model_.parts) {
    part.answers_floats = true;
    ArgumentRows all = part.calibration;
    ArgumentRows judged = all;
    apart_ = apart_ && all.size() >= fewest_apart;
    if (all.size() >= fewest_apart) {
      const auto index = torch::arange(all.size(), torch::kLong);
      const auto is_judged = index.remainder(judged_share).eq(judged_share - 1);
      judged = all.at(index.masked_select(is_judged));
      all = all.at(index.masked_select(is_judged.logical_not()));
    }
    part.calibration = all.evenly_chosen(most_calibrated).arguments();
    rows_.push_back(judged.evenly_chosen(most_judged));
    truth_.push_back(answers_of(fold_batch_norm(reload(part.network)), rows_.back(), part.output_limit));
  }
}

double JudgedRows::noise_of(std::size_t part, const torch::jit::Module& form) const {
  const auto answers = answers_of(form, rows_.at(part), model_.parts.at(part).output_limit);
  const auto& truth = truth_.at(part);
  double sum = 0.0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const auto wanted = truth[i].to(torch::kDouble);
    const double power = wanted.square().sum().item<double>();
    const double noise = (answers.at(i).to(torch::kDouble) - wanted).square().sum().item<double>();
    sum += power > 0.0 ? noise / power : noise;
  }
  const double share = sum / static_cast<double>(truth.size());
  constexpr double beyond_all = 1e9;  // what is not finite is no answer at all
  return std::isfinite(share) ? share : beyond_all;
}

double JudgedRows::noise_of(const std::vector<kinds::PartForm>& forms) const {
  double sum = 0.0;
  for (std::size_t i = 0; i < forms.size(); ++i) sum += noise_of(i, forms[i].module);
  return sum / static_cast<double>(forms.size());
}

}  // namespace outcrop::quantize
