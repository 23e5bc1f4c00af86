#pragma once

#include <cstdint>
#include <span>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/data/geometry.hpp"
#include "trainer_host/trainer/data/synth_source.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"

namespace outcrop::earth {

// Maps made while training: further numbers of the family and seed that the folder of training samples was made of. Each
// sample of each epoch is another map, which no other one ever is, and the same in every run: by whatever thread, and
// after whatever kill.
class FreshMaps {
 public:
  // `samples` of the folder are trained on in an epoch. unsupported and invalid_data as synth_source_of(); invalid_argument
  // for more than one folder, and where a folder of held-out samples is of the same family and seed.
  [[nodiscard]] static Result<FreshMaps> of(const kinds::DataPlaces& places, std::size_t samples,
                                            const data::Geometry& geometry);

  // Which epoch make() is of from now on.
  void enter(std::int64_t epoch) { epoch_ = static_cast<std::uint64_t>(epoch); }
  // depth*width velocities in m/s. `sample` is less than those of an epoch.
  void make(std::size_t sample, std::span<float> velocity) const;

 private:
  FreshMaps(data::SynthSource source, std::size_t samples, data::Geometry geometry)
      : source_(source), an_epoch_(samples), geometry_(std::move(geometry)) {}

  data::SynthSource source_;
  std::uint64_t an_epoch_;
  data::Geometry geometry_;
  std::uint64_t epoch_ = 0;
};

}  // namespace outcrop::earth
