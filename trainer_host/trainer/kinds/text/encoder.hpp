#pragma once

#include <torch/script.h>

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "runtime/text/tokenizer.hpp"

namespace outcrop::text {

// What the last layer decides by: the mean over a text's pieces, or what became of [CLS], which is before them.
enum class Pooling { mean, first };
[[nodiscard]] std::string name_of(Pooling pooling);
// invalid_argument for another name.
[[nodiscard]] Result<Pooling> pooling_from(const std::string& name);

// Between the two linear layers of each layer; gelu is the exact one (Hendrycks and Gimpel 2016), by erf.
enum class Activation { relu, gelu };
[[nodiscard]] std::string name_of(Activation activation);
// invalid_argument for another name.
[[nodiscard]] Result<Activation> activation_from(const std::string& name);

inline constexpr double largest_epsilon = 0.1;

// An encoder as BERT's (Devlin et al. 2019).
struct EncoderShape {
  std::int64_t layers = 2;
  std::int64_t width = 128;
  std::int64_t heads = 4;
  std::int64_t hidden = 512;   // of each layer's two linear ones
  std::int64_t length = 128;   // pieces of a text, [CLS] and [SEP] among them
  Pooling pooling = Pooling::mean;
  Activation activation = Activation::relu;
  double epsilon = 1e-5;       // of layer norms

  bool operator==(const EncoderShape&) const = default;
};

// What a model of texts is: its encoder, how texts are cut for it, and its classes.
struct TextShape {
  EncoderShape encoder;
  Letters letters = Letters::lowered;
  std::vector<std::string> pieces;   // of its vocabulary
  std::vector<std::string> classes;  // in the order of the answers

  bool operator==(const TextShape&) const = default;
};

// invalid_argument names the key whose value does not fit the others.
[[nodiscard]] Status check_shape(const EncoderShape& shape);

// A JSON object, and back; invalid_data says what is missing or wrong.
[[nodiscard]] std::string to_json(const TextShape& shape);
[[nodiscard]] Result<TextShape> shape_from_json(const std::string& text);

// int64 ids [N, length] → logits [N, classes]; ids that are `padding` are seen by nothing. Embeddings of pieces and of their
// places, then in each layer attention and two linear ones, each added to what it was given and normed. The same weights
// from the same seed.
[[nodiscard]] torch::jit::Module make_encoder(const EncoderShape& shape, std::int64_t pieces, std::int64_t padding,
                                              std::int64_t classes, std::uint64_t seed);

}  // namespace outcrop::text
