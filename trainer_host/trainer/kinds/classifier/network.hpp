#pragma once

#include <torch/script.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/labelled_images.hpp"
#include "trainer_host/trainer/models/layers.hpp"

namespace outcrop::classifier {

// What a classifier looks at, what it tells apart, and its size: of 28x28 grey images, as these are,
// 6 M weights, nearly all of them in the hidden layer.
struct ClassifierShape {
  data::ImageShape images;
  std::vector<std::string> classes;       // names, in the order of the labels
  std::vector<std::int64_t> widths{32, 64};  // channels of each convolution; each halves the image
  std::int64_t hidden = 1900;             // values that the last layer decides by

  bool operator==(const ClassifierShape&) const = default;
};

// invalid_argument where images cannot be halved once for each width, or there are fewer than two
// classes.
[[nodiscard]] Status check_shape(const ClassifierShape& shape);

// A JSON object, and back; invalid_data says what is missing or wrong.
[[nodiscard]] std::string to_json(const ClassifierShape& shape);
[[nodiscard]] Result<ClassifierShape> shape_from_json(const std::string& text);

// Convolutions (3x3, batch norm, ReLU, the largest of 2x2), one with a kernel that covers what is left,
// which is a full connection that int8 kernels quantize channel by channel, and the classes.
//   normalized images [B, channels, rows, columns] → logits [B, classes, 1, 1]
[[nodiscard]] std::vector<models::Layer> network_layers(const ClassifierShape& shape);
// Those whose kernels cover all of their input.
[[nodiscard]] std::set<std::string> whole_layers();

// The same weights from the same seed. In training mode.
[[nodiscard]] torch::jit::Module make_network(const ClassifierShape& shape, std::uint64_t seed);

}  // namespace outcrop::classifier
