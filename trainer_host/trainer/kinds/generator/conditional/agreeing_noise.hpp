#pragma once

#include <torch/torch.h>

#include <cstddef>
#include <functional>

namespace outcrop::generator {

// Cells whose velocity is known.
struct KnownCells {
  torch::Tensor values;     // [depth, width], m/s; what it has where nothing is known does not count
  torch::Tensor known;      // [depth, width], 1 where it is, else 0
  double deviation = 0.0;   // of what is known from the truth, and of what a decoder can draw: standard, m/s; > 0
};

// Noise [N, latent] whose maps agree with what is known, as near as may be to `noise`: by randomized
// maximum likelihood (Kitanidis 1995, "Quasi-linear geostatistical theory for inversing"; Oliver, He and Reynolds 1996,
// "Conditioning permeability fields to pressure data"). Each row becomes a minimum of
//   |known · (maps(x) - values - d · e)|² / (2 d²) + |x - noise|² / 2,   e standard normal, of `seed`, d² = 8 deviation²
// of its own: errors of neighbouring cells go together, and eight cells are taken to say as much as one. Were maps linear in noise, rows that were standard normal would be draws from what noise is once cells are known;
// as it is, they are near. `maps` must be differentiable: [N, latent] → [N, depth, width] in m/s.
[[nodiscard]] torch::Tensor agreeing_noise(const std::function<torch::Tensor(const torch::Tensor& noise)>& maps,
                                           const torch::Tensor& noise, const KnownCells& cells, std::uint64_t seed,
                                           const std::function<void(std::size_t done, std::size_t total)>& progress);

}  // namespace outcrop::generator
