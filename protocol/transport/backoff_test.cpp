#include "protocol/transport/backoff.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <vector>

namespace outcrop::transport {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, spreads_a_fleet_ever_wider_while_its_broker_stays_away) {
  std::minstd_rand random{1};
  std::vector<Backoff> boards(10'000, Backoff(2s, 60s));
  std::int64_t busiest = 10'001;
  for (int attempt = 0; attempt < 6; ++attempt) {
    std::map<std::int64_t, std::int64_t> of_each_second;
    for (Backoff& board : boards) ++of_each_second[board.next(random).count() / 1000];
    std::int64_t most = 0;
    for (const auto& [second, count] : of_each_second) most = std::max(most, count);
    EXPECT_LT(most, busiest) << "attempt " << attempt;
    busiest = most;
  }
  EXPECT_LT(busiest, 300) << "of 10,000 within one second";
}

TEST(Backoff, is_short_again_after_a_good_connection_and_long_beside_a_twin) {
  std::minstd_rand random{1};
  Backoff backoff(2s, 60s);
  for (int i = 0; i < 10; ++i) (void)backoff.next(random);
  backoff.begin_anew();
  EXPECT_LE(backoff.next(random), 2s);
  backoff.stay_away();
  EXPECT_GE(backoff.next(random), 30s);
}

}  // namespace
}  // namespace outcrop::transport
