#include "trainer_host/trainer/train/adam.hpp"

#include <ATen/Parallel.h>

#include <cmath>

#include "trainer_host/trainer/models/elementwise.hpp"

namespace outcrop::train {
namespace {

constexpr double beta1 = 0.9;
constexpr double beta2 = 0.999;
constexpr float epsilon = 1e-8F;
constexpr std::int64_t values_a_task = 16384;

const torch::Tensor* find(const models::NamedTensors& tensors, const std::string& name) {
  for (const auto& [candidate, tensor] : tensors) {
    if (candidate == name) return &tensor;
  }
  return nullptr;
}

}  // namespace

Adam::Adam(models::NamedTensors parameters, double weight_decay, std::vector<double> rates)
    : parameters_(std::move(parameters)),
      rates_(std::move(rates)),
      weight_decay_(weight_decay),
      steps_(torch::zeros({}, torch::kLong)) {
  rates_.resize(parameters_.size(), 1.0);
  for (const auto& [name, parameter] : parameters_) {
    first_.push_back(torch::zeros(parameter.sizes()));
    second_.push_back(torch::zeros(parameter.sizes()));
  }
}

double Adam::gradient_norm() const {
  double squares = 0.0;
  for (const auto& [name, parameter] : parameters_) {
    if (!parameter.grad().defined()) continue;
    const double norm = parameter.grad().norm().item<double>();
    squares += norm * norm;
  }
  return std::sqrt(squares);
}

void Adam::step(double learning_rate, double gradient_scale) {
  steps_ += 1;
  const auto t = static_cast<double>(steps_.item<std::int64_t>());
  models::AdamCoefficients c{
      .decay = 0.0F,
      .gradient_scale = static_cast<float>(gradient_scale),
      .step_size = 0.0F,
      .second_correction = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(beta2, t))),
      .beta1 = static_cast<float>(beta1),
      .beta2 = static_cast<float>(beta2),
      .epsilon = epsilon};
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const torch::Tensor& parameter = parameters_[i].second;
    if (!parameter.grad().defined()) continue;
    const double rate = learning_rate * rates_[i];
    c.decay = static_cast<float>(1.0 - rate * weight_decay_);
    c.step_size = static_cast<float>(rate / (1.0 - std::pow(beta1, t)));
    const torch::Tensor gradient = parameter.grad().contiguous();
    float* weight = parameter.data_ptr<float>();
    const float* slope = gradient.data_ptr<float>();
    float* first = first_[i].data_ptr<float>();
    float* second = second_[i].data_ptr<float>();
    at::parallel_for(
        0, parameter.numel(), values_a_task, [&](std::int64_t begin, std::int64_t end) {
          models::adam_update(weight + begin, slope + begin, first + begin, second + begin, end - begin, c);
        });
  }
}

void Adam::zero_gradients() {
  // Dropped, not filled: the next backward pass writes instead of adding.
  for (auto& [name, parameter] : parameters_) parameter.mutable_grad().reset();
}

models::NamedTensors Adam::state() const {
  models::NamedTensors state{{"adam.steps", steps_}};
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].first;
    state.emplace_back("adam." + name + ".first", first_[i]);
    state.emplace_back("adam." + name + ".second", second_[i]);
  }
  return state;
}

Status Adam::restore(const models::NamedTensors& tensors) {
  for (auto& [name, target] : state()) {
    const torch::Tensor* source = find(tensors, name);
    if (source == nullptr || source->sizes() != target.sizes() ||
        source->scalar_type() != target.scalar_type()) {
      return fail(ErrorCode::invalid_data,
                  "tensor " + name + " is missing or has another shape than the model");
    }
    target.copy_(*source);
  }
  return {};
}

}  // namespace outcrop::train
