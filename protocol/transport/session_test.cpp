#include <utility>  // before Asio

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/unique_fd.hpp"
#include "protocol/transport/awaitable.hpp"
#include "protocol/transport/name_lookup.hpp"
#include "tests/support/mqtt_client.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/scripted_resolver.hpp"
#include "tests/support/test_broker.hpp"

namespace outcrop::transport {
namespace {

using namespace std::chrono_literals;
using ::testing::_;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

// This process's own TCP sockets whose other end is that port.
std::vector<int> sockets_to(std::uint16_t port) {
  std::vector<int> sockets;
  for (int fd = 0; fd < 256; ++fd) {
    sockaddr_in peer{};
    socklen_t length = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0 &&
        peer.sin_family == AF_INET && ntohs(peer.sin_port) == port) {
      sockets.push_back(fd);
    }
  }
  return sockets;
}

bool has_no_delay(int fd) {
  int on = 0;
  socklen_t length = sizeof on;
  return ::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &length) == 0 && on != 0;
}

bool has_ipv6() {
  const UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  return fd && ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

class SessionTest : public ::testing::Test {
 protected:
  TestBroker broker_;
  Loop loop_;
};

TEST_F(SessionTest, carries_messages_to_a_subscriber) {
  Client reader(loop_, broker_.session("reader"), {"t/#"});
  Client writer(loop_, broker_.session("writer"));
  ASSERT_TRUE(reader.ready() && writer.ready());
  EXPECT_THAT(writer.publish({"t/a", std::string("\0\x01z", 3)}), IsOk());
  EXPECT_THAT(writer.publish({"t/b", ""}, Delivery::at_most_once), IsOk());
  ASSERT_TRUE(reader.has_messages(2));
  EXPECT_EQ(reader.messages()[0].payload, std::string("\0\x01z", 3));
  EXPECT_EQ(reader.messages()[1].topic, "t/b");
  EXPECT_TRUE(reader.stop());
  EXPECT_FALSE(reader.session().connected());
}

TEST_F(SessionTest, retained_messages_say_so) {
  Client writer(loop_, broker_.session("writer"));
  ASSERT_TRUE(writer.ready());
  ASSERT_THAT(writer.publish({"t/a", "kept", true}), IsOk());
  Client reader(loop_, broker_.session("reader"), {"t/#"});
  ASSERT_TRUE(reader.has_messages(1));
  EXPECT_TRUE(reader.messages()[0].retained);
}

TEST_F(SessionTest, comes_back_after_the_broker_was_killed_and_restarted) {
  Client client(loop_, broker_.session("c"), {"t/#"});
  ASSERT_TRUE(client.ready());
  for (int round = 2; round <= 3; ++round) {
    broker_.kill();
    ASSERT_TRUE(loop_.until([&] { return !client.session().connected(); }));
    EXPECT_THAT(client.publish({"t/a", "lost"}),
                ErrorIs(ErrorCode::io, HasSubstr("not connected")));
    broker_.start();
    ASSERT_TRUE(client.ready(round));
    EXPECT_THAT(client.publish({"t/a", "again"}), IsOk());
    ASSERT_TRUE(client.has_messages(static_cast<std::size_t>(round - 1)));
  }
  for (const Message& message : client.messages()) EXPECT_EQ(message.payload, "again");
}

TEST_F(SessionTest, waits_for_a_broker_that_is_away_at_the_start) {
  broker_.kill();
  Client client(loop_, broker_.session("c"));
  ASSERT_TRUE(loop_.until([&] { return client.losses().size() >= 3; }));
  EXPECT_THAT(client.losses()[0].message(), HasSubstr(std::to_string(broker_.port())));
  broker_.start();
  EXPECT_TRUE(client.ready());
}

TEST_F(SessionTest, sends_without_delay_after_every_connect) {
  Client client(loop_, broker_.session("c"));
  ASSERT_TRUE(client.ready());
  ASSERT_EQ(sockets_to(broker_.port()).size(), 1u);
  EXPECT_TRUE(has_no_delay(sockets_to(broker_.port())[0]));
  broker_.kill();
  broker_.start();
  ASSERT_TRUE(client.ready(2));
  ASSERT_EQ(sockets_to(broker_.port()).size(), 1u);
  EXPECT_TRUE(has_no_delay(sockets_to(broker_.port())[0]));
}

TEST_F(SessionTest, the_will_is_sent_when_the_connection_breaks_and_not_at_a_good_bye) {
  Client watcher(loop_, broker_.session("watcher"), {"wills"});
  ASSERT_TRUE(watcher.ready());
  auto options = broker_.session("polite");
  options.will = Message{"wills", "polite"};
  Client polite(loop_, options);
  options = broker_.session("broken");
  options.will = Message{"wills", "broken", true};
  const auto before = sockets_to(broker_.port());
  Client broken(loop_, options);
  ASSERT_TRUE(polite.ready() && broken.ready());
  EXPECT_TRUE(polite.stop());
  for (const int fd : sockets_to(broker_.port())) {
    if (std::find(before.begin(), before.end(), fd) == before.end()) ::shutdown(fd, SHUT_RDWR);
  }
  ASSERT_TRUE(watcher.has_messages(1));
  EXPECT_TRUE(broken.ready(2));
  ASSERT_EQ(watcher.messages().size(), 1u);
  EXPECT_EQ(watcher.messages()[0].payload, "broken");
}

TEST_F(SessionTest, notices_a_broker_that_hangs) {
  auto options = broker_.session("c");
  options.keep_alive = 1s;
  Client client(loop_, options);
  ASSERT_TRUE(client.ready());
  broker_.suspend();
  EXPECT_TRUE(loop_.until([&] { return !client.losses().empty(); }));
  broker_.resume();
  EXPECT_TRUE(client.ready(2));
}

TEST_F(SessionTest, gives_up_an_attempt_that_nobody_answers) {
  auto options = broker_.session("c");
  options.connect_timeout = 4s;
  broker_.suspend();
  Client client(loop_, options);
  ASSERT_TRUE(loop_.until([&] { return !client.losses().empty(); }, 8s));
  EXPECT_EQ(client.losses()[0].code(), ErrorCode::timeout);
  broker_.resume();
  EXPECT_TRUE(client.ready());
}

// What became of many operations that a hanging broker left without an answer.
struct Answers {
  std::vector<int> times = std::vector<int>(50, 0);
  std::vector<ErrorCode> codes;

  void begin(Session& session) {
    for (std::size_t i = 0; i < times.size(); ++i) {
      const auto done = [this, i](const Status& status) {
        ++times[i];
        if (!status) codes.push_back(status.error().code());
      };
      if (i % 5 == 4) {
        session.subscribe("t/" + std::to_string(i), Delivery::at_least_once, done);
      } else {
        session.publish({"t/a", "x"}, Delivery::at_least_once, done);
      }
      EXPECT_EQ(times[i], 0) << "answered within the call";
    }
  }
  [[nodiscard]] bool complete() const {
    return std::all_of(times.begin(), times.end(), [](int n) { return n > 0; });
  }
  void expect_once_each(ErrorCode code) const {
    EXPECT_THAT(times, ::testing::Each(1));
    EXPECT_THAT(codes, ::testing::AllOf(::testing::SizeIs(times.size()), ::testing::Each(code)));
  }
};

TEST_F(SessionTest, answers_everything_once_when_the_connection_is_lost) {
  Answers answers;
  Client client(loop_, broker_.session("c"));
  ASSERT_TRUE(client.ready());
  broker_.suspend();
  answers.begin(client.session());
  loop_.run_for(100ms);
  broker_.kill();
  ASSERT_TRUE(loop_.until([&] { return answers.complete(); }));
  broker_.start();
  ASSERT_TRUE(client.ready(2));
  loop_.run_for(200ms);
  answers.expect_once_each(ErrorCode::io);
}

TEST_F(SessionTest, answers_everything_once_when_it_is_stopped) {
  Answers answers;
  Client client(loop_, broker_.session("c"));
  ASSERT_TRUE(client.ready());
  broker_.suspend();
  answers.begin(client.session());
  EXPECT_TRUE(client.stop());
  ASSERT_TRUE(loop_.until([&] { return answers.complete(); }));
  answers.expect_once_each(ErrorCode::interrupted);
}

TEST_F(SessionTest, answers_everything_once_when_it_is_destroyed) {
  Answers answers;
  Client client(loop_, broker_.session("c"));
  ASSERT_TRUE(client.ready());
  broker_.suspend();
  answers.begin(client.session());
  client.forget_session();
  ASSERT_TRUE(loop_.until([&] { return answers.complete(); }));
  loop_.run_for(100ms);
  answers.expect_once_each(ErrorCode::interrupted);
}

TEST_F(SessionTest, finishes_what_is_on_its_way_before_it_stops) {
  Client reader(loop_, broker_.session("reader"), {"t/#"});
  Client writer(loop_, broker_.session("writer"));
  ASSERT_TRUE(reader.ready() && writer.ready());
  int good = 0;
  for (int i = 0; i < 20; ++i) {
    writer.session().publish({"t/a", "x"}, Delivery::at_least_once,
                             [&](const Status& status) { good += status ? 1 : 0; });
  }
  EXPECT_TRUE(writer.stop());
  EXPECT_EQ(good, 20);
  EXPECT_TRUE(reader.has_messages(20));
}

TEST_F(SessionTest, may_be_destroyed_while_messages_pour_in) {
  Client writer(loop_, broker_.session("writer"));
  ASSERT_TRUE(writer.ready());
  for (int round = 0; round < 5; ++round) {
    Client reader(loop_, broker_.session("reader"), {"t/#"});
    ASSERT_TRUE(reader.ready());
    for (int i = 0; i < 200; ++i) {
      writer.session().publish({"t/a", std::string(10'000, 'x')}, Delivery::at_least_once, nullptr);
    }
    ASSERT_TRUE(reader.has_messages(1));
  }
}

TEST_F(SessionTest, stops_at_any_time) {
  Client fresh(loop_, broker_.session("a"));
  EXPECT_TRUE(fresh.stop());
  EXPECT_TRUE(fresh.stop());
  broker_.kill();
  Client waiting(loop_, broker_.session("b"));
  ASSERT_TRUE(loop_.until([&] { return !waiting.losses().empty(); }));
  EXPECT_TRUE(waiting.stop());
  const std::size_t losses = waiting.losses().size();
  loop_.run_for(700ms);
  EXPECT_EQ(waiting.losses().size(), losses);
}

TEST_F(SessionTest, may_be_stopped_by_its_own_handlers) {
  bool stopped = false;
  auto session = make_paho_session(loop_.executor(), broker_.session("c"));
  session->start({.connected = [&] { session->stop([&] { stopped = true; }); },
                  .lost = nullptr,
                  .message = nullptr});
  EXPECT_TRUE(loop_.until([&] { return stopped; }));
}

TEST_F(SessionTest, two_of_one_identity_take_turns_ever_more_slowly) {
  auto options = broker_.session("same");
  options.last_retry = 8s;
  Client one(loop_, options);
  ASSERT_TRUE(one.ready());
  Client two(loop_, options);
  ASSERT_TRUE(two.ready());
  // mosquitto 2.0.11 does not say why it closes: they throw each other out, less and less often.
  loop_.run_for(5s);
  const std::size_t early = one.losses().size() + two.losses().size();
  EXPECT_GE(early, 1u);
  loop_.run_for(5s);
  EXPECT_LE(one.losses().size() + two.losses().size() - early, 3u);
  ASSERT_TRUE(loop_.until([&] { return one.losses().size() >= 3; }, 60s));
  // mosquitto 2.0.21 says it itself.
  EXPECT_THAT(one.losses()[2].message(), AnyOf(HasSubstr("does another program connect as 'same'?"),
                                               HasSubstr("another client with our identity")));
  EXPECT_THAT(one.losses()[0].message(), Not(HasSubstr("another program")));
}

boost::asio::awaitable<void> subscribe_publish_stop(Session& session,
                                                    std::vector<std::string>& done) {
  Status status = co_await subscribe(session, "t/#", Delivery::at_least_once);
  done.emplace_back(status ? "subscribed" : status.error().message());
  Message message{"t/a", "x"};
  status = co_await publish(session, message, Delivery::at_least_once);
  done.emplace_back(status ? "published" : status.error().message());
  co_await stop(session);
  done.emplace_back("stopped");
}

TEST_F(SessionTest, coroutines_wait_for_its_answers) {
  Client client(loop_, broker_.session("c"));
  ASSERT_TRUE(client.ready());
  std::vector<std::string> steps;
  boost::asio::co_spawn(loop_.executor(), subscribe_publish_stop(client.session(), steps),
                        boost::asio::detached);
  EXPECT_TRUE(loop_.until([&] { return steps.size() == 3; }));
  EXPECT_THAT(steps, ::testing::ElementsAre("subscribed", "published", "stopped"));
}

// Whoever would wait for the resolver on the loop would never come back from here.
TEST_F(SessionTest, neither_waits_for_a_resolver_that_never_answers_nor_asks_it_again) {
  script_resolver("silent.example", {});
  auto options = broker_.session("c");
  options.host = "silent.example";
  options.connect_timeout = 1s;  // 4 s, the least
  Client client(loop_, options);
  loop_.run_for(100ms);
  EXPECT_EQ(questions_for("silent.example"), 1);
  Client other(loop_, broker_.session("other"));
  EXPECT_TRUE(other.ready()) << "it keeps nobody else waiting";
  ASSERT_TRUE(loop_.until([&] { return !client.losses().empty(); }));
  EXPECT_EQ(client.losses()[0].code(), ErrorCode::timeout);
  EXPECT_THAT(client.losses()[0].message(),
              AllOf(HasSubstr("silent.example"), HasSubstr("no name server answers")));
  loop_.run_for(1s);  // the next attempt waits for the same answer
  EXPECT_EQ(questions_for("silent.example"), 1);
  EXPECT_TRUE(client.stop());
  client.forget_session();
  EXPECT_THAT(look_up("silent.example", 10ms), ErrorIs(ErrorCode::timeout, HasSubstr("")));
}

TEST_F(SessionTest, tries_every_address_of_a_name_and_begins_with_the_one_that_let_it_in) {
  script_resolver("both.example", {"::1", "127.0.0.9", "127.0.0.1"});  // it listens at the last
  auto options = broker_.session("c");
  options.host = "both.example";
  Client client(loop_, options);
  ASSERT_TRUE(client.ready());
  EXPECT_THAT(client.losses(), ::testing::IsEmpty());
  broker_.kill();
  ASSERT_TRUE(loop_.until([&] { return client.losses().size() >= 2; }));
  EXPECT_THAT(client.losses().back().message(),
              AllOf(HasSubstr("at 127.0.0.1: "), HasSubstr("; at ::1: "), HasSubstr("at 127.0.0.9")));
  broker_.start();
  EXPECT_TRUE(client.ready(2));
}

TEST_F(SessionTest, says_that_a_name_is_not_known) {
  auto options = broker_.session("c");
  options.host = "no-such-host.invalid";
  Client client(loop_, options);
  ASSERT_TRUE(loop_.until([&] { return !client.losses().empty(); }));
  EXPECT_THAT(client.losses()[0].message(), HasSubstr("the name no-such-host.invalid"));
}

TEST_F(SessionTest, reaches_a_broker_by_ipv6) {
  if (!has_ipv6()) GTEST_SKIP() << "this machine has no IPv6";
  const std::uint16_t port = free_port();
  const TestBroker broker("listener " + std::to_string(port) + " ::1\n");
  script_resolver("six.example", {"::1"});
  for (const char* host : {"::1", "six.example"}) {
    auto options = broker.session("c");
    options.host = host;
    options.port = port;
    Client client(loop_, options);
    EXPECT_TRUE(client.ready()) << host;
  }
}

TEST_F(SessionTest, reaches_a_broker_by_a_link_local_address_with_its_zone) {
  const std::string address = link_local_address();
  if (address.empty()) GTEST_SKIP() << "this machine has no link-local address";
  const std::uint16_t port = free_port();
  const TestBroker broker("listener " + std::to_string(port) + " " + address + "\n");
  script_resolver("zoned.example", {address});
  for (const std::string& host : {address, std::string("zoned.example")}) {
    auto options = broker.session("c");
    options.host = host;
    options.port = port;
    Client client(loop_, options);
    EXPECT_TRUE(client.ready()) << host;
  }
  auto options = broker.session("c");
  options.host = "fe80::5%nowhere0";
  Client lost(loop_, options);
  ASSERT_TRUE(loop_.until([&] { return !lost.losses().empty(); }));
  EXPECT_THAT(lost.losses()[0].message(), HasSubstr("no network interface 'nowhere0'"));
}

TEST_F(SessionTest, changes_its_will_by_a_connection_made_anew) {
  Client watcher(loop_, broker_.session("watcher"), {"wills"});
  ASSERT_TRUE(watcher.ready());
  auto options = broker_.session("c");
  options.will = Message{"wills", "old"};
  const auto before = sockets_to(broker_.port());
  Client client(loop_, options);
  ASSERT_TRUE(client.ready());
  client.session().change_will({"wills", "new"});
  ASSERT_TRUE(client.ready(2));
  for (const int fd : sockets_to(broker_.port())) {
    if (std::find(before.begin(), before.end(), fd) == before.end()) ::shutdown(fd, SHUT_RDWR);
  }
  ASSERT_TRUE(watcher.has_messages(1));
  EXPECT_EQ(watcher.messages()[0].payload, "new");
}

TEST(NameLookups, know_an_address_with_a_zone) {
  EXPECT_TRUE(is_address("fe80::5%eth0"));
  EXPECT_EQ(without_zone("fe80::5%eth0"), "fe80::5");
  EXPECT_EQ(zone_of("fe80::5%7"), 7U);
  EXPECT_THAT(zone_of("fe80::5%lo"), IsOk());
  for (const char* other : {"fd00::5", "10.0.0.5", "fleet.example", "10.0.0.5%eth0", "a%b"}) {
    EXPECT_EQ(without_zone(other), other);
    EXPECT_EQ(zone_of(other), 0U) << other;
  }
  EXPECT_FALSE(is_address("10.0.0.5%eth0"));
  EXPECT_FALSE(is_address("a%b"));
}

TEST(NameLookups, of_an_address_ask_nobody_and_of_nobody_answer_nobody) {
  Loop loop;
  std::optional<Result<Addresses>> found;
  {
    const NameLookup lookup(loop.executor(), "fd00::5", [&](auto answer) { found = answer; });
    ASSERT_TRUE(loop.until([&] { return found.has_value(); }));
  }
  ASSERT_THAT(*found, IsOk());
  EXPECT_THAT(**found, ::testing::ElementsAre("fd00::5"));
  found.reset();
  { const NameLookup lookup(loop.executor(), "10.0.0.5", [&](auto answer) { found = answer; }); }
  loop.run_for(20ms);
  EXPECT_FALSE(found) << "nobody asks any more";
}

TEST(SessionRefusals, a_denied_publish_is_refused) {
  const TemporaryFolder folder;
  ASSERT_THAT(write_file_durably(folder.path() / "acl", "topic readwrite allowed\n"), IsOk());
  const TestBroker broker("acl_file " + (folder.path() / "acl").string() + "\n");
  Loop loop;
  Client client(loop, broker.session("c"));
  ASSERT_TRUE(client.ready());
  EXPECT_THAT(client.publish({"denied", "x"}),
              ErrorIs(ErrorCode::refused, HasSubstr("not authorized")));
  EXPECT_THAT(client.publish({"allowed", "x"}), IsOk());
  EXPECT_TRUE(client.losses().empty());
}

TEST_F(SessionTest, a_message_that_nobody_needs_for_its_size_is_kept_back) {
  Client reader(loop_, broker_.session("reader"), {"t"});
  Client writer(loop_, broker_.session("writer"));
  ASSERT_TRUE(reader.ready() && writer.ready());
  ASSERT_THAT(writer.publish({"t", std::string(2'000'000, 'x')}), IsOk());
  ASSERT_THAT(writer.publish({"t", std::string(1 << 20, 'x')}), IsOk());
  ASSERT_TRUE(reader.has_messages(1));
  EXPECT_EQ(reader.messages()[0].payload.size(), std::size_t{1} << 20);
  EXPECT_TRUE(reader.losses().empty());
}

TEST(SessionRefusals, a_message_too_large_is_refused) {
  const TestBroker broker("message_size_limit 1000\n");
  Loop loop;
  Client client(loop, broker.session("c"));
  ASSERT_TRUE(client.ready());
  EXPECT_THAT(client.publish({"t", std::string(2000, 'x')}),
              ErrorIs(ErrorCode::refused, HasSubstr("too large")));
  EXPECT_THAT(client.publish({"t", "x"}), IsOk());
}

}  // namespace
}  // namespace outcrop::transport
