#include "trainer_host/fleet/broker/broker.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "protocol/base/durable_file.hpp"
#include "protocol/transport/paho/paho_session.hpp"
#include "protocol/transport/topics.hpp"

#include "tests/support/fleet_broker.hpp"
#include "tests/support/mqtt_client.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/test_broker.hpp"
#include "trainer_host/fleet/broker/heartbeat.hpp"
#include "trainer_host/fleet/broker/mosquitto.hpp"

namespace outcrop::fleet {
namespace {

using namespace std::chrono_literals;
using ::testing::_;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using transport::Client;
using transport::Loop;
using transport::Message;
using transport::SessionOptions;

constexpr const char* mosquitto_pub = "/usr/bin/mosquitto_pub";

class BrokerTest : public ::testing::Test {
 protected:
  // Whatever was published before this has come through when it returns.
  static void settle(Client& host) {
    const std::size_t before = host.messages().size();
    ASSERT_THAT(host.publish({"outcrop/v1/settled", "x"}), IsOk());
    ASSERT_TRUE(host.has_messages(before + 1));
  }
  // What the host read on a topic.
  static std::size_t count(const Client& client, const std::string& topic) {
    return static_cast<std::size_t>(
        std::count_if(client.messages().begin(), client.messages().end(),
                      [&](const Message& message) { return message.topic == topic; }));
  }
  // Tried several times, it gets nowhere.
  void expect_shut_out(const SessionOptions& options) {
    Client client(loop_, options);
    ASSERT_TRUE(loop_.until([&] { return client.losses().size() >= 2; }));
    EXPECT_FALSE(client.ready(1, 0ms));
  }

  Loop loop_;
  FleetBroker fleet_{loop_.executor()};
};

TEST_F(BrokerTest, boards_and_host_talk_on_their_topics) {
  Client host(loop_, fleet_.host(), {"outcrop/v1/d/+/up/+", "outcrop/v1/d/+/status"});
  Client board(loop_, fleet_.enroll("pi-1"), {"outcrop/v1/d/pi-1/cmd", "outcrop/v1/meta/#"});
  ASSERT_TRUE(host.ready() && board.ready());
  EXPECT_THAT(board.publish({"outcrop/v1/d/pi-1/up/report", "r"}), IsOk());
  EXPECT_THAT(board.publish({"outcrop/v1/d/pi-1/status", "s", true}), IsOk());
  for (const char* kind : {"progress", "telemetry", "layers", "renewal"}) {
    EXPECT_THAT(board.publish({transport::topics::up("pi-1", kind), "said"}), IsOk()) << kind;
  }
  ASSERT_TRUE(host.has_messages(6));
  EXPECT_THAT(host.publish({"outcrop/v1/d/pi-1/cmd", "offer"}), IsOk());
  EXPECT_THAT(host.publish({"outcrop/v1/meta/root/1", "root", true}), IsOk());
  ASSERT_TRUE(board.has_messages(2));
}

TEST_F(BrokerTest, is_reached_by_its_own_host_wherever_it_listens) {
  // The last is "" on a machine without one.
  for (const std::string& listen : {std::string("::1"), std::string("::"), std::string("0.0.0.0"),
                                    link_local_address()}) {
    if (listen.empty()) continue;
    fleet_.stop_broker();
    BrokerOptions options;
    options.folder = fleet_.folder() / "broker";
    options.listen = listen;
    options.port = 0;
    auto broker = Broker::start(loop_.executor(), options);
    if (!broker && listen.starts_with("::")) continue;  // a machine without IPv6
    ASSERT_THAT(broker, IsOk());
    EXPECT_THAT(check_port_free("127.0.0.1", (*broker)->host_session().port), ErrorIs(ErrorCode::already_exists, _))
        << "the host would not get in at its first try";
    Client host(loop_, (*broker)->host_session(), {"outcrop/v1/#"});
    EXPECT_TRUE(host.ready()) << listen;
    SessionOptions by_ipv4 = (*broker)->client_session();
    by_ipv4.host = "127.0.0.1";
    if (!listen.ends_with("::") && listen != "0.0.0.0") continue;
    Client board(loop_, by_ipv4);
    EXPECT_TRUE(board.ready()) << listen << " takes IPv4 as well";
  }
}

TEST_F(BrokerTest, a_log_that_grew_too_large_is_put_aside_and_a_new_one_begun) {
  fleet_.stop_broker();
  BrokerOptions options;
  options.folder = fleet_.folder() / "broker";
  options.port = 0;
  const auto log = options.folder / "mosquitto.log";
  const auto older = options.folder / "mosquitto.log.1";
  std::filesystem::resize_file(log, 17'000'000);
  const auto broker = Broker::start(loop_.executor(), options);
  ASSERT_THAT(broker, IsOk());
  EXPECT_EQ(std::filesystem::file_size(older), 17'000'000U);
  EXPECT_GT(std::filesystem::file_size(log), 0U);
  EXPECT_LT(std::filesystem::file_size(log), 100'000U);
  loop_.run_for(500ms);
  EXPECT_NE((*broker)->process_id(), 0) << "it goes on";
  EXPECT_GT((*broker)->worked().value_or(0ns), 0ns);
}

TEST_F(BrokerTest, one_that_hangs_is_noticed_and_restarted) {
  Broker& broker = fleet_.broker();
  auto options = broker.host_session();
  options.client_id = "heartbeat";
  const auto session = transport::make_paho_session(loop_.executor(), options);
  int connects = 0;
  int silences = 0;
  session->start({.connected = [&] { ++connects; },
                  .lost = [](const Error&) {},
                  .message = [](const Message&) {}});
  ASSERT_TRUE(loop_.until([&] { return connects == 1; }));
  std::chrono::nanoseconds worked{0};
  std::chrono::nanoseconds more{0};
  Heartbeat heartbeat(loop_.executor(), *session, {50ms, 2000ms},
                      [&](std::chrono::milliseconds) {
                        ++silences;
                        broker.restart();
                      },
                      [&] { return std::optional(worked += more); });
  const int before = broker.process_id();
  int score = 0;
  std::ifstream("/proc/" + std::to_string(before) + "/oom_score_adj") >> score;
  EXPECT_EQ(score, 900) << "the kernel ends it before the host";
  ASSERT_EQ(::kill(before, SIGSTOP), 0);
  for (int i = 0; i < 30; ++i) {
    heartbeat.heard();
    loop_.run_for(100ms);
  }
  EXPECT_EQ(silences, 0) << "whose messages come is not silent";
  more = 20ms;
  loop_.run_for(3s);
  EXPECT_EQ(silences, 0) << "one that works is not disturbed";
  more = 0ms;
  EXPECT_TRUE(loop_.until([&] { return connects >= 2; }));
  EXPECT_GE(silences, 1);
  EXPECT_NE(broker.process_id(), before);
  EXPECT_NE(broker.process_id(), 0);
}

TEST_F(BrokerTest, a_board_cannot_speak_for_another) {
  Client host(loop_, fleet_.host(), {"outcrop/v1/#"});
  Client rogue(loop_, fleet_.enroll("rogue"));
  ASSERT_TRUE(host.ready() && rogue.ready());
  for (const char* topic :
       {"outcrop/v1/d/pi-1/status", "outcrop/v1/d/pi-1/up/report", "outcrop/v1/d/pi-1/cmd",
        "outcrop/v1/d/pi-1/rx", "outcrop/v1/d/rogue/cmd", "outcrop/v1/req/pi-1",
        "outcrop/v1/req/pi-1/depot", "outcrop/v1/meta/targets", "outcrop/v1/meta/root/2",
        "outcrop/v1/blob/abc", "elsewhere"}) {
    EXPECT_THAT(rogue.publish({topic, "forged", true}),
                ErrorIs(ErrorCode::refused, HasSubstr("not authorized")))
        << topic;
  }
  settle(host);
  EXPECT_THAT(host.messages(), SizeIs(1));
}

// Whoever vouches for boards may call one as it likes.
TEST_F(BrokerTest, no_device_authority_makes_a_host) {
  Client host(loop_, fleet_.host(), {"outcrop/v1/#"});
  Client board(loop_, fleet_.enroll("pi-1"), {"outcrop/v1/d/pi-1/cmd"});
  ASSERT_TRUE(host.ready() && board.ready());
  const SessionOptions as_host = fleet_.enroll("outcropd:host");
  {
    Client pretender(loop_, as_host, {"outcrop/v1/#"});
    ASSERT_TRUE(pretender.ready());
    EXPECT_THAT(pretender.publish({"outcrop/v1/d/pi-1/cmd", "forged"}),
                ErrorIs(ErrorCode::refused, HasSubstr("not authorized")));
    EXPECT_THAT(pretender.publish({"outcrop/v1/meta/targets", "forged", true}),
                ErrorIs(ErrorCode::refused, HasSubstr("not authorized")));
    settle(host);
    EXPECT_THAT(pretender.messages(), ::testing::IsEmpty());
    EXPECT_THAT(host.losses(), ::testing::IsEmpty()) << "nor does it take the host's session";
  }
  // The host's own listener knows no device authority.
  SessionOptions at_host = as_host;
  at_host.port = fleet_.host().port;
  expect_shut_out(at_host);
}

TEST_F(BrokerTest, a_board_cannot_listen_to_another) {
  Client host(loop_, fleet_.host(), {"outcrop/v1/settled"});
  Client board(loop_, fleet_.enroll("pi-1"), {"outcrop/v1/d/pi-1/cmd", "outcrop/v1/d/pi-1/rx"});
  Client rogue(
      loop_, fleet_.enroll("rogue"),
      {"#", "outcrop/v1/d/+/cmd", "outcrop/v1/d/pi-1/rx", "$share/g/outcrop/v1/d/+/cmd", "$SYS/#"});
  ASSERT_TRUE(host.ready() && board.ready() && rogue.ready());
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(host.publish({"outcrop/v1/d/pi-1/cmd", "secret"}), IsOk());
    ASSERT_THAT(host.publish({"outcrop/v1/d/pi-1/rx", "secret"}), IsOk());
  }
  ASSERT_THAT(host.publish({"outcrop/v1/d/rogue/cmd", "its own"}), IsOk());
  ASSERT_TRUE(board.has_messages(10));
  ASSERT_TRUE(rogue.has_messages(1));
  settle(host);
  EXPECT_THAT(rogue.messages(), ::testing::Each(::testing::Field(&Message::payload, "its own")));
}

TEST_F(BrokerTest, a_board_cannot_take_the_client_id_of_another) {
  Client host(loop_, fleet_.host(), {"outcrop/v1/d/+/status"});
  Client board(loop_, fleet_.enroll("pi-1"));
  auto options = fleet_.enroll("rogue");
  options.client_id = "pi-1";
  Client rogue(loop_, options);
  ASSERT_TRUE(host.ready() && board.ready() && rogue.ready());
  EXPECT_THAT(rogue.publish({"outcrop/v1/d/pi-1/status", "forged"}),
              ErrorIs(ErrorCode::refused, _));
  EXPECT_THAT(rogue.publish({"outcrop/v1/d/rogue/status", "own"}), IsOk());
  EXPECT_THAT(board.publish({"outcrop/v1/d/pi-1/status", "own"}), IsOk());
  ASSERT_TRUE(host.has_messages(2));
  EXPECT_THAT(board.losses(), IsEmpty());
}

TEST_F(BrokerTest, a_share_group_of_a_board_takes_nothing_from_the_host) {
  Client host(loop_, fleet_.host(), {"outcrop/v1/req/+"});
  Client board(loop_, fleet_.enroll("pi-1"));
  Client rogue(loop_, fleet_.enroll("rogue"),
               {"$share/depot/outcrop/v1/req/+", "$share/outcropd/outcrop/v1/req/#"});
  ASSERT_TRUE(host.ready() && board.ready() && rogue.ready());
  for (int i = 0; i < 20; ++i) {
    ASSERT_THAT(board.publish({"outcrop/v1/req/pi-1", "chunks"}), IsOk());
  }
  ASSERT_TRUE(host.has_messages(20));
  EXPECT_THAT(rogue.messages(), IsEmpty());
}

TEST_F(BrokerTest, a_will_on_the_topic_of_another_is_not_sent) {
  Client host(loop_, fleet_.host(), {"outcrop/v1/d/+/status"});
  auto options = fleet_.enroll("rogue");
  options.will = Message{"outcrop/v1/d/pi-1/status", "offline", true};
  options.keep_alive = 60s;
  {
    Client rogue(loop_, options);
    ASSERT_TRUE(host.ready() && rogue.ready());
    fleet_.broker().disconnect("rogue");  // not a good-bye of its own: wills are sent
    ASSERT_TRUE(loop_.until([&] { return !rogue.losses().empty(); }));
  }
  loop_.run_for(300ms);
  EXPECT_THAT(host.messages(), IsEmpty());
}

TEST_F(BrokerTest, nobody_enters_without_a_certificate_of_a_known_authority) {
  const SessionOptions board = fleet_.enroll("pi-1");
  const std::string address = " -h 127.0.0.1 -p " + std::to_string(board.port) +
                              " -i x -t outcrop/v1/d/x/status -m x 2>/dev/null";
  const std::string tls = std::string(mosquitto_pub) + " --cafile " + board.tls->authority.string();
  EXPECT_NE(std::system((mosquitto_pub + address).c_str()), 0);
  EXPECT_NE(std::system((tls + address).c_str()), 0);
  EXPECT_NE(std::system((tls + " -u outcropd:host -P x" + address).c_str()), 0);

  const TemporaryFolder elsewhere;
  const auto stranger = pki::Authority::open_or_make(elsewhere.path(), "Outcrop devices");
  ASSERT_THAT(stranger, IsOk());
  expect_shut_out(fleet_.enroll("pi-1", &*stranger));
  Client good(loop_, board);
  EXPECT_TRUE(good.ready());
}

TEST_F(BrokerTest, boards_believe_only_the_broker_that_they_were_told) {
  auto options = fleet_.enroll("pi-1");
  options.tls->authority = fleet_.devices().folder() / "authority.pem";
  Client fooled(loop_, options);
  ASSERT_TRUE(loop_.until([&] { return !fooled.losses().empty(); }));
  EXPECT_THAT(fooled.losses()[0].message(), HasSubstr(options.tls->authority.string()));
}

TEST_F(BrokerTest, a_revoked_board_is_thrown_out_and_cannot_return) {
  Client host(loop_, fleet_.host(), {"outcrop/v1/d/+/status"});
  auto options = fleet_.enroll("pi-1");
  options.will = Message{"outcrop/v1/d/pi-1/status", "gone", true};
  Client board(loop_, options);
  const SessionOptions second = fleet_.enroll("pi-2");
  Client other(loop_, second);
  ASSERT_TRUE(host.ready() && board.ready() && other.ready());
  const auto start = std::chrono::steady_clock::now();
  fleet_.revoke(options);
  ASSERT_TRUE(loop_.until([&] { return board.losses().size() >= 3; }));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
  EXPECT_FALSE(board.session().connected());
  EXPECT_FALSE(board.ready(2, 0ms));
  expect_shut_out(options);
  EXPECT_THAT(other.losses(), IsEmpty()) << "a revocation must not disturb the other boards";
  ASSERT_TRUE(host.has_messages(1));
  EXPECT_EQ(host.messages()[0].payload, "gone");
  Client replaced(loop_, fleet_.enroll("pi-1"));
  EXPECT_TRUE(replaced.ready());
  fleet_.revoke(second);  // a second list beside the first
  EXPECT_TRUE(loop_.until([&] { return other.losses().size() >= 3; }));
  EXPECT_FALSE(other.ready(2, 0ms));
}

TEST_F(BrokerTest, a_takeover_ends_an_open_connection_and_sends_its_will) {
  Client host(loop_, fleet_.host(), {"outcrop/v1/d/+/status"});
  auto options = fleet_.enroll("pi-1");
  options.will = Message{"outcrop/v1/d/pi-1/status", "gone", true};
  Client board(loop_, options);
  ASSERT_TRUE(host.ready() && board.ready());
  fleet_.broker().disconnect("pi-1");
  ASSERT_TRUE(loop_.until([&] { return !board.losses().empty(); }));
  ASSERT_TRUE(host.has_messages(1));
  EXPECT_EQ(host.messages()[0].payload, "gone");
  EXPECT_TRUE(board.ready(2));  // it was not revoked
  EXPECT_TRUE(loop_.until(
      [&] { return std::filesystem::is_empty(fleet_.folder() / "broker" / "takeover"); }));
}

TEST_F(BrokerTest, ten_megabytes_are_refused_and_hurt_nobody_else) {
  Client host(loop_, fleet_.host(), {"outcrop/v1/d/+/up/+"});
  Client board(loop_, fleet_.enroll("pi-1"));
  Client rogue(loop_, fleet_.enroll("rogue"));
  ASSERT_TRUE(host.ready() && board.ready() && rogue.ready());
  const int process = fleet_.broker().process_id();
  EXPECT_FALSE(rogue.publish({"outcrop/v1/d/rogue/up/report", std::string(10'000'000, 'x')}));
  EXPECT_TRUE(loop_.until([&] { return !rogue.losses().empty(); }));
  EXPECT_THAT(board.publish({"outcrop/v1/d/pi-1/up/report", std::string(256 * 1024, 'x')}), IsOk());
  ASSERT_TRUE(host.has_messages(1));
  EXPECT_EQ(host.messages()[0].topic, "outcrop/v1/d/pi-1/up/report");
  EXPECT_THAT(host.losses(), IsEmpty());
  EXPECT_THAT(board.losses(), IsEmpty());
  EXPECT_EQ(fleet_.broker().process_id(), process);
}

TEST_F(BrokerTest, of_two_agents_with_one_certificate_the_newer_takes_over) {
  Client host(loop_, fleet_.host(), {"outcrop/v1/d/+/status"});
  Client bystander(loop_, fleet_.enroll("pi-2"));
  auto options = fleet_.enroll("pi-1");
  options.first_retry = options.last_retry = 60s;
  Client older(loop_, options);
  ASSERT_TRUE(host.ready() && bystander.ready() && older.ready());
  Client newer(loop_, options);
  ASSERT_TRUE(newer.ready());
  ASSERT_TRUE(loop_.until([&] { return !older.losses().empty(); }));
  EXPECT_THAT(newer.publish({"outcrop/v1/d/pi-1/status", "newer"}), IsOk());
  EXPECT_THAT(bystander.publish({"outcrop/v1/d/pi-2/status", "fine"}), IsOk());
  ASSERT_TRUE(host.has_messages(2));
  EXPECT_THAT(newer.losses(), IsEmpty());
  EXPECT_THAT(bystander.losses(), IsEmpty());
  EXPECT_THAT(host.losses(), IsEmpty());
}

TEST_F(BrokerTest, comes_back_when_it_was_killed) {
  Client host(loop_, fleet_.host());
  Client board(loop_, fleet_.enroll("pi-1"));
  ASSERT_TRUE(host.ready() && board.ready());
  const int first = fleet_.broker().process_id();
  ::kill(first, SIGKILL);
  EXPECT_TRUE(host.ready(2) && board.ready(2));
  EXPECT_NE(fleet_.broker().process_id(), first);
  EXPECT_GT(fleet_.broker().process_id(), 0);
}

TEST_F(BrokerTest, remembers_whom_it_trusts) {
  const SessionOptions revoked = fleet_.enroll("pi-1");
  SessionOptions board = fleet_.enroll("pi-2");
  fleet_.revoke(revoked);
  BrokerOptions options;
  options.folder = fleet_.folder() / "broker";
  options.port = 0;
  fleet_.stop_broker();
  auto again = Broker::start(loop_.executor(), options);
  ASSERT_THAT(again, IsOk());
  board.port = (*again)->port();
  Client good(loop_, board);
  EXPECT_TRUE(good.ready());
  SessionOptions bad = revoked;
  bad.port = board.port;
  expect_shut_out(bad);
}

TEST_F(BrokerTest, takes_only_lists_that_their_authority_signed) {
  const int process = fleet_.broker().process_id();
  const TemporaryFolder elsewhere;
  const auto stranger = pki::Authority::open_or_make(elsewhere.path(), "Outcrop devices");
  ASSERT_THAT(stranger, IsOk());
  Broker& broker = fleet_.broker();
  const std::string authority = fleet_.devices().certificate();
  const std::string list = *fleet_.devices().revocation_list();
  EXPECT_THAT(broker.trust_devices(authority, *stranger->revocation_list()),
              ErrorIs(ErrorCode::untrusted, HasSubstr("not signed by this device authority")));
  EXPECT_THAT(broker.trust_devices(authority, "nonsense"), ErrorIs(ErrorCode::invalid_data, _));
  EXPECT_THAT(broker.trust_devices("nonsense", list), ErrorIs(ErrorCode::invalid_data, _));
  const SessionOptions board = fleet_.enroll("pi-1");
  EXPECT_THAT(broker.trust_devices(*read_text_file(board.tls->certificate), list),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("not that of an authority")));
  EXPECT_THAT(broker.trust_devices(authority, list), IsOk());
  EXPECT_EQ(broker.process_id(), process) << "restarted for nothing";
  Client client(loop_, board);
  EXPECT_TRUE(client.ready());
}

TEST(BrokerStart, says_what_stands_in_its_way) {
  Loop loop;
  const TemporaryFolder folder;
  const TestBroker other;
  BrokerOptions options;
  options.folder = folder.path() / "broker";
  options.port = other.port();
  EXPECT_THAT(Broker::start(loop.executor(), options),
              ErrorIs(ErrorCode::already_exists, HasSubstr(std::to_string(other.port()))));
  options.port = 0;
  options.program = "/nowhere/mosquitto";
  EXPECT_THAT(Broker::start(loop.executor(), options),
              ErrorIs(ErrorCode::not_found, HasSubstr("mosquitto")));
  options.program = "/bin/false";
  EXPECT_THAT(Broker::start(loop.executor(), options), ErrorIs(ErrorCode::crashed, _));
  options = {.folder = folder.path() / "broker", .listen = "here", .port = 0, .names = {}};
  EXPECT_THAT(Broker::start(loop.executor(), options), ErrorIs(ErrorCode::invalid_argument, _));
  options = {.folder = folder.path() / "broker", .port = 0, .names = {"no name"}};
  EXPECT_THAT(Broker::start(loop.executor(), options), ErrorIs(ErrorCode::invalid_argument, _));
}

TEST(BrokerStart, boards_reach_it_by_the_names_it_was_given_and_by_no_other) {
  Loop loop;
  const TemporaryFolder folder;
  BrokerOptions options{
      .folder = folder.path(), .listen = "0.0.0.0", .port = 0, .names = {"127.0.0.2"}};
  auto broker = Broker::start(loop.executor(), options);
  ASSERT_THAT(broker, IsOk());
  auto session = (*broker)->client_session();
  EXPECT_EQ(session.host, "127.0.0.1");
  session.host = "127.0.0.2";
  Client named(loop, session);
  EXPECT_TRUE(named.ready());
  EXPECT_TRUE(named.stop());
  session.host = "127.0.0.3";
  Client stranger(loop, session);
  ASSERT_TRUE(loop.until([&] { return stranger.losses().size() >= 2; }));
  EXPECT_FALSE(stranger.ready(1, 0ms));
}

TEST(BrokerStart, it_does_not_outlive_who_started_it) {
  const TemporaryFolder folder;
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    boost::asio::io_context io;
    auto broker =
        Broker::start(io.get_executor(), {.folder = folder.path(), .port = 0, .names = {}});
    const std::uint16_t port = broker ? (*broker)->port() : 0;
    static_cast<void>(::write(ends[1], &port, sizeof port));
    ::pause();
    ::_exit(0);
  }
  std::uint16_t port = 0;
  ASSERT_EQ(::read(ends[0], &port, sizeof port), static_cast<ssize_t>(sizeof port));
  EXPECT_TRUE(listens(port));
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  Loop loop;
  EXPECT_TRUE(loop.until([&] { return !listens(port); }));
}

}  // namespace
}  // namespace outcrop::fleet
