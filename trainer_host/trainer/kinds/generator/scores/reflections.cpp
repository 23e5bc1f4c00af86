#include "trainer_host/trainer/kinds/generator/scores/reflections.hpp"

#include <algorithm>
#include <cmath>

#include "trainer_host/trainer/data/acoustic_solver.hpp"
#include "trainer_host/trainer/kinds/generator/scores/metrics.hpp"

namespace outcrop::generator {
namespace {

constexpr float wavelet_passed = 0.133F;  // seconds after the first motion, at 15 Hz
constexpr double mute_taper = 0.02;       // seconds

float kept(float sample, float start, float taper) {
  const float u = std::clamp((sample - start) / taper, 0.0F, 1.0F);
  return u * u * (3.0F - 2.0F * u);
}

// Sums of squares: of what is wrong, and of what should be there.
struct Energy {
  double error = 0.0;
  double truth = 0.0;

  void add(double difference, double expected, double weight) {
    error += weight * difference * difference;
    truth += weight * expected * expected;
  }
  [[nodiscard]] double relative() const { return std::sqrt(error / truth); }
};

}  // namespace

MuteStart mute_start(std::span<const float> map, const data::Geometry& geometry) {
  const std::size_t width = geometry.width;
  const auto spacing = static_cast<float>(geometry.spacing);
  const float samples_per_second = 1.0F / static_cast<float>(geometry.time_step);
  const float passed = wavelet_passed * static_cast<float>(data::experiment::peak_frequency /
                                                           geometry.peak_frequency);
  const auto row = map.subspan(data::experiment::row * width, width);
  std::vector<float> arrival(width);  // seconds from the leftmost column
  for (std::size_t x = 1; x < width; ++x) {
    arrival[x] = arrival[x - 1] + spacing * 0.5F * (1.0F / row[x - 1] + 1.0F / row[x]);
  }
  MuteStart start(geometry.shots, std::vector<float>(width));
  for (std::size_t shot = 0; shot < geometry.shots; ++shot) {
    const float source = arrival[geometry.source_columns[shot]];
    for (std::size_t x = 0; x < width; ++x) {
      // Sample i is the pressure at (i + 1) time steps.
      start[shot][x] = samples_per_second * (std::fabs(arrival[x] - source) + passed) - 1.0F;
    }
  }
  return start;
}

std::vector<float> kept_of_muted(std::span<const float> map, const data::Geometry& geometry) {
  const MuteStart start = mute_start(map, geometry);
  const auto taper = static_cast<float>(mute_taper / geometry.time_step);
  std::vector<float> shares;
  shares.reserve(geometry.gather_size());
  for (const std::vector<float>& shot : start) {
    for (std::size_t time = 0; time < geometry.times; ++time) {
      for (const float receiver : shot) shares.push_back(kept(static_cast<float>(time), receiver, taper));
    }
  }
  return shares;
}

GatherError gather_error(std::span<const float> map, std::span<const float> truth,
                         std::span<const float> prediction, const data::Geometry& geometry,
                         PressureScale scale) {
  const auto scaled = [logarithmic = scale == PressureScale::logarithmic](float pressure) {
    return static_cast<double>(logarithmic ? log_scaled(pressure) : pressure);
  };
  const MuteStart start = mute_start(map, geometry);
  const auto taper = static_cast<float>(mute_taper / geometry.time_step);
  Energy whole;
  Energy muted;
  std::size_t i = 0;
  for (std::size_t shot = 0; shot < geometry.shots; ++shot) {
    for (std::size_t time = 0; time < geometry.times; ++time) {
      for (std::size_t x = 0; x < geometry.width; ++x, ++i) {
        const double expected = scaled(truth[i]);
        const double difference = scaled(prediction[i]) - expected;
        const double weight = kept(static_cast<float>(time), start[shot][x], taper);
        whole.add(difference, expected, 1.0);
        muted.add(difference, expected, weight * weight);
      }
    }
  }
  GatherError error{.whole = whole.relative(), .reflections = {}};
  // Written so that a NaN is kept.
  if (!(muted.truth <= 0.0)) error.reflections = muted.relative();
  return error;
}

void MeanGatherError::add(const GatherError& error) {
  ++count_;
  whole_ += error.whole;
  if (!error.reflections) return;
  ++with_reflections_;
  reflections_ += *error.reflections;
}

GatherError MeanGatherError::mean() const {
  GatherError mean;
  if (count_ > 0) mean.whole = whole_ / static_cast<double>(count_);
  if (with_reflections_ > 0)
    mean.reflections = reflections_ / static_cast<double>(with_reflections_);
  return mean;
}

}  // namespace outcrop::generator
