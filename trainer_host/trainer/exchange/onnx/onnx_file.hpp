#pragma once

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/trainer/exchange/graph/graph.hpp"

namespace outcrop::exchange {

inline constexpr int onnx_opset = 13;

// A graph as an ONNX model of that operator set, checked by ONNX's own checker. What is in codes is said in QDQ form: each
// operator computes in float between DequantizeLinear and QuantizeLinear, which runtimes take as one in integers.
// unsupported where it would be larger than the format reaches (2 GiB).
[[nodiscard]] Result<Bytes> to_onnx(const Graph& graph);

}  // namespace outcrop::exchange
