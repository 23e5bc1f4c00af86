#include "trainer_host/trainer/kinds/generator/scores/metrics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace outcrop::generator {
namespace {

constexpr int window = 11;
constexpr int reach = window / 2;
constexpr double sigma = 1.5;
constexpr double c1 = 0.01 * 0.01;
constexpr double c2 = 0.03 * 0.03;

// The bounds of the published data (CurveFault-A, FlatVel-A), see OpenFWI's dataset_config.
constexpr float lowest_pressure = -26.95F;
constexpr float highest_pressure = 52.77F;

std::array<double, window> gaussian() {
  std::array<double, window> weights{};
  double sum = 0.0;
  for (int i = 0; i < window; ++i) {
    weights[i] = std::exp(-(i - reach) * (i - reach) / (2 * sigma * sigma));
    sum += weights[i];
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

// One image blurred by the separable window, zero beyond its borders.
class Blur {
 public:
  Blur(std::size_t rows, std::size_t columns)
      : rows_(static_cast<int>(rows)),
        columns_(static_cast<int>(columns)),
        across_(rows * columns) {}

  void operator()(const std::vector<double>& image, std::vector<double>& out) {
    std::fill(across_.begin(), across_.end(), 0.0);
    std::fill(out.begin(), out.end(), 0.0);
    for (int row = 0; row < rows_; ++row) {
      for (int k = -reach; k <= reach; ++k) {
        const double weight = weights_[k + reach];
        const double* from = &image[static_cast<std::size_t>(row) * columns_];
        double* to = &across_[static_cast<std::size_t>(row) * columns_];
        const int last = std::min(columns_, columns_ - k);
        for (int column = std::max(0, -k); column < last; ++column) {
          to[column] += weight * from[column + k];
        }
      }
    }
    for (int row = 0; row < rows_; ++row) {
      double* to = &out[static_cast<std::size_t>(row) * columns_];
      const int last = std::min(reach, rows_ - 1 - row);
      for (int k = -std::min(reach, row); k <= last; ++k) {
        const double weight = weights_[k + reach];
        const double* from = &across_[static_cast<std::size_t>(row + k) * columns_];
        for (int column = 0; column < columns_; ++column) to[column] += weight * from[column];
      }
    }
  }

 private:
  int rows_;
  int columns_;
  std::array<double, window> weights_ = gaussian();
  std::vector<double> across_;
};

std::vector<float> to_unit_velocity(std::span<const float> map, float slowest, float fastest) {
  std::vector<float> unit(map.size());
  std::transform(map.begin(), map.end(), unit.begin(),
                 [&](float v) { return (v - slowest) / (fastest - slowest); });
  return unit;
}

std::vector<float> to_unit_pressure(std::span<const float> gather) {
  const float low = log_scaled(lowest_pressure);
  const float range = log_scaled(highest_pressure) - low;
  std::vector<float> unit(gather.size());
  std::transform(gather.begin(), gather.end(), unit.begin(),
                 [&](float p) { return (log_scaled(p) - low) / range; });
  return unit;
}

}  // namespace

float log_scaled(float pressure) {
  return std::copysign(std::log1p(std::fabs(pressure)), pressure);
}

double structural_similarity(std::span<const float> first, std::span<const float> second,
                             std::size_t rows, std::size_t columns) {
  const std::size_t size = rows * columns;
  std::vector<double> a(first.begin(), first.end());
  std::vector<double> b(second.begin(), second.end());
  std::vector<double> product(size);
  std::vector<double> mean_a(size);
  std::vector<double> mean_b(size);
  std::vector<double> mean_aa(size);
  std::vector<double> mean_bb(size);
  std::vector<double> mean_ab(size);
  Blur blur(rows, columns);
  blur(a, mean_a);
  blur(b, mean_b);
  for (std::size_t i = 0; i < size; ++i) product[i] = a[i] * b[i];
  blur(product, mean_ab);
  for (double& value : a) value *= value;
  blur(a, mean_aa);
  for (double& value : b) value *= value;
  blur(b, mean_bb);

  double sum = 0.0;
  for (std::size_t i = 0; i < size; ++i) {
    const double means = mean_a[i] * mean_b[i];
    const double squares = mean_a[i] * mean_a[i] + mean_b[i] * mean_b[i];
    const double covariance = mean_ab[i] - means;
    const double variances = mean_aa[i] + mean_bb[i] - squares;
    sum += ((2 * means + c1) * (2 * covariance + c2)) / ((squares + c1) * (variances + c2));
  }
  return sum / static_cast<double>(size);
}

double mean_absolute_error(std::span<const float> first, std::span<const float> second) {
  double sum = 0.0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    sum += std::fabs(static_cast<double>(first[i]) - second[i]);
  }
  return sum / static_cast<double>(first.size());
}

double root_mean_square_error(std::span<const float> first, std::span<const float> second) {
  double sum = 0.0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const double difference = static_cast<double>(first[i]) - second[i];
    sum += difference * difference;
  }
  return std::sqrt(sum / static_cast<double>(first.size()));
}

double max_absolute_error(std::span<const float> first, std::span<const float> second) {
  double largest = 0.0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(first[i]) - second[i]);
    // Written so that a NaN is kept: it must never look like a small error.
    if (!(difference <= largest)) largest = difference;
    if (std::isnan(largest)) break;
  }
  return largest;
}

Score score_velocity_map(std::span<const float> truth, std::span<const float> prediction,
                         const data::Geometry& geometry) {
  const auto unit = [&](std::span<const float> map) {
    return to_unit_velocity(map, geometry.slowest, geometry.fastest);
  };
  return {structural_similarity(unit(truth), unit(prediction), geometry.depth, geometry.width),
          mean_absolute_error(truth, prediction), root_mean_square_error(truth, prediction)};
}

Score score_shot_gathers(std::span<const float> truth, std::span<const float> prediction,
                         const data::Geometry& geometry) {
  const std::size_t shot_size = geometry.shot_size();
  double ssim = 0.0;
  for (std::size_t shot = 0; shot < geometry.shots; ++shot) {
    ssim += structural_similarity(to_unit_pressure(truth.subspan(shot * shot_size, shot_size)),
                                  to_unit_pressure(prediction.subspan(shot * shot_size, shot_size)),
                                  geometry.times, geometry.width);
  }
  return {ssim / static_cast<double>(geometry.shots), mean_absolute_error(truth, prediction),
          root_mean_square_error(truth, prediction)};
}

void MeanScore::add(const Score& score) {
  ++count_;
  ssim_ += score.ssim;
  mae_ += score.mae;
  squares_ += score.rmse * score.rmse;
}

Score MeanScore::mean() const {
  if (count_ == 0) return {};
  const auto n = static_cast<double>(count_);
  return {ssim_ / n, mae_ / n, std::sqrt(squares_ / n)};
}

}  // namespace outcrop::generator
