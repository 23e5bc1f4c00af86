#pragma once

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/trainer/exchange/graph/graph.hpp"

namespace outcrop::exchange {

struct TfliteOptions {
  // Weights of float convolutions and linear layers as int8, a scale for each output channel; what comes in is rounded in
  // each call, by what it holds ("dynamic range").
  bool weights_in_int8 = false;
  // Images come in and go out as [N, H, W, C], as TensorFlow has them, instead of the model's own [N, C, H, W].
  bool channels_last = false;
};

// A graph as a TensorFlow Lite (LiteRT) file. Convolutions, pools and what lies between them run channels last; where the
// model's own order of axes matters, transpositions stand. unsupported, by the operator and its value, for what the format's
// operators do not say, and for codes other than int8.
[[nodiscard]] Result<Bytes> to_tflite(const Graph& graph, const TfliteOptions& options = {});

}  // namespace outcrop::exchange
