#include "trainer_host/fleet/rollout/worst_errors.hpp"

#include <gtest/gtest.h>

#include <array>

namespace outcrop::fleet {
namespace {

TEST(WorstErrors, are_shares_of_the_larger_error_of_each_output) {
  const std::array<double, 2> one{.1, 30}, other{.2, 40};
  const WorstErrors errors = worst_errors(one, other);
  EXPECT_DOUBLE_EQ(errors.one, .75);
  EXPECT_DOUBLE_EQ(errors.other, 1);
}

TEST(WorstErrors, have_a_ratio_where_one_errs_not_at_all) {
  const std::array<double, 1> none{0}, some{.5};
  EXPECT_DOUBLE_EQ(worst_errors(none, some).other, 1);
  EXPECT_GT(worst_errors(none, some).one, 0);
  EXPECT_LT(worst_errors(none, some).one, 1e-11);
}

TEST(WorstErrors, are_not_hidden_by_an_output_in_which_neither_errs) {
  const std::array<double, 2> one{0, 1}, other{0, 2};
  EXPECT_DOUBLE_EQ(worst_errors(one, other).one, .5);
  const std::array<double, 2> none{0, 0};
  EXPECT_DOUBLE_EQ(worst_errors(none, none).one, 1);
  EXPECT_DOUBLE_EQ(worst_errors(none, none).other, 1);
}

}  // namespace
}  // namespace outcrop::fleet
