#include "trainer_host/trainer/kinds/classes/confusion.hpp"

namespace outcrop::classes {

ConfusionCounts confusion_counts(const torch::Tensor& probabilities, const torch::Tensor& labels) {
  const torch::Tensor chosen = probabilities.argmax(1);
  const auto classes = static_cast<std::size_t>(probabilities.size(1));
  const auto* const taken_for = chosen.data_ptr<std::int64_t>();
  const auto* const is = labels.data_ptr<std::int64_t>();
  ConfusionCounts counts(classes, std::vector<std::uint64_t>(classes));
  for (std::int64_t i = 0; i < labels.size(0); ++i) {
    ++counts[static_cast<std::size_t>(is[i])][static_cast<std::size_t>(taken_for[i])];
  }
  return counts;
}

}  // namespace outcrop::classes
