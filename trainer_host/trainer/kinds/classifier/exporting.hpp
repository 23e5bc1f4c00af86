#pragma once

#include <torch/script.h>

#include "trainer_host/trainer/kinds/classifier/network.hpp"
#include "trainer_host/trainer/kinds/export.hpp"

namespace outcrop::classifier {

// forward(images: float32 [batch, channels, rows, columns], 0 to 255) -> probabilities: float32 [batch,
// classes], in the order of the labels. Scaling the pixels and the softmax are part of the model, in
// float. Ranges are calibrated by images that were trained on, as they are; goldens are `shown` ones.
[[nodiscard]] kinds::Export make_export(const ClassifierShape& shape,
                                        const torch::jit::Module& network,
                                        const torch::jit::Module& pixel_scale,
                                        const data::LabelledImages& training,
                                        const data::LabelledImages& shown);

}  // namespace outcrop::classifier
