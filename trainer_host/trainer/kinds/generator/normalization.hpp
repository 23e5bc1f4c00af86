#pragma once

#include <torch/torch.h>

#include <string>

#include "trainer_host/trainer/kinds/earth/velocity_bounds.hpp"

namespace outcrop::generator {

// OpenFWI's transforms between physical units and the [-1, 1] that networks see
// (Deng et al. 2022, "OpenFWI", appendix on training): velocity min-max from the bounds of the data
// set, 1500–4500 m/s; pressure by sign(p)·log1p|p|, then min-max with the bounds of the data set under that log.

// What a homogeneous model of 4350 m/s records: no map of the families goes beyond.
inline constexpr double minimum_pressure = -26.95;
inline constexpr double maximum_pressure = 52.785;

[[nodiscard]] torch::Tensor normalize_velocity(const torch::Tensor& metres_per_second,
                                               const earth::VelocityBounds& bounds = {});
[[nodiscard]] torch::Tensor normalize_pressure(const torch::Tensor& pressure);

// The inverses; values outside [-1, 1] are clamped first.
[[nodiscard]] torch::Tensor denormalize_velocity(const torch::Tensor& normalized,
                                                 const earth::VelocityBounds& bounds = {});
[[nodiscard]] torch::Tensor denormalize_pressure(const torch::Tensor& normalized);

// The inverses as TorchScript methods `velocity_of(self, x)` and `pressure_of(self, x)`, for the
// exported file.
[[nodiscard]] std::string velocity_source(const earth::VelocityBounds& bounds = {});
[[nodiscard]] std::string pressure_source();

}  // namespace outcrop::generator
