#pragma once

#include <cstdint>
#include <vector>

namespace outcrop::generator {

// A noised value is signal · value + noise · standard normal noise; signal² + noise² = 1.
struct NoiseLevel {
  double signal = 1.0;
  double noise = 0.0;
};

// How many levels of noise a diffusion is trained at.
inline constexpr std::int64_t noise_steps = 256;

// Of all of them, from the least noise to next to nothing but noise: the cosine schedule (Nichol and Dhariwal
// 2021, "Improved denoising diffusion probabilistic models"), each step's variance held below .999 of all.
[[nodiscard]] const std::vector<NoiseLevel>& noise_levels();

// `count` of them as far apart, in rising order; the last one is the noisiest. Throws c10::Error unless
// 1 <= count <= noise_steps.
[[nodiscard]] std::vector<std::int64_t> chosen_steps(std::int64_t count);

}  // namespace outcrop::generator
