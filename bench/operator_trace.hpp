#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/engine/tensor.hpp"

namespace outcrop::bench {

// One operator that LibTorch executed, in the order in which they ended.
struct TracedOperator {
  std::string name;                // "quantized::conv2d_relu"
  std::string output;              // "qint8 [1, 16, 70, 70]"; empty where it is no tensor
  std::uint64_t instructions = 0;  // its own, without those of operators that it called
  // What it gave, named by its place and name: the codes where that is quantized, as floats. Only
  // of operators that the model itself calls: what those call differs from machine to machine.
  std::optional<runtime::Tensor> values;
};

// Watches the operators that this thread executes while the object lives: by LibTorch's own
// observers at its dispatcher, so that every build shows them. What the watching costs is taken
// out of the counts, except for some hundred instructions of LibTorch's for each operator. One at
// a time on a thread, destroyed on the thread that made it.
class OperatorTrace {
 public:
  // `clock` answers how many instructions were executed so far. `keep_outputs`: fill `values`.
  OperatorTrace(std::function<std::uint64_t()> clock, bool keep_outputs);
  OperatorTrace(const OperatorTrace&) = delete;
  OperatorTrace& operator=(const OperatorTrace&) = delete;
  ~OperatorTrace();

  [[nodiscard]] const std::vector<TracedOperator>& operators() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::uint64_t handle_;
};

}  // namespace outcrop::bench
