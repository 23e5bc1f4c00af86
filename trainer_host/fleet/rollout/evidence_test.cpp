#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "trainer_host/fleet/rollout/evidence.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<double> ratios_around(double center, double spread, std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> noise(std::log(center), spread);
  std::vector<double> ratios;
  for (std::size_t i = 0; i < count; ++i) ratios.push_back(std::exp(noise(random)));
  return ratios;
}

Observed seen(std::vector<double> ratios, std::size_t failures = 0) {
  Observed observed;
  observed.ended = ratios.size() + failures;
  observed.all = observed.ended;
  observed.failures = failures;
  observed.throughout = ratios;
  observed.ratios = std::move(ratios);
  return observed;
}

TEST(Evidence, is_the_product_that_it_is_said_to_be) {
  const std::vector<double> ratios{1.05, 0.99, 1.3};
  double expected = 0;
  for (const double lambda : {10, 20, 40, 80}) {
    double product = 1;
    for (const double ratio : ratios) {
      product *= 1 + std::tanh(lambda * std::min(std::log(ratio) - std::log(1.02), 0.1));
    }
    expected += product / 4;
  }
  EXPECT_NEAR(slower_evidence(ratios, 1.02), expected, 1e-12 * expected);
  EXPECT_EQ(slower_evidence({}, 1.02), 1);
}

TEST(Evidence, at_most_doubles_with_a_board_and_never_ends) {
  EXPECT_LE(slower_evidence(std::vector<double>(6, 100.0), 1.02), 64);
  // Boards that say they are a thousand times faster outweigh two or three others each.
  std::vector<double> ratios(25, 1.5);
  ratios.insert(ratios.end(), 4, 0.001);
  EXPECT_GT(slower_evidence(ratios, 1.02), 100);
  EXPECT_TRUE(std::isfinite(slower_evidence(std::vector<double>(100'000, 3.0), 1.02)));
}

TEST(Evidence, of_failures_is_the_mean_of_what_it_is_said_to_be) {
  EXPECT_NEAR(failure_evidence(0, 0, 0.02), 1, 1e-12);
  EXPECT_LT(failure_evidence(0, 100, 0.02), 0.2);
  EXPECT_GT(failure_evidence(10, 50, 0.02), 100);
  // Over outcomes of one board, at the share that is allowed: 1, for it is an e-value.
  const double mean = 0.1 * failure_evidence(1, 1, 0.1) + 0.9 * failure_evidence(0, 1, 0.1);
  EXPECT_NEAR(mean, 1, 1e-9);
}

TEST(Evidence, interval_of_thousands_is_that_of_each_of_them) {
  std::vector<double> few;
  for (int i = 0; i < 400; ++i) few.push_back(std::exp(0.03 * std::sin(12.9898 * i)));
  std::vector<double> many;
  for (int copy = 0; copy < 2; ++copy) many.insert(many.end(), few.begin(), few.end());
  const Interval interval = ratio_interval(many, 0.01);  // boards that are alike are counted together
  EXPECT_NEAR(slower_evidence(many, interval.low) / 200, 1, 0.05);
  EXPECT_NEAR(not_slower_evidence(many, interval.high) / 200, 1, 0.05);
}

TEST(Evidence, interval_holds_the_truth_and_closes_with_boards) {
  const Interval few = ratio_interval(ratios_around(1.05, 0.03, 4, 1), 0.01);
  EXPECT_EQ(few.low, 0);
  EXPECT_TRUE(std::isinf(few.high));
  const Interval many = ratio_interval(ratios_around(1.05, 0.03, 200, 1), 0.01);
  EXPECT_GT(many.low, 1.03);
  EXPECT_LT(many.low, 1.05);
  EXPECT_GT(many.high, 1.05);
  EXPECT_LT(many.high, 1.07);
  EXPECT_EQ(ratio_interval({}, 0.01).low, 0);
}

TEST(Judgement, names_the_class_that_got_slower_and_no_average_hides_it) {
  std::map<std::string, Observed> classes;
  classes["raspberry-pi-4"] = seen(ratios_around(1.08, 0.02, 30, 2));
  classes["raspberry-pi-5"] = seen(ratios_around(0.80, 0.02, 300, 3));  // much faster, and many more
  const Judgement judgement = judge(classes, {});
  ASSERT_TRUE(judgement.stop);
  EXPECT_THAT(*judgement.stop, AllOf(HasSubstr("after 330 boards: p90 +7.9 % [+6.4, +10.1] on"), HasSubstr("raspberry-pi-4, evidence"),
                                     HasSubstr("of 100"), Not(HasSubstr("raspberry-pi-5"))));
  EXPECT_TRUE(judgement.stop_is_slowness);
}

TEST(Judgement, does_not_stop_what_is_no_slower_and_says_how_sure_it_is) {
  const Judgement judgement = judge({{"pi", seen(ratios_around(1.0, 0.03, 300, 4))}}, {}, true);
  EXPECT_FALSE(judgement.stop);
  EXPECT_GT(judgement.classes.at(0).not_slower, 100);
  EXPECT_THAT(in_words(judgement), AllOf(HasSubstr("pi: p90 "), HasSubstr("["), HasSubstr("] on 300 boards"), Not(HasSubstr("too few"))));
}

TEST(Judgement, says_that_few_boards_are_no_evidence) {
  const Judgement judgement = judge({{"pi", seen({1.04, 1.05, 1.03})}}, {});
  EXPECT_FALSE(judgement.stop);
  EXPECT_EQ(in_words(judgement), "pi: p90 +4.0 % on 3 boards (+3.0 % to +5.0 %), too few for evidence: budgets and proofs only");
}

TEST(Judgement, stops_at_once_what_takes_more_than_twice_as_long) {
  EXPECT_THAT(judge({{"pi", seen({10.0})}}, {}).stop,
              ::testing::Optional(HasSubstr("on pi: 1 of 1 board more than twice as slow")));
  EXPECT_TRUE(judge({{"pi", seen({1.0, 1.0, 2.5, 1.0, 2.5})}}, {}).stop);
  EXPECT_FALSE(judge({{"pi", seen({1.0, 2.5})}}, {}).stop) << "one of two may have been disturbed";
  Observed disturbed = seen({3.055});
  disturbed.throughout = {1.04};
  EXPECT_FALSE(judge({{"pi", disturbed}}, {}).stop) << "p90 of ten calls, two of which other work kept waiting";
  RolloutLimits wide;
  wide.slower_allowed = 1.5;  // a larger network, and they know
  EXPECT_FALSE(judge({{"pi", seen({2.4, 2.4, 2.4})}}, wide).stop);
}

TEST(Judgement, counts_failures_where_some_are_allowed) {
  RolloutLimits rule;
  EXPECT_FALSE(judge({{"pi", seen(ratios_around(1, 0.02, 30, 5), 10)}}, rule).stop) << "the first one stops, elsewhere";
  rule.failed_share = 0.02;
  const Judgement judgement = judge({{"pi", seen(ratios_around(1, 0.02, 30, 5), 10)}}, rule);
  ASSERT_TRUE(judgement.stop);
  EXPECT_THAT(*judgement.stop, HasSubstr("10 of 40 boards failed on pi"));
  EXPECT_FALSE(judgement.stop_is_slowness);
}

}  // namespace
}  // namespace outcrop::fleet
