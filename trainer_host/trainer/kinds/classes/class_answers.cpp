#include "trainer_host/trainer/kinds/classes/class_answers.hpp"

#include <algorithm>
#include <cmath>

#include "protocol/base/join.hpp"

namespace outcrop::classes {
namespace {

using torch::Tensor;

constexpr std::size_t longest_fact = 256;  // bytes, as SCHEMA.md has it

// The names of the classes where they fit, else what can be said of them.
std::string in_words(const std::vector<std::string>& classes) {
  std::string names = join(classes);
  if (names.size() <= longest_fact) return names;
  names = std::to_string(classes.size()) + ", from " + classes.front() + " to " + classes.back();
  return names.size() <= longest_fact ? names : std::to_string(classes.size());
}

// The share of rows whose largest value stands in the same place.
double same_class(const std::string&, const Tensor& truth, const Tensor& other) {
  return (truth.argmax(1) == other.argmax(1)).to(torch::kDouble).mean().item<double>();
}

}  // namespace

Result<Tensor> joined_answers(const std::vector<Tensor>& answers, std::size_t classes) {
  const Tensor all = torch::cat(answers);
  if (all.dim() != 2 || all.size(1) != static_cast<std::int64_t>(classes)) {
    return fail(ErrorCode::invalid_data, "the model answers for " + std::to_string(all.size(-1)) +
                                             " classes; there are " + std::to_string(classes));
  }
  if (all.isfinite().all().item<bool>()) return all;
  return fail(ErrorCode::diverged, "a probability that it answers is not a finite number");
}

Tensor certain(const Tensor& labels, std::int64_t classes) {
  return torch::one_hot(labels, classes).to(torch::kFloat);
}

messages::ScoredModel scored(std::string name, const Tensor& probabilities, const Tensor& labels) {
  const auto right = (probabilities.argmax(1) == labels).to(torch::kDouble).mean().item<double>();
  const auto distance = probabilities - certain(labels, probabilities.size(1));
  const auto square = distance.to(torch::kDouble).pow(2).mean().item<double>();
  return {std::move(name),
          {{probabilities_output,
            {{{"accuracy", right}, {"error", 1.0 - right}, {"rmse", std::sqrt(square)}}}}}};
}

messages::ScoredModel scored_mean(const Tensor& trained_labels, const Tensor& labels, std::int64_t classes) {
  const Tensor shares = certain(trained_labels, classes).to(torch::kDouble).mean(0).to(torch::kFloat);
  return scored(std::string(messages::mean_baseline), shares.expand({labels.size(0), classes}), labels);
}

void answer_classes(kinds::Export& exported, messages::Input input, const std::vector<std::string>& names) {
  const messages::TensorType probabilities{
      "float32", {"batch", static_cast<std::int64_t>(names.size())}, "", messages::Range{0, 1}};
  exported.signature = {
      "forward",
      {{"forward", {std::move(input)}, {{probabilities_output, probabilities, messages::Score::label}}}}};
  exported.bounds = {{probabilities_output, {{1e-3, 1e-2}, {0.1, 0.9}, {1e-3, 2e-2}}}};
  exported.about = {{"classes", in_words(names)}};
  exported.likeness_name = "same class";
  exported.likeness = same_class;
}

std::vector<kinds::Draw> evenly_chosen(std::size_t count, std::size_t most) {
  const std::size_t chosen = std::min(count, most);
  std::vector<kinds::Draw> draws(chosen);
  for (std::size_t i = 0; i < chosen; ++i) draws[i].sample = i * count / chosen;
  return draws;
}

}  // namespace outcrop::classes
