#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "trainer_host/trainer/data/geometry.hpp"

namespace outcrop::generator {

// What a shot gather holds besides the direct wave is a thousandth of its energy, and all that is
// to be learned of the depth: SSIM, MAE and RMSE of whole gathers hardly see it.

// How far gathers are from the truth, relative to the truth: the root of the sum of squared
// differences over that of squared true values, both on the scale that OpenFWI trains on unless another
// is asked for, sign(p)·log(1 + |p|). 0 is equal, 1 what silence reaches.
struct GatherError {
  double whole = 0.0;
  // The same with the direct wave muted (see mute_start); none where the true gathers hold nothing
  // but that.
  std::optional<double> reflections;
};

// Of what a scale the squares are taken: of pressures as OpenFWI trains on them, or as they are. There
// the direct wave outweighs all else a thousandfold.
enum class PressureScale { logarithmic, physical };

// `map` holds the true velocities in m/s; `truth` and `prediction` pressures, all of `geometry`, of sources and receivers as AcousticSolver places them. A NaN makes both NaN.
[[nodiscard]] GatherError gather_error(std::span<const float> map, std::span<const float> truth,
                                       std::span<const float> prediction,
                                       const data::Geometry& geometry = {},
                                       PressureScale scale = PressureScale::logarithmic);

// When the direct wave has passed each receiver, in samples: its travel time along the row of
// sources through the map's own velocities, the wavelet's peak at 73 ms, and 60 ms for the rest of
// it, as a wavelet of 15 Hz has it. From there on a smooth step of 20 ms leads from mute to whole.
using MuteStart = std::vector<std::vector<float>>;  // shot, receiver
[[nodiscard]] MuteStart mute_start(std::span<const float> map, const data::Geometry& geometry = {});

// The share of each value that is kept when the direct wave is muted so: shots × times × width, 0 to 1.
[[nodiscard]] std::vector<float> kept_of_muted(std::span<const float> map, const data::Geometry& geometry = {});

// The mean over samples, each of which counts alike.
class MeanGatherError {
 public:
  void add(const GatherError& error);
  [[nodiscard]] GatherError mean() const;

 private:
  std::size_t count_ = 0;
  std::size_t with_reflections_ = 0;
  double whole_ = 0.0;
  double reflections_ = 0.0;
};

}  // namespace outcrop::generator
