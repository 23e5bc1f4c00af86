#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace outcrop::generator {

// The mean of one output (velocity maps, or gathers) over samples, value by value, and how far the
// samples lie from it. Sums in double.
class SampleMean {
 public:
  // Precondition: as many values as in the first sample.
  void add(std::span<const float> sample);

  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::vector<float> mean() const;  // precondition: count() > 0, here and below
  // The root of the mean square of (sample - mean) over all values of all samples, in their unit.
  [[nodiscard]] double spread() const;

 private:
  std::size_t count_ = 0;
  std::vector<double> sums_;
  double squares_ = 0.0;
};

}  // namespace outcrop::generator
