#pragma once

#include <ATen/core/ivalue.h>
#include <torch/torch.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace outcrop::quantize {

// An operator that the interpreter called, with what it took and gave.
struct TracedCall {
  std::string name;  // "quantized::conv2d_relu"
  std::vector<c10::IValue> inputs;
  std::vector<c10::IValue> outputs;
  // As they were when it ended: those in `outputs` may have been changed in place since. Of calls that
  // `keeps_values` says; else empty.
  std::vector<torch::Tensor> values;
  std::int64_t multiply_adds = 0;  // of all that it multiplied, by whatever operators it called
};

// Records what LibTorch executes on this thread while the object lives: calls of the interpreter's own, those
// that these make only as their multiply-adds (from the shapes that ran). One at a time on a thread.
class OperatorTrace {
 public:
  // Of operators with these names the values are kept, dequantized, float32; of none without.
  explicit OperatorTrace(bool (*keeps_values)(const std::string& name) = nullptr);
  OperatorTrace(const OperatorTrace&) = delete;
  OperatorTrace& operator=(const OperatorTrace&) = delete;
  ~OperatorTrace();

  [[nodiscard]] std::vector<TracedCall> take();

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::uint64_t handle_;
};

[[nodiscard]] std::map<std::string, int> count_calls(const std::vector<TracedCall>& calls);

}  // namespace outcrop::quantize
