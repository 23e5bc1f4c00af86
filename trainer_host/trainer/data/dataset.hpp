#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/data/known_datasets.hpp"
#include "trainer_host/trainer/data/npy.hpp"

namespace outcrop::data {

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
  // Checks all of it, every value (a second for each 3 GB): shapes (n,1,depth,width) and
  // (n,shots,times,width) of one geometry, one gather a map, finite, velocities within the geometry's
  // bounds, gathers to scale (see ValueSurvey). Values
  // are not read where `known`, which must outlive the data set, says that these files passed.
  [[nodiscard]] static Result<Dataset> open(const std::filesystem::path& folder,
                                            const KnownDatasets& known = KnownDatasets::of_user());

  [[nodiscard]] std::size_t size() const { return samples_.size(); }
  [[nodiscard]] const Geometry& geometry() const { return geometry_; }
  // depth*width values in m/s, row by row, row 0 at the surface. `i` < size().
  [[nodiscard]] std::span<const float> velocity(std::size_t i) const;
  // shots*times*width pressures: shot, time, receiver.
  [[nodiscard]] std::span<const float> gathers(std::size_t i) const;

  // SHA-256 in hex over the names (from the folder on) and contents of the files in use, in their
  // order, and over the geometry where that is not OpenFWI's: the same wherever the folder lies and whatever else is in it. Reads every byte, unless
  // `known` has it.
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
  // What is hashed of the geometry: nothing of OpenFWI's.
  [[nodiscard]] std::string geometry_text() const;
  Status survey();
  template <class Visit>
  void visit_files(const Visit& visit) const;  // in their order, with the names from the folder on
  // Stands for the state of all files; "" while a change could go unnoticed.
  [[nodiscard]] std::string state_key() const;
  [[nodiscard]] bool is_as_opened() const;

  std::filesystem::path folder_;
  Geometry geometry_;
  std::vector<Files> files_;
  std::vector<Sample> samples_;
  const KnownDatasets* memory_ = nullptr;
  std::string key_;
  KnownDatasets::Known known_;
};

}  // namespace outcrop::data
