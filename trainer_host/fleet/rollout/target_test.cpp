#include <gmock/gmock.h>

#include "tests/support/result_matchers.hpp"
#include "trainer_host/fleet/registry/rollout_schedule.hpp"
#include "trainer_host/fleet/registry/rollout_target.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::HasSubstr;

TEST(RolloutTarget, holds_where_all_that_it_says_does) {
  RolloutTarget target;
  EXPECT_TRUE(target.holds("pi-1", "pi", {}));
  target.device_class = "pi";
  target.tag = "lab";
  target.part_of_name = "i-1";
  EXPECT_TRUE(target.holds("pi-1", "pi", {"lab", "roof"}));
  EXPECT_FALSE(target.holds("pi-1", "pi", {"roof"}));
  EXPECT_FALSE(target.holds("pi-1", "jetson", {"lab"}));
  EXPECT_FALSE(target.holds("pi-2", "pi", {"lab"}));
  EXPECT_EQ(in_words(target), "boards of the class pi with the tag lab named like 'i-1'");
}

TEST(RolloutTarget, a_larger_share_has_all_of_a_smaller_one) {
  RolloutTarget tenth, half;
  tenth.share = .1;
  half.share = .5;
  int in_tenth = 0, in_half = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "pi-" + std::to_string(i);
    in_tenth += tenth.holds(name, "pi", {}) ? 1 : 0;
    in_half += half.holds(name, "pi", {}) ? 1 : 0;
    EXPECT_TRUE(!tenth.holds(name, "pi", {}) || half.holds(name, "pi", {})) << name;
  }
  EXPECT_NEAR(in_tenth, 100, 40);
  EXPECT_NEAR(in_half, 500, 80);
  EXPECT_EQ(in_words(tenth), "10 % of the boards");
}

TEST(RolloutSchedule, a_window_may_go_over_midnight) {
  RolloutSchedule schedule;
  const auto at = [](int hour, int minute) { return Timestamp(std::chrono::days(20'000) + std::chrono::hours(hour) + std::chrono::minutes(minute)); };
  EXPECT_TRUE(schedule.open(at(12, 0)));
  schedule.windows = *windows_from("22:00-04:00,12:00-13:00");
  EXPECT_TRUE(schedule.open(at(23, 0)));
  EXPECT_TRUE(schedule.open(at(3, 59)));
  EXPECT_FALSE(schedule.open(at(4, 0)));
  EXPECT_TRUE(schedule.open(at(12, 59)));
  EXPECT_FALSE(schedule.open(at(13, 0)));
  EXPECT_EQ(to_string(schedule.windows), "22:00-04:00,12:00-13:00");
}

TEST(RolloutSchedule, refuses_what_is_no_window) {
  for (const char* text : {"22-4", "22:00", "22:00-24:00", "22:00-22:00", "2:00-3:00", "22:00-04:00;", "a", "22:60-23:00", "22:00_23:00"}) {
    EXPECT_THAT(windows_from(text), ErrorIs(ErrorCode::invalid_argument, HasSubstr("22:00-04:00 (UTC)"))) << text;
  }
}

}  // namespace
}  // namespace outcrop::fleet
