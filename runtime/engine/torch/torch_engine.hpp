#pragma once

#include <memory>

#include "runtime/engine/engine.hpp"

namespace outcrop::runtime {

// LibTorch's lite interpreter. Builds against any LibTorch that has one, its mobile build
// included. Backends are LibTorch's quantized engines by name: "qnnpack" (QNNPACK's kernels for
// quint8 activations, XNNPACK's for qint8 ones and for mobile-optimized float) and "onednn",
// each where this build has it. Starting takes one thread, tests the quantized operators and
// sets process-wide state: one in a process.
[[nodiscard]] Result<std::unique_ptr<Engine>> start_torch_engine();

}  // namespace outcrop::runtime
