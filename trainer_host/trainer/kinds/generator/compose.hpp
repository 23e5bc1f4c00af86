#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/kinds/generator/diffusion/sampler.hpp"
#include "trainer_host/trainer/kinds/generator/latent_prior.hpp"
#include "trainer_host/trainer/kinds/generator/map_finish.hpp"
#include "trainer_host/trainer/models/phase_convolution.hpp"

namespace outcrop::generator {

// What a board gets: decoders (each takes [B,latent,1,1]) with the prior, the noise and the way back to
// physical units:
//   forward(batch_size: int, seed: int = 0) -> (velocity [B,1,rows,columns] in m/s, as `finish` makes them,
//                                               pressure [B,shots,times,columns])
//   decode(latent: Tensor [B,latent])       -> the same pair
//   latent(batch_size: int, seed: int)      -> Tensor [B,latent], what forward() decodes: computed
//                                              in integers, so the same bits on every machine
// With a sampler, latents are what it makes of the noise, in float, and there are its methods, too (diffusion/sampler.hpp).
// Every variant answers alike: float32, contiguous ([B, channel, row, column]), B = 0 gives tensors
// without rows, a negative B raises, and a latent with a value that is not finite gives a row of
// nothing but NaN, without an effect on the other rows.
// Row b depends on (seed, b) alone: bit for bit in its latent, and in its outputs as far as the
// decoders' kernels sum in the same order for every batch size (the integer ones do).
//
// A decoder answers normalized floats, or codes: the way back to physical units is then a table of
// 256 numbers, computed here: the same codes are the same bits on every machine, for a fraction of
// the instructions. A seismic decoder that answers codes ends in a phase convolution of
// `seismic_phases`.
// The modules are taken over, not copied. In evaluation mode. Throws c10::Error.
[[nodiscard]] torch::jit::Module compose_generator(kinds::PartForm velocity_decoder,
                                                   kinds::PartForm seismic_decoder,
                                                   const LatentPrior& prior,
                                                   const models::Phases& seismic_phases,
                                                   const MapFinish& finish = MapFinish(),
                                                   std::optional<Sampler> sampler = std::nullopt);

// The same for gathers that are made from the generated map: `gather_source` defines
//   gathers_over(velocity [1, rows, columns] in m/s) -> pressure [shots, times, columns]
// over the modules of `beside` ("maker", "gather_net"). `columns` are those of the sources. One sample at a
// time, whatever the batch: as much memory as one takes.
[[nodiscard]] torch::jit::Module compose_map_generator(
    kinds::PartForm velocity_decoder, std::vector<std::pair<std::string, torch::jit::Module>> beside,
    const std::string& gather_source, const std::vector<std::int64_t>& columns, const LatentPrior& prior,
    const MapFinish& finish = MapFinish(), std::optional<Sampler> sampler = std::nullopt);

}  // namespace outcrop::generator
