#pragma once

#include <torch/script.h>

#include <cstdint>

namespace outcrop::models {

// Counter-based normal noise in integers, the same bits on every machine: Philox4x32-10 (Salmon
// et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) in int64 tensor operations, and
// for each 32-bit word two look-ups in a table of 4096 normal quantiles, which are added.
//
// A TorchScript module with
//   philox(c0, c1, c2, c3: Tensor, key0: int, key1: int) -> List[Tensor]   one block a counter
//   forward(batch_size: int, seed: int) -> Tensor    int64 [batch_size, values], standard normal
//                                                    in units of 2^-noise_fraction_bits
// Row b depends on (seed, b) alone, so a larger batch begins with the smaller one.
// `values` must be a multiple of 4.
[[nodiscard]] torch::jit::Module make_noise(std::int64_t values);

inline constexpr int noise_fraction_bits = 20;

}  // namespace outcrop::models
