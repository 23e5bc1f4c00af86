#include "trainer_host/trainer/kinds/segmentation/scoring.hpp"

namespace outcrop::segmentation {
namespace {

constexpr std::int64_t called_at_once = 8;  // samples, and fewer of maps beyond...
constexpr std::int64_t cells_at_once = 1 << 20;  // ...together: answers go through pipes
constexpr std::int64_t velocity_steps = 30;

torch::Tensor step_of(const torch::Tensor& velocity, const earth::VelocityBounds& bounds) {
  const double size = (bounds.fastest - bounds.slowest) / velocity_steps;
  return ((velocity - bounds.slowest) / size).to(torch::kLong).clamp(0, velocity_steps - 1);
}

// The most frequent class for each of `keys` values of `key` [n]; `labels` [n].
torch::Tensor most_frequent(const torch::Tensor& key, const torch::Tensor& labels,
                            std::int64_t keys, std::int64_t classes) {
  return torch::bincount(key * classes + labels, {}, keys * classes)
      .reshape({keys, classes})
      .argmax(1);
}

Told told(std::string name, const torch::Tensor& answer, const LabelledSamples& samples,
          std::int64_t classes) {
  Told line{std::move(name), Confusion(classes)};
  line.confusion.add(samples.labels, answer.expand_as(samples.labels));
  return line;
}

}  // namespace

Result<torch::Tensor> classes_told(models::CallableModel& model, const LabelledSamples& samples) {
  std::vector<torch::Tensor> parts;
  const std::int64_t at_once = samples_within(samples, called_at_once, cells_at_once);
  for (std::int64_t first = 0; first < samples.velocity.size(0); first += at_once) {
    const auto some = [&](const torch::Tensor& all) {
      return all.slice(0, first, std::min(first + at_once, all.size(0))).contiguous();
    };
    OUTCROP_TRY(answer, model.call("forward", {some(samples.velocity), some(samples.energy)}));
    if (!answer.at(0).isfinite().all().item<bool>()) {
      return fail(ErrorCode::diverged, "a probability that it answers is not a finite number");
    }
    parts.push_back(answer[0].argmax(-1));
  }
  return torch::cat(parts);
}

std::vector<Told> baselines(const LabelledSamples& training, const LabelledSamples& samples,
                            std::int64_t classes, const earth::VelocityBounds& bounds) {
  const bool learned = training.size() > 0;
  const LabelledSamples& from = learned ? training : samples;
  const auto labels = from.labels.to(torch::kLong);
  const std::int64_t cells = labels.size(1) * labels.size(2);
  const auto places = torch::arange(cells).expand({labels.size(0), cells}).flatten();
  const auto of_place = most_frequent(places, labels.flatten(), cells, classes);
  const auto majority = torch::bincount(labels.flatten(), {}, classes).argmax();
  const auto of_step = most_frequent(step_of(from.velocity, bounds).flatten(), labels.flatten(),
                                     velocity_steps, classes);
  const auto by_velocity = of_step.index_select(0, step_of(samples.velocity, bounds).flatten());
  return {told(learned ? std::string(messages::mean_baseline) : "mean of the data themselves",
               of_place.reshape({1, labels.size(1), labels.size(2)}), samples, classes),
          told("majority class", majority.reshape({1, 1, 1}), samples, classes),
          told("thresholds on velocity", by_velocity.reshape(samples.labels.sizes()), samples,
               classes)};
}

}  // namespace outcrop::segmentation
