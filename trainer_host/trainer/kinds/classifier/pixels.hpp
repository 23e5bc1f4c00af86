#pragma once

#include <torch/script.h>

#include <cstdint>
#include <span>
#include <vector>

#include "trainer_host/trainer/data/labelled_images.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::classifier {

// Pixels, 0 to 255, to what the network sees: less the mean of their channel, times what makes its
// spread 1. A module with the buffers `mean` and `scale` [1, channels, 1, 1], kept with the weights:
// that of `training`, exact whatever the order.
[[nodiscard]] torch::jit::Module make_pixel_scale(const data::LabelledImages& training);

// (x - mean) · scale, as TorchScript of a module with these buffers.
[[nodiscard]] const char* scaled_source();

// What is drawn, as the network sees it.
struct Batch {
  torch::Tensor images;  // [B, channels, rows, columns], scaled
  torch::Tensor labels;  // int64 [B]
};

// Each image mirrored left to right as drawn, then moved by up to `shift` rows and columns, black
// behind it: how far depends on which samples are drawn together, hence differs by epoch, and is the
// same after a kill.
[[nodiscard]] Batch load_batch(const data::LabelledImages& images,
                               std::span<const kinds::Draw> draws,
                               const torch::jit::Module& pixel_scale, std::int64_t shift);

// Images first … first + count as boards get them: float32 [count, channels, rows, columns], 0 to 255.
[[nodiscard]] torch::Tensor raw_images(const data::LabelledImages& images, std::size_t first,
                                       std::size_t count);

}  // namespace outcrop::classifier
