#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/exchange/graph/graph.hpp"

namespace outcrop::exchange {

// A layer of Keras' Sequential: what its class is constructed with, and its weights in the order in which it has them.
struct KerasLayer {
  std::string class_name;  // "Conv2D"
  std::string name;        // unique in the model: "conv1"
  nlohmann::ordered_json config;
  std::vector<Value> weights{};  // float32, with Keras' axes
};

struct KerasSequential {
  Shape input;  // without the batch; images are [rows, columns, channels]
  std::vector<KerasLayer> layers;
};

// A graph as layers behind each other, images channels last. unsupported, by the operator or value, for one that is no chain,
// for codes, and for what Keras has no layer for.
[[nodiscard]] Result<KerasSequential> to_sequential(const Graph& graph);

}  // namespace outcrop::exchange
