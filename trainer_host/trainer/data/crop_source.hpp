#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/data/npy.hpp"

namespace outcrop::data {

struct CropOptions {
  double spacing = 0.0;  // metres between the model's cells, 0.1 to 1000
  bool flip_z = false;   // the model's row 0 is its bottom
};

// Velocity maps cut from a model of the user's: a 2-D float32 .npy, depth by distance, in m/s,
// resampled (bilinear) to the spacing of a geometry. The file is mapped, so it may be larger than memory. Immutable
// after opening; crops may be taken from any thread.
class CropSource {
 public:
  // invalid_data where the model is not 2-D, smaller than a map, not finite, or has values
  // that are no velocities in m/s; invalid_argument where the spacing makes no sense.
  [[nodiscard]] static Result<CropSource> open(const std::filesystem::path& model,
                                               const CropOptions& options,
                                               const Geometry& geometry = {});

  // Writes the crop of sample `sample` of the set with this seed, a map's velocities clamped to the
  // geometry's bounds, and returns how many of them had to be clamped. Depends on the model, the
  // options and the arguments alone.
  std::size_t crop(std::uint64_t seed, std::uint64_t sample, std::span<float> velocity) const;

  // The resampled model's extents, in cells of the geometry.
  [[nodiscard]] std::size_t rows() const { return rows_; }
  [[nodiscard]] std::size_t columns() const { return columns_; }
  // The velocity of a cell of the resampled model, not clamped; row 0 is the surface.
  [[nodiscard]] float velocity_at(std::size_t row, std::size_t column) const;

  [[nodiscard]] const std::filesystem::path& path() const { return model_.path(); }
  [[nodiscard]] const CropOptions& options() const { return options_; }
  // SHA-256 of the model's file, in hex.
  [[nodiscard]] std::string digest() const;

 private:
  CropSource(NpyArray model, const CropOptions& options, const Geometry& geometry);

  NpyArray model_;
  CropOptions options_;
  Geometry geometry_;
  std::size_t rows_;
  std::size_t columns_;
};

}  // namespace outcrop::data
