#include "trainer_host/trainer/kinds/segmentation/segmentation_task.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/kinds/earth/learned_geometry.hpp"
#include "trainer_host/trainer/kinds/segmentation/compose.hpp"
#include "trainer_host/trainer/kinds/segmentation/confusion.hpp"

namespace outcrop::segmentation {
namespace {

// Of maps larger than OpenFWI's fewer, for they go through the network together.
constexpr std::int64_t most_scored = 64;  // held-out samples after each epoch
constexpr std::int64_t most_scored_cells = 1 << 20;
constexpr std::int64_t most_calibrated = 256;  // inputs given to quantization
constexpr std::int64_t most_calibrated_cells = 1 << 21;

// Of the share of cells that are of a class: the square root, so that rare ones count more and not
// without bounds. Their mean over classes that there are is 1.
torch::Tensor weights_of_classes(const LabelledSamples& samples, std::int64_t classes) {
  if (samples.size() == 0) return torch::ones({classes});
  const auto counts = torch::bincount(samples.labels.flatten().to(torch::kLong), {}, classes);
  const auto there = counts > 0;
  auto weights = torch::where(there, counts.clamp_min(1).to(torch::kDouble).rsqrt(), 0.0);
  weights = weights * there.sum() / weights.sum();
  return weights.to(torch::kFloat);
}

LabelledSamples first_of(const LabelledSamples& samples, std::int64_t count) {
  const auto last = std::min(count, samples.velocity.size(0));
  return {samples.velocity.slice(0, 0, last), samples.energy.slice(0, 0, last),
          samples.labels.slice(0, 0, last)};
}

torch::jit::Module make_network(const SegmentationShape& shape, std::uint64_t seed) {
  return models::build_network("__torch__.outcrop.SegmentationNetwork", segmentation_layers(shape),
                               at::detail::createCPUGenerator(seed));
}

}  // namespace

SegmentationTask::SegmentationTask(const SegmentationRecipe& recipe, LabelledData data,
                                   std::uint64_t seed)
    : recipe_(recipe),
      data_(std::move(data)),
      class_weights_(weights_of_classes(data_.training, recipe.shape.classes)),
      network_(make_network(recipe.shape, seed)) {}

std::vector<kinds::Part> SegmentationTask::parts() const {
  return {{"network", network_.module()}};
}

std::string SegmentationTask::shape() const {
  nlohmann::json json{{"width", recipe_.shape.width},
                      {"classes", recipe_.classes},
                      {"size", recipe_.shape.size}};
  earth::keep_geometry(json, data_.geometry);
  return json_text(json);
}

kinds::Phase SegmentationTask::phase(std::int64_t) const {
  return kinds::whole(*this);
}

std::vector<kinds::Column> SegmentationTask::columns() const {
  using Meaning = kinds::Column::Meaning;
  return {{"class_loss", "classes", Meaning::loss},
          {"held_out_class_loss", "classes, held out", Meaning::held_out_loss},
          {"held_out_iou", "mean IoU of held-out maps", Meaning::score},
          {"held_out_accuracy", "accuracy of held-out maps", Meaning::score}};
}

torch::Tensor SegmentationTask::logits(const LabelledSamples& samples) {
  return network_.forward(network_input(samples.velocity, samples.energy, bounds()));
}

kinds::Loss SegmentationTask::loss(const kinds::Phase&, std::span<const kinds::Draw> draws) {
  const LabelledSamples batch = batch_of(data_.training, draws);
  const auto loss = torch::cross_entropy_loss(logits(batch), batch.labels.to(torch::kLong),
                                              class_weights_);
  return {loss, {loss.item<double>()}};
}

bool SegmentationTask::train_through(const std::string& part, std::optional<models::OtherForm> form) {
  if (part != "network") return !form;
  network_.train_through(std::move(form));
  return true;
}

std::optional<std::string> SegmentationTask::non_finite_place(
    std::span<const kinds::Draw> draws) {
  const torch::NoGradGuard no_gradient;
  const LabelledSamples batch = batch_of(data_.training, draws);
  torch::Tensor ignored;
  const auto layer = network_.first_non_finite(
      network_input(batch.velocity, batch.energy, bounds()), ignored);
  if (!layer) return std::nullopt;
  return "the output of network." + *layer;
}

std::vector<std::optional<double>> SegmentationTask::score_held_out() {
  const torch::NoGradGuard no_gradient;
  if (data_.held_out.size() == 0) return std::vector<std::optional<double>>(3);
  const LabelledSamples samples = first_of(
      data_.held_out, samples_within(data_.held_out, most_scored, most_scored_cells));
  const auto answer = logits(samples);
  const auto loss =
      torch::cross_entropy_loss(answer, samples.labels.to(torch::kLong), class_weights_)
          .item<double>();
  Confusion confusion(recipe_.shape.classes);
  confusion.add(samples.labels, answer.argmax(1));
  const auto finite = [](double value) {
    return std::isfinite(value) ? std::optional(value) : std::nullopt;
  };
  return {finite(loss), finite(confusion.mean_iou()), confusion.accuracy()};
}

kinds::Export SegmentationTask::make_export() {
  const LabelledSamples& samples = data_.training;
  const auto input = [&](const LabelledSamples& of) {
    return network_input(of.velocity, of.energy, bounds());
  };
  const std::int64_t calibrated = samples_within(samples, most_calibrated, most_calibrated_cells);
  kinds::Export model;
  model.parts = {{"network", network_.module(), {input(first_of(samples, calibrated))}}};
  model.compose = [bounds = bounds()](std::vector<kinds::PartForm> forms) {
    return compose_segmentation(std::move(forms.at(0)), bounds);
  };
  model.signature = segmentation_signature(recipe_.shape, bounds());
  for (const std::int64_t rows : {1, 2}) {
    const LabelledSamples some = first_of(samples, rows);
    model.goldens.push_back(
        {"forward", {some.velocity.contiguous(), some.energy.contiguous()}});
  }
  // Probabilities: a cell at a border between classes may tip over.
  model.bounds = {{"probability", {{1e-4, 5e-2}, {0.08, 1.0}, {1e-3, 5e-2}}}};
  std::string names;
  for (const std::string& name : recipe_.classes) names += (names.empty() ? "" : ", ") + name;
  model.about = {{"classes", names}};
  return model;
}

}  // namespace outcrop::segmentation
