#include <algorithm>
#include <cmath>
#include <string>

#include "trainer_host/trainer/kinds/classifier/classifier_task.hpp"
#include "trainer_host/trainer/kinds/classifier/confusion.hpp"
#include "trainer_host/trainer/kinds/classifier/confusion_picture.hpp"
#include "trainer_host/trainer/kinds/classifier/exporting.hpp"

namespace outcrop::classifier {
namespace {

using torch::Tensor;

// Mean over some thousands says it as well, and distances to means take memory.
constexpr std::size_t most_in_mean_images = 10'000;

Tensor labels_of(const data::LabelledImages& images) {
  auto labels = torch::empty({static_cast<std::int64_t>(images.size())}, torch::kLong);
  std::copy(images.labels.begin(), images.labels.end(), labels.data_ptr<std::int64_t>());
  return labels;
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

// Each image is taken for the class whose mean image is the least distance away.
Tensor nearest_class_mean(const data::LabelledImages& training, const data::LabelledImages& judged,
                          std::int64_t classes) {
  const auto size = static_cast<std::int64_t>(training.shape.size());
  auto sums = torch::zeros({classes, size});
  auto counts = torch::zeros({classes, 1});
  for (const kinds::Draw& draw : evenly_chosen(training.size(), most_in_mean_images)) {
    const std::int64_t label = training.labels[draw.sample];
    sums[label] += raw_images(training, draw.sample, 1).flatten();
    counts[label] += 1.0;
  }
  const auto means = sums / counts.clamp_min(1.0);
  const auto images = raw_images(judged, 0, judged.size()).flatten(1);
  // |x - m|² without what is the same for each class.
  const auto distance = means.pow(2).sum(1) - 2.0 * torch::matmul(images, means.t());
  return certain(distance.argmin(1), classes);
}

}  // namespace

Result<messages::Quality> ClassifierTask::judge(models::CallableModel& model) {
  const torch::NoGradGuard no_gradient;
  OUTCROP_TRY(probabilities, answers_of(*this, model));
  const auto classes = static_cast<std::int64_t>(shape_.classes.size());
  const Tensor labels = labels_of(judged());
  const auto rows = labels.size(0);
  const Tensor shares =
      certain(labels_of(images_.training), classes).to(torch::kDouble).mean(0).to(torch::kFloat);
  messages::Quality quality;
  quality.samples = judged().size();
  quality.held_out = images_.held_out.size() > 0;
  quality.units = {{probabilities_output, ""}};
  quality.judged_by = "error";
  quality.model = scored("float", probabilities, labels);
  // The mean of the training data is how often each class is there: it answers the most frequent one.
  quality.baselines = {
      scored(std::string(messages::mean_baseline), shares.expand({rows, classes}), labels),
      scored("nearest class mean", nearest_class_mean(images_.training, judged(), classes),
             labels)};
  return quality;
}

Result<kinds::Evaluation> ClassifierTask::evaluate(const kinds::EvaluationRequest& request) {
  OUTCROP_TRY(evaluation, kinds::Task::evaluate(request));
  OUTCROP_TRY(counts, confusion_counts(*this, *request.variants.front().model));
  evaluation.picture = "confusion.png";
  evaluation.draw = [counts = std::move(counts), classes = shape_.classes](
                        const std::string&, const std::filesystem::path& png) {
    return draw_confusion(counts, classes, png);
  };
  return evaluation;
}

}  // namespace outcrop::classifier
