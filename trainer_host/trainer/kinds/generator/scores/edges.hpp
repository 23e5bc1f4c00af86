#pragma once

#include <cstddef>
#include <span>

namespace outcrop::generator {

// Whether velocity maps have the edges that layers have: an autoencoder's mean error hides how much it blurs.
// Pure functions, from any thread. Maps are row-major rows × columns, in m/s.

// Half of the least step between layers that can be told apart in the data (OpenFWI's are some hundred m/s apart).
inline constexpr float same_layer = 50.0F;

// The share of cells within 50 m/s of the true value: inside of a layer a blurred map is as right as a sharp one, at its
// edges it is right nowhere. Precondition: equal, non-zero lengths.
[[nodiscard]] double share_in_layer(std::span<const float> truth, std::span<const float> map);

// How fine a map is: the share of the energy of its vertical gradient at wavelengths below four rows, mean over columns
// weighted by their energy (a discrete Fourier transform of the differences of each column). White noise has .5, an edge
// about .5, an edge smoothed over four rows below .1; 0 for a map without a gradient. Precondition: rows > 2.
[[nodiscard]] double fine_share(std::span<const float> map, std::size_t rows, std::size_t columns);

}  // namespace outcrop::generator
