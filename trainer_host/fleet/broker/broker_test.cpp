#include "trainer_host/fleet/broker/broker.hpp"

#include <gmock/gmock.h>
#include <signal.h>

#include "tests/support/fleet_broker.hpp"
#include "tests/support/mqtt_client.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/test_broker.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using transport::Client;
using transport::Delivery;
using transport::Loop;

// Waits until whatever was sent before has come through: by a message of the host to itself.
void settle(Client& host) {
  const std::size_t before = host.messages().size();
  ASSERT_THAT(host.publish({"outcrop/v1/settled", "x"}), IsOk());
  ASSERT_TRUE(host.has_messages(before + 1));
}

class BrokerTest : public ::testing::Test {
 protected:
  Loop loop_;
  FleetBroker fleet_{loop_.executor()};
};

TEST_F(BrokerTest, boards_and_host_talk_on_their_topics) {
  Client host(loop_, fleet_.host(), {"outcrop/v1/d/+/up/+", "outcrop/v1/d/+/status"});
  Client board(loop_, fleet_.enroll("pi-1"), {"outcrop/v1/d/pi-1/cmd", "outcrop/v1/meta/#"});
  ASSERT_TRUE(host.ready() && board.ready());
  EXPECT_THAT(board.publish({"outcrop/v1/d/pi-1/up/report", "r"}), IsOk());
  EXPECT_THAT(board.publish({"outcrop/v1/d/pi-1/status", "s", true}), IsOk());
  ASSERT_TRUE(host.has_messages(2));
  EXPECT_THAT(host.publish({"outcrop/v1/d/pi-1/cmd", "offer"}), IsOk());
  EXPECT_THAT(host.publish({"outcrop/v1/meta/root/1", "root", true}), IsOk());
  ASSERT_TRUE(board.has_messages(2));
}

TEST_F(BrokerTest, a_revoked_board_is_thrown_out_and_cannot_return) {
  Client host(loop_, fleet_.host(), {"outcrop/v1/d/+/status"});
  auto options = fleet_.enroll("pi-1");
  options.will = transport::Message{"outcrop/v1/d/pi-1/status", "gone", true};
  Client board(loop_, options);
  Client other(loop_, fleet_.enroll("pi-2"));
  ASSERT_TRUE(host.ready() && board.ready() && other.ready());
  const int process = fleet_.broker().process_id();
  fleet_.revoke(options);
  ASSERT_TRUE(loop_.until([&] { return board.losses().size() >= 2; }, std::chrono::seconds(10)));
  loop_.run_for(std::chrono::seconds(2));
  EXPECT_FALSE(board.session().connected());
}

}  // namespace
}  // namespace outcrop::fleet
