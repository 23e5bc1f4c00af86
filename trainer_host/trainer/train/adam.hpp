#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/models/model_file.hpp"

namespace outcrop::train {

// AdamW (Loshchilov and Hutter 2019; beta 0.9 and 0.999, epsilon 1e-8) in one pass over memory for
// each tensor: torch::optim takes a dozen, which here cost a tenth of a training step. Elementwise,
// so the result does not depend on the number of threads.
class Adam {
 public:
  // `parameters` are shared and updated in place. `rates`, where not empty, holds for each of them
  // a factor on the learning rate.
  Adam(models::NamedTensors parameters, double weight_decay, std::vector<double> rates = {});

  // Euclidean norm over all gradients; tensors without one count as zero. Not finite when any
  // value is not.
  [[nodiscard]] double gradient_norm() const;
  // One update with gradients multiplied by `gradient_scale`.
  void step(double learning_rate, double gradient_scale);
  void zero_gradients();

  [[nodiscard]] const models::NamedTensors& parameters() const { return parameters_; }

  // Moments and step count, named "adam.<parameter>.first" and so on.
  [[nodiscard]] models::NamedTensors state() const;
  // invalid_data names a tensor that is missing or has another shape.
  [[nodiscard]] Status restore(const models::NamedTensors& tensors);

 private:
  models::NamedTensors parameters_;
  std::vector<torch::Tensor> first_;   // moving mean of gradients
  std::vector<torch::Tensor> second_;  // moving mean of their squares
  std::vector<double> rates_;
  double weight_decay_;
  torch::Tensor steps_;  // int64 []
};

}  // namespace outcrop::train
