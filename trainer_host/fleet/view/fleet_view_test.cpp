#include "trainer_host/fleet/view/fleet_view.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/view/best.hpp"
#include "trainer_host/fleet/view/changes.hpp"
#include "trainer_host/fleet/view/events.hpp"
#include "trainer_host/fleet/view/paired_change.hpp"
#include "trainer_host/fleet/view/filter.hpp"
#include "trainer_host/fleet/view/seeded_fleet_for_tests.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(PairedChanges, are_evidence_where_many_boards_are_slower) {
  const std::vector<double> slower(12, std::log(1.08));
  const PairedChange change = judge(slower);
  EXPECT_EQ(change.verdict, Verdict::regression);
  EXPECT_EQ(change.slower, 12U);
  EXPECT_NEAR(change.median, .08, 1e-9);
  ASSERT_TRUE(change.low && change.high);
  EXPECT_LT(*change.low, .08);
  EXPECT_GT(*change.high, .08);
}

TEST(PairedChanges, cannot_be_had_from_a_few_boards_and_is_not_claimed) {
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

TEST_F(FleetViewTest, the_best_is_held_against_what_most_boards_serve_in_pairs) {
  for (int i = 0; i < 12; ++i) fleet_.add("four-" + std::to_string(i), "raspberry-pi-4", .08);
  for (int i = 0; i < 3; ++i) fleet_.add("five-" + std::to_string(i), "raspberry-pi-5", .08);
  Device idle;
  idle.name = "idle";
  idle.model = "curvefault";
  idle.device_class = "toaster";
  ASSERT_THAT(fleet_.registry().save(idle), IsOk());
  ASSERT_THAT(view_.refresh(), IsOk());
  const SizeOf size_of = [](const trust::Sha256Digest&, const std::string& variant) {
    return std::optional<std::uint64_t>(variant == "float" ? 4000 : 1000);
  };
  const auto best_by = [&](Aim aim) { return judge(contests(view_, aim, size_of), aim); };
  const auto best = best_by(Aim::p90_ms);
  ASSERT_EQ(best.size(), 3U);
  const BestOfClass& four = best[0];
  EXPECT_EQ(four.device_class, "raspberry-pi-4");
  ASSERT_TRUE(four.incumbent);
  EXPECT_EQ(four.incumbent->manifest, fleet_.after());
  EXPECT_EQ(four.serving, 12U);
  ASSERT_EQ(four.releases.size(), 2U);
  EXPECT_EQ(four.releases[0].manifest, fleet_.before()) << "all boards had 8 % less with it";
  EXPECT_NEAR(*four.releases[0].ratio, 1 / 1.08, .02);
  EXPECT_GT(four.releases[0].better, 100);
  EXPECT_LT(*four.releases[0].high, 1);
  EXPECT_THAT(four.words, HasSubstr("is better: -7."));
  EXPECT_EQ(four.variants.front().variant, "int8-qint8") << "nothing is better than what serves";
  EXPECT_THAT(four.words, HasSubstr("no variant is shown to be better than int8-qint8"));
  EXPECT_THAT(best[1].releases[0].words, HasSubstr("3 boards: too few for evidence"));
  EXPECT_THAT(best[1].words, HasSubstr("no release is shown to be better"));
  EXPECT_EQ(best[2].words, "no board serves anything yet");
  const auto by_size = best_by(Aim::size);
  EXPECT_NEAR(*by_size[0].variants.back().ratio, 4, 1e-9);
  EXPECT_THAT(by_size[1].variants.back().words, HasSubstr("by the manifest"));
  EXPECT_THAT(best_by(Aim::error)[0].words, HasSubstr("releases are not compared"));
}

TEST_F(FleetViewTest, hears_by_itself_what_is_written_and_reads_a_rollout_board_by_board) {
  for (const char* name : {"a", "b", "c"}) fleet_.add(name, "raspberry-pi-4", 0);
  fleet_.roll_out("update", 2, RolloutState::widening, "", {"a", "c"}, messages::DeploymentState::updated);
  ASSERT_THAT(view_.refresh(), IsOk());
  std::vector<std::string> told;
  view_.on_rollout = [&](const RolloutRow& row) { told.push_back(row.record.name); };
  const auto boards = [&] {
    std::string words;
    for (const Assignment& one : view_.rollouts().front().assignments) {
      words += one.device + " " + (one.state ? std::string(messages::to_string(*one.state)) : "-") + "; ";
    }
    return words;
  };
  EXPECT_EQ(boards(), "a UPDATED; c UPDATED; ");
  Assignment next = view_.rollouts().front().assignments.front();
  next.device = "b";
  next.state.reset();
  ASSERT_THAT(fleet_.registry().save(next), IsOk());
  ASSERT_THAT(view_.refresh(), IsOk());
  EXPECT_EQ(boards(), "a UPDATED; b -; c UPDATED; ");
  EXPECT_THAT(told, ::testing::ElementsAre("update"));
  ASSERT_THAT(fleet_.registry().remove(next), IsOk());
  fleet_.throttle("a", "raspberry-pi-4");
  ASSERT_THAT(view_.refresh(), IsOk());
  EXPECT_EQ(boards(), "a UPDATED; c UPDATED; ");
  EXPECT_EQ(view_.boards().at("a").health, Health::throttled) << "its report was read";
  told.clear();
  ASSERT_THAT(view_.refresh(), IsOk());
  EXPECT_TRUE(told.empty());
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
  EXPECT_GE(view_.boards().size(), FleetView::least_at_once);
  EXPECT_LE(view_.boards().size(), FleetView::most_at_once);
  EXPECT_EQ(view_.unread(), FleetView::most_at_once + 1 - view_.boards().size());
  for (std::size_t i = 0; i < FleetView::most_at_once / FleetView::least_at_once && view_.unread() > 0; ++i) {
    ASSERT_THAT(view_.refresh(), IsOk());
  }
  EXPECT_EQ(view_.boards().size(), FleetView::most_at_once + 1);
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
  EXPECT_THAT(BoardQuery::read({{"health", "luck"}}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("no health of a board")));
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
