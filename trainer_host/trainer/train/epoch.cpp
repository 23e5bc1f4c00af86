#include "trainer_host/trainer/train/epoch.hpp"

#include <cmath>

#include "trainer_host/trainer/evaluate/metrics.hpp"
#include "trainer_host/trainer/models/normalization.hpp"
#include "trainer_host/trainer/train/finite.hpp"
#include "trainer_host/trainer/train/loss.hpp"

namespace outcrop::train {
namespace {

constexpr std::size_t encode_batch = 32;
constexpr std::size_t score_batch = 8;  // gathers of so many samples at once
constexpr std::size_t most_maps_scored = 64;
constexpr std::size_t trained_for_one_scored = 16;  // samples

torch::Tensor load_maps(const Samples& samples, std::size_t first, std::size_t count) {
  auto maps =
      torch::empty({static_cast<std::int64_t>(count), 1, data::grid::depth, data::grid::width});
  for (std::size_t i = 0; i < count; ++i) {
    const auto values = samples.velocity(first + i);
    std::copy(values.begin(), values.end(), maps[static_cast<std::int64_t>(i)].data_ptr<float>());
  }
  return maps;
}

torch::Tensor encode(const models::Generator& generator, const torch::Tensor& maps) {
  return models::run_layers(generator.encoder, models::encoder_layers(generator.shape),
                            models::normalize_velocity(maps));
}

Result<StepLoss> diverged(const models::Generator& generator, const Batch& batch) {
  return fail(ErrorCode::diverged,
              first_non_finite(generator, batch).value_or("the loss") + " is not finite");
}

// Of batches that differ in size.
class MeanLoss {
 public:
  void add(const torch::Tensor& loss, std::size_t samples) {
    sum_ += loss.item<double>() * static_cast<double>(samples);
    samples_ += samples;
  }
  [[nodiscard]] std::optional<double> mean() const {
    if (samples_ == 0 || !std::isfinite(sum_)) return std::nullopt;
    return sum_ / static_cast<double>(samples_);
  }

 private:
  double sum_ = 0.0;
  std::size_t samples_ = 0;
};

}  // namespace

Adam make_optimizer(const models::Generator& generator, const LoopConfig& config) {
  models::NamedTensors parameters;
  std::vector<double> rates;
  for (auto& [name, tensor] : models::state_of(generator)) {
    if (!tensor.requires_grad()) continue;  // statistics of BatchNorm
    rates.push_back(name.starts_with("seismic_decoder.") ? config.seismic_rate : 1.0);
    parameters.emplace_back(name, tensor);
  }
  return {std::move(parameters), config.weight_decay, std::move(rates)};
}

Result<StepLoss> train_step(const models::Generator& generator, Adam& optimizer, const Batch& batch,
                            const LoopConfig& config, double learning_rate) {
  optimizer.zero_gradients();
  const auto& shape = generator.shape;
  const auto latent =
      models::run_layers(generator.encoder, models::encoder_layers(shape), batch.velocity);
  const auto map = models::run_layers(generator.velocity_decoder,
                                      models::velocity_decoder_layers(shape), latent);
  auto seismic_latent = latent.detach();
  if (config.seismic_in_latent > 0.0) {
    seismic_latent = seismic_latent + (latent - seismic_latent) * config.seismic_in_latent;
  }
  const auto gathers = models::run_layers(generator.seismic_decoder,
                                          models::seismic_decoder_layers(shape), seismic_latent);
  const auto of_velocity = velocity_loss(map, batch.velocity, config.edge_weight);
  const auto of_gathers = gather_loss(gathers, batch.gathers, batch.shot_weight);
  const StepLoss loss{of_velocity.item<double>(), of_gathers.item<double>()};
  if (!std::isfinite(loss.velocity) || !std::isfinite(loss.gathers)) {
    return diverged(generator, batch);
  }
  (of_velocity + of_gathers + latent.pow(2).mean() * config.latent_penalty).backward();
  const double norm = optimizer.gradient_norm();
  if (!std::isfinite(norm)) return diverged(generator, batch);
  optimizer.step(learning_rate, std::min(1.0, config.gradient_clip / std::max(norm, 1e-12)));
  return loss;
}

torch::Tensor encode_all(const models::Generator& generator, const Samples& samples) {
  torch::NoGradGuard no_gradient;
  std::vector<torch::Tensor> parts;
  for (std::size_t first = 0; first < samples.size(); first += encode_batch) {
    const std::size_t count = std::min(encode_batch, samples.size() - first);
    parts.push_back(encode(generator, load_maps(samples, first, count)).flatten(1));
  }
  return torch::cat(parts);
}

ScoredSamples scored_each_epoch(std::size_t training, std::size_t held_out) {
  const std::size_t maps = std::min(held_out, most_maps_scored);
  return {maps, std::min(maps, std::max<std::size_t>(1, training / trained_for_one_scored))};
}

HeldOutScore score_held_out(const models::Generator& generator, const Samples& samples,
                            const ScoredSamples& scored, double edge_weight) {
  torch::NoGradGuard no_gradient;
  evaluate::MeanScore score;
  MeanLoss of_velocity;
  MeanLoss of_gathers;
  for (std::size_t first = 0; first < scored.maps; first += score_batch) {
    const std::size_t count = std::min(score_batch, scored.maps - first);
    const auto truth = load_maps(samples, first, count);
    const auto latent = encode(generator, truth);
    const auto decoded = models::run_layers(
        generator.velocity_decoder, models::velocity_decoder_layers(generator.shape), latent);
    of_velocity.add(velocity_loss(decoded, models::normalize_velocity(truth), edge_weight), count);
    const auto maps = models::denormalize_velocity(decoded);
    for (std::size_t i = 0; i < count; ++i) {
      const auto map = maps[static_cast<std::int64_t>(i)].contiguous();
      score.add(evaluate::score_velocity_map(samples.velocity(first + i),
                                             {map.data_ptr<float>(), data::grid::map_size}));
    }
    if (first >= scored.gathers) continue;
    const std::size_t recorded = std::min(count, scored.gathers - first);
    std::vector<Draw> draws(recorded);
    for (std::size_t i = 0; i < recorded; ++i) draws[i].sample = first + i;
    const Batch batch = load_batch(samples, draws);
    const auto gathers = models::run_layers(
        generator.seismic_decoder, models::seismic_decoder_layers(generator.shape),
        latent.slice(0, 0, static_cast<std::int64_t>(recorded)));
    of_gathers.add(gather_loss(gathers, batch.gathers, batch.shot_weight), recorded);
  }
  return {score.mean().ssim, score.mean().mae, of_velocity.mean(), of_gathers.mean()};
}

}  // namespace outcrop::train
