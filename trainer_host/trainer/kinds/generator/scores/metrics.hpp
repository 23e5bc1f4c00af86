#pragma once

#include <cstddef>
#include <span>

#include "trainer_host/trainer/data/geometry.hpp"

namespace outcrop::generator {

// How far an image is from another. Used for velocity maps (m/s) and shot gathers (pressure);
// all functions are pure and may be called from any thread.

// The structural similarity index of two images with values in [0, 1], row-major rows × columns:
// Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE
// TIP 13(4), 2004, with the settings of the code that OpenFWI scores with (pytorch_ssim):
// Gaussian window of 11 × 11, sigma 1.5, C1 = 0.01², C2 = 0.03², borders padded with zeros, mean
// over all pixels. 1 means equal; a NaN anywhere makes the result NaN.
// Precondition: both spans hold rows × columns values.
[[nodiscard]] double structural_similarity(std::span<const float> first,
                                           std::span<const float> second, std::size_t rows,
                                           std::size_t columns);

// In the unit of the values. Precondition: equal, non-zero lengths.
[[nodiscard]] double mean_absolute_error(std::span<const float> first,
                                         std::span<const float> second);
[[nodiscard]] double root_mean_square_error(std::span<const float> first,
                                            std::span<const float> second);
[[nodiscard]] double max_absolute_error(std::span<const float> first,
                                        std::span<const float> second);

struct Score {
  double ssim = 0.0;
  double mae = 0.0;   // in the unit of the values: m/s or pressure
  double rmse = 0.0;  // likewise
};

// A velocity map of `geometry`, in m/s. SSIM is taken on the share of its bounds, (v − 1500) / 3000.
[[nodiscard]] Score score_velocity_map(std::span<const float> truth,
                                       std::span<const float> prediction,
                                       const data::Geometry& geometry = {});

// Shot gathers of `geometry`, shots × times × width pressures. MAE and RMSE are in pressure; SSIM is taken on the
// values that OpenFWI trains on, sign(p)·log(1 + |p|) scaled to [0, 1] by the data set's bounds,
// shot by shot, and averaged over the shots.
[[nodiscard]] Score score_shot_gathers(std::span<const float> truth,
                                       std::span<const float> prediction,
                                       const data::Geometry& geometry = {});

// sign(p)·log(1 + |p|): pressures as OpenFWI trains on them.
[[nodiscard]] float log_scaled(float pressure);

// The mean of scores over samples.
class MeanScore {
 public:
  void add(const Score& score);
  [[nodiscard]] std::size_t count() const { return count_; }
  // RMSE is the root of the mean of squares, not the mean of roots. All zero for no scores.
  [[nodiscard]] Score mean() const;

 private:
  std::size_t count_ = 0;
  double ssim_ = 0.0;
  double mae_ = 0.0;
  double squares_ = 0.0;
};

}  // namespace outcrop::generator
