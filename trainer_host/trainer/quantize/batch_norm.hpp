#pragma once

#include <torch/script.h>

namespace outcrop::quantize {

// Batch norms folded into the convolutions and transposed convolutions before them, where they fold;
// `network` is unchanged. LibTorch's own pass knows plain convolutions only.
[[nodiscard]] torch::jit::Module fold_batch_norm(const torch::jit::Module& network);

}  // namespace outcrop::quantize
