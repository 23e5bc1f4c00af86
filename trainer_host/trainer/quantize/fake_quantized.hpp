#pragma once

#include <torch/script.h>

#include <map>
#include <memory>
#include <string>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/models/layered_form.hpp"
#include "trainer_host/trainer/models/model_file.hpp"
#include "trainer_host/trainer/models/training_form.hpp"
#include "trainer_host/trainer/quantize/observed_network.hpp"

namespace outcrop::quantize {

// Code maps of codes from 0 up, by the tensors' names (observed_network.hpp).
using TrainedRanges = std::map<std::string, CodeMap>;
// Each as a tensor of two floats, scale and zero point.
[[nodiscard]] models::NamedTensors to_tensors(const TrainedRanges& ranges);
// invalid_data, by name, where a tensor is no code map.
[[nodiscard]] Result<TrainedRanges> ranges_in(const models::NamedTensors& tensors);

// A network as static int8 will compute it, in floats that gradients pass (fake quantization, Jacob et al. 2018):
// weights and activations are rounded to the values of their codes at the places where LibTorch's passes will make
// codes, since the same passes put the rounding there. Batch norms are folded by their running statistics, as a
// function of the network's own parameters: these are trained, by the names that they have in float.
class FakeQuantized {
 public:
  // `network`'s tensors are looked at anew in each forward. `example` is a row of its input. unsupported where it is no
  // network for static int8 (plan_layers), or not from one tensor to one.
  [[nodiscard]] static Result<FakeQuantized> make(const torch::jit::Module& network, const ArgumentRows& example,
                                                  const StaticQuantization& options);

  // As static int8 chooses them, from `calibration` and the weights as they are.
  [[nodiscard]] Status choose_ranges(const ArgumentRows& calibration);
  [[nodiscard]] Status set_ranges(const TrainedRanges& ranges) { return fix_ranges(observed_.tensors, ranges); }
  [[nodiscard]] TrainedRanges ranges() const;
  [[nodiscard]] models::OtherForm form() const { return {observed_.module, refresh_}; }
  // Of many rows, without gradients.
  [[nodiscard]] torch::Tensor answers(const ArgumentRows& rows) const;

 private:
  FakeQuantized(ObservedNetwork observed, std::function<void(const torch::jit::Module&)> refresh)
      : observed_(std::move(observed)), refresh_(std::move(refresh)) {}

  ObservedNetwork observed_;
  std::function<void(const torch::jit::Module&)> refresh_;
};

// How many of the samples that there are choose ranges in training.
inline constexpr std::int64_t rows_for_ranges = 256;

// What is trained is what every kernel can do: activations in 256 codes, and scales of weights as XNNPACK's take them, one
// for a transposed convolution or linear layer and one for each channel of others.
inline constexpr ActivationType trained_for = ActivationType::qint8;

// The scales that weights of `converted` have where `trained`, the same network in another form perhaps, was trained so:
// for StaticQuantization. Both layered.
[[nodiscard]] std::map<std::string, torch::Tensor> trained_weight_scales(const torch::jit::Module& trained,
                                                                         const torch::jit::Module& converted,
                                                                         ActivationType activations);

// Rows from which on a difference beyond chance may not be larger than it should be.
inline constexpr std::int64_t rows_to_agree_on = 256;

// refused, with figures, unless the error of `converted` is that of `fake` within .1 dB, or within what chance does to so many
// rows (three standard deviations of their differences); of fewer than rows_to_agree_on rows within both together. Each answers rows as tensors of floats, as `truth`,
// which is float's, does.
[[nodiscard]] Status check_agreement(const torch::Tensor& truth, const torch::Tensor& fake,
                                     const torch::Tensor& converted);

// The same of classes, which lie along axis 1: the share of those named as float names them is the same within .1 point (or
// one, where that is more). refused, with both shares.
[[nodiscard]] Status check_same_classes(const torch::Tensor& truth, const torch::Tensor& fake,
                                        const torch::Tensor& converted);

}  // namespace outcrop::quantize
