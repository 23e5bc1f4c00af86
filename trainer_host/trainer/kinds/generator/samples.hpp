#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/dataset.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::generator {

// Some samples of one data set or of several, one behind the other. Cheap to copy.
class Samples {
 public:
  void append(std::shared_ptr<const data::Dataset> dataset, std::size_t first, std::size_t count) {
    parts_.push_back({std::move(dataset), first, count_});
    count_ += count;
  }

  [[nodiscard]] std::size_t size() const { return count_; }
  // `i` < size().
  [[nodiscard]] std::span<const float> velocity(std::size_t i) const {
    const Part& part = part_of(i);
    return part.dataset->velocity(part.first + (i - part.before));
  }
  [[nodiscard]] std::span<const float> gathers(std::size_t i) const {
    const Part& part = part_of(i);
    return part.dataset->gathers(part.first + (i - part.before));
  }

 private:
  struct Part {
    std::shared_ptr<const data::Dataset> dataset;
    std::size_t first;   // of the data set's samples
    std::size_t before;  // samples in the parts before this one
  };
  [[nodiscard]] const Part& part_of(std::size_t i) const;

  std::vector<Part> parts_;
  std::size_t count_ = 0;
};

struct SplitData {
  Samples training;
  Samples held_out;  // may be none
  kinds::DataSummary summary;
  data::Geometry geometry{};
};

// Opens the folders of the configuration. invalid_argument when fewer than two training samples
// would be left, where two folders hold the same, and where a held-out map is also trained on, with
// the count, and where folders differ in geometry.
[[nodiscard]] Result<SplitData> open_samples(const kinds::DataPlaces& places);

// What the networks see of some samples.
struct Batch {
  torch::Tensor velocity;     // [B, 1, depth, width], normalized
  torch::Tensor gathers;      // [B, shots, times, width], normalized
  torch::Tensor shot_weight;  // [B, shots, 1, 1]: 0 where a flipped sample has no such shot, else 1
};

// A flipped map is recorded by the mirrored sources: shots in reverse, receivers in reverse. A source
// that has none opposite, as OpenFWI's in the middle (at column 34, it would stand at 35): its gather
// counts nothing.
[[nodiscard]] Batch load_batch(const Samples& samples, std::span<const kinds::Draw> draws,
                               const data::Geometry& geometry = {});

}  // namespace outcrop::generator
