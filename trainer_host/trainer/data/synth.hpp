#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/crop_source.hpp"
#include "trainer_host/trainer/data/earth_model.hpp"

namespace outcrop::data {

// A data set to be made: velocity maps of a family, or crops of a model, and their gathers.
struct SynthOptions {
  Family family = Family::curvefault_a;       // without effect where `from` is set
  std::optional<std::filesystem::path> from;  // a velocity model, see CropSource
  CropOptions crop;
  Geometry geometry;        // what is made; recorded in dataset.json
  std::uint64_t count = 0;  // samples, at least 1
  std::uint64_t seed = 0;
  unsigned threads = 1;                // at least 1
  std::filesystem::path out;           // a folder that is not there or is empty
  std::size_t samples_per_file = 500;  // as OpenFWI has it
  bool labels = false;                 // also what each cell is (labels.hpp); of a family only
};

struct SynthReport {
  std::filesystem::path folder;
  std::uint64_t samples = 0;
  std::string digest;                   // Dataset::digest()
  std::optional<double> clamped_share;  // of the crops' cells, 0...1
  double seconds = 0.0;
};

struct SynthHooks {
  // Told now and then how many shots are done, on the calling thread.
  std::function<void(std::uint64_t shots_done)> progress = [](std::uint64_t) {};
  // Asked several times a second, on the calling thread, whether to give up.
  std::function<bool()> stop_requested = [] { return false; };
};

// Makes the data set and its dataset.json and publishes both as a whole: `out` is complete or not
// there. The same options except `threads` and `out` give the same bytes. Memory does not grow
// with `count`. Fails with interrupted when asked to stop, and as CropSource and StagedDataset do.
[[nodiscard]] Result<SynthReport> synthesize(const SynthOptions& options, const SynthHooks& hooks);

}  // namespace outcrop::data
