#pragma once

#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/layers.hpp"
#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/mixed/choose_formats.hpp"
#include "trainer_host/trainer/quantize/mixed/divided_run.hpp"

namespace outcrop::quantize {

struct BoardLayers {
  std::vector<LayerFigures> figures;
  double other_ms = 0.0;  // of a call, besides
};

// What each layer takes on a board, by the times of operators that it told of the variants "float" and "int8-qint8" of a
// release. They are the layers' only where the board ran what the two models here run in `call`, operator by operator in the
// same order, and the layers once each: invalid_argument says where it differs. Of the float variant it may have run more that
// is no layer, as batch norms, which are folded in a float island: that counts for nothing. A border costs what the board's
// own took for each value.
[[nodiscard]] Result<BoardLayers> layers_of_board(const messages::Layers& board, const std::vector<TimedLayer>& layers,
                                                  models::LiteModel& int8, models::LiteModel& plain,
                                                  const kinds::ExampleCall& call);

}  // namespace outcrop::quantize
