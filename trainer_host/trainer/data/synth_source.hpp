#pragma once

#include <cstdint>
#include <filesystem>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/earth_model.hpp"

namespace outcrop::data {

// What `outcrop synth --family` made a folder of: with it, more of the same can be made.
struct SynthSource {
  Family family = Family::curvefault_a;
  std::uint64_t seed = 0;
  std::uint64_t samples = 0;  // numbers 0 to samples - 1 of that family and seed
};

// By the folder's dataset.json. unsupported where it was made otherwise (somebody else's maps, crops of a model), with what
// would be right; invalid_data where the file says what cannot be.
[[nodiscard]] Result<SynthSource> synth_source_of(const std::filesystem::path& folder);

}  // namespace outcrop::data
