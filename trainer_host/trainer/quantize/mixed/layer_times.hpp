#pragma once

#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/mixed/choose_formats.hpp"

namespace outcrop::quantize {

// A layer that may be int8, as it is found in a run.
struct TimedLayer {
  std::string operation;  // "conv2d"
  bool first = false;     // of its network
  bool last = false;
};

// Milliseconds of each layer, in float and in int8, and of the borders that it would have: a layer's time goes from
// its start to that of the next one, so that relu, pooling and sums between them count for the layer before. The two
// models take turns; medians. Where the int8 model itself goes to floats and back between two layers, a border there costs
// nothing more. `layers` are in the order of execution; unsupported where the runs have others.
[[nodiscard]] Result<std::vector<LayerFigures>> measure_layers(const std::vector<TimedLayer>& layers,
                                                               models::LiteModel& int8, models::LiteModel& plain,
                                                               const kinds::ExampleCall& call);

// Medians of a call's time, in milliseconds, of models that take turns.
[[nodiscard]] Result<std::vector<double>> median_times(const std::vector<models::LiteModel*>& models,
                                                       const kinds::ExampleCall& call);

}  // namespace outcrop::quantize
