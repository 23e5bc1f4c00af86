#pragma once

#include <memory>

#include "trainer_host/trainer/quantize/method.hpp"

namespace outcrop::quantize {

// Each network optimized for mobile by LibTorch (XNNPACK's float kernels).
[[nodiscard]] std::shared_ptr<const Method> make_float_mobile();

}  // namespace outcrop::quantize
