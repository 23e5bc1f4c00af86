#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "trainer_host/trainer/models/layers.hpp"

namespace outcrop::segmentation {

// What the network is made of: U-Net (Ronneberger et al., "U-Net: convolutional networks for
// biomedical image segmentation", MICCAI 2015) with three halvings, so that the deepest cells see the
// whole of a 70 × 70 map, as whoever counts layers must, and of larger ones as many cells around; its skips are added behind convolutions of their
// own instead of concatenated.
struct SegmentationShape {
  std::int64_t width = 16;   // channels at full resolution; twice, four and four times below
  std::int64_t classes = 5;
  std::array<std::int64_t, 2> size{70, 70};  // rows and columns of a map: the data's

  bool operator==(const SegmentationShape&) const = default;
};

// From [N, 2, rows, columns] to logits [N, classes, rows, columns].
[[nodiscard]] std::vector<models::Layer> segmentation_layers(const SegmentationShape& shape);

}  // namespace outcrop::segmentation
