#pragma once

#include <torch/script.h>

#include <cstdint>
#include <optional>

#include "trainer_host/trainer/kinds/earth/velocity_bounds.hpp"
#include "trainer_host/trainer/kinds/generator/generator.hpp"

namespace outcrop::generator {

// The way from what a velocity decoder answers to maps in m/s, on the host and in exported files alike. A decoder that does
// not know on which side of an edge a cell lies answers half-way: edges are ramps of some cells. `sharpening` passes of a filter
// that keeps edges make steps of them: a cell becomes the mean of the four 3 × 3 windows that it is a corner of, each weighted
// by 1 / (variance + (10 m/s)²)², so that it goes to the side that is flat (generalized Kuwahara filter: Kuwahara et al. 1976;
// Papari, Petkov and Campisi 2007, whose soft weights let what is next to equal stay so). It has nothing to learn, is of each
// map alone, leaves NaN in maps that have some, and goes beyond no velocity of the map. Four passes make a step of a ramp of
// six cells, and fewer leave it steeper; a layer of one or two cells between two others goes with its nearer neighbour.
class MapFinish {
 public:
  // Precondition: 0 <= sharpening <= most_sharpening; 0 leaves edges as they are.
  explicit MapFinish(const earth::VelocityBounds& bounds = {}, std::int64_t sharpening = 0);

  // Normalized [N, 1, rows, columns], any floats → m/s within the bounds. Differentiable. From any thread.
  [[nodiscard]] torch::Tensor maps(const torch::Tensor& normalized) const;
  // The second half alone, of maps in m/s.
  [[nodiscard]] torch::Tensor sharpened(const torch::Tensor& maps) const;

  [[nodiscard]] const earth::VelocityBounds& bounds() const { return bounds_; }
  [[nodiscard]] bool sharpens() const { return passes_ > 0; }
  // The filter for an exported file, forward(maps [N, 1, rows, columns] in m/s) -> the same; none where there is none.
  [[nodiscard]] std::optional<torch::jit::Module> filter() const;
  // Of one map.
  [[nodiscard]] std::int64_t multiply_adds(std::int64_t cells) const;

 private:
  earth::VelocityBounds bounds_;
  std::int64_t passes_;
  std::optional<torch::jit::Module> filter_;
};

// As a generator of this shape has it.
[[nodiscard]] inline MapFinish finish_of(const GeneratorShape& shape, const data::Geometry& geometry) {
  return MapFinish(earth::bounds_of(geometry), shape.sharpen);
}

}  // namespace outcrop::generator
