#pragma once

#include <torch/script.h>

#include <cstdint>
#include <limits>
#include <vector>

namespace outcrop::quantize {

// Rows [N, …] of each argument of a network, in the order of forward's: as many of one as of the other.
class ArgumentRows {
 public:
  ArgumentRows(torch::Tensor only) : arguments_{std::move(only)} {}  // NOLINT(google-explicit-constructor): most take one
  ArgumentRows(std::vector<torch::Tensor> arguments) : arguments_(std::move(arguments)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] std::int64_t size() const { return arguments_.front().size(0); }
  [[nodiscard]] const std::vector<torch::Tensor>& arguments() const { return arguments_; }
  // Rows from `first` up to, and without, `end`; as far as there are any.
  [[nodiscard]] ArgumentRows slice(std::int64_t first, std::int64_t end) const;
  // Those at the places that `index` has, an int64 tensor.
  [[nodiscard]] ArgumentRows at(const torch::Tensor& index) const;
  // At most so many, as far apart.
  [[nodiscard]] ArgumentRows evenly_chosen(std::int64_t most) const;
  [[nodiscard]] std::vector<c10::IValue> values() const { return {arguments_.begin(), arguments_.end()}; }

 private:
  std::vector<torch::Tensor> arguments_;
};

// Each output of `network`, of all rows, `batch` of them at a time, within ± `limit`: floats, and codes as floats.
// Throws c10::Error.
[[nodiscard]] std::vector<torch::Tensor> answers_to(const ArgumentRows& rows, torch::jit::Module network, std::int64_t batch,
                                                    double limit = std::numeric_limits<float>::max());

}  // namespace outcrop::quantize
