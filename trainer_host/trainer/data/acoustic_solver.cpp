#include "trainer_host/trainer/data/acoustic_solver.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "trainer_host/trainer/data/flush_denormals.hpp"

namespace outcrop::data {
namespace {

constexpr double pi = 3.14159265358979323846;
constexpr double log_of_ten_million = 16.118095650958319788;  // damping: a wave loses 7 digits

constexpr auto sponge = static_cast<std::ptrdiff_t>(experiment::sponge);
constexpr std::ptrdiff_t reach = 2;  // cells that one step looks to each side
constexpr std::ptrdiff_t halo = reach;
constexpr auto group = static_cast<std::ptrdiff_t>(group_rows);
static_assert(group >= reach, "a step must not read what the step before has not written yet");
static_assert(least_row_padding >= reach);

// Steps taken in one sweep over the rows, so that a row is advanced this often while it is in the
// first-level cache. Where both fields fit the second level (Zen 4, 1 MB) it gains 3 %.
constexpr std::size_t sweep_steps = 4;

// exp(-x) for x in 0...32, to about 1e-14, from operations that IEEE 754 fixes to the bit.
double exp_of_minus(double x) {
  const double part = x / 64.0;
  double term = 1.0;
  double sum = 1.0;
  for (int n = 1; n <= 14; ++n) {
    term *= -part / n;
    sum += term;
  }
  for (int doubling = 0; doubling < 6; ++doubling) sum *= sum;
  return sum;
}

std::ptrdiff_t clamp_to_map(std::ptrdiff_t padded, std::ptrdiff_t extent) {
  return std::clamp<std::ptrdiff_t>(padded - sponge, 0, extent - 1);
}

// How far a padded row or column lies outside the map: 0 inside and in the first cell outside,
// as OpenFWI counts.
std::ptrdiff_t distance_outwards(std::ptrdiff_t padded, std::ptrdiff_t extent) {
  return std::max<std::ptrdiff_t>({sponge - 1 - padded, padded - sponge - extent, 0});
}

}  // namespace

std::size_t wavelet_peak(double peak_frequency) {
  return static_cast<std::size_t>(std::floor(1100.0 / peak_frequency));
}

double ricker(double time, double peak_frequency) {
  constexpr double sample = grid::time_step;
  const auto peak = static_cast<double>(wavelet_peak(peak_frequency));
  if (time < -0.5e-6 || time > (2.0 * peak + 0.5) * sample) return 0.0;
  const double phase = pi * peak_frequency * (time - peak * 1e-3);
  const double square = phase * phase;
  return (1.0 - 2.0 * square) * exp_of_minus(square);
}

void AcousticSolver::Free::operator()(float* memory) const {
  std::free(memory);
}

AcousticSolver::Buffer AcousticSolver::allocate(std::ptrdiff_t buffer_rows) const {
  const std::size_t bytes = static_cast<std::size_t>(buffer_rows * stride_) * sizeof(float);
  Buffer buffer(static_cast<float*>(std::aligned_alloc(64, bytes)));
  if (!buffer) throw std::bad_alloc();
  std::memset(buffer.get(), 0, bytes);
  return buffer;
}

AcousticSolver::AcousticSolver(Geometry geometry)
    : AcousticSolver(acoustic_kernels().back(), experiment::row, std::move(geometry)) {}

// Rows are rounded up to whole groups; those added stay zero, as the coefficients there are zero.
AcousticSolver::AcousticSolver(const AcousticKernel& kernel, std::size_t row, Geometry geometry)
    : kernel_(&kernel),
      geometry_(std::move(geometry)),
      map_rows_(static_cast<std::ptrdiff_t>(geometry_.depth)),
      map_columns_(static_cast<std::ptrdiff_t>(geometry_.width)),
      rows_(map_rows_ + 2 * sponge),
      columns_(map_columns_ + 2 * sponge),
      stride_(static_cast<std::ptrdiff_t>(row_stride(static_cast<std::size_t>(columns_)))),
      stored_rows_((rows_ + group - 1) / group * group),
      acquisition_row_(sponge + static_cast<std::ptrdiff_t>(row)),
      fields_{allocate(stored_rows_ + 2 * halo), allocate(stored_rows_ + 2 * halo)},
      alpha_(allocate(map_rows_ + 1)),
      keep_(allocate(sponge + 1)) {
  for (std::ptrdiff_t padded = 0; padded < stored_rows_; ++padded) {
    const bool added = padded >= rows_;
    coefficients_.push_back(
        {alpha_.get() + (added ? map_rows_ : clamp_to_map(padded, map_rows_)) * stride_,
         keep_.get() + (added ? sponge : distance_outwards(padded, map_rows_)) * stride_});
  }
}

Status AcousticSolver::set_velocity(std::span<const float> velocity) {
  if (velocity.size() != geometry_.map_size()) {
    return fail(ErrorCode::invalid_argument,
                "a velocity map of " + std::to_string(velocity.size()) + " values; needed are " +
                    std::to_string(geometry_.map_size()));
  }
  for (const float value : velocity) {
    if (!(value >= 100.0F && value <= 6000.0F)) {
      return fail(ErrorCode::invalid_argument, "a velocity of " + std::to_string(value) +
                                                   " m/s; the solver takes 100 to 6000 m/s");
    }
  }
  const auto [slowest, fastest] = std::minmax_element(velocity.begin(), velocity.end());
  const double courant_number =
      static_cast<double>(*fastest) * geometry_.time_step / geometry_.spacing;
  // 2 ms must not become 2.0000000001 ms, three steps.
  const double milliseconds = geometry_.time_step / experiment::largest_step - 1e-9;
  substeps_ = static_cast<std::size_t>(
      std::ceil(std::max(courant_number / experiment::largest_courant_number, milliseconds)));
  const double step = geometry_.time_step / static_cast<double>(substeps_);
  set_alpha(velocity, step);
  set_keep(static_cast<double>(*slowest), step);
  source_scale_.clear();
  const auto row = static_cast<std::size_t>(acquisition_row_ - sponge);
  const double per_cell = static_cast<double>(grid::spacing) / geometry_.spacing;
  for (const std::size_t column : geometry_.source_columns) {
    const double path = static_cast<double>(velocity[row * geometry_.width + column]) * step;
    source_scale_.push_back(static_cast<float>(path * path * (per_cell * per_cell)));
  }
  wavelet_.resize(geometry_.times * substeps_);
  for (std::size_t i = 0; i < wavelet_.size(); ++i) {
    wavelet_[i] = static_cast<float>(ricker(static_cast<double>(i) * step, geometry_.peak_frequency));
  }
  return {};
}

void AcousticSolver::set_alpha(std::span<const float> velocity, double step) {
  for (std::ptrdiff_t row = 0; row < map_rows_; ++row) {
    for (std::ptrdiff_t column = 0; column < columns_; ++column) {
      const double value = static_cast<double>(velocity[static_cast<std::size_t>(
          row * map_columns_ + clamp_to_map(column, map_columns_))]);
      const double courant_number = value * step / geometry_.spacing;
      alpha_[static_cast<std::size_t>(row * stride_ + column)] =
          static_cast<float>(courant_number * courant_number / 12.0);
    }
  }
}

void AcousticSolver::set_keep(double slowest, double step) {
  const double thickness = static_cast<double>(sponge - 1) * geometry_.spacing;
  const double strongest = 3.0 * slowest * log_of_ten_million / (2.0 * thickness);
  const auto keep = [&](std::ptrdiff_t distance) {
    const double share = static_cast<double>(distance) / static_cast<double>(sponge - 1);
    return static_cast<float>(1.0 - strongest * share * share * step);
  };
  for (std::ptrdiff_t row = 0; row < sponge; ++row) {
    for (std::ptrdiff_t column = 0; column < columns_; ++column) {
      // Beside the map its columns decide, corners included; above and below the rows do.
      const bool beside = column < sponge || column >= sponge + map_columns_;
      keep_[static_cast<std::size_t>(row * stride_ + column)] =
          keep(beside ? distance_outwards(column, map_columns_) : row);
    }
  }
}

AcousticSolver::RowRange AcousticSolver::active_rows(std::size_t step) const {
  // Rows that the source can have reached, and from which a receiver can still be reached: all
  // others are exactly zero or are never heard of again.
  const std::size_t left = wavelet_.size() - 1 - step;
  const auto distance = reach * static_cast<std::ptrdiff_t>(std::min(step, left));
  const std::ptrdiff_t first = std::max<std::ptrdiff_t>(acquisition_row_ - distance, 0);
  const std::ptrdiff_t end = std::min(acquisition_row_ + distance + 1, rows_);
  return {first / group * group, end};
}

std::size_t AcousticSolver::updates_per_shot() const {
  std::size_t updates = 0;
  for (std::size_t step = 0; step < wavelet_.size(); ++step) {
    const RowRange range = active_rows(step);
    updates += static_cast<std::size_t>((range.end - range.first) * columns_);
  }
  return updates;
}

void AcousticSolver::advance(std::size_t step, std::ptrdiff_t first_row) {
  const std::ptrdiff_t begin = (first_row + halo) * stride_;
  RowGroup rows_now{};
  rows_now.stride = static_cast<std::size_t>(stride_);
  rows_now.current = fields_[step % 2].get() + begin;
  rows_now.previous = fields_[(step + 1) % 2].get() + begin;
  for (std::ptrdiff_t i = 0; i < group; ++i) {
    const Coefficients& row = coefficients_[static_cast<std::size_t>(first_row + i)];
    rows_now.alpha[i] = row.alpha;
    rows_now.keep[i] = row.keep;
  }
  kernel_->advance(rows_now);
}

void AcousticSolver::shoot(std::size_t shot, std::span<float> gather) {
  const FlushDenormals guard;
  for (Buffer& field : fields_) std::fill_n(field.get(), (stored_rows_ + 2 * halo) * stride_, 0.0F);
  const auto source_column =
      sponge + static_cast<std::ptrdiff_t>(geometry_.source_columns.at(shot));
  const float scale = source_scale_.at(shot);
  const std::ptrdiff_t acquisition = (acquisition_row_ + halo) * stride_;
  const std::size_t steps = wavelet_.size();
  for (std::size_t first = 0; first < steps; first += sweep_steps) {
    const std::size_t last = std::min(first + sweep_steps, steps);
    // Each step follows the one before it at the distance of a group: all that it reads is then
    // done, and what it overwrites nobody needs any more.
    const auto lag = group * static_cast<std::ptrdiff_t>(sweep_steps - 1);
    for (std::ptrdiff_t front = 0; front < stored_rows_ + lag; front += group) {
      for (std::size_t step = first; step < last; ++step) {
        const std::ptrdiff_t row = front - group * static_cast<std::ptrdiff_t>(step - first);
        const RowRange range = active_rows(step);
        if (row < range.first || row >= range.end) continue;
        advance(step, row);
        if (row != acquisition_row_ / group * group) continue;
        float* ahead = fields_[(step + 1) % 2].get() + acquisition;
        ahead[source_column] += scale * wavelet_[step];
        if ((step + 1) % substeps_ != 0) continue;
        const std::size_t sample = (step + 1) / substeps_ - 1;
        std::copy_n(ahead + sponge, map_columns_,
                    gather.begin() + static_cast<std::ptrdiff_t>(sample) * map_columns_);
      }
    }
  }
}

}  // namespace outcrop::data
