#include "trainer_host/trainer/kinds/answers_classes.hpp"

namespace outcrop::kinds {

bool are_probabilities(const torch::Tensor& answers) {
  constexpr double sum_off = 1e-3;
  if (answers.dim() != 2 || answers.numel() == 0 || (answers < 0).any().item<bool>()) return false;
  return ((answers.sum(1) - 1.0).abs() < sum_off).all().item<bool>();
}

}  // namespace outcrop::kinds
