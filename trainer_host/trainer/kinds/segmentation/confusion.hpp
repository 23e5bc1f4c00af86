#pragma once

#include <torch/torch.h>

#include <cstdint>

#include "protocol/messages/quality.hpp"

namespace outcrop::segmentation {

// How often cells of each class were taken for each: rows are the truth.
class Confusion {
 public:
  explicit Confusion(std::int64_t classes) : counts_(torch::zeros({classes, classes}, torch::kLong)) {}

  // Integer tensors of one shape, values 0 to classes - 1.
  void add(const torch::Tensor& truth, const torch::Tensor& answer);

  [[nodiscard]] const torch::Tensor& counts() const { return counts_; }  // [classes, classes]
  // The share of cells that are right.
  [[nodiscard]] double accuracy() const;
  // Intersection over union (Jaccard index) of each class, NaN where neither truth nor answer has it...
  [[nodiscard]] torch::Tensor iou() const;  // [classes], double
  // ...and its mean over classes that the truth has.
  [[nodiscard]] double mean_iou() const;
  // "accuracy", "error" (1 - accuracy) and "iou".
  [[nodiscard]] messages::OutputScore score() const;

 private:
  torch::Tensor counts_;
};

}  // namespace outcrop::segmentation
