#pragma once

#include <torch/custom_class.h>
#include <torch/script.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "trainer_host/trainer/quantize/activation_range.hpp"
#include "trainer_host/trainer/quantize/seen_values.hpp"

namespace outcrop::quantize {

// Observers are TorchScript modules that the graph-mode passes put behind the tensors that will
// be int8: `forward(x)` watches and returns x, `calculate_qparams()` answers scale and zero point. Those of
// quantization-aware training return what x will be in int8 instead.

// What the observer of an activation keeps, as its attribute `statistics`. A copy of it is one of nothing yet:
// passes copy one observer for all the tensors that they put it behind.
class ActivationStatistics final : public torch::CustomClassHolder {
 public:
  ActivationStatistics(ActivationType type, RangeSearch search) : type_(type), search_(search) {}

  // What whoever reads the tensor clamps it to anyway (0 and up where a ReLU follows): no codes are
  // spent beyond. To be set before anything is seen.
  void limit(double floor, double ceiling);
  void see(const torch::Tensor& x);
  // The codes are chosen: from here on nothing is looked at, and what comes by goes on as the values of its codes,
  // gradients straight through within their range (Jacob et al. 2018). `map` has codes from 0 up.
  void fix(CodeMap map) { fixed_ = map; }
  [[nodiscard]] torch::Tensor passed(const torch::Tensor& x);
  // `x` to the values of those codes; as it is, and not looked at, where they are not chosen yet.
  [[nodiscard]] torch::Tensor rounded(const torch::Tensor& x) const;
  // With codes from 0 up, as chosen or as what was seen says.
  [[nodiscard]] CodeMap code_map() const;
  // Scale and zero point, each a tensor of one.
  [[nodiscard]] std::tuple<torch::Tensor, torch::Tensor> parameters() const;

  [[nodiscard]] const SeenValues& seen() const { return seen_; }
  // A number that is not finite came by; it was not counted.
  [[nodiscard]] bool not_finite() const { return not_finite_; }
  // What makes another of its kind.
  [[nodiscard]] std::tuple<std::int64_t, std::int64_t> kind() const {
    return {static_cast<std::int64_t>(type_), static_cast<std::int64_t>(search_)};
  }

 private:
  ActivationType type_;
  RangeSearch search_;
  double floor_ = -std::numeric_limits<float>::max();
  double ceiling_ = std::numeric_limits<float>::max();
  std::optional<CodeMap> fixed_;
  mutable std::optional<CodeMap> chosen_;  // by what was seen so far, once somebody asked: the search looks at thousands of bins
  SeenValues seen_;
  bool not_finite_ = false;
};

// For activations, per tensor, asymmetric. Calibration data run through once.
[[nodiscard]] torch::jit::Module make_activation_observer(
    const std::shared_ptr<torch::jit::CompilationUnit>& unit, ActivationType type,
    RangeSearch search);

// Of an observer of activations; null for any other module.
[[nodiscard]] ActivationStatistics* statistics_of(const torch::jit::Module& module);

// An observer of a tensor, and that tensor in words: "mix1" for what layer mix1 answers (behind its
// ReLU, too), "input", "add behind mix1", "a constant of add behind mix1".
struct ObservedTensor {
  std::string name;
  torch::jit::Module observer;
};

// All of them in `observed`, those of forward's own graph first, in the order of execution: constants, whose place in a graph
// says nothing, where they are read.
[[nodiscard]] std::vector<ObservedTensor> observed_tensors(const torch::jit::Module& observed);

// For weights: qint8, symmetric within [-127, 127], zero point 0. One scale for each slice along
// `channel_axis`, or one for the whole tensor where there is none. The range is searched by squared
// error, unless `scales` are given, as choose_weight_scales answers them.
[[nodiscard]] torch::jit::Module make_weight_observer(
    const std::shared_ptr<torch::jit::CompilationUnit>& unit,
    std::optional<std::int64_t> channel_axis, const torch::Tensor& scales = {});

// For weights in quantization-aware training: forward answers them as the values of their codes, gradients straight
// through. Scales are `scales`, or what puts the largest value of each slice at the last code.
[[nodiscard]] torch::jit::Module make_weight_rounding(
    const std::shared_ptr<torch::jit::CompilationUnit>& unit,
    std::optional<std::int64_t> channel_axis, const torch::Tensor& scales = {});

// The scales that it puts there: [channels], or [1] without an axis.
[[nodiscard]] torch::Tensor largest_weight_scales(const torch::Tensor& weight,
                                                  std::optional<std::int64_t> channel_axis);

// The scales that make_weight_observer's chooses: [channels], or [1] without an axis.
[[nodiscard]] torch::Tensor choose_weight_scales(const torch::Tensor& weight,
                                                 std::optional<std::int64_t> channel_axis);

}  // namespace outcrop::quantize
