#include "trainer_host/trainer/train/average.hpp"

#include <algorithm>

#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::train {
namespace {

bool has_average(const torch::Tensor& tensor) {
  return tensor.scalar_type() == torch::kFloat && torch::isfinite(tensor).all().item<bool>();
}

bool laid_out_alike(const torch::Tensor& first, const torch::Tensor& second) {
  return first.is_non_overlapping_and_dense() && first.strides() == second.strides();
}

std::string name_of_steps() {
  return std::string(kinds::averaged_prefix) + "steps";
}

}  // namespace

Average::Average(const models::NamedTensors& weights, double decay)
    : decay_(decay), steps_(torch::zeros({}, torch::kLong)) {
  if (!on()) return;
  for (const auto& [name, tensor] : weights) {
    const torch::Tensor weight = tensor.detach();
    if (!has_average(weight)) continue;
    const torch::Tensor mean = weight.clone();
    averaged_.push_back({std::string(kinds::averaged_prefix) + name, weight, mean,
                         laid_out_alike(weight, mean) ? torch::Tensor() : weight.clone()});
  }
}

void Average::begin() {
  for (Averaged& averaged : averaged_) averaged.mean.copy_(averaged.weight);
  steps_.zero_();
}

void Average::settle(const std::set<std::string>& trained) {
  for (Averaged& averaged : averaged_) {
    const bool goes_on = trained.contains(averaged.name.substr(kinds::averaged_prefix.size()));
    if (goes_on) {
      averaged.mean.copy_(averaged.weight);
    } else {
      averaged.weight.copy_(averaged.mean);
    }
  }
  steps_.zero_();
}

void Average::update() {
  if (!on()) return;
  const auto t = static_cast<double>(steps_.item<std::int64_t>());
  const double decay = std::min(decay_, (1.0 + t) / (10.0 + t));
  for (Averaged& averaged : averaged_) averaged.mean.lerp_(averaged.weight, 1.0 - decay);
  steps_ += 1;
}

models::NamedTensors Average::state() const {
  models::NamedTensors state;
  if (!on()) return state;
  state.emplace_back(name_of_steps(), steps_);
  for (const Averaged& averaged : averaged_) state.emplace_back(averaged.name, averaged.mean);
  return state;
}

Status Average::take_up(const models::NamedTensors& tensors) {
  const bool there = std::any_of(tensors.begin(), tensors.end(), [](const auto& named) {
    return named.first == name_of_steps();
  });
  if (there) return models::restore(state(), tensors);
  begin();
  return {};
}

void Average::swap(Averaged& averaged) noexcept {
  auto& [name, weight, mean, spare] = averaged;
  if (!spare.defined()) {
    auto* values = weight.data_ptr<float>();
    std::swap_ranges(values, values + weight.numel(), mean.data_ptr<float>());
    return;
  }
  spare.copy_(weight);
  weight.copy_(mean);
  mean.copy_(spare);
}

AveragedWeights::AveragedWeights(Average& average) : average_(average) {
  for (Average::Averaged& averaged : average_.averaged_) Average::swap(averaged);
}

// Backwards: a tensor that two names share is swapped twice.
AveragedWeights::~AveragedWeights() {
  auto& averaged = average_.averaged_;
  std::for_each(averaged.rbegin(), averaged.rend(), Average::swap);
}

}  // namespace outcrop::train
