#include "trainer_host/fleet/broker/knocks.hpp"

#include <gmock/gmock.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/fleet_broker.hpp"
#include "tests/support/mqtt_client.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint16_t port = 8883;
const std::string time_of_line = "2026-11-30T07:18:26: ";

std::string connection(const std::string& address, std::uint16_t to = port) {
  return time_of_line + "New connection from " + address + ":36872 on port " + std::to_string(to) + ".\n";
}
std::string refused_from(const std::string& address) {
  return connection(address) + time_of_line + "OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed\n" + time_of_line +
         "Client <unknown> disconnected: Protocol error.\n";
}
std::string let_in(const std::string& address, const std::string& name) {
  return connection(address) + time_of_line + "New client connected from " + address + ":36872 as " + name + " (p5, c1, k20, u'" + name + "').\n";
}

TEST(Knocks, are_counted_by_address_with_who_was_let_in_from_there) {
  Knocks knocks(port);
  EXPECT_THAT(knocks.read(let_in("10.0.0.5", "pi-1") + let_in("fd00::6", "pi-2")), IsEmpty());
  const auto seen = knocks.read(refused_from("10.0.0.5") + refused_from("fd00::6") + refused_from("10.0.0.5") + refused_from("10.0.0.9"));
  ASSERT_THAT(seen, SizeIs(3));
  EXPECT_EQ(seen[0].address, "10.0.0.5");
  EXPECT_EQ(seen[0].count, 2U);
  EXPECT_THAT(seen[0].names, ElementsAre("pi-1"));
  EXPECT_THAT(seen[1].names, IsEmpty()) << seen[1].address;
  EXPECT_THAT(seen[2].names, ElementsAre("pi-2"));
  // A board that moved is where it is now.
  EXPECT_THAT(knocks.read(let_in("10.0.0.7", "pi-1")), IsEmpty());
  EXPECT_THAT(knocks.read(refused_from("10.0.0.5"))[0].names, IsEmpty());
}

TEST(Knocks, are_nothing_else_that_goes_wrong) {
  Knocks knocks(port);
  for (const std::string& log :
       {std::string(), connection("10.0.0.5"), time_of_line + "OpenSSL Error[0]: error:0A000086:SSL routines::certificate verify failed\n",
        connection("10.0.0.5") + time_of_line + "OpenSSL Error[0]: error:0A0000C7:SSL routines::peer did not return a certificate\n",
        connection("127.0.0.1", 40'000) + "certificate verify failed\n", std::string("New connection from  on port .\n")}) {
    Knocks fresh(port);
    EXPECT_THAT(fresh.read(log), IsEmpty()) << log;
  }
}

// As this mosquitto writes them.
TEST(Knocks, of_a_board_that_is_revoked_are_told_by_the_log_of_a_real_broker) {
  transport::Loop loop;
  FleetBroker fleet(loop.executor());
  auto options = fleet.enroll("pi-1");
  transport::Client board(loop, options);
  ASSERT_TRUE(board.ready());
  fleet.revoke(options);
  std::vector<Knocks::Knock> seen;
  ASSERT_TRUE(loop.until([&] {
    Knocks fresh(options.port);
    seen = fresh.read(read_text_file(fleet.folder() / "broker/mosquitto.log").value_or(""));
    return !seen.empty() && seen[0].count >= 2;
  }));
  EXPECT_THAT(seen, SizeIs(1));
  EXPECT_EQ(seen[0].address, "127.0.0.1");
  EXPECT_THAT(seen[0].names, ElementsAre("pi-1"));
}

}  // namespace
}  // namespace outcrop::fleet
