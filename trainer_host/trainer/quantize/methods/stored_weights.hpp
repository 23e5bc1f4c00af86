#pragma once

#include <memory>
#include <vector>

#include "trainer_host/trainer/quantize/method.hpp"

namespace outcrop::quantize {

// Weights alone, in fewer bits in the file: they are expanded once, at load (storage/), and run in float32; a linear
// layer whose format ends in "-int8" is expanded to int8 instead, and its activations are quantized at each call; one whose
// format ends in "-native" is not expanded at all, and run by outcrop::linear_int4. A layer's format is the method's,
// "4-bit", the same with such an ending, or "float".
//   half, brain      float16 or bfloat16: half the size
//   rows             int8 with a scale for each row
//   rounding, gptq, awq   4 bits, a scale and a minimum for each group of a row (codes/)
//   normal           NormalFloat4
//   native           gptq's, with linear layers large enough to gain by it "-native"
// gptq, awq and native look at what each layer is given while calibration rows run through.
enum class WeightCodes { half, brain, rows, rounding, gptq, awq, normal, native };

[[nodiscard]] std::shared_ptr<const Method> make_stored_weights(WeightCodes codes);

}  // namespace outcrop::quantize
