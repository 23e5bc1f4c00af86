#include "trainer_host/trainer/analyze/class_comparison.hpp"

#include <limits>

#include "trainer_host/trainer/analyze/examine.hpp"

namespace outcrop::analyze {
namespace {

using torch::Tensor;

std::size_t count(const Tensor& which) {
  return static_cast<std::size_t>(which.sum().item<std::int64_t>());
}

}  // namespace

Tensor logits_of(const Tensor& probabilities) {
  const Tensor logits = probabilities.to(torch::kDouble).clamp_min(std::numeric_limits<float>::min()).log();
  return logits - logits.mean(1, /*keepdim=*/true);
}

ClassComparison compare_classes(const Tensor& before, const Tensor& after, const Tensor& labels) {
  const torch::NoGradGuard no_gradient;
  const Tensor right_before = before.argmax(1) == labels;
  const Tensor right_after = after.argmax(1) == labels;
  return {mcnemar(count(right_before & ~right_after), count(right_after & ~right_before)),
          distance_of(logits_of(before), logits_of(after)).sqnr_db()};
}

}  // namespace outcrop::analyze
