#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "trainer_host/trainer/kinds/mixed_wishes.hpp"

namespace outcrop::quantize {

// What one layer of a chain brings to the whole, in float and in int8. Milliseconds of one call.
struct LayerFigures {
  double int8_ms = 0.0;
  double float_ms = 0.0;
  double enter_ms = 0.0;  // what comes in to codes: it is int8, and floats are before it
  double leave_ms = 0.0;  // what comes in to floats: it is float, and codes are before it
  double end_ms = 0.0;    // what it answers to floats, where it is int8 and the last of its network; else 0
  bool first = false;     // of its network: floats are before it
  double noise = 0.0;     // of the answers, as a share of their power, with this layer alone in int8
  double more_bytes = 0.0;  // of the file, where it is float
};

// Of each layer, whether it is int8.
using Formats = std::vector<bool>;

// What a whole model comes to.
struct Whole {
  double ms = 0.0;
  double bytes = 0.0;
  double noise = 0.0;  // share of the answers' power; 0: none
  // 10·log10(1 / noise), at most 150.
  [[nodiscard]] double db() const;
};

// The sum of what layers bring: noises as of layers that know nothing of each other, borders where float and int8
// meet in the order of execution. `rest` is what is there anyway, all int8 in bytes.
[[nodiscard]] Whole predicted(const std::vector<LayerFigures>& layers, const Formats& formats, const Whole& rest);

[[nodiscard]] bool keeps(const Whole& whole, const kinds::MixedWishes& wishes);
// How far beyond its bounds, as a share of each: 0 where it keeps them all.
[[nodiscard]] double excess(const Whole& whole, const kinds::MixedWishes& wishes);
// By what is aimed at, then by the others.
[[nodiscard]] bool is_better(const Whole& one, const Whole& other, kinds::Aim aim);

// The best formats that keep to the wishes by what `judge` says of each, or those nearest to keeping them. Of all there are
// up to 14 layers; of more, those along the trade-offs of noise, time and size over the chain, and what changes of one layer
// or two make of the best.
[[nodiscard]] Formats best_formats(const std::vector<LayerFigures>& layers, const kinds::MixedWishes& wishes,
                                   const std::function<Whole(const Formats&)>& judge);

}  // namespace outcrop::quantize
