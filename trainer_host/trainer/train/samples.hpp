#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/dataset.hpp"
#include "trainer_host/trainer/train/config.hpp"

namespace outcrop::train {

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
  Samples held_out;               // may be none
  std::string data_digest;        // SHA-256 in hex of the folders that training samples come from
  std::string validation_digest;  // of the folders of validation; "" where none are named
  std::size_t shared = 0;         // held-out samples that are among the training samples, too
};

// Opens the folders that the configuration names. invalid_argument when fewer than two training
// samples would be left, where two folders hold the same, and where validation holds nothing that
// is not trained on.
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
