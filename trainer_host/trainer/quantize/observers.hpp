#pragma once

#include <torch/script.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace outcrop::quantize {

// Observers are TorchScript modules that the graph-mode passes put behind the tensors that will
// be int8: `forward(x)` watches and returns x, `calculate_qparams()` answers scale and zero point.

// How the range of an activation is chosen.
//   min_max        everything seen fits: no clipping, the coarsest steps
//   squared_error  the range that minimizes the squared error of quantizing what was seen: a few
//                  outliers are clipped for finer steps (FACTS: MobileNetV2 69.5 against 68.5)
enum class RangeSearch { min_max, squared_error };

// The int8 form of activations, which decides the kernels that LibTorch's engine "qnnpack" runs.
enum class ActivationType {
  quint8,  // QNNPACK's kernels
  qint8,   // XNNPACK's kernels
};

// Scales below 2^-12 are outside what XNNPACK's requantization was made for; both kernel sets
// keep to it, so that one calibration serves both.
inline constexpr double smallest_scale = 1.0 / 4096;

// For activations, per tensor, asymmetric. Calibration data run through twice: first for the
// extremes, then, `counting` set, for a histogram between them, which squared_error searches
// (min_max needs no second run). Attributes beyond what the passes ask for:
//   counting: bool          see above; false at first
//   floor, ceiling: float   what whoever reads the tensor clamps it to anyway (0 and up where a
//                           ReLU follows); no codes are spent beyond
[[nodiscard]] torch::jit::Module make_activation_observer(
    const std::shared_ptr<torch::jit::CompilationUnit>& unit, ActivationType type,
    RangeSearch search);

// For weights: qint8, symmetric within [-127, 127], zero point 0. One scale for each slice along
// `channel_axis`, or one for the whole tensor where there is none. The range is always searched
// by squared error.
[[nodiscard]] torch::jit::Module make_weight_observer(
    const std::shared_ptr<torch::jit::CompilationUnit>& unit,
    std::optional<std::int64_t> channel_axis);

}  // namespace outcrop::quantize
