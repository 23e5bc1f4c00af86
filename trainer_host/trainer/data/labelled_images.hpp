#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::data {

struct ImageShape {
  std::size_t channels = 1;  // 1: grey, 3: red, green, blue
  std::size_t rows = 0;
  std::size_t columns = 0;

  [[nodiscard]] std::size_t size() const { return channels * rows * columns; }
  bool operator==(const ImageShape&) const = default;
};

// "28x28, grey", "32x32 in 3 channels".
[[nodiscard]] std::string to_string(const ImageShape& shape);

// Images of one shape with the class of each, in memory.
struct LabelledImages {
  ImageShape shape;
  std::vector<std::uint8_t> pixels;  // [size(), channels, rows, columns]
  std::vector<std::uint8_t> labels;  // classes, counted from 0
  std::vector<std::string> names;    // of the classes, where the data say them

  [[nodiscard]] std::size_t size() const { return labels.size(); }
  // `i` < size().
  [[nodiscard]] std::span<const std::uint8_t> image(std::size_t i) const {
    return std::span(pixels).subspan(i * shape.size(), shape.size());
  }
  // Puts others behind. invalid_data where they have another shape or other names of classes.
  [[nodiscard]] Status append(const LabelledImages& others);
  // Takes away all from `first` on and answers them.
  [[nodiscard]] LabelledImages split_at(std::size_t first);
  // SHA-256 in hex of shape, pixels and labels; "" of no images.
  [[nodiscard]] std::string digest() const;
};

// For each image of `some`, whether it is among `others` too, whatever its class there.
[[nodiscard]] std::vector<bool> found_in(const LabelledImages& some, const LabelledImages& others);

}  // namespace outcrop::data
