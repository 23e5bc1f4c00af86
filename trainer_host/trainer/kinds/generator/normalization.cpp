#include "trainer_host/trainer/kinds/generator/normalization.hpp"

#include <array>
#include <cmath>
#include <cstdio>

namespace outcrop::generator {
namespace {

const double minimum_log_pressure = -std::log1p(-minimum_pressure);
const double maximum_log_pressure = std::log1p(maximum_pressure);

// x in [-1, 1] → x · half_range + middle
struct Affine {
  double half_range;
  double middle;
};
Affine scale_of(const earth::VelocityBounds& bounds) {
  return {bounds.half_range(), bounds.middle()};
}
const Affine pressure_scale{(maximum_log_pressure - minimum_log_pressure) / 2,
                            (maximum_log_pressure + minimum_log_pressure) / 2};

std::string exact(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.17g", value);
  std::string result = text.data();
  // TorchScript would read "1500" as an integer.
  if (result.find_first_of(".e") == std::string::npos) result += ".0";
  return result;
}

}  // namespace

torch::Tensor normalize_velocity(const torch::Tensor& metres_per_second,
                                 const earth::VelocityBounds& bounds) {
  const Affine scale = scale_of(bounds);
  return (metres_per_second - scale.middle) / scale.half_range;
}

torch::Tensor normalize_pressure(const torch::Tensor& pressure) {
  return (torch::sign(pressure) * torch::log1p(torch::abs(pressure)) - pressure_scale.middle) /
         pressure_scale.half_range;
}

torch::Tensor denormalize_velocity(const torch::Tensor& normalized,
                                   const earth::VelocityBounds& bounds) {
  const Affine scale = scale_of(bounds);
  return torch::clamp(normalized, -1.0, 1.0) * scale.half_range + scale.middle;
}

torch::Tensor denormalize_pressure(const torch::Tensor& normalized) {
  const auto logarithm =
      torch::clamp(normalized, -1.0, 1.0) * pressure_scale.half_range + pressure_scale.middle;
  return torch::sign(logarithm) * torch::expm1(torch::abs(logarithm));
}

std::string velocity_source(const earth::VelocityBounds& bounds) {
  const Affine scale = scale_of(bounds);
  return "def velocity_of(self, x):\n"
         "    return torch.clamp(x, -1.0, 1.0) * " +
         exact(scale.half_range) + " + " + exact(scale.middle) + "\n";
}

std::string pressure_source() {
  return "def pressure_of(self, x):\n"
         "    y = torch.clamp(x, -1.0, 1.0) * " +
         exact(pressure_scale.half_range) + " + " + exact(pressure_scale.middle) +
         "\n"
         "    return torch.sign(y) * torch.expm1(torch.abs(y))\n";
}

}  // namespace outcrop::generator
