#pragma once

#include <memory>

#include "trainer_host/trainer/quantize/method.hpp"

namespace outcrop::quantize {

// The networks as they were trained, batch norms folded.
[[nodiscard]] std::shared_ptr<const Method> make_float_plain();

}  // namespace outcrop::quantize
