#include "trainer_host/trainer/train/epoch.hpp"

#include <cmath>

#include "trainer_host/trainer/evaluate/metrics.hpp"
#include "trainer_host/trainer/models/normalization.hpp"
#include "trainer_host/trainer/train/finite.hpp"
#include "trainer_host/trainer/train/loss.hpp"

namespace outcrop::train {
namespace {

constexpr std::size_t encode_batch = 32;

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

HeldOutScore score_reconstructions(const models::Generator& generator, const Samples& samples,
                                   std::size_t most) {
  torch::NoGradGuard no_gradient;
  evaluate::MeanScore mean;
  const std::size_t total = std::min(most, samples.size());
  for (std::size_t first = 0; first < total; first += encode_batch) {
    const std::size_t count = std::min(encode_batch, total - first);
    const auto latent = encode(generator, load_maps(samples, first, count));
    const auto maps = models::denormalize_velocity(models::run_layers(
        generator.velocity_decoder, models::velocity_decoder_layers(generator.shape), latent));
    for (std::size_t i = 0; i < count; ++i) {
      const auto map = maps[static_cast<std::int64_t>(i)].contiguous();
      mean.add(evaluate::score_velocity_map(samples.velocity(first + i),
                                            {map.data_ptr<float>(), data::grid::map_size}));
    }
  }
  return {mean.mean().ssim, mean.mean().mae};
}

}  // namespace outcrop::train
