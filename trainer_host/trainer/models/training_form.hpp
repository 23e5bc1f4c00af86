#pragma once

#include <torch/script.h>

#include <functional>
#include <optional>
#include <set>
#include <string>

namespace outcrop::models {

// A module through which the parameters of a network are trained instead of by its own forward, from one tensor to one:
// `refresh` puts what its tensors are now, computed from the network's, into it or into a clone of it.
struct OtherForm {
  torch::jit::Module module;
  std::function<void(const torch::jit::Module&)> refresh;

  // Throws c10::Error as the module does.
  [[nodiscard]] torch::Tensor forward(const torch::Tensor& x);
};

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
  // From now on forward() goes through another form, whose children have the names of the network's; or, without one,
  // through the network again.
  void train_through(std::optional<OtherForm> other);
  // The first child of the module, in the order of computation, whose output for `x` holds a number
  // that is not finite: "mix3". Nothing where all are finite. `output` gets what forward() answers.
  [[nodiscard]] std::optional<std::string> first_non_finite(const torch::Tensor& x,
                                                            torch::Tensor& output);

 private:
  torch::jit::Module module_;
  torch::jit::Module fast_;
  torch::jit::Module watched_;  // fast_, telling what each child answers
  std::set<std::string> whole_;
  std::optional<OtherForm> other_;
};

}  // namespace outcrop::models
