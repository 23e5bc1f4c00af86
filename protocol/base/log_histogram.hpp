#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>

#include "protocol/base/error.hpp"

namespace outcrop {

// How often which values came, in buckets that are the same everywhere, so that the histograms of
// two boards or two hours add up to that of both: quantiles cannot be averaged, counts can.
//
// Bucket i holds values in (γ^(i-1), γ^i], γ = 2^(1/32), so that a quantile is off by at most 1.1 %
// (DDSketch: Masson, Rim and Lee, PVLDB 12(12), 2019; here without its collapsing, since the range is
// bounded). Smallest and largest value and the sum are kept as they were.
class LogHistogram {
 public:
  static constexpr int buckets_an_octave = 32;
  // Values up to 2^-20 (0 and negative ones, too) are in the lowest bucket, those above 2^50 in the highest.
  static constexpr int lowest_bucket = -20 * buckets_an_octave;
  static constexpr int highest_bucket = 50 * buckets_an_octave;

  // The most that one counts: up to here integers are exact in a double, as JSON has them. What would go beyond is left out as
  // a whole, so that a sum of what others told can always be read again.
  static constexpr std::uint64_t most_counted = std::uint64_t{1} << 53;

  // Not finite: nothing is added.
  void add(double value, std::uint64_t times = 1);
  void merge(const LogHistogram& other);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] double sum() const { return sum_; }
  [[nodiscard]] std::optional<double> mean() const;
  [[nodiscard]] std::optional<double> min() const;
  [[nodiscard]] std::optional<double> max() const;
  // q from 0 to 1, by nearest rank, within [min, max]; none where nothing was added.
  [[nodiscard]] std::optional<double> quantile(double q) const;

  [[nodiscard]] const std::map<int, std::uint64_t>& buckets() const { return buckets_; }
  // From parts as they were told. invalid_data where they contradict each other: a bucket out of range or
  // without a value, min above max, either not in the lowest and highest bucket, a sum that cannot be.
  [[nodiscard]] static Result<LogHistogram> from_parts(std::map<int, std::uint64_t> buckets, double min,
                                                       double max, double sum);
  [[nodiscard]] static int bucket_of(double value);

  bool operator==(const LogHistogram&) const = default;

 private:
  std::map<int, std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
  double sum_ = 0;
  double min_ = std::numeric_limits<double>::infinity();
  double max_ = -std::numeric_limits<double>::infinity();
};

}  // namespace outcrop
