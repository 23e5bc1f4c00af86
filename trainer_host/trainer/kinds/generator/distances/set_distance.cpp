#include "trainer_host/trainer/kinds/generator/distances/set_distance.hpp"

#include <algorithm>

#include "trainer_host/trainer/kinds/generator/distances/feature_distance.hpp"

namespace outcrop::generator {
namespace {

constexpr std::size_t at_once = 256;
constexpr std::size_t smallest_side = 16;

}  // namespace

DistanceFromReal::DistanceFromReal(const RealMaps& real, const data::Geometry& geometry)
    : geometry_(geometry), others_(features_of(real.others)), reference_(features_of(real.reference)) {}

torch::Tensor DistanceFromReal::features_of(const Maps& maps) const {
  if (maps.size() < 2 || std::min(geometry_.depth, geometry_.width) < smallest_side) return {};
  std::vector<torch::Tensor> features;
  for (std::size_t first = 0; first < maps.size(); first += at_once) {
    const auto some = std::span(maps).subspan(first, std::min(at_once, maps.size() - first));
    // As the encoder was trained, whatever the data's bounds.
    features.push_back(encoder_((stacked(some, geometry_) - 3000.0) / 1500.0));
  }
  return torch::cat(features);
}

std::optional<SetDistance> DistanceFromReal::of(const Maps& maps) const {
  const torch::Tensor drawn = features_of(maps);
  const torch::Tensor& against = reference_.defined() ? reference_ : others_;
  if (!drawn.defined() || !against.defined()) return std::nullopt;
  std::int64_t fewest = std::min(drawn.size(0), against.size(0));
  if (others_.defined()) fewest = std::min(fewest, others_.size(0));
  const bool frechet = fewest >= static_cast<std::int64_t>(enough_for_frechet);
  const auto distance = [&](const torch::Tensor& set) {
    return frechet ? frechet_distance(set, against) : kernel_distance(set, against);
  };
  SetDistance result{frechet ? "frechet" : "kernel", distance(drawn), std::nullopt, static_cast<std::size_t>(fewest), encoder_.digest()};
  if (reference_.defined() && others_.defined()) result.real = distance(others_);
  return result;
}

}  // namespace outcrop::generator
