#include "protocol/base/log_histogram.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace outcrop {
namespace {

// In the middle of the bucket, as far from one end as from the other by ratio.
double middle_of(int bucket) {
  return std::exp2((bucket - 0.5) / LogHistogram::buckets_an_octave);
}

}  // namespace

int LogHistogram::bucket_of(double value) {
  if (!(value > 0)) return lowest_bucket;
  const double place = std::ceil(std::log2(value) * buckets_an_octave);
  return static_cast<int>(std::clamp<double>(place, lowest_bucket, highest_bucket));
}

void LogHistogram::add(double value, std::uint64_t times) {
  if (!std::isfinite(value) || times == 0 || times > most_counted - count_) return;
  buckets_[bucket_of(value)] += times;
  count_ += times;
  sum_ += value * static_cast<double>(times);
  min_ = std::min(min_, value);
  max_ = std::max(max_, value);
}

void LogHistogram::merge(const LogHistogram& other) {
  if (other.count_ > most_counted - count_) return;
  for (const auto& [bucket, times] : other.buckets_) buckets_[bucket] += times;
  count_ += other.count_;
  sum_ += other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

std::optional<double> LogHistogram::mean() const {
  if (empty()) return std::nullopt;
  return sum_ / static_cast<double>(count_);
}

std::optional<double> LogHistogram::min() const {
  if (empty()) return std::nullopt;
  return min_;
}

std::optional<double> LogHistogram::max() const {
  if (empty()) return std::nullopt;
  return max_;
}

std::optional<double> LogHistogram::quantile(double q) const {
  if (empty()) return std::nullopt;
  const double wanted = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_));
  const auto rank = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(wanted), 1, count_);
  if (rank == 1) return min_;
  if (rank == count_) return max_;
  std::uint64_t before = 0;
  for (const auto& [bucket, times] : buckets_) {
    before += times;
    if (before >= rank) return std::clamp(middle_of(bucket), min_, max_);
  }
  return max_;
}

Result<LogHistogram> LogHistogram::from_parts(std::map<int, std::uint64_t> buckets, double min,
                                              double max, double sum) {
  LogHistogram made;
  if (buckets.empty()) return made;
  for (const auto& [bucket, times] : buckets) {
    if (bucket < lowest_bucket || bucket > highest_bucket) {
      return fail(ErrorCode::invalid_data, "bucket " + std::to_string(bucket) + " is none");
    }
    if (times == 0 || times > most_counted - made.count_) {
      return fail(ErrorCode::invalid_data,
                  "bucket " + std::to_string(bucket) + " has no count that can be");
    }
    made.count_ += times;
  }
  if (!std::isfinite(min) || !std::isfinite(max) || !std::isfinite(sum) || min > max ||
      bucket_of(min) != buckets.begin()->first || bucket_of(max) != buckets.rbegin()->first) {
    return fail(ErrorCode::invalid_data, "smallest, largest and sum are not those of the buckets");
  }
  const auto count = static_cast<double>(made.count_);
  const double slack = 1e-6 * (std::abs(sum) + std::abs(max) * count);
  if (sum < min * count - slack || sum > max * count + slack) {
    return fail(ErrorCode::invalid_data, "the sum is not one of values from smallest to largest");
  }
  made.buckets_ = std::move(buckets);
  made.sum_ = sum;
  made.min_ = min;
  made.max_ = max;
  return made;
}

}  // namespace outcrop
