#pragma once

#include <map>
#include <string>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/training_for_int8.hpp"
#include "trainer_host/trainer/quantize/fake_quantized.hpp"

namespace outcrop::quantize {

// Quantization-aware training of a task of any kind that can be trained through other forms (Task::train_through): each
// part that is exported goes through its fake-quantized form (fake_quantized.hpp). What is trained stays the parts' own
// tensors; the ranges of activations are the task's trained_ranges(). One thread at a time.
class AwareTraining final : public kinds::TrainingForInt8 {
 public:
  [[nodiscard]] Status choose_ranges(kinds::Task& task) override;
  [[nodiscard]] Status take_up(kinds::Task& task) override;
  void leave(kinds::Task& task) override;
  [[nodiscard]] bool on() const override { return on_; }

 private:
  [[nodiscard]] Status go(kinds::Task& task, bool choose);

  bool on_ = false;
};

}  // namespace outcrop::quantize
