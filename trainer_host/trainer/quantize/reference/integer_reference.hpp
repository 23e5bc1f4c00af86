#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace outcrop::quantize::reference {

// What int8 operators are, from their definition in integers: what every engine's kernels are held against. Slow
// and plain; without LibTorch.
//
// A value is (code - zero_point) · scale. Products are added up in 32 bits; a sum becomes a code as
//   clamp(round_half_to_even(sum · scale_of_sum / scale_of_output) + zero_point),
// the factor and the product as floats, which is what QNNPACK and XNNPACK compute.

// How codes are to be read, and between which they lie: 0 and 255 (quint8), -128 and 127 (qint8).
struct Coding {
  double scale = 1.0;
  std::int32_t zero_point = 0;
  std::int32_t lowest = 0;
  std::int32_t highest = 255;
};

// [N, C, H, W]; what has fewer axes has 1 there: along one axis it is [N, C, 1, W], of linear layers [N, C, 1, 1].
using Shape = std::array<std::int64_t, 4>;

struct CodeTensor {
  Shape shape{};
  std::vector<std::int32_t> codes;
  Coding coding;
};

// Symmetric, in [-127, 127]: [out, in / groups, kh, kw]; of transposed convolutions [in, out / groups, kh, kw].
struct CodeWeights {
  Shape shape{};
  std::vector<std::int32_t> codes;
  std::vector<double> scales;  // one, or one for each channel that comes out
  std::vector<double> bias;    // floats, one for each channel; rounded to codes of input's times weights' scale
};

struct Placement {
  std::array<std::int64_t, 2> stride{1, 1};
  std::array<std::int64_t, 2> padding{0, 0};
  std::array<std::int64_t, 2> dilation{1, 1};
  std::array<std::int64_t, 2> output_padding{0, 0};  // of transposed convolutions
  std::int64_t groups = 1;
};

// A ReLU keeps codes at the output's zero point and above.
[[nodiscard]] CodeTensor convolve(const CodeTensor& x, const CodeWeights& weights, const Placement& placement,
                                  const Coding& output, bool relu);
[[nodiscard]] CodeTensor convolve_transposed(const CodeTensor& x, const CodeWeights& weights,
                                             const Placement& placement, const Coding& output);
// x [N, in, 1, 1], weights [out, in, 1, 1].
[[nodiscard]] CodeTensor linear(const CodeTensor& x, const CodeWeights& weights, const Coding& output, bool relu);
// a and b of one shape.
[[nodiscard]] CodeTensor add(const CodeTensor& a, const CodeTensor& b, const Coding& output, bool relu);
// Along the channels.
[[nodiscard]] CodeTensor concatenate(const std::vector<CodeTensor>& inputs, const Coding& output);
// In the input's own coding; padding is never the largest.
[[nodiscard]] CodeTensor max_pool(const CodeTensor& x, std::array<std::int64_t, 2> kernel, const Placement& placement);
// In the input's own coding; padding counts as zeros.
[[nodiscard]] CodeTensor average_pool(const CodeTensor& x, std::array<std::int64_t, 2> kernel,
                                      const Placement& placement);

}  // namespace outcrop::quantize::reference
