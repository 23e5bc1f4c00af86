#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "trainer_host/trainer/data/labels.hpp"
#include "trainer_host/trainer/kinds/earth/samples.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::segmentation {

// What the network sees of samples and what it should answer, held in memory (9 bytes a cell, 44 KB a
// sample of OpenFWI): the energy of gathers is worked out once.
struct LabelledSamples {
  torch::Tensor velocity;  // [N, 1, depth, width] in m/s
  torch::Tensor energy;    // [N, 1, depth, width], see energy.hpp
  torch::Tensor labels;    // [N, depth, width], uint8
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(velocity.size(0)); }
};

// How many samples, one to `most`, have no more than `cells` cells together; one always may.
[[nodiscard]] std::int64_t samples_within(const LabelledSamples& samples, std::int64_t most,
                                          std::int64_t cells);

struct LabelledData {
  LabelledSamples training;
  LabelledSamples held_out;  // may be none
  kinds::DataSummary summary;
  data::Geometry geometry{};
};

// Opens the folders of the configuration, with their labels of `classes` classes. Geometry and errors are
// those of earth::open_samples, errors also those of Labels::open.
[[nodiscard]] Result<LabelledData> open_labelled(const kinds::DataPlaces& places,
                                                 std::int64_t classes,
                                                 const std::optional<data::Geometry>& learned = {});

// Some of them, mirrored left to right where the draw says so.
[[nodiscard]] LabelledSamples batch_of(const LabelledSamples& samples,
                                       std::span<const kinds::Draw> draws);

}  // namespace outcrop::segmentation
