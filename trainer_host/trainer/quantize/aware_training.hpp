#pragma once

#include <map>
#include <string>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/quantize/fake_quantized.hpp"

namespace outcrop::quantize {

// Quantization-aware training of a task of any kind that can be trained through other forms (Task::train_through): each
// part that is exported goes through its fake-quantized form (fake_quantized.hpp). What is trained stays the parts' own
// tensors; the ranges of activations are the task's trained_ranges(). One thread at a time.
class AwareTraining {
 public:
  // Chooses ranges anew, of the weights as they are, and goes on with them. Leaves the task in evaluation mode: its batch
  // norms are frozen. unsupported names the part that cannot be trained so, and why.
  [[nodiscard]] Status choose_ranges(kinds::Task& task);
  // Goes on with the ranges that the task has.
  [[nodiscard]] Status take_up(kinds::Task& task);
  // Float again, without ranges.
  void leave(kinds::Task& task);
  [[nodiscard]] bool on() const { return on_; }

 private:
  [[nodiscard]] Status go(kinds::Task& task, bool choose);

  bool on_ = false;
};

}  // namespace outcrop::quantize
