#include "agent/updates/limits.hpp"

#include <gmock/gmock.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

class SetClock final : public Clock {
 public:
  [[nodiscard]] Timestamp now() const override { return time; }
  Timestamp time = *from_rfc3339("2026-12-01T12:00:00Z");
};

class UpdateLimitsTest : public ::testing::Test {
 protected:
  UpdateLimitsTest() {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
    config_.state = folder_.path();
  }
  UpdateLimits limits() {
    return {config_, clock_, {.clock_synchronised = [this] { return synchronised_; }, .steady = [this] { return steady_; }}};
  }

  TemporaryFolder folder_;
  AgentConfig config_;
  SetClock clock_;
  bool synchronised_ = true;
  std::chrono::steady_clock::time_point steady_{};
};

TEST_F(UpdateLimitsTest, allow_all_where_nothing_is_said) {
  UpdateLimits all = limits();
  all.received(ByteCount::mib(1'000'000));
  EXPECT_EQ(all.closed(), std::nullopt);
  EXPECT_EQ(all.may_not_receive(), std::nullopt);
}

TEST_F(UpdateLimitsTest, wait_for_their_hours) {
  config_.update_window = *UpdateWindow::parse("mon 02:00-05:00");
  const UpdateLimits monday = limits();  // it is Tuesday
  EXPECT_THAT(monday.closed(), Optional(HasSubstr("waits until Mon 2026-12-07 02:00 for its window (mon 02:00-05:00, local time)")));
  clock_.time = *from_rfc3339("2026-12-07T04:59:59Z");
  EXPECT_EQ(monday.closed(), std::nullopt);
}

TEST_F(UpdateLimitsTest, wait_an_hour_for_a_clock_that_nobody_keeps_and_no_longer) {
  config_.update_window = *UpdateWindow::parse("12:00-13:00");
  synchronised_ = false;
  const UpdateLimits noon = limits();
  EXPECT_THAT(noon.closed(), Optional(HasSubstr("waits for the clock to be set")));
  steady_ += std::chrono::hours(1);
  clock_.time = {};  // 1970
  EXPECT_EQ(noon.closed(), std::nullopt);
  synchronised_ = true;
  EXPECT_NE(noon.closed(), std::nullopt);
}

TEST_F(UpdateLimitsTest, count_the_bytes_of_a_day_over_restarts_and_clocks_that_leap) {
  config_.most_a_day = ByteCount::mib(10);
  {
    UpdateLimits first = limits();
    first.received(ByteCount::mib(6));
    EXPECT_EQ(first.may_not_receive(), std::nullopt);
    first.received(ByteCount::mib(4));
    EXPECT_THAT(first.may_not_receive(), Optional(HasSubstr("waits until Wed 2026-12-02 12:00: 10.49 MB in 24 hours are used up")));
  }
  const UpdateLimits again = limits();
  EXPECT_NE(again.may_not_receive(), std::nullopt);
  const Timestamp before = clock_.time;
  clock_.time = {};  // 1970: not forgotten
  EXPECT_NE(again.may_not_receive(), std::nullopt);
  clock_.time = before + std::chrono::hours(24);
  EXPECT_EQ(again.may_not_receive(), std::nullopt);
}

TEST_F(UpdateLimitsTest, count_anew_where_the_file_means_nothing) {
  config_.most_a_day = ByteCount::mib(1);
  for (const char* text : {"{", "{}", R"({"since": "now", "bytes": 1})", R"({"since": "2026-12-01T12:00:00Z", "bytes": 9999999, "more": 1})"}) {
    ASSERT_THAT(write_file_durably(folder_.path() / "received.json", std::string_view(text)), IsOk());
    EXPECT_EQ(limits().may_not_receive(), std::nullopt) << text;
  }
}

TEST_F(UpdateLimitsTest, receive_nothing_by_a_metered_link) {
  config_.metered = true;
  EXPECT_EQ(limits().closed(), std::nullopt);
  EXPECT_THAT(limits().may_not_receive(), Optional(HasSubstr("outcrop-agent install")));
  config_.metered = false;
  std::optional<std::string> costs = "somebody says so";
  const UpdateLimits asks(config_, clock_, {.clock_synchronised = [] { return true; }, .link_costs = [&] { return costs; }});
  EXPECT_EQ(asks.may_not_receive(), costs);
  costs.reset();
  EXPECT_EQ(asks.may_not_receive(), std::nullopt);
}

}  // namespace
}  // namespace outcrop::agent
