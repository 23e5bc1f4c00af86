#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "agent/enroll/identity.hpp"
#include "tests/agent/rig.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop {
namespace {

using ::testing::HasSubstr;

// A board, its broker, and another one that lets in the same boards under an authority of its own.
class BrokerMoveTest : public AgentTest {
 protected:
  BrokerMoveTest() {
    there_.speak_by(forge_);
    there_.board_key = host_.board_key;
    EXPECT_THAT(other_.broker().trust_devices(broker_.devices().certificate(), *broker_.devices().revocation_list()), IsOk());
    fault_ = {"boot-1", "nowhere"};  // for its short trial
  }

  [[nodiscard]] static messages::BrokerMove move_to(FleetBroker& broker) {
    messages::BrokerMove move;
    move.number = static_cast<std::uint64_t>(SystemClock().now().time_since_epoch().count());
    move.expires = SystemClock().now() + std::chrono::hours(1);
    move.host = "127.0.0.1";
    move.port = broker.broker().port();
    move.authority = broker.broker().authority();
    return move;
  }
  [[nodiscard]] bool comes_to(ScriptedHost& host, std::size_t after = 0) {
    return loop_.until([&] { return host.statuses.size() > after && host.statuses.back().online; });
  }
  [[nodiscard]] std::uint16_t port_by_its_enrolment() const { return agent::Identity::read(state_)->enrolment().broker_port; }
  [[nodiscard]] bool says_in_its_log(const std::string& what) {
    return loop_.until([&] { return log().find(what) != std::string::npos; });
  }

  FleetBroker other_{loop_.executor()};
  ScriptedHost there_{loop_, other_, "pi-1"};
};

TEST_F(BrokerMoveTest, goes_where_the_keys_of_targets_say_and_stays_there) {
  agent_is_online();
  const ForgedRelease release = first_release();
  const messages::BrokerMove move = move_to(other_);
  host_.send(forge_.move(move, "director"));
  ASSERT_TRUE(says_in_its_log("a command is refused"));
  EXPECT_TRUE(there_.statuses.empty()) << "the host's own keys move nobody";
  host_.send(forge_.move(move));
  ASSERT_TRUE(comes_to(there_));
  EXPECT_EQ(there_.status()->active_manifest, release.manifest);
  EXPECT_FALSE(host_.status()->online) << "it said good-bye";
  ASSERT_TRUE(loop_.until([&] { return port_by_its_enrolment() == move.port; }));
  kill_agent();
  const std::size_t before = there_.statuses.size();
  start_agent();
  ASSERT_TRUE(comes_to(there_, before));

  // What was said before, and what is signed and older, takes it nowhere.
  messages::BrokerMove back = move_to(broker_);
  back.number = move.number - 1;
  there_.send(forge_.move(back));
  there_.send(forge_.move(move));
  messages::BrokerMove late = move_to(broker_);
  late.number = move.number + 1;
  late.expires = SystemClock().now() - std::chrono::seconds(1);
  there_.send(forge_.move(late));
  back.number = move.number + (std::uint64_t{1} << 40U);
  there_.send(forge_.move(back));
  loop_.run_for(std::chrono::seconds(1));
  EXPECT_EQ(port_by_its_enrolment(), move.port);
  EXPECT_FALSE(host_.status()->online);

  back.number = move.number + 1;
  const std::size_t at_first = host_.statuses.size();
  there_.send(forge_.move(back));
  ASSERT_TRUE(comes_to(host_, at_first)) << "a newer one takes it back";
  ASSERT_TRUE(loop_.until([&] { return port_by_its_enrolment() == back.port; }));
  messages::BrokerMove again = move_to(other_);
  again.number = back.number + 1;
  const std::size_t at_last = there_.statuses.size();
  host_.send(forge_.move(again));
  EXPECT_TRUE(comes_to(there_, at_last)) << "without a start in between";
}

TEST_F(BrokerMoveTest, goes_back_and_says_so_where_nobody_lets_it_in) {
  agent_is_online();
  const ForgedRelease release = first_release();
  const auto comes_back_from = [&](const messages::BrokerMove& move) {
    const std::size_t before = host_.statuses.size();
    host_.send(forge_.move(move));
    ASSERT_TRUE(loop_.until([&] {
      return host_.statuses.size() > before + 1 && host_.status()->online &&
             host_.status()->deployment->reason.find("nobody let this board in") != std::string::npos;
    })) << log();
    EXPECT_EQ(port_by_its_enrolment(), broker_.broker().port());
  };
  messages::BrokerMove unknown = move_to(other_);
  unknown.authority = broker_.broker().authority();  // not who vouches for that one
  comes_back_from(unknown);
  messages::BrokerMove gone = move_to(other_);
  gone.number = unknown.number + 1;
  gone.port = 1;
  comes_back_from(gone);
  EXPECT_TRUE(there_.statuses.empty());
  EXPECT_EQ(host_.status()->active_manifest, release.manifest);

  messages::BrokerMove here = move_to(broker_);
  here.number = gone.number + 1;
  host_.send(forge_.move(here));
  EXPECT_TRUE(loop_.until([&] { return host_.status()->deployment->reason.find("nobody") == std::string::npos; }))
      << "what is said of a move is past with the next";
}

TEST_F(BrokerMoveTest, is_reached_at_one_of_both_whenever_its_plug_is_pulled) {
  agent_is_online();
  (void)first_release();
  std::uint64_t number = move_to(other_).number;
  bool is_there = false;
  for (const int delay : {0, 5, 20, 60, 150, 400}) {
    messages::BrokerMove move = move_to(is_there ? broker_ : other_);
    move.number = ++number;
    (is_there ? there_ : host_).send(forge_.move(move));
    loop_.run_for(std::chrono::milliseconds(delay));
    kill_agent();
    const std::size_t here_before = host_.statuses.size();
    const std::size_t there_before = there_.statuses.size();
    start_agent();
    ASSERT_TRUE(loop_.until([&] {
      return (host_.statuses.size() > here_before && host_.status()->online) ||
             (there_.statuses.size() > there_before && there_.status()->online);
    })) << delay << " ms after it was told";
    loop_.run_for(std::chrono::seconds(1));
    is_there = there_.statuses.size() > there_before && there_.status()->online;
    EXPECT_EQ(port_by_its_enrolment(), (is_there ? other_ : broker_).broker().port()) << delay;
  }
}

TEST_F(BrokerMoveTest, stays_where_its_owner_says_that_the_broker_is) {
  configure("[broker]\nhost = \"127.0.0.1\"\n");
  agent_is_online();
  (void)first_release();
  host_.send(forge_.move(move_to(other_)));
  EXPECT_TRUE(loop_.until([&] { return host_.status()->deployment->reason.find("owner says where its broker is") != std::string::npos; }));
  EXPECT_TRUE(there_.statuses.empty());
}

}  // namespace
}  // namespace outcrop
