#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

#include "trainer_host/trainer/data/labels.hpp"
#include "trainer_host/trainer/kinds/earth/samples.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::segmentation {

// What the network sees of samples and what it should answer, held in memory (44 KB a sample): the
// energy of gathers is worked out once.
struct LabelledSamples {
  torch::Tensor velocity;  // [N, 1, 70, 70] in m/s
  torch::Tensor energy;    // [N, 1, 70, 70], see energy.hpp
  torch::Tensor labels;    // [N, 70, 70], uint8
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(velocity.size(0)); }
};

struct LabelledData {
  LabelledSamples training;
  LabelledSamples held_out;  // may be none
  kinds::DataSummary summary;
};

// Opens the folders of the configuration, with their labels of `classes` classes. Errors are those of
// earth::open_samples and Labels::open; invalid_argument for a geometry other than OpenFWI's.
[[nodiscard]] Result<LabelledData> open_labelled(const kinds::DataPlaces& places,
                                                 std::int64_t classes);

// Some of them, mirrored left to right where the draw says so.
[[nodiscard]] LabelledSamples batch_of(const LabelledSamples& samples,
                                       std::span<const kinds::Draw> draws);

}  // namespace outcrop::segmentation
