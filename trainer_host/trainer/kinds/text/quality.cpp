#include <algorithm>

#include "trainer_host/trainer/kinds/classes/class_answers.hpp"
#include "trainer_host/trainer/kinds/classes/confusion.hpp"
#include "trainer_host/trainer/kinds/classes/confusion_picture.hpp"
#include "trainer_host/trainer/kinds/text/naive_bayes.hpp"
#include "trainer_host/trainer/kinds/text/text_task.hpp"

namespace outcrop::text {
namespace {

constexpr std::int64_t texts_a_call = 64;

}  // namespace

Result<torch::Tensor> TextTask::answers_of(models::CallableModel& model) const {
  const torch::NoGradGuard no_gradient;
  std::vector<torch::Tensor> answers;
  for (std::int64_t first = 0; first < judged().size(); first += texts_a_call) {
    OUTCROP_TRY(probabilities, model.call("forward", {judged().ids.slice(0, first, first + texts_a_call).contiguous()}));
    answers.push_back(probabilities.at(0));
  }
  return classes::joined_answers(answers, shape_.classes.size());
}

Result<messages::Quality> TextTask::judge(models::CallableModel& model) {
  const torch::NoGradGuard no_gradient;
  OUTCROP_TRY(probabilities, answers_of(model));
  const bool held_out = held_out_.size() > 0;
  const auto& labels = judged().labels;
  messages::Quality quality;
  quality.samples = static_cast<std::uint64_t>(judged().size());
  quality.held_out = held_out;
  quality.units = {{classes::probabilities_output, ""}};
  quality.judged_by = "error";
  quality.model = classes::scored("float", probabilities, labels);
  quality.baselines = {
      classes::scored_mean(training_.labels, labels, static_cast<std::int64_t>(shape_.classes.size())),
      classes::scored("naive Bayes over words",
                      naive_bayes(texts_.training, held_out ? texts_.held_out : texts_.training, shape_.classes,
                                  shape_.letters),
                      labels)};
  return quality;
}

Result<kinds::Evaluation> TextTask::evaluate(const kinds::EvaluationRequest& request) {
  OUTCROP_TRY(evaluation, kinds::Task::evaluate(request));
  OUTCROP_TRY(probabilities, answers_of(*request.variants.front().model));
  evaluation.picture = "confusion.png";
  evaluation.draw = [counts = classes::confusion_counts(probabilities, judged().labels), names = shape_.classes](
                        const std::string&, const std::filesystem::path& png) {
    return classes::draw_confusion(counts, names, "texts", png);
  };
  return evaluation;
}

}  // namespace outcrop::text
