#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/npy.hpp"

namespace outcrop::data {

// The grid of every OpenFWI 2-D family: depth by distance, a receiver in every column.
namespace grid {
inline constexpr std::size_t depth = 70;    // rows of a velocity map, row 0 at the surface
inline constexpr std::size_t width = 70;    // columns, also receivers
inline constexpr std::size_t shots = 5;     // gathers a map
inline constexpr std::size_t times = 1000;  // recorded steps of a gather
inline constexpr float spacing = 10.0F;     // metres
inline constexpr float time_step = 0.001F;  // seconds
inline constexpr float slowest = 1500.0F;   // metres a second
inline constexpr float fastest = 4500.0F;
inline constexpr std::size_t map_size = depth * width;
inline constexpr std::size_t gather_size = shots * times * width;
}  // namespace grid

// One pair of files of a data set: n maps and their n gathers.
struct FilePair {
  std::filesystem::path velocity;
  std::filesystem::path gathers;
};

// The pairs of a folder in OpenFWI's layout, in the order of their numbers: model{i}.npy with
// data{i}.npy (Vel and Style families; also in subfolders model/ and data/), vel{g}_{h}_{i}.npy
// with seis{g}_{h}_{i}.npy (Fault families). Other files are ignored. not_found where the folder
// is missing or holds no such file; invalid_data names a file whose partner is missing.
[[nodiscard]] Result<std::vector<FilePair>> find_pairs(const std::filesystem::path& folder);

// Velocity maps and their shot gathers in a folder in OpenFWI's layout, ours or somebody else's.
// Files are mapped: a data set larger than memory works. Movable; may be read from any thread;
// spans live as long as the data set. The files must not change meanwhile.
class Dataset {
 public:
  // Checks all of it, every value (a second for each 3 GB): shapes (n,1,70,70) and (n,5,1000,70),
  // one gather a map, finite, velocities of 1500-4500 m/s, gathers to scale (see ValueSurvey).
  [[nodiscard]] static Result<Dataset> open(const std::filesystem::path& folder);

  [[nodiscard]] std::size_t size() const { return samples_.size(); }
  // 70*70 values in m/s, row by row, row 0 at the surface. `i` < size().
  [[nodiscard]] std::span<const float> velocity(std::size_t i) const;
  // 5*1000*70 pressures: shot, time, receiver.
  [[nodiscard]] std::span<const float> gathers(std::size_t i) const;

  // SHA-256 in hex over the names (from the folder on) and contents of the files in use, in their
  // order: the same wherever the folder lies and whatever else is in it. Reads every byte.
  [[nodiscard]] std::string digest() const;

 private:
  struct Files {
    NpyArray velocity;
    NpyArray gathers;
  };
  struct Sample {
    std::size_t file;
    std::size_t row;
  };

  Status add(const FilePair& pair);

  std::filesystem::path folder_;
  std::vector<Files> files_;
  std::vector<Sample> samples_;
};

}  // namespace outcrop::data
