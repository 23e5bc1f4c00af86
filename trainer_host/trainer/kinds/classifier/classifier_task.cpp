#include "trainer_host/trainer/kinds/classifier/classifier_task.hpp"

#include <algorithm>
#include <cmath>

#include "trainer_host/trainer/kinds/classes/class_answers.hpp"
#include "trainer_host/trainer/kinds/classifier/exporting.hpp"

namespace outcrop::classifier {
namespace {

using torch::Tensor;

constexpr std::size_t score_batch = 250;
// A call takes a third of a step: these take about a twentieth of an epoch.
constexpr std::size_t trained_for_one_scored = 6;
constexpr std::size_t least_scored = 1000;

}  // namespace

ClassifierTask::ClassifierTask(const ClassifierRecipe& recipe, ClassifierShape shape,
                               SplitImages images, std::uint64_t seed)
    : recipe_(recipe),
      shape_(std::move(shape)),
      images_(std::move(images)),
      pixel_scale_(make_pixel_scale(images_.training)),
      network_(make_network(shape_, seed), whole_layers()) {}

std::vector<kinds::Part> ClassifierTask::parts() const {
  return {{"network", network_.module()}, {"pixels", pixel_scale_}};
}

kinds::Phase ClassifierTask::phase(std::int64_t) const {
  return kinds::whole(*this);
}

std::vector<kinds::Column> ClassifierTask::columns() const {
  using Meaning = kinds::Column::Meaning;
  return {{"cross_entropy_loss", "cross-entropy", Meaning::loss},
          {"held_out_cross_entropy_loss", "cross-entropy, held out", Meaning::held_out_loss},
          {"held_out_accuracy", "accuracy on held-out images", Meaning::score}};
}

Tensor ClassifierTask::logits(const Tensor& images) {
  return network_.forward(images).flatten(1);
}

Tensor ClassifierTask::cross_entropy(const Tensor& logits, const Tensor& labels) const {
  return torch::nn::functional::cross_entropy(
      logits, labels,
      torch::nn::functional::CrossEntropyFuncOptions().label_smoothing(recipe_.label_smoothing));
}

kinds::Loss ClassifierTask::loss(const kinds::Phase&, std::span<const kinds::Draw> draws) {
  const Batch batch = load_batch(images_.training, draws, pixel_scale_, recipe_.shift);
  const Tensor loss = cross_entropy(logits(batch.images), batch.labels);
  return {loss, {loss.item<double>()}};
}

bool ClassifierTask::train_through(const std::string& part, std::optional<models::OtherForm> form) {
  if (part != "network") return !form;
  network_.train_through(std::move(form));
  return true;
}

std::optional<std::string> ClassifierTask::non_finite_place(std::span<const kinds::Draw> draws) {
  const torch::NoGradGuard no_gradient;
  const Batch batch = load_batch(images_.training, draws, pixel_scale_, recipe_.shift);
  Tensor ignored;
  const auto layer = network_.first_non_finite(batch.images, ignored);
  return layer ? std::optional("the output of network." + *layer) : std::nullopt;
}

std::vector<std::optional<double>> ClassifierTask::score_held_out() {
  const torch::NoGradGuard no_gradient;
  const data::LabelledImages& images = images_.held_out;
  if (images.size() == 0) return {std::nullopt, std::nullopt};
  const auto draws = classes::evenly_chosen(
      images.size(), std::max(least_scored, images_.training.size() / trained_for_one_scored));
  double loss = 0.0;
  double right = 0.0;
  for (std::size_t first = 0; first < draws.size(); first += score_batch) {
    const auto some = std::span(draws).subspan(first, std::min(score_batch, draws.size() - first));
    const Batch batch = load_batch(images, some, pixel_scale_, 0);
    const Tensor answers = logits(batch.images);
    loss += cross_entropy(answers, batch.labels).item<double>() * static_cast<double>(some.size());
    right += (answers.argmax(1) == batch.labels).sum().item<double>();
  }
  if (!std::isfinite(loss)) return {std::nullopt, std::nullopt};
  const auto count = static_cast<double>(draws.size());
  return {loss / count, right / count};
}

kinds::Export ClassifierTask::make_export() {
  return classifier::make_export(shape_, network_.module(), pixel_scale_, images_.training,
                                 judged());
}

}  // namespace outcrop::classifier
