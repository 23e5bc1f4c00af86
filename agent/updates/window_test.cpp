#include "agent/updates/window.hpp"

#include <gmock/gmock.h>

#include "tests/support/result_matchers.hpp"

namespace outcrop::agent {
namespace {

constexpr MinuteOfWeek at(std::size_t day, std::size_t hour, std::size_t minute = 0) {
  return (day * 24 + hour) * 60 + minute;
}
constexpr std::size_t mon = 0, fri = 4, sat = 5, sun = 6;

UpdateWindow window(std::string_view text) {
  auto parsed = UpdateWindow::parse(text);
  EXPECT_THAT(parsed, IsOk());
  return std::move(*parsed);
}

TEST(UpdateWindow, is_open_on_every_day_where_none_is_named) {
  const UpdateWindow night = window("02:00-05:00");
  for (const std::size_t day : {mon, sun}) {
    EXPECT_FALSE(night.open(at(day, 1, 59)));
    EXPECT_TRUE(night.open(at(day, 2)));
    EXPECT_TRUE(night.open(at(day, 4, 59)));
    EXPECT_FALSE(night.open(at(day, 5)));
  }
  EXPECT_EQ(night.opens_in(at(mon, 1)), std::chrono::hours(1));
  EXPECT_EQ(night.opens_in(at(sun, 6)), std::chrono::hours(20)) << "of the next week";
}

TEST(UpdateWindow, goes_over_midnight_from_the_days_that_are_named) {
  const UpdateWindow work = window("mon-fri 22:00-06:00,  sat 00:00-24:00");
  EXPECT_FALSE(work.open(at(mon, 5))) << "Sunday's night is none of it";
  EXPECT_TRUE(work.open(at(mon, 22)));
  EXPECT_TRUE(work.open(at(sat, 5)));
  EXPECT_TRUE(work.open(at(sat, 23, 59)));
  EXPECT_FALSE(work.open(at(sun, 0)));
  EXPECT_EQ(work.opens_in(at(sun, 0)), std::chrono::hours(46));
  const UpdateWindow weekend = window("sat-mon 23:00-01:00");
  EXPECT_TRUE(weekend.open(at(mon, 0, 30)));
  EXPECT_FALSE(weekend.open(at(fri, 23)));
}

TEST(UpdateWindow, says_what_would_be_right) {
  for (const char* wrong : {"", "2-5", "02:00", "02:00-02:00", "24:00-02:00", "02:60-03:00", "25:00-03:00", "someday 02:00-05:00",
                            "mon- 02:00-05:00", "02:00-05:00,", "02:00 - 05:00", "mon 02:00-05:00-06:00"}) {
    const auto parsed = UpdateWindow::parse(wrong);
    ASSERT_FALSE(parsed) << wrong;
    EXPECT_THAT(parsed.error().message(), ::testing::HasSubstr("it must be like \"02:00-05:00\"")) << wrong;
  }
}

}  // namespace
}  // namespace outcrop::agent
