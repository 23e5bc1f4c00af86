#pragma once

#include <torch/script.h>

#include <optional>
#include <set>
#include <string>

namespace outcrop::models {

// A network as it is trained: `forward` of the exported module itself, its graph rewritten where
// LibTorch has a faster way to the same numbers. One description of a network serves training and
// boards, and what is trained is what is shipped.
//
// Rewritten: conv_transpose2d without groups, dilation and output padding
// (fast_transposed_convolution.hpp), and the convolutions of the children named `whole`, each with a
// kernel that covers all of its input: as a product of matrices it reads its weights once for a batch
// instead of once for each sample. Parameters and buffers are those of the module, not copies.
class TrainingForm {
 public:
  explicit TrainingForm(torch::jit::Module network, const std::set<std::string>& whole = {});

  [[nodiscard]] const torch::jit::Module& module() const { return module_; }
  // Batch statistics (and dropout), or, false, the running ones.
  void train(bool on);
  // Throws c10::Error as the module does.
  [[nodiscard]] torch::Tensor forward(const torch::Tensor& x);
  // The first child of the module, in the order of computation, whose output for `x` holds a number
  // that is not finite: "mix3". Nothing where all are finite. `output` gets what forward() answers.
  [[nodiscard]] std::optional<std::string> first_non_finite(const torch::Tensor& x,
                                                            torch::Tensor& output);

 private:
  torch::jit::Module module_;
  torch::jit::Module fast_;
  torch::jit::Module watched_;  // fast_, telling what each child answers
};

}  // namespace outcrop::models
