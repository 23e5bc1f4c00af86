#pragma once

#include <optional>
#include <string>

#include "trainer_host/trainer/models/generator.hpp"
#include "trainer_host/trainer/train/samples.hpp"

namespace outcrop::train {

// Where numbers first stop being finite for this batch: a weight, an input, the output of a layer
// in the order of computation, or the gradient of a layer in the order of its way back, e.g.
// "the output of velocity_decoder.mix3". Nothing where all of it is finite. Runs the networks
// once more; gradients are those of the last backward pass.
[[nodiscard]] std::optional<std::string> first_non_finite(const models::Generator& generator,
                                                          const Batch& batch);

}  // namespace outcrop::train
