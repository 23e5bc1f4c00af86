#pragma once

#include <torch/torch.h>

#include <optional>

#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/kinds/generator/diffusion/sampler.hpp"
#include "trainer_host/trainer/kinds/generator/gathers/map_gathers.hpp"
#include "trainer_host/trainer/kinds/generator/generator.hpp"
#include "trainer_host/trainer/kinds/generator/latent_prior.hpp"
#include "trainer_host/trainer/kinds/generator/map_finish.hpp"

namespace outcrop::generator {

// A trained generator on its way to boards: both decoders as parts, put together by
// compose_generator(). Golden calls are what boards serve, forward(1, seed) for two seeds, and decode
// of the first latent, which is what the decoders were trained on. `latents` [N, latent], N >= 1: the
// encoder's of training maps, which have `geometry`. With a sampler its denoiser is a part too, calibrated by what it sees
// on the way from noise, and golden calls are sample() and one step of refine() besides.
[[nodiscard]] kinds::Export make_export(const Generator& generator, const LatentPrior& prior,
                                        const torch::Tensor& latents,
                                        const data::Geometry& geometry = {},
                                        std::optional<Sampler> sampler = std::nullopt);

// The same where gathers are made from the map: parts are the velocity decoder and what `maker` has that learned.
[[nodiscard]] kinds::Export make_export(const torch::jit::Module& velocity_decoder,
                                        const torch::jit::Module& encoder, MapGathers& maker,
                                        const MapFinish& finish,
                                        const LatentPrior& prior, const torch::Tensor& latents,
                                        const data::Geometry& geometry,
                                        std::optional<Sampler> sampler = std::nullopt);

}  // namespace outcrop::generator
