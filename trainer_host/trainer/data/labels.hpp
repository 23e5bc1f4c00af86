#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/dataset.hpp"

namespace outcrop::data {

// What each cell of a data set's maps is: beside each file of maps one of integers of the same shape,
// as .npy: label4_1_0.npy for vel4_1_0.npy, label1.npy for model1.npy, label/label1.npy for
// model/model1.npy. `outcrop synth --labels` makes them.
[[nodiscard]] std::filesystem::path label_file(const std::filesystem::path& velocity);

// The labels of a folder, in the order of Dataset's samples. Held in memory (5 KB a sample). Movable;
// may be read from any thread.
class Labels {
 public:
  // `classes` values, 0 to classes - 1, are allowed. not_found names a file that is missing;
  // invalid_data one that is damaged, has another shape than its maps, or holds other values (with a
  // word where they seem to begin at 1).
  [[nodiscard]] static Result<Labels> open(const std::filesystem::path& folder,
                                           std::int64_t classes);

  [[nodiscard]] std::size_t size() const { return values_.size() / map_size_; }
  // One for each cell of a map, as a map's cells lie. `i` < size().
  [[nodiscard]] std::span<const std::uint8_t> of(std::size_t i) const {
    return std::span(values_).subspan(i * map_size_, map_size_);
  }
  // SHA-256 in hex over all of them.
  [[nodiscard]] std::string digest() const;

 private:
  std::size_t map_size_ = grid::map_size;
  std::vector<std::uint8_t> values_;
};

// Writes one file: `labels` holds a value for each cell of each of its samples' maps.
[[nodiscard]] Status write_labels(const std::filesystem::path& file,
                                  std::span<const std::int64_t> labels,
                                  const Geometry& geometry = {});

}  // namespace outcrop::data
