#include <algorithm>
#include <string>

#include "trainer_host/trainer/kinds/classes/class_answers.hpp"
#include "trainer_host/trainer/kinds/classes/confusion.hpp"
#include "trainer_host/trainer/kinds/classes/confusion_picture.hpp"
#include "trainer_host/trainer/kinds/classifier/classifier_task.hpp"

namespace outcrop::classifier {
namespace {

using torch::Tensor;

// Mean over some thousands says it as well, and distances to means take memory.
constexpr std::size_t most_in_mean_images = 10'000;
constexpr std::size_t images_a_call = 250;

Tensor labels_of(const data::LabelledImages& images) {
  auto labels = torch::empty({static_cast<std::int64_t>(images.size())}, torch::kLong);
  std::copy(images.labels.begin(), images.labels.end(), labels.data_ptr<std::int64_t>());
  return labels;
}

// Each image is taken for the class whose mean image is the least distance away.
Tensor nearest_class_mean(const data::LabelledImages& training, const data::LabelledImages& judged,
                          std::int64_t classes) {
  const auto size = static_cast<std::int64_t>(training.shape.size());
  auto sums = torch::zeros({classes, size});
  auto counts = torch::zeros({classes, 1});
  for (const kinds::Draw& draw : classes::evenly_chosen(training.size(), most_in_mean_images)) {
    const std::int64_t label = training.labels[draw.sample];
    sums[label] += raw_images(training, draw.sample, 1).flatten();
    counts[label] += 1.0;
  }
  const auto means = sums / counts.clamp_min(1.0);
  const auto images = raw_images(judged, 0, judged.size()).flatten(1);
  // |x - m|² without what is the same for each class.
  const auto distance = means.pow(2).sum(1) - 2.0 * torch::matmul(images, means.t());
  return classes::certain(distance.argmin(1), classes);
}

}  // namespace

Result<Tensor> ClassifierTask::answers_of(models::CallableModel& model) const {
  const torch::NoGradGuard no_gradient;
  std::vector<Tensor> answers;
  for (std::size_t first = 0; first < judged().size(); first += images_a_call) {
    const std::size_t count = std::min(images_a_call, judged().size() - first);
    OUTCROP_TRY(probabilities, model.call("forward", {raw_images(judged(), first, count)}));
    answers.push_back(probabilities.at(0));
  }
  return classes::joined_answers(answers, shape_.classes.size());
}

Tensor ClassifierTask::judged_labels() const {
  return labels_of(judged());
}

Result<messages::Quality> ClassifierTask::judge(models::CallableModel& model) {
  const torch::NoGradGuard no_gradient;
  OUTCROP_TRY(probabilities, answers_of(model));

  const auto classes = static_cast<std::int64_t>(shape_.classes.size());
  const Tensor labels = judged_labels();
  messages::Quality quality;
  quality.samples = judged().size();
  quality.held_out = images_.held_out.size() > 0;
  quality.units = {{classes::probabilities_output, ""}};
  quality.judged_by = "error";
  quality.model = classes::scored("float", probabilities, labels);
  quality.baselines = {
      classes::scored_mean(labels_of(images_.training), labels, classes),
      classes::scored("nearest class mean", nearest_class_mean(images_.training, judged(), classes), labels)};
  return quality;
}

Result<kinds::Evaluation> ClassifierTask::evaluate(const kinds::EvaluationRequest& request) {
  OUTCROP_TRY(evaluation, kinds::Task::evaluate(request));
  OUTCROP_TRY(probabilities, answers_of(*request.variants.front().model));
  evaluation.picture = "confusion.png";
  evaluation.draw = [counts = classes::confusion_counts(probabilities, judged_labels()), classes = shape_.classes](
                        const std::string&, const std::filesystem::path& png) {
    return classes::draw_confusion(counts, classes, "images", png);
  };
  return evaluation;
}

}  // namespace outcrop::classifier
