#pragma once

#include <ATen/core/ivalue.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace outcrop::quantize {

// Counts the operators that LibTorch really executes on this thread while the object lives, by
// the names that the dispatcher knows ("quantized::conv2d_relu"): those of the model, not those that
// operators call in turn (aten::conv2d calls aten::convolution). Not copyable; one at a time
// on a thread, destroyed on the thread that made it.
class OperatorCounter {
 public:
  struct Call {
    std::string name;
    std::vector<c10::IValue> inputs;
  };

  // Calls of the operators in `recorded` are kept with their inputs.
  explicit OperatorCounter(std::vector<std::string> recorded = {});
  OperatorCounter(const OperatorCounter&) = delete;
  OperatorCounter& operator=(const OperatorCounter&) = delete;
  ~OperatorCounter();

  [[nodiscard]] const std::map<std::string, int>& counts() const;
  [[nodiscard]] const std::vector<Call>& calls() const;
  // Counts no more: what is done with the calls is not among them.
  [[nodiscard]] std::vector<Call> finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::uint64_t handle_ = 0;  // 0: finished
};

}  // namespace outcrop::quantize
