#include "protocol/base/log_histogram.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/support/result_matchers.hpp"

namespace outcrop {
namespace {

using ::testing::HasSubstr;

// By nearest rank, as the histogram has it.
double exact(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
  return values[std::max<std::size_t>(rank, 1) - 1];
}

std::vector<double> some_values(std::uint32_t seed, std::size_t count) {
  std::mt19937 random(seed);
  std::lognormal_distribution<double> latency(2.3, 0.8);
  std::vector<double> values(count);
  for (double& value : values) value = latency(random);
  return values;
}

TEST(LogHistogram, quantiles_are_off_by_a_bucket_at_most) {
  const auto values = some_values(1, 5000);
  LogHistogram histogram;
  for (const double value : values) histogram.add(value);
  for (const double q : {0.01, 0.1, 0.5, 0.9, 0.99, 0.999}) {
    const double right = exact(values, q);
    EXPECT_NEAR(*histogram.quantile(q) / right, 1, 0.011) << q;
  }
  EXPECT_EQ(histogram.quantile(0), *std::min_element(values.begin(), values.end()));
  EXPECT_EQ(histogram.quantile(1), *std::max_element(values.begin(), values.end()));
  EXPECT_EQ(histogram.count(), 5000U);
}

// What an average of quantiles is not: a quick board with many calls and a slow one with few.
TEST(LogHistogram, two_merged_are_one_of_all_values) {
  LogHistogram quick;
  LogHistogram slow;
  LogHistogram all;
  for (const double value : some_values(2, 900)) {
    quick.add(value);
    all.add(value);
  }
  for (const double value : some_values(3, 100)) {
    slow.add(value * 10);
    all.add(value * 10);
  }
  const double average = (*quick.quantile(0.9) + *slow.quantile(0.9)) / 2;
  quick.merge(slow);
  EXPECT_EQ(quick.buckets(), all.buckets());
  EXPECT_EQ(quick.quantile(0.9), all.quantile(0.9));
  EXPECT_GT(average, 2 * *all.quantile(0.9));
  quick.merge(LogHistogram());
  EXPECT_EQ(quick.count(), 1000U);
}

TEST(LogHistogram, has_a_place_for_what_is_no_size) {
  LogHistogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), std::nullopt);
  histogram.add(std::nan(""));
  histogram.add(std::numeric_limits<double>::infinity());
  EXPECT_TRUE(histogram.empty());
  histogram.add(0);
  histogram.add(-40);
  histogram.add(1e300);
  EXPECT_EQ(histogram.count(), 3U);
  EXPECT_EQ(histogram.min(), -40);
  EXPECT_EQ(histogram.max(), 1e300);
  EXPECT_EQ(histogram.buckets().begin()->first, LogHistogram::lowest_bucket);
  EXPECT_EQ(histogram.buckets().rbegin()->first, LogHistogram::highest_bucket);
}

TEST(LogHistogram, a_bucket_holds_its_upper_end) {
  EXPECT_EQ(LogHistogram::bucket_of(1), 0);
  EXPECT_EQ(LogHistogram::bucket_of(2), 32);
  EXPECT_EQ(LogHistogram::bucket_of(1.0001), 1);
  EXPECT_EQ(LogHistogram::bucket_of(0.5), -32);
}

TEST(LogHistogram, counts_no_further_than_can_be_read_again) {
  const std::uint64_t most = LogHistogram::most_counted;
  LogHistogram full = *LogHistogram::from_parts({{0, most}}, 1, 1, static_cast<double>(most));
  const LogHistogram before = full;
  full.merge(before);
  full.add(3, 5);
  full.add(1, most);
  EXPECT_EQ(full, before);
  EXPECT_THAT(LogHistogram::from_parts(full.buckets(), *full.min(), *full.max(), full.sum()), IsOk());
}

TEST(LogHistogram, is_made_of_parts_that_agree_only) {
  LogHistogram histogram;
  for (const double value : some_values(4, 100)) histogram.add(value);
  const auto again = LogHistogram::from_parts(histogram.buckets(), *histogram.min(), *histogram.max(),
                                              histogram.sum());
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(*again, histogram);
  EXPECT_EQ(*LogHistogram::from_parts({}, 0, 0, 0), LogHistogram());
  EXPECT_THAT(LogHistogram::from_parts({{0, 1}}, 1, 5, 5), ErrorIs(ErrorCode::invalid_data, HasSubstr("largest")));
  EXPECT_THAT(LogHistogram::from_parts({{0, 2}}, 1, 1, 5), ErrorIs(ErrorCode::invalid_data, HasSubstr("sum")));
  EXPECT_THAT(LogHistogram::from_parts({{5000, 1}}, 1, 1, 1), ErrorIs(ErrorCode::invalid_data, HasSubstr("5000")));
  EXPECT_THAT(LogHistogram::from_parts({{0, 0}}, 1, 1, 1), ErrorIs(ErrorCode::invalid_data, HasSubstr("count")));
  EXPECT_THAT(LogHistogram::from_parts({{0, 1}}, std::nan(""), 1, 1), ErrorIs(ErrorCode::invalid_data, HasSubstr("smallest")));
}

}  // namespace
}  // namespace outcrop
