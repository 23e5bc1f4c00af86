#include "trainer_host/fleet/log/news.hpp"

#include <gtest/gtest.h>

namespace outcrop::fleet {
namespace {

TEST(News, says_the_same_of_the_same_thing_once_an_hour) {
  News news;
  const News::Time start = std::chrono::steady_clock::now();
  EXPECT_TRUE(news.is_new("rollout r", "disk full", start));
  EXPECT_FALSE(news.is_new("rollout r", "disk full", start + std::chrono::minutes(59)));
  EXPECT_TRUE(news.is_new("rollout s", "disk full", start));
  EXPECT_TRUE(news.is_new("rollout r", "disk full", start + std::chrono::minutes(60)));
  EXPECT_TRUE(news.is_new("rollout r", "no such file", start + std::chrono::minutes(61)));
}

TEST(News, figures_and_reasons_that_take_turns_make_nothing_new) {
  News news;
  EXPECT_TRUE(news.is_new("the broker", "no answer (3 in a row)"));
  EXPECT_FALSE(news.is_new("the broker", "no answer (4 in a row)"));
  EXPECT_TRUE(news.is_new("the broker", "refused"));
  EXPECT_FALSE(news.is_new("the broker", "no answer (17 in a row)"));
  EXPECT_FALSE(news.is_new("the broker", "refused"));
  for (char c = 'a'; c <= 'z'; ++c) (void)news.is_new("the broker", std::string(1, c));
  EXPECT_FALSE(news.is_new("the broker", "yet another word"));
  news.report("the broker", {});
  EXPECT_TRUE(news.is_new("the broker", "yet another word"));
}

TEST(News, what_went_well_in_between_fails_anew) {
  News news;
  news.report("metadata", fail(ErrorCode::io, "disk full"));
  EXPECT_FALSE(news.is_new("metadata", "disk full"));
  news.report("metadata", {});
  EXPECT_TRUE(news.is_new("metadata", "disk full"));
}

}  // namespace
}  // namespace outcrop::fleet
