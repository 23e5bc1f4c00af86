#include "agent/enroll/moved_broker.hpp"

#include <gmock/gmock.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class MovedBrokerTest : public ::testing::Test {
 protected:
  MovedBrokerTest() { fs::create_directories(folder_.path() / "identity"); }
  TemporaryFolder folder_;
  MovedBroker moved_{folder_.path()};
  const BrokerPlace present_{"old.example", 8883, "old authority\n"};
  const BrokerPlace next_{"new.example", 8884, "new authority\n"};
};

TEST_F(MovedBrokerTest, tries_a_place_by_three_starts_and_then_says_that_it_does_not) {
  EXPECT_EQ(moved_.begin_trial(present_), std::nullopt) << "nothing was told";
  ASSERT_THAT(moved_.write({7, trust::sha256("keys"), next_, 0, ""}), IsOk());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(MovedBroker(folder_.path()).begin_trial(present_), next_);
    EXPECT_EQ(read_text_file(moved_.next_authority()).value(), next_.authority);
  }
  EXPECT_EQ(moved_.begin_trial(present_), std::nullopt);
  const auto told = moved_.read();
  ASSERT_THAT(told, IsOk());
  EXPECT_EQ(told->number, 7U) << "it counts on: what was said once is not taken again";
  EXPECT_EQ(told->counted_under, trust::sha256("keys"));
  EXPECT_FALSE(told->next);
  EXPECT_THAT(told->not_kept, HasSubstr("new.example:8884"));
}

TEST_F(MovedBrokerTest, tries_nothing_that_the_enrolment_says_already) {
  ASSERT_THAT(moved_.write({7, {}, next_, 1, ""}), IsOk());
  EXPECT_EQ(moved_.begin_trial(next_), std::nullopt) << "cut off between the enrolment and this";
  EXPECT_FALSE(moved_.read()->next);
  EXPECT_EQ(moved_.read()->not_kept, "");
}

TEST_F(MovedBrokerTest, tries_nothing_where_it_cannot_count) {
  ASSERT_THAT(moved_.write({7, {}, next_, 0, ""}), IsOk());
  // A folder in its place: not even root replaces that by a file.
  const std::string text = read_text_file(folder_.path() / "identity" / "broker.json").value();
  fs::remove(folder_.path() / "identity" / "broker.json");
  fs::create_directories(folder_.path() / "identity" / "broker.json" / "x");
  EXPECT_EQ(moved_.begin_trial(present_), std::nullopt);
}

TEST_F(MovedBrokerTest, takes_what_is_lost_for_nothing_told) {
  for (const char* name : {"broker.json", "broker.json.spare"}) {
    ASSERT_THAT(write_file_durably(folder_.path() / "identity" / name, std::string_view("\0\0\0", 3)), IsOk());
  }
  const auto told = moved_.read();
  ASSERT_THAT(told, IsOk());
  EXPECT_EQ(told->number, 0U);
  EXPECT_FALSE(told->next);
  ASSERT_THAT(moved_.write({8, {}, next_, 0, ""}), IsOk());
  ASSERT_THAT(write_file_durably(folder_.path() / "identity" / "broker.json", std::string_view("{")), IsOk());
  EXPECT_EQ(moved_.read()->number, 8U) << "the spare";
}

TEST_F(MovedBrokerTest, knows_nothing_of_a_newer_agent_and_says_so) {
  for (const char* name : {"broker.json", "broker.json.spare"}) {
    ASSERT_THAT(write_file_durably(folder_.path() / "identity" / name,
                                   std::string_view(R"({"format":2,"number":1})")), IsOk());
  }
  EXPECT_THAT(moved_.read(), ErrorIs(ErrorCode::unsupported, HasSubstr("newer agent")));
  EXPECT_EQ(moved_.begin_trial(present_), std::nullopt);
}

}  // namespace
}  // namespace outcrop::agent
