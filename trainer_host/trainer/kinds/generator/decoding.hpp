#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <span>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/models/callable_model.hpp"

namespace outcrop::generator {

// What a generator makes of latents.
struct GeneratedPair {
  torch::Tensor velocity;  // [B,1,depth,width], m/s
  torch::Tensor seismic;   // [B,shots,times,width], pressure
};

// Of a contiguous float tensor, which must outlive them.
[[nodiscard]] inline std::span<const float> values(const torch::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

// `latents` [B, latent], B >= 1. Decoded one at a time, as boards do.
[[nodiscard]] Result<GeneratedPair> decode_each(models::CallableModel& model,
                                                const torch::Tensor& latents);
// The latent [1, latent] that forward(1, seed) decodes.
[[nodiscard]] Result<torch::Tensor> sample_latent(models::CallableModel& model, std::int64_t seed);

}  // namespace outcrop::generator
