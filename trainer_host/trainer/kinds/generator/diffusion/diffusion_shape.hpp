#pragma once

#include <array>
#include <cstdint>

namespace outcrop::generator {

// A diffusion over latents, as a configuration says it.
struct DiffusionShape {
  std::int64_t width = 64;  // channels at full length; a multiple of 8
  // Along which its U-Net works: a latent's values have no order of their own, so that each place holds features of all of them.
  std::int64_t length = 16;
  // Channels of each level, times the width: each has half of the length of the one before it. 0: no such level.
  std::array<std::int64_t, 4> multipliers{1, 2, 2, 4};
  // Of latents those so many, along which they differ most, are drawn by the diffusion, and the others by the Gaussian: most
  // of a latent's directions hold hardly any of its variance, and cost as much as all others.
  std::int64_t components = 32;
  std::int64_t steps = 16;  // that a board takes from noise to a latent: 1 to noise_steps

  [[nodiscard]] constexpr std::int64_t levels() const {
    std::int64_t count = 0;
    for (const std::int64_t multiplier : multipliers) count += multiplier > 0 ? 1 : 0;
    return count;
  }
  // How many of a latent's values that is.
  [[nodiscard]] constexpr std::int64_t drawn(std::int64_t latent) const { return components < latent ? components : latent; }
  // What the length must be a multiple of.
  [[nodiscard]] constexpr std::int64_t divisor() const { return std::int64_t{1} << (levels() - 1); }
  bool operator==(const DiffusionShape&) const = default;
};

}  // namespace outcrop::generator
