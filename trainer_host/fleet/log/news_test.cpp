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

TEST(News, what_went_well_in_between_fails_anew) {
  News news;
  news.report("metadata", fail(ErrorCode::io, "disk full"));
  EXPECT_FALSE(news.is_new("metadata", "disk full"));
  news.report("metadata", {});
  EXPECT_TRUE(news.is_new("metadata", "disk full"));
}

}  // namespace
}  // namespace outcrop::fleet
