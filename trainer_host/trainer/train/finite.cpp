#include "trainer_host/trainer/train/finite.hpp"

namespace outcrop::train {
namespace {

bool all_finite(const torch::Tensor& tensor) {
  return torch::isfinite(tensor).all().item<bool>();
}

std::optional<std::string> find_in_weights(const std::vector<kinds::Part>& parts) {
  for (const kinds::Part& part : parts) {
    for (const auto& parameter : part.network.named_parameters()) {
      if (!all_finite(parameter.value)) return "the weight " + part.name + "." + parameter.name;
    }
  }
  return std::nullopt;
}

std::optional<std::string> find_in_gradients(const std::vector<kinds::Part>& parts) {
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    std::optional<std::string> last;
    for (const auto& parameter : part->network.named_parameters()) {
      const auto& gradient = parameter.value.grad();
      if (gradient.defined() && !all_finite(gradient)) {
        last = "the gradient of " + part->name + "." + parameter.name;
      }
    }
    if (last) return last;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> first_non_finite(const kinds::Task& task,
                                            const std::optional<std::string>& place) {
  const torch::NoGradGuard no_gradient;
  const auto parts = task.parts();
  if (auto weight = find_in_weights(parts)) return weight;
  if (place) return place;
  return find_in_gradients(parts);
}

std::optional<std::string> first_non_finite(kinds::Task& task,
                                            std::span<const kinds::Draw> draws) {
  return first_non_finite(task, task.non_finite_place(draws));
}

}  // namespace outcrop::train
