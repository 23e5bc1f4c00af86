#pragma once

#include <memory>

#include "trainer_host/trainer/quantize/method.hpp"
#include "trainer_host/trainer/quantize/observers.hpp"

namespace outcrop::quantize {

// Post-training static int8 of each part by itself (static_quantization.hpp). A plan's observer is
// "squared-error" or "min-max"; a layer's format "int8" or "float".
[[nodiscard]] std::shared_ptr<const Method> make_static_int8(ActivationType activations);

}  // namespace outcrop::quantize
