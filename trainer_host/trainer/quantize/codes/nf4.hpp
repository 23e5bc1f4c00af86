#pragma once

#include <torch/torch.h>

#include <array>
#include <cstdint>

#include "protocol/base/error.hpp"

namespace outcrop::quantize {

// The sixteen values of NormalFloat4 (Dettmers et al. 2023, QLoRA, arXiv 2305.14314, appendix E), as
// bitsandbytes has them.
inline constexpr std::array<double, 16> nf4_table = {
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0};

inline constexpr std::int64_t nf4_second_block = 256;  // scales that share one, in double quantization

struct Nf4Options {
  std::int64_t block = 64;  // an even number of weights that share a scale
  // Scales in 8 bits each, in blocks of 256, around their mean: 4.127 bits a weight instead of 4.5. The map that they
  // need is 1 kB, once a file.
  bool double_quantization = true;
};

// A weight in NormalFloat4. Blocks are over the weight as it lies in memory, row after row, as
// bitsandbytes has them; the last may be shorter.
struct Nf4Codes {
  std::int64_t block = 64;
  torch::Tensor codes;  // uint8 [rows, columns], 0 to 15
  // float32 [blocks]: max|w| of each; of double quantization, what is left of it.
  torch::Tensor scales;
  // Of double quantization: scale = map[code] · second scale of its 256 + mean. Undefined without.
  torch::Tensor scale_codes;    // uint8 [blocks]
  torch::Tensor second_scales;  // float32 [blocks / 256, rounded up]
  torch::Tensor map;            // float32 [256], rising
  torch::Tensor mean;           // float32 [1]
};

// As bitsandbytes' quantize_4bit on a CPU (0.50: backends/default/ops.py). invalid_argument as check_weight has it, or
// where the block is odd or not positive.
[[nodiscard]] Result<Nf4Codes> nf4(const torch::Tensor& weight, const Nf4Options& options = {});

// float32 [rows, columns].
[[nodiscard]] torch::Tensor float_values(const Nf4Codes& weight);

// bitsandbytes' signed 8-bit dynamic map (Dettmers 2015, arXiv 1511.04561): float32 [256], rising. The same tensor
// for everybody, not to be changed: a file that has it many times keeps it once.
[[nodiscard]] const torch::Tensor& dynamic_map();

}  // namespace outcrop::quantize
