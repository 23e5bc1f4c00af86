#include "agent/pull/chunk_schedule.hpp"

#include <gmock/gmock.h>

#include "agent/pull/patience.hpp"

namespace outcrop::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A schedule that has opened its window of 4 with the first four chunks.
ChunkSchedule opened(std::size_t chunks) {
  ChunkSchedule schedule(chunks, 4);
  for (std::uint32_t i = 0; i < 4; ++i) schedule.arrived(i);
  return schedule;
}

TEST(ChunkSchedule, opens_its_window_with_each_chunk_that_comes) {
  ChunkSchedule schedule(20, 4);
  EXPECT_THAT(schedule.ask(), ElementsAre(0));
  EXPECT_THAT(schedule.ask(), IsEmpty());
  schedule.arrived(0);
  EXPECT_THAT(schedule.ask(), ElementsAre(1, 2));
  schedule.arrived(1);
  EXPECT_THAT(schedule.ask(), ElementsAre(3, 4));
  schedule.arrived(2);
  EXPECT_THAT(schedule.ask(), ElementsAre(5, 6));
  schedule.arrived(3);
  EXPECT_THAT(schedule.ask(), ElementsAre(7)) << "not beyond 4";
}

TEST(ChunkSchedule, asks_for_missing_chunks_only) {
  ChunkSchedule schedule(6, 4);
  for (const std::uint32_t here : {0, 2, 3, 4}) schedule.arrived(here);
  EXPECT_THAT(schedule.ask(), ElementsAre(1, 5));
  EXPECT_FALSE(schedule.complete());
  schedule.arrived(5);
  schedule.arrived(1);
  EXPECT_TRUE(schedule.complete());
  EXPECT_THAT(schedule.ask(), IsEmpty());
}

TEST(ChunkSchedule, asks_again_for_what_came_wrong) {
  ChunkSchedule schedule = opened(20);
  EXPECT_THAT(schedule.ask(), ElementsAre(4, 5, 6, 7));
  schedule.came_wrong(5);
  EXPECT_THAT(schedule.ask(), ElementsAre(5));
}

TEST(ChunkSchedule, takes_a_chunk_for_lost_that_a_window_of_later_ones_has_overtaken) {
  ChunkSchedule schedule = opened(20);
  EXPECT_THAT(schedule.ask(), ElementsAre(4, 5, 6, 7));
  for (std::uint32_t i = 5; i < 8; ++i) {
    schedule.arrived(i);
    EXPECT_THAT(schedule.ask(), ElementsAre(i + 3));
  }
  schedule.arrived(8);
  EXPECT_THAT(schedule.ask(), ElementsAre(4, 11));
}

TEST(ChunkSchedule, starts_over_with_one_chunk) {
  ChunkSchedule schedule = opened(20);
  EXPECT_THAT(schedule.ask(), ElementsAre(4, 5, 6, 7));
  schedule.arrived(6);
  schedule.start_over();
  EXPECT_THAT(schedule.ask(), ElementsAre(4));
  schedule.arrived(5);  // late
  schedule.arrived(4);
  EXPECT_THAT(schedule.ask(), ElementsAre(7, 8, 9));
}

TEST(Patience, backs_off_up_to_the_longest) {
  Patience patience(seconds(1), seconds(30));
  EXPECT_EQ(patience.wait(), seconds(1));
  for (const int expected : {2, 4, 8, 16, 30, 30}) {
    patience.was_silent();
    EXPECT_EQ(patience.wait(), seconds(expected));
  }
  patience.heard(milliseconds(1));
  EXPECT_EQ(patience.wait(), seconds(1));
}

TEST(Patience, grows_on_a_slow_link_and_shrinks_when_it_is_fast_again) {
  Patience patience(seconds(1), seconds(30));
  patience.heard(seconds(6));
  EXPECT_EQ(patience.wait(), seconds(24));
  for (int i = 0; i < 30; ++i) patience.heard(milliseconds(1));
  EXPECT_EQ(patience.wait(), seconds(1));
}

}  // namespace
}  // namespace outcrop::agent
