#include "trainer_host/trainer/kinds/segmentation/confusion.hpp"

namespace outcrop::segmentation {

void Confusion::add(const torch::Tensor& truth, const torch::Tensor& answer) {
  const std::int64_t classes = counts_.size(0);
  const auto pairs =
      truth.flatten().to(torch::kLong) * classes + answer.flatten().to(torch::kLong);
  counts_ += torch::bincount(pairs, {}, classes * classes).reshape({classes, classes});
}

double Confusion::accuracy() const {
  return counts_.diag().sum().item<double>() / counts_.sum().item<double>();
}

torch::Tensor Confusion::iou() const {
  const auto right = counts_.diag().to(torch::kDouble);
  return right / (counts_.sum(0) + counts_.sum(1) - counts_.diag()).to(torch::kDouble);
}

double Confusion::mean_iou() const {
  return iou().index({counts_.sum(1) > 0}).mean().item<double>();
}

messages::OutputScore Confusion::score() const {
  return {{{"accuracy", accuracy()}, {"error", 1.0 - accuracy()}, {"iou", mean_iou()}}};
}

}  // namespace outcrop::segmentation
