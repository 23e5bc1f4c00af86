#pragma once

#include <optional>
#include <span>
#include <string>

#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::train {

// Where numbers first stop being finite for these samples: a weight, an input or the output of a
// layer in the order of computation, or the gradient of a weight, from the end of its part on, e.g.
// "the output of map_decoder.mix3". Nothing where all of it is finite. Runs the networks once
// more; gradients are those of the last backward pass.
[[nodiscard]] std::optional<std::string> first_non_finite(kinds::Task& task,
                                                          std::span<const kinds::Draw> draws);

// The same without samples: weights, then `place` of inputs and outputs, then gradients.
[[nodiscard]] std::optional<std::string> first_non_finite(
    const kinds::Task& task, const std::optional<std::string>& place);

}  // namespace outcrop::train
