#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/dataset.hpp"
#include "trainer_host/trainer/train/config.hpp"

namespace outcrop::train {

// Some consecutive samples of a data set. Cheap to copy.
class Samples {
 public:
  Samples() = default;  // none
  Samples(std::shared_ptr<const data::Dataset> dataset, std::size_t first, std::size_t count)
      : dataset_(std::move(dataset)), first_(first), count_(count) {}

  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] std::span<const float> velocity(std::size_t i) const {
    return dataset_->velocity(first_ + i);
  }
  [[nodiscard]] std::span<const float> gathers(std::size_t i) const {
    return dataset_->gathers(first_ + i);
  }

 private:
  std::shared_ptr<const data::Dataset> dataset_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

struct SplitData {
  Samples training;
  Samples held_out;         // may be none
  std::string data_digest;  // of the folder that training samples come from
};

// Opens the folders that the configuration names. invalid_argument when fewer than two training
// samples would be left.
[[nodiscard]] Result<SplitData> open_samples(const DataConfig& config);

// Which sample comes when, and which way round.
struct Draw {
  std::size_t sample = 0;
  bool flipped = false;
};

// All samples of an epoch in their order: a permutation that depends on (seed, epoch, count)
// alone, so that an epoch can be repeated without the ones before it.
[[nodiscard]] std::vector<Draw> draw_epoch(std::uint64_t seed, std::int64_t epoch,
                                           std::size_t count, bool flip);

// The part of an epoch that batch `index` of `batches` takes: sizes differ by at most one.
[[nodiscard]] std::span<const Draw> batch_of(std::span<const Draw> epoch, std::size_t index,
                                             std::size_t batches);

// What the networks see of some samples.
struct Batch {
  torch::Tensor velocity;     // [B, 1, 70, 70], normalized
  torch::Tensor gathers;      // [B, 5, 1000, 70], normalized
  torch::Tensor shot_weight;  // [B, 5, 1, 1]: 0 where a flipped sample has no such shot, else 1
};

// A flipped map is recorded by the mirrored sources: shots in reverse, receivers in reverse. The
// source in the middle, at column 34, would stand at 35, where none is: its gather counts nothing.
[[nodiscard]] Batch load_batch(const Samples& samples, std::span<const Draw> draws);

}  // namespace outcrop::train
