#include "trainer_host/fleet/broker/twins.hpp"

#include <gmock/gmock.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/fleet_broker.hpp"
#include "tests/support/mqtt_client.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const Twins::Time start = std::chrono::steady_clock::now();

std::string connects(const std::string& client, const std::string& address, bool takes_over) {
  const std::string time = "2026-11-28T22:46:05: ";
  return (takes_over ? time + "Client " + client + " already connected, closing old connection.\n"
                     : std::string()) +
         time + "New client connected from " + address + ":40000 as " + client + " (p5, c1, k20, u'" +
         client + "').\n";
}

TEST(Twins, are_two_that_take_each_others_connection_over_from_addresses_of_their_own) {
  Twins twins;
  EXPECT_THAT(twins.read(connects("pi-1", "10.0.0.5", false) + connects("pi-1", "fd00::6", true) +
                             connects("pi-1", "10.0.0.5", true),
                         start),
              IsEmpty());
  const auto seen = twins.read(connects("pi-1", "fd00::6", true), start);
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_EQ(seen[0].client, "pi-1");
  EXPECT_THAT(seen[0].addresses, ElementsAre("10.0.0.5", "fd00::6"));
  EXPECT_THAT(twins.read(connects("pi-1", "10.0.0.5", true), start), IsEmpty()) << "told already";
}

TEST(Twins, are_neither_a_link_that_breaks_nor_a_board_that_moves) {
  Twins twins;
  std::string log;
  for (int i = 0; i < 9; ++i) log += connects("pi-1", "10.0.0.5", true);
  for (int i = 0; i < 9; ++i) {
    log += connects("pi-2", i % 2 == 0 ? "10.0.0.5" : "10.0.0.6", false);  // each after a good-bye
  }
  EXPECT_THAT(twins.read(log, start), IsEmpty());
  for (int i = 0; i < 9; ++i) {
    EXPECT_THAT(twins.read(connects("pi-3", i % 2 == 0 ? "10.0.0.5" : "10.0.0.6", true),
                           start + std::chrono::hours(i)),
                IsEmpty());
  }
}

TEST(Twins, read_nothing_from_other_lines) {
  for (const char* line :
       {"", "\n", "2026-11-28T22:46:05: mosquitto version 2.0.11 running",
        "2026-11-28T22:46:05: New client connected from 127.0.0.1:1 as outcropd:host (p5).",
        "2026-11-28T22:46:05: New client connected from 127.0.0.1:1", "Client  already connected"}) {
    EXPECT_FALSE(Twins::parse(line)) << line;
  }
}

// As this mosquitto writes them.
TEST(Twins, are_told_by_the_log_of_a_real_broker) {
  transport::Loop loop;
  FleetBroker fleet(loop.executor());
  auto options = fleet.enroll("pi-1");
  options.first_retry = options.last_retry = std::chrono::seconds(60);
  transport::Client older(loop, options);
  ASSERT_TRUE(older.ready());
  transport::Client newer(loop, options);
  ASSERT_TRUE(newer.ready());
  std::vector<std::string> said;
  ASSERT_TRUE(loop.until([&] {
    said.clear();
    std::string log = read_text_file(fleet.folder() / "broker/mosquitto.log").value_or("");
    for (std::size_t end = 0; (end = log.find('\n')) != std::string::npos; log.erase(0, end + 1)) {
      if (const auto line = Twins::parse(log.substr(0, end))) {
        said.push_back(line->client + (line->address.empty() ? " over" : " " + line->address));
      }
    }
    return said.size() >= 3;
  }));
  EXPECT_THAT(said, ElementsAre("pi-1 127.0.0.1", "pi-1 over", "pi-1 127.0.0.1"));
}

}  // namespace
}  // namespace outcrop::fleet
