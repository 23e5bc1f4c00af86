#include "trainer_host/trainer/kinds/generator/gathers/coarse_grid.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstdio>
#include <numbers>

#include "trainer_host/trainer/data/acoustic_solver.hpp"

namespace outcrop::generator {
namespace {

constexpr double pi = std::numbers::pi;
constexpr std::size_t stencil_reach = 5;          // nodes on each side: tenth order
constexpr double largest_phase = 2.7;     // radians from node to node, up to which the stencil is fitted
constexpr double share_of_stable = 0.9;   // of the largest stable step
constexpr double least_nodes = 4.0;       // of a wave at the wavelet's peak frequency
constexpr double attenuation = 1e3;          // what the sponge is to take from a wave
constexpr std::size_t interpolated = 4;   // nodes on each side of a source or receiver

// What the solver's fourth-order second derivative makes of a wave that advances by `phase` from one of its
// cells to the next, times minus the cell squared.
double solvers_symbol(double phase) {
  return 5.0 / 2 - 8.0 / 3 * std::cos(phase) + std::cos(2 * phase) / 6;
}

// The unknowns of `rows` equations in the sense of least squares, by the normal equations.
template <std::size_t n>
std::array<double, n> least_squares(const std::vector<std::array<double, n + 1>>& rows) {
  std::array<std::array<double, n + 1>, n> a{};
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t k = 0; k <= n; ++k) a[i][k] += row[i] * row[k];
    }
  }
  for (std::size_t pivot = 0; pivot < n; ++pivot) {
    for (std::size_t i = 0; i < n; ++i) {
      if (i == pivot) continue;
      const double factor = a[i][pivot] / a[pivot][pivot];
      for (std::size_t k = pivot; k <= n; ++k) a[i][k] -= factor * a[pivot][k];
    }
  }
  std::array<double, n> solution{};
  for (std::size_t i = 0; i < n; ++i) solution[i] = a[i][n] / a[i][i];
  return solution;
}

// Coefficients 0 … stencil_reach whose symbol is nearest, relatively, to the solver's on cells half as wide.
std::vector<double> fitted_stencil() {
  std::vector<std::array<double, stencil_reach + 1>> rows;
  for (int i = 1; i <= 400; ++i) {
    const double phase = largest_phase * i / 400;
    const double wanted = 4 * solvers_symbol(phase / 2);
    std::array<double, stencil_reach + 1> row{};
    for (std::size_t k = 1; k <= stencil_reach; ++k) {
      row[k - 1] = 2 * (1 - std::cos(static_cast<double>(k) * phase)) / wanted;
    }
    row[stencil_reach] = 1.0;
    rows.push_back(row);
  }
  const auto found = least_squares<stencil_reach>(rows);
  std::vector<double> stencil{0.0};
  for (const double one : found) {
    stencil.push_back(one);
    stencil[0] -= 2 * one;
  }
  return stencil;
}

// The largest v · step / spacing in two dimensions.
double largest_courant_number(const std::vector<double>& stencil) {
  double largest = 0.0;
  for (int i = 0; i <= 800; ++i) {
    double symbol = -stencil[0];
    for (std::size_t k = 1; k < stencil.size(); ++k) {
      symbol -= 2 * stencil[k] * std::cos(static_cast<double>(k) * pi * i / 800);
    }
    largest = std::max(largest, symbol);
  }
  return std::sqrt(2.0 / largest);
}

// I0, the modified Bessel function, by its series.
double bessel(double x) {
  double term = 1.0;
  double sum = 1.0;
  for (int k = 1; k < 40; ++k) {
    term *= x * x / (4.0 * k * k);
    sum += term;
  }
  return sum;
}

// Weights of nodes 0 … count - 1 for what lies at `place`, by a sine cardinal under Kaiser's window
// (Hicks 2002, "Arbitrary source and receiver positioning in finite-difference schemes").
void add_interpolation(std::vector<double>& weights, double place, std::size_t count, std::size_t stride,
                       std::size_t offset) {
  constexpr double shape = 6.31;
  for (std::size_t node = 0; node < count; ++node) {
    const double distance = static_cast<double>(node) - place;
    const double share = distance / static_cast<double>(interpolated);
    if (std::fabs(share) > 1.0) continue;
    const double cardinal = std::fabs(distance) < 1e-9 ? 1.0 : std::sin(pi * distance) / (pi * distance);
    // On a node: that alone.
    if (std::fabs(place - std::round(place)) < 1e-9 && std::fabs(distance) > 0.5) continue;
    weights[offset + node * stride] = cardinal * bessel(shape * std::sqrt(1 - share * share)) / bessel(shape);
  }
}

void place_sources_and_receivers(CoarseGrid& grid, std::size_t width) {
  grid.first_recorded = grid.sponge - interpolated;
  grid.recorded = grid.columns + 2 * interpolated;
  grid.sources.assign(width * grid.all_columns(), 0.0);
  grid.receivers.assign(grid.recorded * width, 0.0);
  for (std::size_t x = 0; x < width; ++x) {
    const double node = static_cast<double>(x) / 2;
    add_interpolation(grid.sources, node + static_cast<double>(grid.sponge), grid.all_columns(), 1,
                      x * grid.all_columns());
    add_interpolation(grid.receivers, node + static_cast<double>(interpolated), grid.recorded, width, x);
  }
}

// Cells of the data outside a map of `extent`, as the solver counts them: none in the first.
double cells_outside(double cell, std::size_t extent) {
  return std::max({0.0, -1.0 - cell, cell - static_cast<double>(extent)});
}

// As AcousticSolver's: beside the map its columns decide, corners included.
void make_solvers_sponge(CoarseGrid& grid, const data::Geometry& geometry) {
  const double last = static_cast<double>(data::experiment::sponge) - 1;
  const double strongest = 3.0 * std::log(1e7) / (2.0 * last * geometry.spacing) * grid.step;
  grid.of_slowest = true;
  for (std::size_t row = 0; row < grid.all_rows(); ++row) {
    const double cell = 2 * (static_cast<double>(row) - static_cast<double>(grid.sponge)) + 1;
    const double above = cells_outside(cell, geometry.depth);
    for (std::size_t column = 0; column < grid.all_columns(); ++column) {
      const double beside = cells_outside(
          2 * (static_cast<double>(column) - static_cast<double>(grid.sponge)), geometry.width);
      const double share = (beside > 0.0 ? beside : above) / last;
      grid.damping.push_back(strongest * share * share);
    }
  }
}

// Rises with the square of the distance from the map (after Cerjan et al. 1985), the larger one in corners.
void make_thin_sponge(CoarseGrid& grid) {
  const auto outside = [&](std::size_t at, std::size_t extent) {
    return cells_outside(static_cast<double>(at) - static_cast<double>(grid.sponge), extent);
  };
  const auto thickness = static_cast<double>(grid.sponge);
  const double strongest = 3.0 * std::log(attenuation) / (2.0 * thickness * grid.spacing) * grid.step;
  for (std::size_t row = 0; row < grid.all_rows(); ++row) {
    for (std::size_t column = 0; column < grid.all_columns(); ++column) {
      const double share = std::max(outside(row, grid.rows), outside(column, grid.columns)) / thickness;
      grid.damping.push_back(strongest * share * share);
    }
  }
}

// Steps of the largest stable length that divide the data's, or are a multiple of them.
void choose_step(CoarseGrid& grid, const data::Geometry& geometry) {
  const double period = 1.0 / geometry.peak_frequency;
  const double largest = std::min(share_of_stable * largest_courant_number(grid.stencil) * grid.spacing /
                                      static_cast<double>(geometry.fastest),
                                  period / 12);
  constexpr std::size_t block = 50;
  const double multiple = std::floor(largest / geometry.time_step + 1e-9);
  const double parts = std::ceil(geometry.time_step / largest - 1e-9);
  if (multiple >= 1) {
    grid.step = multiple * geometry.time_step;
    grid.block_steps = block;
    grid.block_times = block * static_cast<std::size_t>(multiple);
  } else {
    grid.step = geometry.time_step / parts;
    grid.block_steps = block * static_cast<std::size_t>(parts);
    grid.block_times = block;
  }
  grid.margin = static_cast<std::size_t>(std::ceil(0.48 * period / grid.step));
  grid.window = grid.block_steps + 2 * grid.margin;
  grid.blocks = (geometry.times + grid.block_times - 1) / grid.block_times;
  const double end = static_cast<double>(geometry.times) * geometry.time_step;
  grid.steps = static_cast<std::size_t>(std::ceil(end / grid.step - 1e-9)) + grid.margin;
}

// The step of the solver itself for the fastest map of the geometry.
double solvers_step(const data::Geometry& geometry) {
  const double courant_number =
      static_cast<double>(geometry.fastest) * geometry.time_step / geometry.spacing;
  const double parts =
      std::ceil(std::max(courant_number / data::experiment::largest_courant_number,
                         geometry.time_step / data::experiment::largest_step - 1e-9));
  return geometry.time_step / parts;
}

// What a scheme of second order in time makes of a wavelet, at an angular frequency.
std::complex<double> spectrum(double omega, double step, double peak_frequency) {
  std::complex<double> sum = 0.0;
  const double end = 2.0 * static_cast<double>(data::wavelet_peak(peak_frequency)) * 1e-3;
  for (std::size_t i = 0; static_cast<double>(i) * step <= end + 1e-9; ++i) {
    const double time = static_cast<double>(i) * step;
    sum += data::ricker(time, peak_frequency) * std::polar(step, -omega * time);
  }
  return sum;
}

// One frequency that is kept: what the solver calls it and what this grid does, and the ratio of what either
// makes of the wavelet there.
struct Line {
  double solvers = 0.0;
  double ours = 0.0;
  std::complex<double> weight;
};

std::vector<Line> kept_lines(const CoarseGrid& grid, const data::Geometry& geometry) {
  const double unit = geometry.peak_frequency / 15.0;
  const double fine = solvers_step(geometry);
  std::vector<Line> lines;
  for (int i = 0; i * 2.0 < 105.0; ++i) {
    const double frequency = 2.0 * i;  // hertz, at 15 Hz
    Line line{.solvers = 2 * pi * frequency * unit, .ours = 0.0, .weight = {}};
    const double sine = grid.step / fine * std::sin(line.solvers * fine / 2);
    if (sine >= 1.0) break;
    line.ours = 2 / grid.step * std::asin(sine);
    const double kept =
        frequency <= 55.0 ? 1.0 : 0.5 + 0.5 * std::cos(pi * std::min(1.0, (frequency - 55.0) / 50.0));
    // Above, the wavelet holds nothing.
    const bool sounds = frequency > 0.0 && frequency <= 55.0;
    line.weight = kept * (i == 0 ? 0.5 : 1.0) *
                  (sounds ? spectrum(line.solvers, fine, geometry.peak_frequency) /
                                spectrum(line.ours, grid.step, geometry.peak_frequency)
                          : 1.0) *
                  (2.0 * 2.0 * unit * grid.step);
    lines.push_back(line);
  }
  return lines;
}

double fading(double distance, double margin) {
  const double last = margin / 4;
  if (distance <= margin - last) return 1.0;
  return distance >= margin ? 0.0 : 0.5 + 0.5 * std::cos(pi * (distance - margin + last) / last);
}

void make_resampling(CoarseGrid& grid, const data::Geometry& geometry) {
  const std::vector<Line> lines = kept_lines(grid, geometry);
  grid.in_time.reserve(grid.blocks * grid.block_times * grid.window);
  for (std::size_t block = 0; block < grid.blocks; ++block) {
    for (std::size_t i = 0; i < grid.block_times; ++i) {
      const double time = static_cast<double>(block * grid.block_times + i + 1) * geometry.time_step;
      for (std::size_t k = 0; k < grid.window; ++k) {
        const auto index = static_cast<double>(block * grid.block_steps + k) - static_cast<double>(grid.margin);
        const double recorded = (index + 1) * grid.step;
        const double weight = fading(std::fabs(time - recorded) / grid.step, static_cast<double>(grid.margin));
        double sum = 0.0;
        if (weight > 0.0) {
          for (const Line& line : lines) {
            sum += (line.weight * std::polar(1.0, line.solvers * time - line.ours * recorded)).real();
          }
        }
        grid.in_time.push_back(weight * sum);
      }
    }
  }
}

Status check_waves(const data::Geometry& geometry, double spacing) {
  const double nodes = static_cast<double>(geometry.slowest) / (geometry.peak_frequency * spacing);
  if (nodes >= least_nodes) return {};
  std::array<char, 200> text{};
  std::snprintf(text.data(), text.size(),
                "waves of %g Hz at %g m/s, which are %.1f cells of %g m long; computed on cells twice the data's they "
                "need %g",
                geometry.peak_frequency, static_cast<double>(geometry.slowest), nodes, spacing, least_nodes);
  return fail(ErrorCode::invalid_argument, text.data());
}

}  // namespace

Result<CoarseGrid> coarse_grid(const data::Geometry& geometry, std::size_t sponge) {
  CoarseGrid grid;
  grid.sponge = sponge;
  grid.spacing = 2 * geometry.spacing;
  OUTCROP_CHECK(check_waves(geometry, grid.spacing));
  grid.rows = geometry.depth / 2;
  grid.columns = geometry.width / 2 + 1;
  grid.stencil = fitted_stencil();
  choose_step(grid, geometry);
  const double per_cell = static_cast<double>(data::grid::spacing) / geometry.spacing;
  grid.source_strength = per_cell * per_cell / 4;  // of a cell of the solver, a quarter of ours
  for (std::size_t i = 0; i < grid.steps; ++i) {
    grid.wavelet.push_back(data::ricker(static_cast<double>(i) * grid.step, geometry.peak_frequency));
  }
  if (sponge == solvers_sponge) {
    make_solvers_sponge(grid, geometry);
  } else {
    make_thin_sponge(grid);
  }
  place_sources_and_receivers(grid, geometry.width);
  make_resampling(grid, geometry);
  return grid;
}

}  // namespace outcrop::generator
