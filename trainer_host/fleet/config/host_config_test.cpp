#include "trainer_host/fleet/config/host_config.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::HasSubstr;

constexpr const char* trust =
    "[trust]\nroot = \"root.json\"\ntimestamp_key = \"t.key\"\nsnapshot_key = \"s.key\"\n";

class HostConfigTest : public ::testing::Test {
 protected:
  Result<HostConfig> read(const std::string& text) {
    std::ofstream(file_) << text;
    return read_host_config(file_);
  }
  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "host.toml";
};

TEST_F(HostConfigTest, needs_nothing_but_what_it_trusts) {
  const auto config = read(trust);
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->state, "/var/lib/outcrop");
  EXPECT_EQ(config->socket, "/run/outcrop/outcropd.sock");
  EXPECT_EQ(config->socket_mode, 0660U);
  EXPECT_EQ(config->trust.root, folder_.path() / "root.json");
  EXPECT_EQ(config->broker.listen, "127.0.0.1");
  EXPECT_FALSE(config->broker.external);
}

TEST_F(HostConfigTest, names_who_may_only_read) {
  EXPECT_FALSE(read(trust)->readers_group);
  const auto config = read("socket = \"/run/x/outcropd.sock\"\nreaders_group = \"lookers\"\n" + std::string(trust));
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->readers_group, "lookers");
  EXPECT_EQ(config->readers_socket(), "/run/x/readers.sock");
}

TEST_F(HostConfigTest, reads_another_broker) {
  const auto config = read(std::string(trust) +
                           "[broker.external]\nhost = \"mqtt.lab\"\nport = 8884\n"
                           "authority = \"ca.pem\"\ncertificate = \"c.pem\"\nkey = \"c.key\"\n");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->broker.external->host, "mqtt.lab");
  EXPECT_EQ(config->broker.external->boards_authority, folder_.path() / "ca.pem");
}

TEST_F(HostConfigTest, says_how_boards_are_watched) {
  const auto usual = read(trust);
  ASSERT_THAT(usual, IsOk());
  EXPECT_EQ(usual->monitor.interval, std::chrono::seconds(300));
  EXPECT_EQ(usual->monitor.measure_every, std::chrono::hours(0));
  const auto config = read(std::string(trust) +
                           "[monitor]\ninterval_seconds = 0\nmeasure_every_hours = 168\nhistory_mb = 64\n");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->monitor.interval, std::chrono::seconds(0));
  EXPECT_EQ(config->monitor.measure_every, std::chrono::hours(168));
  EXPECT_EQ(config->monitor.history, ByteCount::mib(64));
  EXPECT_THAT(read(std::string(trust) + "[monitor]\ninterval_seconds = 9\n"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("10 to 86400")));
  EXPECT_THAT(read(std::string(trust) + "[history]\nstore = \"mysql://user:secret@x/y\"\n"),
              ErrorIs(ErrorCode::invalid_argument, ::testing::AllOf(HasSubstr("store"), ::testing::Not(HasSubstr("secret")))));
  EXPECT_EQ(read(std::string(trust) + "[history]\nstore = \"postgresql:///outcrop\"\n")->history.store, "postgresql:///outcrop");
  EXPECT_THAT(read(std::string(trust) + "[monitor]\nhistory_mb = 1\n"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("history_mb")));
}

TEST_F(HostConfigTest, says_whose_certificates_have_which_role) {
  const std::string tls = std::string(trust) + "[http]\nlisten = \"0.0.0.0:8443\"\ncertificate = \"h.pem\"\nkey = \"h.key\"\n";
  const auto config = read(tls + "[http.certificates]\nauthority = \"people.pem\"\nviewers = [\"bob\"]\nadmins = [\"alice\"]\n");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->http->certificates->authority, folder_.path() / "people.pem");
  EXPECT_EQ(config->http->certificates->roles, (std::map<std::string, std::string>{{"bob", "viewer"}, {"alice", "admin"}}));
  EXPECT_THAT(read(tls + "[http.certificates]\nauthority = \"p\"\nviewers = [\"a\"]\nadmins = [\"a\"]\n"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("'a' is named twice")));
  EXPECT_THAT(read(std::string(trust) + "[http]\nlisten = \"127.0.0.1:8443\"\n[http.certificates]\nauthority = \"p\"\n"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("shown by TLS")));
}

struct Refused {
  const char* text;
  const char* says;
};
class HostConfigRefuses : public HostConfigTest, public ::testing::WithParamInterface<Refused> {};

TEST_P(HostConfigRefuses, with_file_line_and_key) {
  const auto config = read(GetParam().text + std::string(trust));
  EXPECT_THAT(config, ErrorIs(ErrorCode::invalid_argument, HasSubstr(GetParam().says)));
  EXPECT_THAT(config.error().message(), HasSubstr(file_.string()));
}

INSTANTIATE_TEST_SUITE_P(
    Files, HostConfigRefuses,
    ::testing::Values(
        Refused{"stat = \"x\"\n", "stat"}, Refused{"state = 3\n", "host.toml:1: state"},
        Refused{"socket_mode = \"rw\"\n", "socket_mode"}, Refused{"log = \"loud\"\n", "log"},
        Refused{"state = \n", "host.toml:1"}, Refused{"[broker]\nport = 70000\n", "broker.port"},
        Refused{"[broker]\nlisten = \"0.0.0.0\"\n", "broker.listen"},
        Refused{"[broker]\nport = 1\n[broker.external]\nhost = \"h\"\nauthority = \"a\"\n"
                "certificate = \"c\"\nkey = \"k\"\n",
                "broker.port"},
        Refused{"[broker.external]\nhost = \"h\"\n", "broker.external.authority"},
        Refused{"[rollout]\non_unmeasurable = \"maybe\"\n", "on_unmeasurable"},
        Refused{"[rollout]\nfailed_share = 2.0\n", "failed_share"},
        Refused{"[rollout]\nslower_allowed = -0.1\n", "slower_allowed"},
        Refused{"[rollout]\nfalse_stops = 0.0\n", "false_stops"},
        Refused{"[rollout]\nfirst_ring = 0\n", "first_ring"},
        Refused{"[rollout]\nat_once = -1\n", "at_once"},
        Refused{"[webhooks.ops]\nurl = \"ops.example\"\nsecret = \"s\"\n", "webhooks.ops.url"},
        Refused{"[webhooks.ops]\nurl = \"http://ops.example/\"\nsecret = \"s\"\n", "would travel in plain"},
        Refused{"[webhooks.ops]\nurl = \"https://ops.example/\"\n", "webhooks.ops.secret"},
        Refused{"[webhooks.ops]\nurl = \"https://o/\"\nsecret = \"s\"\ntimeout_seconds = 0\n", "timeout_seconds"},
        Refused{"[webhooks]\nurl = \"https://o/\"\n", "webhooks"},
        Refused{"[rollout]\na_minute = 2000000\n", "a_minute"},
        Refused{"[rollout]\ndeadline_minutes = 50000\n", "deadline_minutes"},
        Refused{"[http]\nlisten = \"8443\"\n", "http.listen"},
        Refused{"[http]\nlisten = \"127.0.0.1:0\"\nboard_metrics = 1501\n", "http.board_metrics"},
        Refused{"[http]\nlisten = \"127.0.0.1:99999\"\n", "http.listen"},
        Refused{"[http]\nlisten = \"0.0.0.0:8443\"\n", "certificate and key"},
        Refused{"[http]\nlisten = \"0.0.0.0:8443\"\ncertificate = \"c\"\n", "http.certificate"},
        Refused{"[http]\nlisten = \"10.0.0.1:8443\"\ncertificate = \"c\"\nkey = \"k\"\n"
                "open_to_viewers = true\n",
                "http.open_to_viewers"}));

TEST_F(HostConfigTest, reads_where_pages_are_served) {
  const auto plain = read(std::string(trust) + "[http]\nlisten = \"[::1]:0\"\nopen_to_viewers = true\n");
  ASSERT_THAT(plain, IsOk());
  EXPECT_EQ(plain->http->address, "::1");
  EXPECT_EQ(plain->http->board_metrics, 0U);
  EXPECT_TRUE(plain->http->open_to_viewers);
  const auto tls = read(std::string(trust) +
                        "[http]\nlisten = \"0.0.0.0:8443\"\ncertificate = \"c.pem\"\nkey = \"c.key\"\n");
  ASSERT_THAT(tls, IsOk());
  EXPECT_EQ(tls->http->port, 8443);
  EXPECT_EQ(*tls->http->key, folder_.path() / "c.key");
  EXPECT_FALSE(read(trust)->http);
}

TEST_F(HostConfigTest, reads_who_is_told_what_happens) {
  const auto config = read(std::string(trust) + "[webhooks.ops]\nurl = \"https://ops.example:8443/a?b=c\"\nsecret = \"s\"\n"
                                                "actions = [\"revoked\"]\n[webhooks.here]\nurl = \"http://[::1]/\"\nsecret = \"s\"\n");
  ASSERT_THAT(config, IsOk());
  ASSERT_EQ(config->webhooks.size(), 2U);
  const WebhookConfig& ops = config->webhooks[config->webhooks[0].name == "ops" ? 0 : 1];
  EXPECT_EQ(ops.url.host, "ops.example");
  EXPECT_EQ(ops.url.port, 8443);
  EXPECT_EQ(ops.url.target, "/a?b=c");
  EXPECT_EQ(ops.actions, std::set<std::string>{"revoked"});
  EXPECT_EQ(ops.secret, folder_.path() / "s");
}

TEST_F(HostConfigTest, the_example_is_right_and_shows_the_defaults) {
  const std::filesystem::path example = OUTCROP_SOURCE "/configs/host.toml";
  const auto as_it_is = read_host_config(example);
  ASSERT_THAT(as_it_is, IsOk());
  // The same with every default written out, but for the broker of somebody else.
  std::ifstream lines(example);
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#[broker.external]")) break;
    const bool value = line.size() > 1 && line[0] == '#' && line[1] != ' ';
    text += (value ? line.substr(1) : line) + "\n";
  }
  const auto written_out = read(text);
  ASSERT_THAT(written_out, IsOk());
  EXPECT_EQ(written_out->state, as_it_is->state);
  EXPECT_EQ(written_out->socket_mode, as_it_is->socket_mode);
  EXPECT_EQ(written_out->trust.timestamp_validity, as_it_is->trust.timestamp_validity);
  EXPECT_EQ(written_out->broker.port, as_it_is->broker.port);
  EXPECT_EQ(written_out->rollout.limits, as_it_is->rollout.limits);
}

TEST_F(HostConfigTest, says_what_is_missing) {
  EXPECT_THAT(read("state = \"s\"\n"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("trust")));
  EXPECT_THAT(read_host_config(folder_.path() / "none.toml"),
              ErrorIs(ErrorCode::not_found, HasSubstr("none.toml")));
}

}  // namespace
}  // namespace outcrop::fleet
