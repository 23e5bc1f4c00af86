#pragma once

#include <cstddef>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/acoustic_solver.hpp"

namespace outcrop::generator {

// A grid of twice the cells and, as far as that is stable, twice the steps of a data set's geometry, on
// which waves travel as data::AcousticSolver lets them, for a tenth of its cell updates: the stencil is
// fitted to that solver's own dispersion, and what was recorded is brought to the solver's frequencies by
// one fixed sum (after Koene et al. 2018, "Eliminating time dispersion from seismic wave modeling").
struct CoarseGrid {
  // Nodes stand on rows 1, 3, … of a map (sources and receivers are on the first of them) and on columns
  // 0, 2, …, one beyond its edge; around them `sponge` more on each side.
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t sponge = 0;
  double spacing = 0.0;  // metres
  double step = 0.0;     // seconds
  std::size_t steps = 0;

  // The second derivative: -stencil[0], and stencil[k] for both nodes at distance k, times 1 / spacing².
  std::vector<double> stencil;
  std::vector<double> wavelet;  // Ricker's, at each step
  // (v · step)² times this is what the wavelet adds where a source is.
  double source_strength = 0.0;
  // The damping κ of a node for one metre a second of the map's fastest velocity, or of its slowest, row by row.
  std::vector<double> damping;
  bool of_slowest = false;

  // Rows of sums over nodes, for a source in each column of the map, and for a receiver: sources reach over
  // all nodes with the sponge; receivers over `recorded` nodes from `first_recorded` on.
  std::vector<double> sources;    // map columns × (columns + 2 · sponge)
  std::vector<double> receivers;  // recorded × map columns
  std::size_t first_recorded = 0;
  std::size_t recorded = 0;

  // From steps to the data's times: block b makes `block_times` of them, as sums over `window` steps, the
  // first of which is b · block_steps - margin.
  std::size_t block_steps = 0;
  std::size_t block_times = 0;
  std::size_t blocks = 0;
  std::size_t margin = 0;
  std::size_t window = 0;
  std::vector<double> in_time;  // blocks × block_times × window

  [[nodiscard]] std::size_t all_rows() const { return rows + 2 * sponge; }
  [[nodiscard]] std::size_t all_columns() const { return columns + 2 * sponge; }
  [[nodiscard]] std::size_t reach() const { return stencil.size() - 1; }
};

// So many nodes of sponge are as thick as the solver's: then it is damped as that is, and even what the
// solver's lets through comes at its time. Thinner ones cost less and absorb by a law of their own.
inline constexpr std::size_t solvers_sponge = data::experiment::sponge / 2;
inline constexpr std::size_t thin_sponge = 24;
inline constexpr std::size_t thinnest_sponge = 8;

// `sponge`: from thinnest_sponge to solvers_sponge. invalid_argument where the geometry's waves are too short for such cells, with what they would have to be.
[[nodiscard]] Result<CoarseGrid> coarse_grid(const data::Geometry& geometry,
                                             std::size_t sponge = thin_sponge);

}  // namespace outcrop::generator
