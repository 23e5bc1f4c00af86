#pragma once

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::kinds {

// Quantization-aware training as the training loop knows it: what of a task's parts is trained through other forms, and
// when. quantize/aware_training.hpp does it. One for one task, one thread at a time.
class TrainingForInt8 {
 public:
  virtual ~TrainingForInt8() = default;
  // Chooses ranges anew, of the weights as they are, and goes on with them. Leaves the task in evaluation mode: its batch
  // norms are frozen. unsupported names the part that cannot be trained so, and why.
  [[nodiscard]] virtual Status choose_ranges(Task& task) = 0;
  // Goes on with the ranges that the task has.
  [[nodiscard]] virtual Status take_up(Task& task) = 0;
  // Float again, without ranges.
  virtual void leave(Task& task) = 0;
  [[nodiscard]] virtual bool on() const = 0;
};

}  // namespace outcrop::kinds
