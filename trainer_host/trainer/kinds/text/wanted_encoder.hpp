#pragma once

#include <cstdint>
#include <optional>

#include "trainer_host/trainer/kinds/text/encoder.hpp"

namespace outcrop::text {

// What a configuration says of an encoder. What it leaves out is as pretrained weights have it or, without, as EncoderShape
// has it.
struct WantedEncoder {
  std::optional<std::int64_t> layers;
  std::optional<std::int64_t> width;
  std::optional<std::int64_t> heads;
  std::optional<std::int64_t> hidden;
  std::optional<Activation> activation;
  std::optional<double> epsilon;
  std::int64_t length = EncoderShape().length;
  Pooling pooling = EncoderShape().pooling;
};

// Of one that begins with nothing.
[[nodiscard]] inline EncoderShape shape_of(const WantedEncoder& wanted) {
  const EncoderShape usual;
  return {wanted.layers.value_or(usual.layers), wanted.width.value_or(usual.width),   wanted.heads.value_or(usual.heads),
          wanted.hidden.value_or(usual.hidden), wanted.length, wanted.pooling, wanted.activation.value_or(usual.activation),
          wanted.epsilon.value_or(usual.epsilon)};
}

}  // namespace outcrop::text
