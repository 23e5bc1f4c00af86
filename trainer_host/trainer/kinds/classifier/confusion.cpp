#include "trainer_host/trainer/kinds/classifier/confusion.hpp"

#include <algorithm>

namespace outcrop::classifier {
namespace {

constexpr std::size_t images_a_call = 250;

}  // namespace

Result<torch::Tensor> answers_of(const ClassifierTask& task, models::CallableModel& model) {
  const torch::NoGradGuard no_gradient;
  const data::LabelledImages& images = task.judged();
  std::vector<torch::Tensor> answers;
  for (std::size_t first = 0; first < images.size(); first += images_a_call) {
    const std::size_t count = std::min(images_a_call, images.size() - first);
    OUTCROP_TRY(probabilities, model.call("forward", {raw_images(images, first, count)}));
    answers.push_back(probabilities.at(0));
  }
  const torch::Tensor all = torch::cat(answers);
  if (all.dim() != 2 || all.size(1) != static_cast<std::int64_t>(task.classes().size())) {
    return fail(ErrorCode::invalid_data, "the model answers for " +
                                             std::to_string(all.size(-1)) + " classes; there are " +
                                             std::to_string(task.classes().size()));
  }
  if (all.isfinite().all().item<bool>()) return all;
  return fail(ErrorCode::diverged, "a probability that it answers is not a finite number");
}

Result<ConfusionCounts> confusion_counts(const ClassifierTask& task,
                                         models::CallableModel& model) {
  OUTCROP_TRY(probabilities, answers_of(task, model));
  const torch::Tensor chosen = probabilities.argmax(1);
  const auto* const classes = chosen.data_ptr<std::int64_t>();
  const std::size_t count = task.classes().size();
  ConfusionCounts counts(count, std::vector<std::uint64_t>(count));
  const auto& labels = task.judged().labels;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    ++counts[labels[i]][static_cast<std::size_t>(classes[i])];
  }
  return counts;
}

}  // namespace outcrop::classifier
