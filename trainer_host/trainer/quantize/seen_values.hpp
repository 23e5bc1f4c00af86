#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace outcrop::quantize {

// What calibration saw of one tensor, in one pass: extremes, their moving averages, a histogram.
//
// Bins are 2^k wide and lie on a grid through zero, so that a range that grows merges whole bins: no
// count is ever divided, extremes need not be known beforehand, and the histogram does not depend on the
// order of what was seen. Between 2048 and 4096 bins span what was seen: eight or more for each of the 256
// codes, fine enough to tell ranges apart.
class SeenValues {
 public:
  static constexpr std::int64_t bins = 4096;
  // Of a batch's extremes in their moving averages. Calibration takes tens of batches: PyTorch's .01 would be
  // the first batch's word.
  static constexpr double share_of_a_batch = 0.1;

  struct Bin {
    double value;  // its middle
    double count;
  };

  // A batch whose extremes are known (it is empty, or both are finite). Values below `floor` and above
  // `ceiling` count as those: whoever reads the tensor clamps it to them anyway. `counting`: for the
  // histogram too, which costs more than all the rest.
  void see(std::span<const float> values, double low, double high, double floor, double ceiling,
           bool counting);

  [[nodiscard]] bool anything() const { return batches_ > 0; }
  [[nodiscard]] double low() const { return low_; }
  [[nodiscard]] double high() const { return high_; }
  [[nodiscard]] double average_low() const { return average_low_; }
  [[nodiscard]] double average_high() const { return average_high_; }
  [[nodiscard]] double bin_width() const;
  // Those that are not empty, from below.
  [[nodiscard]] std::vector<Bin> histogram() const;

 private:
  void make_room(double low, double high);

  std::int64_t batches_ = 0;
  double low_ = 0.0;
  double high_ = 0.0;
  double average_low_ = 0.0;
  double average_high_ = 0.0;
  int exponent_ = 0;        // of the width of a bin
  std::int64_t first_ = 0;  // the first bin begins at first_ · 2^exponent_
  std::vector<std::uint64_t> counts_;
};

}  // namespace outcrop::quantize
