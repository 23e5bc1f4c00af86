#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "runtime/engine/engine.hpp"
#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"

namespace outcrop::quantize {

// A layer that may be int8, as it is found in a run.
struct TimedLayer {
  std::string operation;  // "conv2d"
  bool first = false;     // of its network
  bool last = false;
};

// A run of operators, divided among layers: a layer's time goes from its start to that of the next one, so that relu, pooling
// and sums between them count for the layer before.
struct DividedRun {
  std::vector<double> ms;           // of each layer
  std::vector<bool> floats_before;  // it goes to floats between the layer before and this one
};
// unsupported where the layers that run are not these, each once, in this order.
[[nodiscard]] Result<DividedRun> divided(const std::vector<TimedLayer>& layers, const std::vector<runtime::OperatorTime>& run,
                                         bool int8);

// What runs a layer that may be int8, as float runs name it, or int8 ones.
[[nodiscard]] bool is_layer_call(const std::string& name, bool int8);
// To codes, or back.
[[nodiscard]] bool is_border_call(const std::string& name);

// How many values come into a layer, and out of it.
struct Traffic {
  std::int64_t in = 0;
  std::int64_t out = 0;
};
// Of each layer, in a call of the float model; errors as divided().
[[nodiscard]] Result<std::vector<Traffic>> traffic_of(const std::vector<TimedLayer>& layers, models::LiteModel& plain,
                                                      const kinds::ExampleCall& call);

}  // namespace outcrop::quantize
