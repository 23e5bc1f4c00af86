#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/dataset.hpp"
#include "trainer_host/trainer/data/synth_source.hpp"
#include "trainer_host/trainer/kinds/earth/fresh_maps.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::earth {

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
  // What the folder of held-out samples was made of, where it says so and is one.
  std::optional<data::SynthSource> held_out_source{};
  // In place of the maps of `training` where a map is trained on; no gathers belong to them.
  std::optional<FreshMaps> fresh{};

  // The map of a sample to train on: depth*width velocities in m/s.
  void write_map(std::size_t sample, std::span<float> velocity) const;
};

// Opens the folders of the configuration. The geometry is that of the data; where there are none, the one
// that a model `learned` from, and else OpenFWI's. invalid_argument when fewer than two training samples
// would be left, where two folders hold the same, where a held-out map is also trained on, with
// the count, where folders differ in geometry, and where that is not what the model learned from.
[[nodiscard]] Result<SplitData> open_samples(const kinds::DataPlaces& places,
                                             const std::optional<data::Geometry>& learned = {});

}  // namespace outcrop::earth
