#pragma once

#include <memory>

#include "trainer_host/trainer/quantize/method.hpp"

namespace outcrop::quantize {

// Layers in int8 or in float, each as it serves what is wished (Settling::mixed): `inner` makes them, and keeps any of
// them in float. settle() measures what each layer costs alone in int8 (the networks' answers on rows that nothing was
// calibrated with), its time in float and in int8 and that of borders between, then makes and tries at most 10 whole models, all int8
// and all float among them, and takes the best that was measured: so it is never worse than both of these. Without bounds
// it keeps within a tenth of all int8's time and size.
// The same model gives other plans where times differ; a plan that was given is made as it is.
[[nodiscard]] std::shared_ptr<const Method> make_mixed_int8(std::shared_ptr<const Method> inner);

}  // namespace outcrop::quantize
