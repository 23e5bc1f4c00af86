#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/acoustic_kernel.hpp"
#include "trainer_host/trainer/data/geometry.hpp"

namespace outcrop::data {

// The experiment that OpenFWI simulates (Deng et al., "OpenFWI", NeurIPS 2022, and its forward
// modelling code): 15 Hz Ricker sources and receivers one cell below the top, no free surface. What
// Geometry says takes the place of these numbers where a data set has another one.
namespace experiment {
inline constexpr std::size_t sponge = 120;  // absorbing cells on each side
inline constexpr std::size_t row = 1;       // of all sources and receivers
inline constexpr std::array<std::size_t, grid::shots> source_columns{0, 17, 34, 52, 69};
inline constexpr double peak_frequency = 15.0;  // hertz
inline constexpr std::size_t wavelet_samples = 147;  // milliseconds, at that frequency
inline constexpr std::size_t wavelet_peak = 73;
// Above this v dt / dx the time step is divided; the scheme with its sponge is stable to .594.
inline constexpr double largest_courant_number = 0.58;
inline constexpr double largest_step = 1e-3;  // seconds, whatever is recorded: of the second order in time
}  // namespace experiment

// The Ricker wavelet at `time` seconds, its peak (1) at 73 ms, zero outside 0...146 ms; of other
// frequencies the peak stands at 1.1 periods, rounded down to milliseconds, in the middle. Computed
// without the mathematics library, whose last bit differs between machines.
[[nodiscard]] double ricker(double time, double peak_frequency = experiment::peak_frequency);
// When that peak is, in whole milliseconds.
[[nodiscard]] std::size_t wavelet_peak(double peak_frequency);

// Solves the acoustic wave equation with constant density on a map of a geometry, padded by 120 absorbing cells on each side that repeat the map's edge: second order in time, fourth in
// space,
//   p+ = (2 - 5a - k) p - (1 - k) p- + a [4/3 (near neighbours) - 1/12 (far neighbours)],
// a = (v dt/dx)^2, k = damping * dt; damping rises with the square of the distance from the map.
// Where the recorded step exceeds `largest_step`, or v dt/dx `largest_courant_number`, it is divided
// evenly and every n-th step recorded. A source is as strong per area, whatever the spacing: gathers stay on
// OpenFWI's scale.
//
// The result depends on map and geometry alone: it has the same bits on every x86-64 machine, at any
// number of threads and in any order of shots. An object is one thread's work space (1 MB);
// use one for each thread.
class AcousticSolver {
 public:
  // Precondition: check(geometry).
  explicit AcousticSolver(Geometry geometry = {});
  // With a kernel and a row of sources and receivers (of the map) of the caller's choice, for tests
  // and measurements.
  explicit AcousticSolver(const AcousticKernel& kernel, std::size_t row = experiment::row,
                          Geometry geometry = {});
  AcousticSolver(AcousticSolver&&) noexcept = default;
  AcousticSolver& operator=(AcousticSolver&&) noexcept = default;

  // Takes the map for the following shots: depth*width velocities in m/s, row 0 at the surface.
  // invalid_argument where one is not finite or outside 100...6000 m/s.
  [[nodiscard]] Status set_velocity(std::span<const float> velocity);

  // Fires shot `shot` of the map and writes its gather, times*width pressures: time, receiver.
  // Sample i is the pressure at (i + 1) time steps. Needs a map; `shot` < the geometry's shots.
  void shoot(std::size_t shot, std::span<float> gather);

  // How many steps of a shot make one recorded sample: 1 up to 5800 m/s where it is
  // 1 ms and cells are 10 m.
  [[nodiscard]] std::size_t substeps() const { return substeps_; }
  // Cell updates that one shot needs, those that can matter for the receivers only.
  [[nodiscard]] std::size_t updates_per_shot() const;

 private:
  struct Free {
    void operator()(float* memory) const;
  };
  using Buffer = std::unique_ptr<float[], Free>;
  struct Coefficients {  // of a padded row, in alpha_ and keep_
    const float* alpha;
    const float* keep;
  };
  struct RowRange {
    std::ptrdiff_t first;  // of a group
    std::ptrdiff_t end;
  };

  [[nodiscard]] Buffer allocate(std::ptrdiff_t rows) const;
  void set_alpha(std::span<const float> velocity, double step);
  void set_keep(double slowest, double step);
  [[nodiscard]] RowRange active_rows(std::size_t step) const;
  void advance(std::size_t step, std::ptrdiff_t first_row);

  const AcousticKernel* kernel_;
  Geometry geometry_;
  // Of the map, and padded; stride_ from row to row, stored_rows_ in whole groups.
  std::ptrdiff_t map_rows_;
  std::ptrdiff_t map_columns_;
  std::ptrdiff_t rows_;
  std::ptrdiff_t columns_;
  std::ptrdiff_t stride_;
  std::ptrdiff_t stored_rows_;
  std::ptrdiff_t acquisition_row_;  // with the padding
  Buffer fields_[2];                // p now and one step back, by turns
  // One row for each row of the map (padding repeats the first and last), then one of zeros.
  Buffer alpha_;
  // Row 0 for the map's own rows, row i for the i-th away from it, then one of zeros.
  Buffer keep_;
  std::vector<Coefficients> coefficients_;
  std::vector<float> wavelet_;       // for each step
  std::vector<float> source_scale_;  // (v dt)^2 in each source's cell
  std::size_t substeps_ = 1;
};

}  // namespace outcrop::data
