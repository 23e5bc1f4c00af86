#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "protocol/messages/artifact.hpp"
#include "protocol/messages/signature.hpp"
#include "trainer_host/trainer/data/geometry.hpp"

namespace outcrop::generator {

// What an exported generator takes and gives: forward(batch_size, seed), which boards serve, and the
// two methods that it is made of, decode(latent) and latent(batch_size, seed). Latents have `latent`
// numbers; maps and gathers are those of `geometry`. Of a sampler of so many `steps` also sample(noise), refine(noised, steps)
// and path(noise); 0: there is none.
[[nodiscard]] messages::Signature generator_signature(std::int64_t latent,
                                                      const data::Geometry& geometry = {},
                                                      std::int64_t steps = 0);

// How far off its variants may be where no policy says otherwise, in OpenFWI's ranges (1500..4500 m/s,
// pressure about -27..53).
[[nodiscard]] std::map<std::string, messages::OutputBounds> generator_bounds();

}  // namespace outcrop::generator
