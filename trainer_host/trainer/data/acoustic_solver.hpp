#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/acoustic_kernel.hpp"
#include "trainer_host/trainer/data/dataset.hpp"

namespace outcrop::data {

// The experiment that OpenFWI simulates (Deng et al., "OpenFWI", NeurIPS 2022, and its forward
// modelling code): 15 Hz Ricker sources and receivers one cell below the top, no free surface.
namespace experiment {
inline constexpr std::size_t sponge = 120;  // absorbing cells on each side
inline constexpr std::size_t row = 1;       // of all sources and receivers
inline constexpr std::array<std::size_t, grid::shots> source_columns{0, 17, 34, 52, 69};
inline constexpr double peak_frequency = 15.0;  // hertz
inline constexpr std::size_t wavelet_samples = 147;
inline constexpr std::size_t wavelet_peak = 73;
// Above this v dt / dx the time step is divided; the scheme with its sponge is stable to .594.
inline constexpr double largest_courant_number = 0.58;
}  // namespace experiment

// The Ricker wavelet at `time` seconds, its peak (1) at 73 ms, zero outside 0...146 ms. Computed
// without the mathematics library, whose last bit differs between machines.
[[nodiscard]] double ricker(double time);

// Solves the acoustic wave equation with constant density on a 70x70 map of 10 m cells, padded
// by 120 absorbing cells on each side that repeat the map's edge: second order in time, fourth in
// space,
//   p+ = (2 - 5a - k) p - (1 - k) p- + a [4/3 (near neighbours) - 1/12 (far neighbours)],
// a = (v dt/dx)^2, k = damping * dt; damping rises with the square of the distance from the map.
// Where v dt/dx exceeds `largest_courant_number` the step is divided evenly and every n-th step
// recorded.
//
// The result depends on the map alone: it has the same bits on every x86-64 machine, at any
// number of threads and in any order of shots. An object is one thread's work space (1 MB);
// use one for each thread.
class AcousticSolver {
 public:
  AcousticSolver();
  // With a kernel and a row of sources and receivers (below 70) of the caller's choice, for tests
  // and measurements.
  explicit AcousticSolver(const AcousticKernel& kernel, std::size_t row = experiment::row);
  AcousticSolver(AcousticSolver&&) noexcept = default;
  AcousticSolver& operator=(AcousticSolver&&) noexcept = default;

  // Takes the map for the following shots: 70*70 velocities in m/s, row 0 at the surface.
  // invalid_argument where one is not finite or outside 100...6000 m/s.
  [[nodiscard]] Status set_velocity(std::span<const float> velocity);

  // Fires shot `shot` of the map and writes its gather, 1000*70 pressures: time, receiver.
  // Sample i is the pressure at (i + 1) ms. Needs a map; `shot` < 5.
  void shoot(std::size_t shot, std::span<float> gather);

  // How many steps of a shot make one recorded sample: 1 up to 5800 m/s.
  [[nodiscard]] std::size_t substeps() const { return substeps_; }
  // Cell updates that one shot needs, those that can matter for the receivers only.
  [[nodiscard]] std::size_t updates_per_shot() const;

 private:
  struct Free {
    void operator()(float* memory) const;
  };
  using Buffer = std::unique_ptr<float[], Free>;
  struct RowRange {
    std::ptrdiff_t first;  // of a group
    std::ptrdiff_t end;
  };

  static Buffer allocate(std::size_t rows);
  void set_alpha(std::span<const float> velocity, double step);
  void set_keep(double slowest, double step);
  [[nodiscard]] RowRange active_rows(std::size_t step) const;
  void advance(std::size_t step, std::ptrdiff_t first_row);

  const AcousticKernel* kernel_;
  std::ptrdiff_t acquisition_row_;  // with the padding
  Buffer fields_[2];                // p now and one step back, by turns
  // One row for each row of the map (padding repeats the first and last), then one of zeros.
  Buffer alpha_;
  // Row 0 for the map's own rows, row i for the i-th away from it, then one of zeros.
  Buffer keep_;
  std::vector<float> wavelet_;       // for each step
  std::vector<float> source_scale_;  // (v dt)^2 in each source's cell
  std::size_t substeps_ = 1;
};

}  // namespace outcrop::data
