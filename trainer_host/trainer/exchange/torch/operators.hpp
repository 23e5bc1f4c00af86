#pragma once

#include <functional>
#include <map>
#include <string>

#include "trainer_host/trainer/exchange/torch/call.hpp"

namespace outcrop::exchange {

// How TorchScript's operators become operations of a graph: each entry takes a call of its operator, and answers what its
// output is. Throws NotExpressible, or c10::Error.
using Translate = std::function<Known(Call&)>;
using Operators = std::map<std::string, Translate>;

[[nodiscard]] Operators layer_operators();        // with weights: float and int8
[[nodiscard]] Operators elementwise_operators();  // activations, arithmetic, conversions
[[nodiscard]] Operators shape_operators();        // pools, sizes, places

// Those of all three.
[[nodiscard]] const Operators& known_operators();

}  // namespace outcrop::exchange
