#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/kinds/generator/distances/real_maps.hpp"

namespace outcrop::generator {

// How far a set of maps is from real ones, by the features of MapEncoder.
struct SetDistance {
  std::string measure;         // "frechet" where each side has 2000 maps at least, else "kernel"
  double generated = 0.0;      // of generated maps
  std::optional<double> real;  // of as many real ones at most, which are others than those that both are compared with
  std::size_t samples = 0;     // of the smallest set
  std::string features;        // MapEncoder::digest(): figures of another one are no figures to compare with
};

// `maps` in m/s, of `geometry`, as are real ones; both are compared with the reference, where there is any, else generated ones
// with the others. Nothing where a set has fewer than two, or maps of fewer than 16 rows or columns.
[[nodiscard]] std::optional<SetDistance> distance_of_maps(const Maps& maps, const RealMaps& real, const data::Geometry& geometry);

}  // namespace outcrop::generator
