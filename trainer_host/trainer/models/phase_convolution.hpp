#pragma once

#include <torch/script.h>

#include <cstdint>
#include <vector>

#include "trainer_host/trainer/models/layers.hpp"

namespace outcrop::models {

// How the output of a phase convolution lies: channel (row · columns + column) · channels + c at
// (y, x) is channel c of the transposed convolution at (y · rows + row, x · columns + column), less
// what `crop_rows` and `crop_columns` cut off on all sides.
struct Phases {
  std::int64_t rows = 1;  // the stride of the transposed convolution
  std::int64_t columns = 1;
  std::int64_t channels = 1;
  std::int64_t crop_rows = 0;  // its padding
  std::int64_t crop_columns = 0;
};

struct PhaseNetwork {
  torch::jit::Module network;
  Phases phases;
};

// `network`, as build_network made it of `layers`, with its last layer as a plain convolution of
// 2x2 positions that gives every phase of the stride a channel of its own. A transposed convolution
// whose kernel is twice its stride is exactly that (Shi et al. 2016, "Is the deconvolution layer
// the same as a convolutional layer?"): the same products, summed in the same output. int8 kernels
// spread a transposed convolution over as many small multiplications as there are phases, each for
// a few channels where they compute eight or sixteen at a time; here it is one. A layer that fills
// a grid does so channels last, the order in which int8 kernels read it. `network` is not changed.
// Throws c10::Error where the last layer is no such layer.
[[nodiscard]] PhaseNetwork with_phase_convolution(const torch::jit::Module& network,
                                                  std::vector<Layer> layers);

}  // namespace outcrop::models
