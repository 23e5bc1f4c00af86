#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/kinds/generator/distances/map_encoder.hpp"
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

// Real maps whose features are known, to hold several sets against.
class DistanceFromReal {
 public:
  DistanceFromReal(const RealMaps& real, const data::Geometry& geometry);

  // `maps` in m/s, of the real ones' geometry; both are compared with the reference, where there is any, else generated ones with
  // the others. Nothing where a set has fewer than two, or maps of fewer than 16 rows or columns.
  [[nodiscard]] std::optional<SetDistance> of(const Maps& maps) const;

 private:
  // Undefined for fewer than two maps, and for those too small.
  [[nodiscard]] torch::Tensor features_of(const Maps& maps) const;

  MapEncoder encoder_;
  data::Geometry geometry_;
  torch::Tensor others_;
  torch::Tensor reference_;
};

}  // namespace outcrop::generator
