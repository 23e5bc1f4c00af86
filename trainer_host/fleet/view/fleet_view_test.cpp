#include "trainer_host/fleet/view/fleet_view.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/view/changes.hpp"
#include "trainer_host/fleet/view/events.hpp"
#include "trainer_host/fleet/view/evidence.hpp"
#include "trainer_host/fleet/view/filter.hpp"
#include "trainer_host/fleet/view/seeded_fleet_for_tests.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(Evidence, is_one_where_nothing_was_measured_and_grows_by_boards_that_are_slower) {
  EXPECT_DOUBLE_EQ(evidence_above({}, std::log(1.02)), 1);
  const std::vector<double> slower(12, std::log(1.08));
  EXPECT_GT(evidence_above(slower, std::log(1.02)), stop_line);
  const PairedChange change = judge(slower);
  EXPECT_EQ(change.verdict, Verdict::regression);
  EXPECT_EQ(change.slower, 12U);
  EXPECT_NEAR(change.median, .08, 1e-9);
  ASSERT_TRUE(change.low && change.high);
  EXPECT_LT(*change.low, .08);
  EXPECT_GT(*change.high, .08);
}

TEST(Evidence, cannot_be_had_from_a_few_boards_and_is_not_claimed) {
  const PairedChange change = judge({std::log(2.0), std::log(2.1), std::log(1.9)});
  EXPECT_EQ(change.verdict, Verdict::insufficient);
  EXPECT_EQ(change.slower, 3U);
  EXPECT_FALSE(change.low);
  EXPECT_LE(change.evidence, 8);
}

TEST(Evidence, symmetric_noise_is_no_regression_and_some_slower_boards_are_a_suspicion) {
  std::vector<double> noise;
  for (int i = 0; i < 40; ++i) noise.push_back((i % 2 == 0 ? 1 : -1) * .03);
  EXPECT_EQ(judge(noise).verdict, Verdict::none);
  EXPECT_LT(judge(noise).evidence, 1);
  std::vector<double> mixed(5, std::log(1.05));
  mixed.resize(8, std::log(.97));
  EXPECT_EQ(judge(mixed).verdict, Verdict::suspected);
}

class FleetViewTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
  SeededFleet fleet_{folder_.path() / "registry.sqlite"};
  FleetView view_{fleet_.registry(), fleet_.surroundings()};
};

TEST_F(FleetViewTest, pairs_within_boards_say_on_which_class_it_became_slower) {
  for (int i = 0; i < 12; ++i) fleet_.add("four-" + std::to_string(i), "raspberry-pi-4", .08);
  for (int i = 0; i < 12; ++i) fleet_.add("five-" + std::to_string(i), "raspberry-pi-5", 0);
  ASSERT_THAT(view_.refresh(), IsOk());
  const auto changes = newest_changes(view_);
  ASSERT_EQ(changes.size(), 4U);  // two classes, two variants
  EXPECT_EQ(changes[0].device_class, "raspberry-pi-4");
  EXPECT_EQ(changes[0].p90.verdict, Verdict::regression);
  EXPECT_NEAR(changes[0].p90.median, .08, .02);
  EXPECT_EQ(changes[3].device_class, "raspberry-pi-5");
  EXPECT_EQ(changes[3].p90.verdict, Verdict::none);
  EXPECT_EQ(view_.name_of(changes[0].releases.after), "curvefault stage 2");
}

TEST_F(FleetViewTest, what_heat_made_void_is_counted_and_not_compared) {
  for (const char* name : {"a", "b", "c"}) fleet_.add(name, "raspberry-pi-4", 0);
  fleet_.throttle("c", "raspberry-pi-4");
  ASSERT_THAT(view_.refresh(), IsOk());
  EXPECT_EQ(view_.boards().at("c").health, Health::throttled);
  EXPECT_EQ(view_.boards().at("a").health, Health::well);
  const auto changes = newest_changes(view_);
  ASSERT_FALSE(changes.empty());
  EXPECT_EQ(changes[0].p90.boards, 2U);
  EXPECT_EQ(changes[0].throttled_after, 1U);
}

TEST_F(FleetViewTest, only_what_changed_is_read_again_and_told) {
  fleet_.add("a", "raspberry-pi-4", 0);
  fleet_.add("b", "raspberry-pi-4", 0);
  std::vector<std::string> told;
  view_.on_board = [&](const BoardRow& row) { told.push_back(row.device.name); };
  ASSERT_THAT(view_.refresh(), IsOk());
  EXPECT_THAT(told, ::testing::ElementsAre("a", "b"));
  told.clear();
  fleet_.offline = {"a", "b"};
  view_.changed("b");
  ASSERT_THAT(view_.refresh(), IsOk());
  EXPECT_THAT(told, ::testing::ElementsAre("b"));
  EXPECT_EQ(view_.boards().at("a").health, Health::well);
  EXPECT_EQ(view_.boards().at("b").health, Health::silent);
  told.clear();
  view_.changed("b");
  ASSERT_THAT(view_.refresh(), IsOk());
  EXPECT_TRUE(told.empty());  // as it was
}

TEST_F(FleetViewTest, a_large_fleet_is_read_in_lots) {
  fleet_.at_once([&] {
    for (std::size_t i = 0; i <= FleetView::most_at_once; ++i) {
      Device device;
      device.name = "b" + std::to_string(i);
      device.model = "m";
      device.device_class = "c";
      ASSERT_THAT(fleet_.registry().save(device), IsOk());
    }
  });
  ASSERT_THAT(view_.refresh(), IsOk());
  EXPECT_EQ(view_.boards().size(), FleetView::most_at_once);
  EXPECT_EQ(view_.unread(), 1U);
  ASSERT_THAT(view_.refresh(), IsOk());
  EXPECT_EQ(view_.boards().size(), FleetView::most_at_once + 1);
  EXPECT_EQ(view_.unread(), 0U);
}

TEST_F(FleetViewTest, pages_of_a_query_hold_every_board_once_in_order) {
  for (int i = 0; i < 25; ++i) {
    fleet_.add("board-" + std::to_string(i), i % 2 == 0 ? "even" : "odd", .01 * i);
  }
  ASSERT_THAT(view_.refresh(), IsOk());
  std::map<std::string, std::string> words{{"sort", "-p90"}, {"limit", "7"}, {"class", "even"}};
  std::vector<std::string> names;
  std::vector<double> figures;
  do {
    const auto query = BoardQuery::read(words);
    ASSERT_THAT(query, IsOk());
    const auto page = select(view_, *query);
    ASSERT_THAT(page, IsOk());
    EXPECT_EQ(page->matching, 13U);
    for (const BoardRow* row : page->rows) {
      names.push_back(row->device.name);
      figures.push_back(row->serving()->p90_ms);
    }
    words["after"] = page->after;
  } while (!words["after"].empty());
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), 13U);
  EXPECT_EQ(names.size(), 13U);
  EXPECT_TRUE(std::is_sorted(figures.rbegin(), figures.rend()));
}

TEST_F(FleetViewTest, words_that_mean_nothing_and_cursors_of_other_queries_are_refused) {
  for (int i = 0; i < 5; ++i) fleet_.add("b" + std::to_string(i), "c", 0);
  ASSERT_THAT(view_.refresh(), IsOk());
  EXPECT_THAT(BoardQuery::read({{"limit", "0"}}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("limit")));
  EXPECT_THAT(BoardQuery::read({{"sort", "luck"}}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("sorted")));
  EXPECT_THAT(BoardQuery::read({{"colour", "red"}}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("'colour'")));
  auto query = *BoardQuery::read({{"limit", "2"}});
  const auto page = select(view_, query);
  ASSERT_THAT(page, IsOk());
  auto other = *BoardQuery::read({{"limit", "2"}, {"sort", "p90"}, {"after", page->after}});
  EXPECT_THAT(select(view_, other), ErrorIs(ErrorCode::invalid_argument, HasSubstr("no cursor of this query")));
}

// Runs what a listener awaits to its end.
std::optional<std::string> next_of(boost::asio::io_context& io, const Events::Next& next) {
  std::optional<std::string> piece;
  boost::asio::co_spawn(
      io, [&]() -> boost::asio::awaitable<void> { piece = co_await next(); }, boost::asio::detached);
  io.restart();
  io.run();
  return piece;
}

TEST(Events, go_on_where_a_listener_left_off_and_say_where_they_cannot) {
  boost::asio::io_context io;
  Events events(io.get_executor(), "s");
  for (int i = 1; i <= 3; ++i) events.publish("board", "{\"n\":" + std::to_string(i) + "}");
  const auto resumed = next_of(io, events.listen("s.1"));
  ASSERT_TRUE(resumed);
  EXPECT_THAT(*resumed, ::testing::Not(HasSubstr("{\"n\":1}")));
  EXPECT_THAT(*resumed, HasSubstr("id: s.2\nevent: board\ndata: {\"n\":2}\n\nid: s.3"));
  EXPECT_THAT(*next_of(io, events.listen("")), ::testing::Not(HasSubstr("event: reset")));
  EXPECT_THAT(*next_of(io, events.listen("other.1")), HasSubstr("event: reset"));
  EXPECT_THAT(*next_of(io, events.listen("s.99")), HasSubstr("event: reset"));
}

TEST(Events, a_listener_that_is_too_slow_is_let_go_and_the_others_go_on) {
  boost::asio::io_context io;
  Events events(io.get_executor(), "s");
  const auto slow = events.listen("");
  const auto quick = events.listen("");
  const std::string long_line(10'000, 'x');
  for (int i = 0; i < 30; ++i) {
    events.publish("board", long_line);
    const auto piece = next_of(io, quick);
    ASSERT_TRUE(piece);
    EXPECT_LE(piece->size(), Events::most_waiting.value());
  }
  EXPECT_EQ(events.dropped(), 1U);
  EXPECT_FALSE(next_of(io, slow));
  EXPECT_EQ(events.listeners(), 2U);
}

}  // namespace
}  // namespace outcrop::fleet
