#include "trainer_host/trainer/kinds/earth/fresh_maps.hpp"

namespace outcrop::earth {

Result<FreshMaps> FreshMaps::of(const kinds::DataPlaces& places, std::size_t samples, const data::Geometry& geometry) {
  if (places.train.size() != 1) {
    return fail(ErrorCode::invalid_argument, "data.online: " + std::to_string(places.train.size()) +
                                                 " folders of training samples; name one, of which more is made");
  }
  auto source = data::synth_source_of(places.train.front());
  if (!source) return fail(source.error().context("data.online"));
  for (const auto& folder : places.validation) {
    const auto held_out = data::synth_source_of(folder);
    if (!held_out || held_out->family != source->family || held_out->seed != source->seed) continue;
    return fail(ErrorCode::invalid_argument,
                "data.online: " + folder.string() + " is of the same family and seed as " + places.train.front().string() +
                    ", of which more is made: held-out maps would be trained on; make them with another --seed");
  }
  return FreshMaps(*source, samples, geometry);
}

void FreshMaps::make(std::size_t sample, std::span<float> velocity) const {
  const std::uint64_t number = source_.samples + epoch_ * an_epoch_ + sample;
  data::make_velocity_map(source_.family, source_.seed, number, velocity, geometry_);
}

}  // namespace outcrop::earth
