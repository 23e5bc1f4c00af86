#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/base/unique_fd.hpp"
#include "trainer_host/trainer/data/geometry.hpp"

namespace outcrop::data {

// How the files of a data set are called.
enum class Naming {
  model_data,  // model/model1.npy, data/data1.npy, ...: OpenFWI's Vel and Style families
  vel_seis,    // vel4_1_0.npy, seis4_1_0.npy, ...: its Fault families
};

// A data set in the making, in a folder "OUT.incomplete" beside its final place or, where that is
// an empty folder already, in "OUT/.incomplete"; in files whose names no reader takes for a data
// set's ("...npy.part"). Samples are written in any order and
// from any thread, so a set may be larger than memory. publish() makes it visible as a whole;
// without it the destructor removes everything. What a killed process left is removed by the next
// one that writes to the same place.
class StagedDataset {
 public:
  // Claims the place and the disk space. already_exists where `out` is there and not an empty
  // folder; refused where another process is writing to it; no_space where the disk is full.
  [[nodiscard]] static Result<StagedDataset> create(const std::filesystem::path& out,
                                                    std::size_t samples,
                                                    std::size_t samples_per_file, Naming naming,
                                                    const Geometry& geometry = {});
  StagedDataset(StagedDataset&& other) noexcept;
  StagedDataset& operator=(StagedDataset&&) = delete;
  ~StagedDataset();

  // depth*width velocities of sample `sample`.
  [[nodiscard]] Status write_velocity(std::size_t sample, std::span<const float> velocity) const;
  // times*width pressures of one of its shots.
  [[nodiscard]] Status write_gather(std::size_t sample, std::size_t shot,
                                    std::span<const float> gather) const;

  // Gives the files their names: from here on the folder can be opened as a data set.
  // All samples must have been written.
  [[nodiscard]] Status complete();
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  // Makes it all durable and moves it to its final place. After complete().
  [[nodiscard]] Status publish();

 private:
  struct Part {
    std::filesystem::path path;  // final name, relative to the folder
    std::size_t header_size;
  };

  StagedDataset(std::filesystem::path out, std::size_t samples_per_file, const Geometry& geometry);

  Status claim();
  Status create_files(std::size_t samples, Naming naming);
  Result<Part> create_part(const std::filesystem::path& name, std::vector<std::size_t> shape);
  [[nodiscard]] Status write(const Part& part, std::size_t offset,
                             std::span<const float> values) const;

  std::filesystem::path out_;
  std::filesystem::path folder_;  // empty after publish() or a move
  std::size_t samples_per_file_;
  Geometry geometry_;
  UniqueFd lock_;
  std::vector<Part> velocity_;
  std::vector<Part> gathers_;
};

}  // namespace outcrop::data
