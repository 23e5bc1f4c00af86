#include "trainer_host/trainer/kinds/module/objective.hpp"

#include <array>
#include <cmath>

#include "protocol/base/join.hpp"

namespace outcrop::user_module {
namespace {

using torch::Tensor;
using Loss = Objective::Loss;

constexpr std::array<std::pair<std::string_view, Loss>, 5> losses{{
    {"mse", Loss::mse},
    {"mae", Loss::mae},
    {"huber", Loss::huber},
    {"cross-entropy", Loss::cross_entropy},
    {"binary-cross-entropy", Loss::binary_cross_entropy},
}};

// "[N, 3]": of rows, however many there are.
std::string sizes_text(c10::IntArrayRef sizes) {
  std::string text = "[N";
  for (const std::int64_t size : sizes.slice(1)) text += ", " + std::to_string(size);
  return text + "]";
}

bool same_rows(const Tensor& target, c10::IntArrayRef wanted) {
  return target.sizes().slice(1) == wanted.slice(1);
}

// Without the dimension of the classes, which stands behind that of the rows.
std::vector<std::int64_t> without_classes(c10::IntArrayRef sizes) {
  std::vector<std::int64_t> rest(sizes.begin(), sizes.end());
  if (rest.size() > 1) rest.erase(rest.begin() + 1);
  return rest;
}

}  // namespace

Result<Objective> Objective::named(std::string_view name) {
  std::vector<std::string> names;
  for (const auto& [known, loss] : losses) {
    if (known == name) return Objective(loss);
    names.emplace_back(known);
  }
  return fail(ErrorCode::invalid_argument,
              "there is no loss '" + std::string(name) + "'; there are: " + join(names));
}

std::string Objective::name() const {
  for (const auto& [known, loss] : losses) {
    if (loss == loss_) return std::string(known);
  }
  return {};
}

Status Objective::check(const Tensor& output, const Tensor& target) const {
  const auto refuse = [&](const std::string& wanted) {
    return fail(ErrorCode::invalid_data,
                "the target is " + std::string(target.is_floating_point() ? "float32 " : "int64 ") +
                    sizes_text(target.sizes()) + "; for the loss '" + name() + "' and an output of " +
                    sizes_text(output.sizes()) + " it must be " + wanted);
  };
  if (!output.is_floating_point()) {
    return fail(ErrorCode::unsupported,
                "its first output is int64, which nothing can be learned or judged by here");
  }
  if (!of_classes()) {
    if (target.is_floating_point() && same_rows(target, output.sizes())) return {};
    return refuse("float32 of the same shape");
  }
  const auto wanted = without_classes(output.sizes());
  if (output.dim() < 2 || target.is_floating_point() || !same_rows(target, wanted)) {
    return refuse("int64 " + sizes_text(wanted) + ", a class each");
  }
  const auto least = target.min().item<std::int64_t>();
  const auto most = target.max().item<std::int64_t>();
  if (least >= 0 && most < output.size(1)) return {};
  return fail(ErrorCode::invalid_data, "the target holds classes from " + std::to_string(least) +
                                           " to " + std::to_string(most) + "; the output has " +
                                           std::to_string(output.size(1)) + ", from 0");
}

Tensor Objective::loss(const Tensor& output, const Tensor& target) const {
  switch (loss_) {
    case Loss::mse: return torch::mse_loss(output, target);
    case Loss::mae: return torch::l1_loss(output, target);
    case Loss::huber: return torch::smooth_l1_loss(output, target);
    case Loss::cross_entropy: return torch::cross_entropy_loss(output, target);
    case Loss::binary_cross_entropy:
      return torch::binary_cross_entropy_with_logits(output, target);
  }
  return {};
}

messages::OutputScore Objective::score(const Tensor& output, const Tensor& target) const {
  if (counts_right()) {
    const auto right = of_classes() ? output.argmax(1) == target : (output > 0) == (target > 0.5);
    const auto share = right.to(torch::kDouble).mean().item<double>();
    return {{{"accuracy", share}, {"error", 1.0 - share}}};
  }
  const auto distance = (output - target).to(torch::kDouble);
  return {{{"rmse", std::sqrt(distance.pow(2).mean().item<double>())},
           {"mae", distance.abs().mean().item<double>()}}};
}

Tensor Objective::mean_answer(const Tensor& targets, const Tensor& output) const {
  if (!of_classes()) {
    const auto mean = targets.to(torch::kDouble).mean(0, true).to(torch::kFloat);
    // A logit has the sign of what is more frequent.
    const auto shown = loss_ == Loss::binary_cross_entropy ? mean - 0.5 : mean;
    return shown.expand(output.sizes());
  }
  std::vector<std::int64_t> shape(static_cast<std::size_t>(output.dim()), 1);
  shape[1] = output.size(1);
  return torch::bincount(targets.flatten(), {}, output.size(1))
      .to(torch::kFloat)
      .reshape(shape)
      .expand(output.sizes());
}

}  // namespace outcrop::user_module
