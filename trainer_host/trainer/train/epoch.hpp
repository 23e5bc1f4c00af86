#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/models/generator.hpp"
#include "trainer_host/trainer/train/adam.hpp"
#include "trainer_host/trainer/train/config.hpp"
#include "trainer_host/trainer/train/samples.hpp"

namespace outcrop::train {

struct StepLoss {
  double velocity = 0.0;  // normalized units
  double gathers = 0.0;
};

// The optimizer for all three networks.
[[nodiscard]] Adam make_optimizer(const models::Generator& generator, const LoopConfig& config);

// One optimizer step. The gather loss trains the seismic decoder; `config.seismic_in_latent` of
// its gradient goes on into the encoder. `diverged` names the place of the first number that is
// not finite; the weights are then unchanged.
[[nodiscard]] Result<StepLoss> train_step(const models::Generator& generator, Adam& optimizer,
                                          const Batch& batch, const LoopConfig& config,
                                          double learning_rate);

// The encoder's latents [N, latent] of all samples, unflipped. Generator in evaluation mode.
[[nodiscard]] torch::Tensor encode_all(const models::Generator& generator, const Samples& samples);

struct HeldOutScore {
  double ssim = 0.0;
  double mae = 0.0;  // m/s
  // As training computes them, in normalized units; nothing where one is not finite.
  std::optional<double> velocity_loss;
  std::optional<double> gather_loss;
};

// How many samples score_held_out() looks at.
struct ScoredSamples {
  std::size_t maps = 0;     // reconstructed: SSIM, error, loss of maps
  std::size_t gathers = 0;  // the first of them, whose gathers are made too
};

// What an epoch over `training` samples can spare: up to 64 maps, and gathers, which take most of a
// call, of one sample for 16 that were trained on (at least one). A step is three times as much work
// as a call, so the gathers' loss takes about 2 % of an epoch's time.
[[nodiscard]] ScoredSamples scored_each_epoch(std::size_t training, std::size_t held_out);

// Scores what the generator reconstructs of the first samples. Generator in evaluation mode.
[[nodiscard]] HeldOutScore score_held_out(const models::Generator& generator,
                                          const Samples& samples, const ScoredSamples& scored,
                                          double edge_weight);

}  // namespace outcrop::train
