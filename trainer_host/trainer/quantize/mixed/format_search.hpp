#pragma once

#include "trainer_host/trainer/quantize/method.hpp"

namespace outcrop::quantize {

// Chooses int8 or float for each layer that `plan` has in int8, by what was measured of each and of at most 10 whole models
// made by `maker` (methods/mixed_int8.hpp). invalid_argument where costs are not of this model's layers; refused, with
// the nearest, where nothing that was tried keeps to what is wished; unsupported where float itself is the best of what keeps to it.
[[nodiscard]] Result<Settled> search_formats(const Method& maker, Plan plan, const kinds::Export& model,
                                             const Settling& how);

}  // namespace outcrop::quantize
