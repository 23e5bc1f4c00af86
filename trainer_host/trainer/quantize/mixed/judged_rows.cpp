#include "trainer_host/trainer/quantize/mixed/judged_rows.hpp"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <cmath>

#include "trainer_host/trainer/quantize/batch_norm.hpp"
#include "trainer_host/trainer/quantize/part_layers.hpp"
#include "trainer_host/trainer/quantize/static_quantization.hpp"

namespace outcrop::quantize {
namespace {

constexpr std::int64_t fewest_apart = 8;  // rows
constexpr std::int64_t asked_at_once = 16;
constexpr std::int64_t judged_share = 4;  // every fourth

torch::Tensor answers_of(torch::jit::Module network, const torch::Tensor& rows, double limit) {
  const torch::jit::GraphOptimizerEnabledGuard no_optimizer(false);
  std::vector<torch::Tensor> batches;
  for (std::int64_t row = 0; row < rows.size(0); row += asked_at_once) {
    const auto batch = rows.slice(0, row, std::min(row + asked_at_once, rows.size(0)));
    batches.push_back(network.forward({batch}).toTensor().to(torch::kDouble));
  }
  return torch::cat(batches).clamp(-limit, limit);
}

}  // namespace

JudgedRows::JudgedRows(const kinds::Export& model, std::int64_t most_calibrated, std::int64_t most_judged)
    : model_(model) {
  for (kinds::ExportPart& part : model_.parts) {
    part.answers_floats = true;
    torch::Tensor& all = part.calibration.front();
    torch::Tensor judged = all;
    apart_ = apart_ && all.size(0) >= fewest_apart;
    if (all.size(0) >= fewest_apart) {
      const auto index = torch::arange(all.size(0), torch::kLong);
      const auto is_judged = index.remainder(judged_share).eq(judged_share - 1);
      judged = all.index_select(0, index.masked_select(is_judged));
      all = all.index_select(0, index.masked_select(is_judged.logical_not()));
    }
    all = evenly_chosen(all, most_calibrated);
    rows_.push_back(evenly_chosen(judged, most_judged));
    truth_.push_back(answers_of(fold_batch_norm(reload(part.network)), rows_.back(), part.output_limit));
  }
}

double JudgedRows::noise_of(std::size_t part, torch::jit::Module form) const {
  const auto answers = answers_of(std::move(form), rows_.at(part), model_.parts.at(part).output_limit);
  const double power = truth_.at(part).square().sum().item<double>();
  const double noise = (answers - truth_.at(part)).square().sum().item<double>();
  const double share = power > 0.0 ? noise / power : noise;
  constexpr double beyond_all = 1e9;  // what is not finite is no answer at all
  return std::isfinite(share) ? share : beyond_all;
}

double JudgedRows::noise_of(const std::vector<kinds::PartForm>& forms) const {
  double sum = 0.0;
  for (std::size_t i = 0; i < forms.size(); ++i) sum += noise_of(i, forms[i].module);
  return sum / static_cast<double>(forms.size());
}

}  // namespace outcrop::quantize
