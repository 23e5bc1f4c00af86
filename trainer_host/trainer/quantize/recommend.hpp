#pragma once

#include <string>
#include <vector>

#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/quantize/part_layers.hpp"

namespace outcrop::quantize {

enum class Wish { speed, size, accuracy };

// What a model's work and weights are of, over all of its parts.
struct Makeup {
  std::int64_t weights = 0;
  std::int64_t multiply_adds = 0;              // of one sample
  std::int64_t static_multiply_adds = 0;       // of layers that static int8 has kernels for
  std::int64_t dynamic_multiply_adds = 0;      // of linear layers, LSTM and GRU
  std::int64_t convolution_multiply_adds = 0;
  std::int64_t matrix_weights = 0;             // of linear layers, embeddings, LSTM and GRU
  bool trained_for_int8 = false;               // all of its parts
  bool loops = false;
  bool one_float_argument = false;
  std::string not_layered;                     // why nothing of this is known; or ""
};
[[nodiscard]] Makeup makeup_of(const kinds::Export& model);

// A way to quantize, and why it is worth its time.
struct Advice {
  std::string method;
  std::string why;
};
// The best first. Rules of thumb over what the model is made of: only measuring on a board says what is so.
[[nodiscard]] std::vector<Advice> recommend(const Makeup& makeup, Wish wish);

}  // namespace outcrop::quantize
