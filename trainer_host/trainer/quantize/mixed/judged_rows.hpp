#pragma once

#include <torch/script.h>

#include <vector>

#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/quantize/argument_rows.hpp"

namespace outcrop::quantize {

// A model's networks asked rows that they are not calibrated with, to be compared with what float answers.
class JudgedRows {
 public:
  // At most so many rows for each; where there are fewer than 8, the same for both.
  JudgedRows(const kinds::Export& model, std::int64_t most_calibrated, std::int64_t most_judged);

  // Whether they are other rows, of every part.
  [[nodiscard]] bool apart() const { return apart_; }
  // The model with the other rows to calibrate with; its networks answer floats, as they were trained.
  [[nodiscard]] const kinds::Export& to_calibrate() const { return model_; }
  // Changes the networks of to_calibrate(), which must answer as before.
  [[nodiscard]] kinds::Export& to_calibrate() { return model_; }

  // The power of the difference to float, as a share of the answers' own, the mean over outputs; of the part at that place, or
  // the mean over all.
  [[nodiscard]] double noise_of(std::size_t part, const torch::jit::Module& form) const;
  [[nodiscard]] double noise_of(const std::vector<kinds::PartForm>& forms) const;

 private:
  kinds::Export model_;
  bool apart_ = true;
  std::vector<ArgumentRows> rows_;                 // of each part
  std::vector<std::vector<torch::Tensor>> truth_;  // what its float network answers
};

}  // namespace outcrop::quantize
