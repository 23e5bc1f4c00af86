#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::evaluate {

// A subsurface that a model made up, and its middle shot.
struct Sample {
  std::vector<float> map;     // 70 × 70 values in m/s, row 0 at the surface
  std::vector<float> gather;  // 1000 × 70 pressures
};

// One to six samples side by side, maps above gathers. PNG by gnuplot; errors are those of
// gnuplot.hpp.
[[nodiscard]] Status draw_samples(const std::vector<Sample>& samples, const std::string& title,
                                  const std::string& caption, const std::filesystem::path& png);

// The samples in a .safetensors file as `outcrop-agent infer` writes it: tensors "velocity"
// [N, 1, 70, 70] and "seismic" [N, 5, 1000, 70]; the first `most` of them. invalid_data names what
// is missing.
[[nodiscard]] Result<std::vector<Sample>> read_samples(const std::filesystem::path& file,
                                                       std::size_t most);

}  // namespace outcrop::evaluate
