#include "trainer_host/trainer/kinds/generator/scores/sample_mean.hpp"

#include <algorithm>
#include <cmath>

namespace outcrop::generator {

void SampleMean::add(std::span<const float> sample) {
  sums_.resize(sample.size());
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const double value = sample[i];
    sums_[i] += value;
    squares_ += value * value;
  }
  ++count_;
}

std::vector<float> SampleMean::mean() const {
  std::vector<float> mean;
  mean.reserve(sums_.size());
  for (const double sum : sums_) {
    mean.push_back(static_cast<float>(sum / static_cast<double>(count_)));
  }
  return mean;
}

double SampleMean::spread() const {
  const auto samples = static_cast<double>(count_);
  double of_mean = 0.0;
  for (const double sum : sums_) of_mean += (sum / samples) * (sum / samples);
  const double variance = (squares_ / samples - of_mean) / static_cast<double>(sums_.size());
  return std::sqrt(std::max(0.0, variance));
}

}  // namespace outcrop::generator
