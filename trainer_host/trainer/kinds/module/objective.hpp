#pragma once

#include <torch/torch.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/quality.hpp"

namespace outcrop::user_module {

// What a module is trained by and judged by: of its first output and the target.
class Objective {
 public:
  // Regression: the target has the output's shape, float32. Classes: the target is int64 and has it
  // without the dimension behind the rows, which holds a logit for each class.
  enum class Loss { mse, mae, huber, cross_entropy, binary_cross_entropy };

  explicit Objective(Loss loss = Loss::mse) : loss_(loss) {}
  // "mse", "mae", "huber", "cross-entropy", "binary-cross-entropy" (of logits). invalid_argument with
  // these.
  [[nodiscard]] static Result<Objective> named(std::string_view name);
  [[nodiscard]] std::string name() const;
  [[nodiscard]] bool of_classes() const { return loss_ == Loss::cross_entropy; }

  // Of any number of rows each. invalid_data says what the target should be like for such an output.
  [[nodiscard]] Status check(const torch::Tensor& output, const torch::Tensor& target) const;
  [[nodiscard]] torch::Tensor loss(const torch::Tensor& output, const torch::Tensor& target) const;
  // "accuracy" and "error" of classes (and of yes or no), else "rmse" and "mae".
  [[nodiscard]] messages::OutputScore score(const torch::Tensor& output,
                                            const torch::Tensor& target) const;
  // The metric that curves show: "accuracy" or "rmse"; and the one that a release is judged by.
  [[nodiscard]] std::string shown() const { return counts_right() ? "accuracy" : "rmse"; }
  [[nodiscard]] std::string judged_by() const { return counts_right() ? "error" : "rmse"; }
  // What one that learned nothing but `targets` answers, for `rows` rows: their mean, or the logits of
  // how often each of `classes` was there.
  [[nodiscard]] torch::Tensor mean_answer(const torch::Tensor& targets, const torch::Tensor& output) const;

 private:
  [[nodiscard]] bool counts_right() const {
    return loss_ == Loss::cross_entropy || loss_ == Loss::binary_cross_entropy;
  }
  Loss loss_;
};

}  // namespace outcrop::user_module
