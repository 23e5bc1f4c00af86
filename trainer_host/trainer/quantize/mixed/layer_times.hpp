#pragma once

#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/mixed/choose_formats.hpp"
#include "trainer_host/trainer/quantize/mixed/divided_run.hpp"

namespace outcrop::quantize {

// Milliseconds of each layer, in float and in int8, and of the borders that it would have, as divided() has them. The two
// models take turns; medians. Where the int8 model itself goes to floats and back between two layers, a border there costs
// nothing more. `layers` are in the order of execution; unsupported where the runs have others.
[[nodiscard]] Result<std::vector<LayerFigures>> measure_layers(const std::vector<TimedLayer>& layers,
                                                               models::LiteModel& int8, models::LiteModel& plain,
                                                               const kinds::ExampleCall& call);

// Medians of a call's time, in milliseconds, of models that take turns.
[[nodiscard]] Result<std::vector<double>> median_times(const std::vector<models::LiteModel*>& models,
                                                       const kinds::ExampleCall& call);

}  // namespace outcrop::quantize
