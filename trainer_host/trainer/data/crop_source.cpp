#include "trainer_host/trainer/data/crop_source.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

#include "protocol/trust/digest.hpp"
#include "trainer_host/trainer/data/counter_random.hpp"
#include "trainer_host/trainer/data/npy.hpp"

namespace outcrop::data {
namespace {

// Points at `wanted` m that fit between the first and the last of `count` points at `spacing`.
std::size_t resampled_extent(std::size_t count, double spacing, double wanted) {
  if (count == 0) return 0;
  const double length = static_cast<double>(count - 1) * spacing;
  return static_cast<std::size_t>(length / wanted) + 1;
}

// Which two cells a resampled point lies between, and how far from the first.
struct Between {
  std::size_t first;
  std::size_t second;
  double share;
};

Between locate(std::size_t resampled, std::size_t count, double spacing, double wanted) {
  const double at = static_cast<double>(resampled) * wanted / spacing;
  const std::size_t first = std::min(static_cast<std::size_t>(at), count - 1);
  return {first, std::min(first + 1, count - 1), at - static_cast<double>(first)};
}

double mix(double a, double b, double share) {
  return a * (1.0 - share) + b * share;
}

// "10 m", "12.5 m".
std::string metres_of_a_cell(const Geometry& geometry) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g m", geometry.spacing);
  return text.data();
}

Status check_values(const NpyArray& array) {
  OUTCROP_CHECK(array.check_finite());
  const auto [low, high] = std::minmax_element(array.values().begin(), array.values().end());
  // Water is 1480 m/s, air 340; the mantle 8500. Outside lies another unit or another quantity.
  if (*low >= 100.0F && *high <= 10000.0F) return {};
  const std::string hint = *high < 100.0F ? " (kilometres a second? multiply by 1000)" : "";
  return fail(ErrorCode::invalid_data, array.path().string() + ": values from " +
                                           std::to_string(*low) + " to " + std::to_string(*high) +
                                           hint + "; needed are velocities in metres a second");
}

}  // namespace

CropSource::CropSource(NpyArray model, const CropOptions& options, const Geometry& geometry)
    : model_(std::move(model)),
      options_(options),
      geometry_(geometry),
      rows_(resampled_extent(model_.shape()[0], options.spacing, geometry.spacing)),
      columns_(resampled_extent(model_.shape()[1], options.spacing, geometry.spacing)) {}

Result<CropSource> CropSource::open(const std::filesystem::path& model,
                                    const CropOptions& options, const Geometry& geometry) {
  if (!(options.spacing >= 0.1 && options.spacing <= 1000.0)) {
    return fail(ErrorCode::invalid_argument,
                "a spacing of " + std::to_string(options.spacing) +
                    " m; needed is the distance of the model's cells in metres, 0.1 to 1000");
  }
  OUTCROP_TRY(array, NpyArray::open(model));
  const Shape shape = array.shape();
  if (shape.size() != 2) {
    return fail(ErrorCode::invalid_data, model.string() + ": shape " + to_string(shape) +
                                             "; a velocity model has two axes, depth by distance");
  }
  if (resampled_extent(shape[0], options.spacing, geometry.spacing) < geometry.depth ||
      resampled_extent(shape[1], options.spacing, geometry.spacing) < geometry.width) {
    const auto metres = [&](std::size_t cells) {
      return std::to_string(std::lround(static_cast<double>(cells - 1) * geometry.spacing)) + " m";
    };
    const std::string sides = geometry.depth == geometry.width
                                  ? metres(geometry.depth) + " a side"
                                  : metres(geometry.depth) + " by " + metres(geometry.width);
    return fail(ErrorCode::invalid_data,
                model.string() + ": " + to_string(shape) + " cells of " +
                    std::to_string(options.spacing) +
                    " m are too few to cut a map of " + std::to_string(geometry.depth) + "x" +
                    std::to_string(geometry.width) + " cells of " + metres_of_a_cell(geometry) +
                    " (" + sides + ") from");
  }
  OUTCROP_CHECK(check_values(array));
  return CropSource(std::move(array), options, geometry);
}

float CropSource::velocity_at(std::size_t row, std::size_t column) const {
  const std::size_t height = model_.shape()[0];
  const std::size_t length = model_.shape()[1];
  const Between z = locate(row, height, options_.spacing, geometry_.spacing);
  const Between x = locate(column, length, options_.spacing, geometry_.spacing);
  const auto across = [&](std::size_t model_row) {
    const std::size_t stored = options_.flip_z ? height - 1 - model_row : model_row;
    const auto values = model_.values().subspan(stored * length, length);
    return mix(static_cast<double>(values[x.first]), static_cast<double>(values[x.second]),
               x.share);
  };
  return static_cast<float>(mix(across(z.first), across(z.second), z.share));
}

std::string CropSource::digest() const {
  return trust::sha256(model_.file_bytes()).hex();
}

std::size_t CropSource::crop(std::uint64_t seed, std::uint64_t sample,
                             std::span<float> velocity) const {
  CounterRandom random(seed, sample);
  const std::size_t top = random.below(rows_ - geometry_.depth + 1);
  const std::size_t left = random.below(columns_ - geometry_.width + 1);
  std::size_t clamped = 0;
  for (std::size_t row = 0; row < geometry_.depth; ++row) {
    for (std::size_t column = 0; column < geometry_.width; ++column) {
      const float value = velocity_at(top + row, left + column);
      const float inside = std::clamp(value, geometry_.slowest, geometry_.fastest);
      clamped += value == inside ? 0U : 1U;
      velocity[row * geometry_.width + column] = inside;
    }
  }
  return clamped;
}

}  // namespace outcrop::data
