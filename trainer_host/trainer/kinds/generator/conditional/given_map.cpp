#include "trainer_host/trainer/kinds/generator/conditional/given_map.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace outcrop::generator {
namespace {

constexpr double most_outside = 0.5;  // of the known cells

std::string bounds_in_words(const data::Geometry& geometry) {
  return std::to_string(std::lround(geometry.slowest)) + " to " + std::to_string(std::lround(geometry.fastest)) + " m/s";
}

Status check_columns(const std::vector<std::int64_t>& columns, const data::Geometry& geometry) {
  for (const std::int64_t column : columns) {
    if (column >= 0 && column < static_cast<std::int64_t>(geometry.width)) continue;
    return fail(ErrorCode::invalid_argument, "column " + std::to_string(column) + ": maps of this model have columns 0 to " +
                                                 std::to_string(geometry.width - 1));
  }
  return {};
}

// The sample's values.
Result<std::span<const float>> sample_of(const kinds::Conditions& conditions, const data::Geometry& geometry) {
  const runtime::Tensor& given = conditions.given;
  const auto& shape = given.shape;
  const std::size_t axes = shape.size();
  if (given.dtype != runtime::DType::float32 || axes < 2 || shape[axes - 2] != static_cast<std::int64_t>(geometry.depth) ||
      shape[axes - 1] != static_cast<std::int64_t>(geometry.width)) {
    return fail(ErrorCode::invalid_argument, "it is " + runtime::describe(given) + "; maps of this model are float32 [" +
                                                 std::to_string(geometry.depth) + ", " + std::to_string(geometry.width) +
                                                 "], or many of them [N, 1, " + std::to_string(geometry.depth) + ", " +
                                                 std::to_string(geometry.width) + "]");
  }
  const auto values = given.floats();
  const std::size_t samples = values.size() / geometry.map_size();
  if (conditions.sample >= samples) {
    return fail(ErrorCode::invalid_argument, "--sample " + std::to_string(conditions.sample) + ": it has samples 0 to " +
                                                 std::to_string(samples - 1));
  }
  return values.subspan(conditions.sample * geometry.map_size(), geometry.map_size());
}

void keep_columns(std::vector<float>& map, const std::vector<std::int64_t>& columns, std::size_t width) {
  if (columns.empty()) return;
  for (std::size_t i = 0; i < map.size(); ++i) {
    const auto column = static_cast<std::int64_t>(i % width);
    if (std::ranges::find(columns, column) == columns.end()) map[i] = std::numeric_limits<float>::quiet_NaN();
  }
}

}  // namespace

Result<GivenMap> given_map(const kinds::Conditions& conditions, const data::Geometry& geometry) {
  OUTCROP_TRY(sample, sample_of(conditions, geometry));
  OUTCROP_CHECK(check_columns(conditions.columns, geometry));
  GivenMap map;
  map.values.assign(sample.begin(), sample.end());
  std::size_t outside = 0;
  keep_columns(map.values, conditions.columns, geometry.width);
  for (float& value : map.values) {
    if (value < geometry.slowest || value > geometry.fastest) ++outside;
    value = std::clamp(value, geometry.slowest, geometry.fastest);
  }
  map.whole.assign(sample.begin(), sample.end());
  for (float& value : map.whole) value = std::clamp(value, geometry.slowest, geometry.fastest);
  map.known = static_cast<std::size_t>(std::ranges::count_if(map.values, [](float value) { return !std::isnan(value); }));
  if (map.known == 0) return fail(ErrorCode::invalid_data, "all of it is NaN: nothing is known");
  if (static_cast<double>(outside) > most_outside * static_cast<double>(map.known)) {
    return fail(ErrorCode::invalid_data, std::to_string(outside) + " of " + std::to_string(map.known) +
                                             " known cells lie outside of " + bounds_in_words(geometry) +
                                             ", between which this model's maps lie (kilometres a second? multiply by 1000)");
  }
  if (outside > 0) {
    map.remarks.push_back(std::to_string(outside) + " of " + std::to_string(map.known) + " known cells lie outside of " +
                          bounds_in_words(geometry) + ", which this model cannot draw: they are taken for what is nearest");
  }
  return map;
}

}  // namespace outcrop::generator
