#pragma once

#include <memory>
#include <string>

#include "trainer_host/trainer/quantize/corrections/corrected.hpp"
#include "trainer_host/trainer/quantize/method.hpp"
#include "trainer_host/trainer/quantize/observers.hpp"

namespace outcrop::quantize {

// Post-training static int8 of each part by itself (static_quantization.hpp). A plan's observer is
// one of observer_kinds(), a layer's format "int8" or "float". Calibrates with 1000 of the inputs that there
// are, evenly chosen, or with all.
// `how`: which corrections of the float network are tried before (corrections/corrected.hpp).
[[nodiscard]] std::shared_ptr<const Method> make_static_int8(ActivationType activations, std::string observer,
                                                             CorrectionOptions how = {});

// The same of parts that were trained for int8 (fake_quantized.hpp), by the ranges and scales of that training; its name
// is "qat". unsupported of others, with what to do. internal where the result does not answer as training's rounding did.
[[nodiscard]] std::shared_ptr<const Method> make_trained_int8(ActivationType activations);

}  // namespace outcrop::quantize
