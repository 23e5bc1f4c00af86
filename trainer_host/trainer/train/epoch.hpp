#pragma once

#include <cstdint>
#include <functional>

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
};

// Scores reconstructed velocity maps of up to `most` samples. Generator in evaluation mode.
[[nodiscard]] HeldOutScore score_reconstructions(const models::Generator& generator,
                                                 const Samples& samples, std::size_t most);

}  // namespace outcrop::train
