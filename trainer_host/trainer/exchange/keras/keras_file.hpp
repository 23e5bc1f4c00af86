#pragma once

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/trainer/exchange/graph/graph.hpp"

namespace outcrop::exchange {

// A graph of floats as a model that Keras 3 loads and trains further: a .keras file, a ZIP archive of config.json,
// metadata.json and model.weights.h5. unsupported as to_sequential() has it.
[[nodiscard]] Result<Bytes> to_keras(const Graph& graph);

}  // namespace outcrop::exchange
