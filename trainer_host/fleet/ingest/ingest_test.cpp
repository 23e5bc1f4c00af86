#include "trainer_host/fleet/ingest/ingest.hpp"

#include <gmock/gmock.h>

#include <span>

#include "protocol/messages/layers.hpp"
#include "protocol/messages/renewal.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/envelope.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/ingest/layer_times.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"
#include "trainer_host/pki/authority.hpp"

namespace outcrop::fleet {
namespace {

using messages::DeploymentState;
using ::testing::HasSubstr;
namespace topics = transport::topics;

trust::PrivateKey key_of(int seed) {
  return *trust::PrivateKey::from_seed(Bytes(32, static_cast<std::byte>(seed)));
}

class IngestTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto registry = open_sqlite_registry(folder_.path() / "registry.sqlite");
    ASSERT_THAT(registry, IsOk());
    registry_ = std::move(*registry);
    enroll("pi-1", key_);
    IngestHandlers handlers;
    handlers.status = [this](const std::string& device, bool first) {
      statuses_.push_back(device);
      if (first) firsts_.push_back(device);
    };
    handlers.statement = [this](const std::string&, const Statement& statement) {
      statements_.push_back(statement);
    };
    handlers.acknowledge = [this](const std::string&, const messages::Acknowledgement& ack) {
      acknowledged_.insert(acknowledged_.end(), ack.reports.begin(), ack.reports.end());
    };
    handlers.telemetry = [this](messages::Telemetry telemetry, Timestamp at) {
      if (takes_telemetry_) telemetry_.emplace_back(std::move(telemetry), at);
      return takes_telemetry_;
    };
    handlers.refused = [this](const std::string& why) { refused_.push_back(why); };
    handlers.measured = [this](const messages::Report&, Timestamp) { return history_acknowledges_; };
    handlers.says_too_much = [this](const std::string& device, const std::string& kind, std::uint64_t often) {
      too_much_.push_back(device + " " + kind + " " + std::to_string(often));
    };
    handlers.drew = [this](const std::string& device) { drew_.push_back(device); };
    handlers.used = [this](const std::string&, std::uint64_t session) { used_.push_back(session); };
    ingest_.emplace(*registry_, clock_, handlers, [this] { return steady_; });
  }
  void enroll(const std::string& name, const trust::PrivateKey& key) {
    Device device;
    device.name = name;
    device.model = "curvefault";
    device.device_class = "raspberry-pi-4";
    device.key = key.public_key();
    ASSERT_THAT(registry_->save(device), IsOk());
  }
  static messages::DeviceStatus status(std::uint64_t session, bool online = true) {
    messages::DeviceStatus status;
    status.device = "pi-1";
    status.session = session;
    status.online = online;
    status.agent = "0.1.0";
    status.model = "curvefault";
    status.device_class = "raspberry-pi-4";
    return status;
  }
  static messages::Report report(std::uint64_t session, std::uint64_t sequence) {
    messages::Report report;
    report.header = {"pi-1", session, sequence, Timestamp(std::chrono::seconds(1)), true};
    report.deployment = {"r", 1, trust::sha256("m")};
    report.state = DeploymentState::updated;
    report.device_class = "raspberry-pi-4";
    report.agent = "0.1.0";
    report.engine = "torch";
    report.engine_version = "1.13.1";
    return report;
  }
  static std::string sign(const messages::Report& report, const trust::PrivateKey& key) {
    return trust::sign_envelope("report", as_bytes(to_json(report)), std::span(&key, 1));
  }
  bool send(const std::string& topic, const std::string& payload, bool retained = false) {
    return ingest_->on_message({topic, payload, retained});
  }
  std::string attention() { return (*registry_->device("pi-1"))->attention; }
  void send_report(const std::string& payload, const std::string& device = "pi-1") {
    EXPECT_TRUE(send(topics::up(device, "report"), payload));
  }
  std::size_t stored() { return registry_->reports("", std::nullopt, 100)->size(); }
  const IngestStatistics& statistics() { return ingest_->statistics(); }

  TemporaryFolder folder_;
  static std::string signed_status(const messages::DeviceStatus& status,
                                   const trust::PrivateKey& key) {
    return trust::sign_envelope("status", as_bytes(to_json(status)), std::span(&key, 1));
  }
  std::uint64_t generation() { return (*registry_->device("pi-1"))->status->generation; }

  SystemClock clock_;
  Allowance::Time steady_{std::chrono::hours(1)};
  std::unique_ptr<Registry> registry_;
  trust::PrivateKey key_ = key_of(1);
  std::optional<Ingest> ingest_;
  std::vector<std::string> statuses_;
  std::vector<std::string> firsts_;
  std::vector<std::uint64_t> used_;
  std::vector<Statement> statements_;
  std::vector<messages::MessageId> acknowledged_;
  std::vector<std::pair<messages::Telemetry, Timestamp>> telemetry_;
  std::vector<std::string> refused_;
  std::vector<std::string> too_much_;
  std::vector<std::string> drew_;
  bool takes_telemetry_ = true;
  bool history_acknowledges_ = false;

  messages::Telemetry telemetry(std::uint64_t sequence, std::chrono::seconds ago = std::chrono::seconds(0)) {
    messages::Telemetry told;
    told.header = {"pi-1", 1, sequence, clock_.now() - ago, true};
    told.device_class = "raspberry-pi-4";
    return told;
  }
  void send_telemetry(const messages::Telemetry& told, const trust::PrivateKey& key) {
    EXPECT_TRUE(send(topics::up("pi-1", "telemetry"),
                     trust::sign_envelope("telemetry", as_bytes(to_json(told)), std::span(&key, 1))));
  }
};

TEST_F(IngestTest, stores_what_came_together_and_tells_of_it_afterwards) {
  enroll("pi-2", key_);
  messages::Report second = report(3, 1);
  second.header.device = "pi-2";
  ingest_->take({{topics::status("pi-1"), to_json(status(3)), false},
                 {topics::up("pi-1", "report"), sign(report(3, 1), key_), false},
                 {topics::up("pi-1", "report"), sign(report(3, 2), key_of(2)), false},  // not its key
                 {topics::up("pi-2", "report"), sign(second, key_), false}});
  EXPECT_EQ(stored(), 2U);
  EXPECT_EQ(statuses_.size(), 1U);
  EXPECT_EQ(statements_.size(), 2U);
  EXPECT_EQ(acknowledged_.size(), 2U);
  EXPECT_EQ(statistics().forged, 1U);
}

TEST_F(IngestTest, counts_what_is_refused_by_board_and_kind) {
  enroll("pi-2", key_);
  for (int i = 0; i < 5; ++i) send(topics::up("pi-1", "report"), "no envelope");
  send(topics::up("pi-2", "report"), sign(report(3, 2), key_of(2)));  // not its key
  const auto& presence = ingest_->presence();
  EXPECT_THAT(presence.refused("pi-1"), ::testing::ElementsAre(::testing::Pair("malformed", 5)));
  EXPECT_THAT(presence.refused("pi-2"), ::testing::ElementsAre(::testing::Pair("forged", 1)));
  send(topics::up("stranger", "report"), "no envelope");
  EXPECT_TRUE(presence.refused("stranger").empty()) << "of any number of names";
  EXPECT_EQ(statistics().malformed, 5U);
  ingest_->forget("pi-1");
  EXPECT_TRUE(presence.refused("pi-1").empty());
}

TEST_F(IngestTest, brings_as_many_together_as_a_moment_is_enough_for) {
  ingest_->take({{topics::status("pi-1"), to_json(status(1)), false}});
  EXPECT_GE(ingest_->lot(), 32U);
  EXPECT_LE(ingest_->lot(), 512U);
}

TEST_F(IngestTest, acknowledges_nothing_that_could_not_be_committed) {
  auto database = Database::open(folder_.path() / "registry.sqlite");
  ASSERT_THAT(database, IsOk());
  ASSERT_THAT(database->script("CREATE TRIGGER gone AFTER INSERT ON report BEGIN SELECT RAISE(ROLLBACK, 'disk full'); END"), IsOk());
  const std::vector<transport::Message> lot{{topics::status("pi-1"), to_json(status(3)), false},
                                            {topics::up("pi-1", "report"), sign(report(3, 1), key_), false},
                                            {topics::up("pi-1", "telemetry"),
                                             trust::sign_envelope("telemetry", as_bytes(to_json(telemetry(1))), std::span(&key_, 1)), false}};
  ingest_->take(lot);
  EXPECT_TRUE(acknowledged_.empty());
  EXPECT_TRUE(statuses_.empty());
  EXPECT_TRUE(ingest_->owes_status());
  EXPECT_FALSE(ingest_->online("pi-1")) << "who reads what is committed finds no word of it";
  EXPECT_EQ(telemetry_.size(), 1U) << "it is kept elsewhere";
  EXPECT_EQ(stored(), 0U);
  ASSERT_THAT(database->script("DROP TRIGGER gone"), IsOk());
  ingest_->take(lot);
  EXPECT_EQ(acknowledged_.size(), 1U);
  EXPECT_EQ(statuses_.size(), 1U);
  EXPECT_TRUE(ingest_->online("pi-1"));
}

TEST_F(IngestTest, takes_telemetry_with_its_time_and_leaves_acknowledging_to_who_keeps_it) {
  send_telemetry(telemetry(1, std::chrono::hours(30)), key_);
  messages::Telemetry floor = telemetry(2, std::chrono::hours(24 * 300));
  floor.header.clock_synchronised = false;
  send_telemetry(floor, key_);
  ASSERT_EQ(telemetry_.size(), 2U);
  EXPECT_EQ(telemetry_[0].second, telemetry_[0].first.header.time);
  EXPECT_GE(telemetry_[1].second, clock_.now() - std::chrono::seconds(5)) << "a board without a clock: when it came";
  EXPECT_TRUE(acknowledged_.empty());
  EXPECT_EQ(statistics().telemetry, 2U);
  takes_telemetry_ = false;
  send_telemetry(telemetry(3), key_);
  EXPECT_EQ(statistics().telemetry, 2U);
  EXPECT_TRUE(acknowledged_.empty()) << "it says it again";
}

TEST_F(IngestTest, telemetry_of_a_time_that_cannot_be_is_refused_and_counted) {
  send_telemetry(telemetry(1, -std::chrono::hours(1)), key_);
  EXPECT_TRUE(telemetry_.empty());
  EXPECT_THAT(refused_, ::testing::ElementsAre("from the future"));
  EXPECT_TRUE(acknowledged_.empty()) << "whose clock is wrong is not known";
  send_telemetry(telemetry(2, std::chrono::hours(49)), key_);
  EXPECT_EQ(refused_.back(), "from too long ago");
  EXPECT_THAT(acknowledged_, ::testing::ElementsAre(messages::MessageId{1, 2})) << "nothing will change that";
  EXPECT_EQ(statistics().untimely, 2U);
}

TEST_F(IngestTest, telemetry_that_is_no_boards_word_is_refused_and_counted) {
  send_telemetry(telemetry(1), key_of(2));
  messages::Telemetry other = telemetry(1);
  other.header.device = "pi-2";
  send_telemetry(other, key_);
  send(topics::up("pi-1", "telemetry"), "{}");
  std::string text = to_json(telemetry(1));
  text.replace(text.find("\"temperature\":null"), 18, "\"temperature\":NaN ");
  send(topics::up("pi-1", "telemetry"), trust::sign_envelope("telemetry", as_bytes(text), std::span(&key_, 1)));
  send(topics::up("pi-1", "telemetry"), std::string(100'000, 'x'));
  EXPECT_TRUE(telemetry_.empty());
  EXPECT_THAT(refused_, ::testing::ElementsAre("not signed by the board", "of another board", "malformed",
                                               "malformed", "too long"));
  EXPECT_EQ(registry_->revoke("pi-1", clock_.now(), "lost", ""), true);
  send_telemetry(telemetry(2), key_);
  EXPECT_TRUE(telemetry_.empty());
  EXPECT_EQ(refused_.back(), "not enrolled, or revoked");
}

TEST_F(IngestTest, telemetry_that_comes_too_often_is_refused_and_counted) {
  for (std::uint64_t i = 1; i <= 310; ++i) send_telemetry(telemetry(i), key_);
  EXPECT_EQ(telemetry_.size(), 300U);
  EXPECT_EQ(refused_.size(), 10U);
  EXPECT_EQ(refused_.front(), "too often");
  EXPECT_THAT(ingest_->presence().limited("pi-1"), ::testing::ElementsAre(::testing::Pair("telemetry", 10)));
  EXPECT_THAT(too_much_, ::testing::ElementsAre("pi-1 telemetry 1", "pi-1 telemetry 2", "pi-1 telemetry 4", "pi-1 telemetry 8"));
  EXPECT_TRUE(acknowledged_.empty()) << "the board says it again";
  steady_ += std::chrono::seconds(10);
  send_telemetry(telemetry(311), key_);
  EXPECT_EQ(telemetry_.size(), 301U);
}

TEST_F(IngestTest, a_report_whose_figures_are_kept_elsewhere_is_acknowledged_from_there) {
  history_acknowledges_ = true;
  send_report(sign(report(1, 1), key_));
  EXPECT_EQ(stored(), 1U);
  EXPECT_TRUE(acknowledged_.empty());
  history_acknowledges_ = false;
  send_report(sign(report(1, 1), key_));
  EXPECT_EQ(acknowledged_.size(), 1U);
}

TEST_F(IngestTest, names_two_boards_of_one_identity_whose_sessions_say_nothing) {
  ingest_->on_twins("pi-1", "10.0.0.5 and 10.0.0.6");
  EXPECT_THAT(attention(), HasSubstr("two boards use its identity"));
  EXPECT_THAT(attention(), HasSubstr("10.0.0.5 and 10.0.0.6"));
  ingest_->on_twins("nobody", "10.0.0.5 and 10.0.0.6");
  EXPECT_EQ(ingest_->statistics().unknown, 1U);
}

TEST_F(IngestTest, names_two_boards_of_one_identity_by_their_agents_whatever_their_sessions_and_addresses) {
  const auto says = [&](std::uint64_t session, std::uint64_t instance, bool retained = false) {
    messages::DeviceStatus told = status(session);
    told.protocol = 6;
    told.instance = instance;
    send(topics::status("pi-1"), to_json(told), retained);
  };
  // An agent that starts again and again, and a broker that repeats itself.
  says(7, 101);
  says(8, 102);
  says(8, 102);
  says(8, 103);
  says(8, 101, true);
  EXPECT_EQ(attention(), "");
  says(8, 102);
  EXPECT_THAT(attention(), HasSubstr("two boards use its identity (a card was copied, say): two agents with session 8"));
  says(9, 104);
  EXPECT_THAT(attention(), HasSubstr("two boards use its identity")) << "as long as they may be back";
  EXPECT_EQ(statistics().malformed, 0U);
}

TEST_F(IngestTest, takes_a_status_and_knows_who_is_online) {
  send(topics::status("pi-1"), to_json(status(1)));
  EXPECT_TRUE(ingest_->online("pi-1"));
  EXPECT_EQ((*registry_->device("pi-1"))->status, status(1));
  send(topics::status("pi-1"), to_json(status(1, false)));
  EXPECT_FALSE(ingest_->online("pi-1"));
  EXPECT_EQ(statuses_.size(), 2U);
  EXPECT_EQ(firsts_.size(), 1U);
}

// Of thousands of retained statuses a broker lets some go at a subscription, and says nothing.
TEST_F(IngestTest, names_the_boards_whose_status_did_not_come_in_pages) {
  for (const std::string name : {"pi-2", "pi-3", "pi-4"}) enroll(name, key_);
  send(topics::status("pi-3"), "nonsense is a word, too");
  using ::testing::ElementsAre;
  using ::testing::IsEmpty;
  EXPECT_THAT(ingest_->unheard(2), ElementsAre("pi-1", "pi-2"));
  EXPECT_THAT(ingest_->unheard(2), ElementsAre("pi-4"));
  send(topics::status("pi-1"), to_json(status(1)));
  EXPECT_THAT(ingest_->unheard(9), ElementsAre("pi-2", "pi-4"));
  EXPECT_THAT(ingest_->unheard(9), ElementsAre("pi-2", "pi-4"));
  EXPECT_THAT(ingest_->unheard(9), IsEmpty()) << "three times is enough: they were never here";
  ingest_->on_lost();
  EXPECT_THAT(ingest_->unheard(9), ElementsAre("pi-1", "pi-2", "pi-3", "pi-4"));
}

TEST_F(IngestTest, a_board_that_signed_its_status_once_signs_it_always) {
  EXPECT_TRUE(send(topics::status("pi-1"), signed_status(status(1), key_of(2))));
  EXPECT_EQ(statistics().forged, 1U) << "by another key";
  messages::DeviceStatus said = status(1);
  said.generation = 7;
  send(topics::status("pi-1"), signed_status(said, key_));
  EXPECT_EQ(generation(), 7U);
  said.generation = 8;
  send(topics::status("pi-1"), to_json(said));
  EXPECT_EQ(statistics().forged, 2U);
  EXPECT_EQ(generation(), 7U);
  send(topics::status("pi-1"), to_json(status(1, false)));
  EXPECT_TRUE(ingest_->online("pi-1"));
  send(topics::status("pi-1"), signed_status(status(1, false), key_));
  EXPECT_FALSE(ingest_->online("pi-1"));
}

TEST_F(IngestTest, a_session_that_leaps_counts_for_nothing) {
  send(topics::status("pi-1"), to_json(status(1)));
  send(topics::status("pi-1"), to_json(status((std::uint64_t{1} << 53) - 1)));
  EXPECT_EQ(statistics().malformed, 1U);
  send(topics::status("pi-1"), to_json(status(1'900'000'000)));
  EXPECT_EQ((*registry_->device("pi-1"))->highest_session, 1'900'000'000U)
      << "agents count from the seconds since 1970";
}

// 88,000 of them silenced a host for minutes.
TEST_F(IngestTest, of_a_flood_of_statuses_only_the_newest_waits) {
  constexpr std::uint64_t flood = 5000;
  for (std::uint64_t i = 1; i <= flood; ++i) {
    messages::DeviceStatus said = status(1);
    said.generation = i;
    send(topics::status("pi-1"), to_json(said));
  }
  EXPECT_EQ(statistics().statuses, 20U);
  EXPECT_THAT(ingest_->unheard(9), ::testing::Contains("pi-1")) << "of a flood the broker lets the last go, perhaps";
  EXPECT_EQ(ingest_->presence().limited("pi-1")["status"], flood - 20);
  EXPECT_EQ(generation(), 20U);
  ingest_->take_waiting();
  EXPECT_EQ(generation(), 20U) << "not yet";
  steady_ += std::chrono::seconds(1);
  ingest_->take_waiting();
  EXPECT_EQ(generation(), flood);
  // The others are heard all the time.
  enroll("pi-2", key_of(2));
  messages::DeviceStatus other = status(1);
  other.device = "pi-2";
  send(topics::status("pi-2"), to_json(other));
  EXPECT_TRUE(ingest_->online("pi-2"));
  EXPECT_TRUE(ingest_->presence().limited("pi-2").empty());
}

TEST_F(IngestTest, progress_and_reports_beyond_measure_are_let_go_and_names_that_nobody_has_too) {
  for (std::uint64_t i = 1; i <= 200; ++i) send_report(sign(report(1, i), key_));
  EXPECT_EQ(stored(), 64U);
  EXPECT_EQ(acknowledged_.size(), 64U) << "the board sends the others again";
  for (int i = 0; i < 200; ++i) send(topics::up("pi-1", "progress"), "no progress");
  EXPECT_EQ(statistics().malformed, 40U);
  for (int i = 0; i < 200; ++i) send(topics::status("stranger-" + std::to_string(i)), "x");
  EXPECT_EQ(statistics().unknown, 200U);
  EXPECT_TRUE(ingest_->owes_status()) << "one may be enrolled meanwhile";
}

TEST_F(IngestTest, a_will_tells_only_that_the_session_ended) {
  messages::DeviceStatus now = status(1);
  now.active_manifest = trust::sha256("what serves since");
  send(topics::status("pi-1"), to_json(now));
  send(topics::status("pi-1"), to_json(status(1, false)));  // written before that
  const auto known = (*registry_->device("pi-1"))->status;
  EXPECT_FALSE(known->online);
  EXPECT_EQ(known->active_manifest, now.active_manifest);
}

TEST_F(IngestTest, a_late_status_of_an_old_session_changes_nothing) {
  send(topics::status("pi-1"), to_json(status(2)));
  send(topics::status("pi-1"), to_json(status(1, false)));  // the will of the session before
  EXPECT_TRUE(ingest_->online("pi-1"));
  EXPECT_EQ((*registry_->device("pi-1"))->status->session, 2U);
  EXPECT_EQ(statistics().stale, 1U);
}

TEST_F(IngestTest, a_board_whose_card_was_set_back_is_believed_named_and_told_what_is_used) {
  send(topics::status("pi-1"), to_json(status(9)));
  EXPECT_EQ(attention(), "");
  messages::DeviceStatus back = status(4);
  back.active_manifest = trust::sha256("what served then");
  send(topics::status("pi-1"), to_json(back));
  EXPECT_TRUE(ingest_->online("pi-1"));
  EXPECT_EQ((*registry_->device("pi-1"))->status, back);
  EXPECT_THAT(attention(), HasSubstr("session 4 came after session 9"));
  EXPECT_EQ(used_, std::vector<std::uint64_t>{9});
  // The late will of the session that it left says nothing.
  send(topics::status("pi-1"), to_json(status(9, false)));
  EXPECT_TRUE(ingest_->online("pi-1"));
  send(topics::status("pi-1"), to_json(status(10)));  // as it was told
  EXPECT_EQ(attention(), "");
  EXPECT_EQ(used_.size(), 1U);
}

TEST_F(IngestTest, what_a_broker_remembers_of_an_old_session_is_no_set_back) {
  send(topics::status("pi-1"), to_json(status(9)));
  send(topics::status("pi-1"), to_json(status(4)), true);
  EXPECT_EQ((*registry_->device("pi-1"))->status->session, 9U);
  EXPECT_EQ(attention(), "");
}

TEST_F(IngestTest, names_two_boards_that_have_one_identity) {
  for (const std::uint64_t session : {9, 4, 9, 4}) {
    send(topics::status("pi-1"), to_json(status(session)));
  }
  EXPECT_THAT(attention(), HasSubstr("two boards use its identity"));
  // And those that take new numbers as they are told.
  used_.clear();
  send(topics::status("pi-1"), to_json(status(10)));
  send(topics::status("pi-1"), to_json(status(5)));
  EXPECT_THAT(attention(), HasSubstr("two boards use its identity"));
  EXPECT_TRUE(used_.empty());
}

TEST_F(IngestTest, when_a_board_was_seen_is_not_when_its_broker_remembers_it) {
  Device device = **registry_->device("pi-1");
  device.status = status(1, false);
  device.last_seen = Timestamp(std::chrono::seconds(1000));
  ASSERT_THAT(registry_->save(device), IsOk());
  send(topics::status("pi-1"), to_json(status(1, false)), true);
  EXPECT_EQ((*registry_->device("pi-1"))->last_seen, device.last_seen);
  send(topics::status("pi-1"), to_json(status(1)), true);
  EXPECT_NE((*registry_->device("pi-1"))->last_seen, device.last_seen);
}

TEST_F(IngestTest, a_report_whose_number_was_used_is_stored_named_and_believed) {
  send(topics::status("pi-1"), to_json(status(2)));
  send_report(sign(report(2, 1), key_));
  messages::Report other = report(2, 1);
  other.deployment.manifest = trust::sha256("another");
  send_report(sign(other, key_));
  EXPECT_EQ(stored(), 2U);
  EXPECT_EQ(acknowledged_.size(), 2U);
  EXPECT_EQ(statements_.size(), 2U);
  EXPECT_EQ(statistics().used, 1U);
  EXPECT_EQ(statistics().repeated, 0U);
  EXPECT_THAT(attention(), HasSubstr("report 1 of session 2 came with two contents"));
  EXPECT_EQ(used_, std::vector<std::uint64_t>{2});
}

TEST_F(IngestTest, what_a_board_says_after_its_numbers_began_anew_counts_for_its_rollout) {
  ReleaseRecord release;
  release.manifest = trust::sha256("m");
  release.model = "curvefault";
  ASSERT_THAT(registry_->save(release), IsOk());
  RolloutRecord rollout;
  rollout.name = "r";
  rollout.model = "curvefault";
  rollout.manifest = release.manifest;
  ASSERT_THAT(registry_->save(rollout), IsOk());
  Assignment assignment;
  assignment.rollout = "r";
  assignment.device = "pi-1";
  assignment.generation = 1;
  assignment.manifest = release.manifest;
  assignment.message = {9, 40};
  ASSERT_THAT(registry_->save(assignment), IsOk());
  send(topics::status("pi-1"), to_json(status(9)));
  send(topics::status("pi-1"), to_json(status(4)));
  send_report(sign(report(4, 1), key_));
  ASSERT_EQ(statements_.size(), 1U);
  Assignment now = **registry_->assignment("r", "pi-1");
  EXPECT_TRUE(observe(now, statements_.back(), clock_.now()));
  EXPECT_EQ(now.state, DeploymentState::updated);
}

TEST_F(IngestTest, knows_that_it_owes_a_status_that_it_could_not_store) {
  auto database = Database::open(folder_.path() / "registry.sqlite");
  ASSERT_THAT(database, IsOk());
  const auto refuse = [&] {
    return database->script("CREATE TRIGGER full BEFORE UPDATE ON device BEGIN "
                            "SELECT RAISE(FAIL, 'disk full'); END");
  };
  ASSERT_THAT(refuse(), IsOk());
  send(topics::status("pi-1"), to_json(status(1)));
  EXPECT_FALSE(ingest_->online("pi-1"));
  EXPECT_TRUE(ingest_->owes_status());
  EXPECT_FALSE(ingest_->owes_status());
  ASSERT_THAT(database->script("DROP TRIGGER full"), IsOk());
  send(topics::status("pi-1"), to_json(status(1)), true);
  EXPECT_TRUE(ingest_->online("pi-1"));
  EXPECT_FALSE(ingest_->owes_status());
}

TEST_F(IngestTest, keeps_the_newest_layer_times_of_a_release_and_class) {
  ReleaseRecord release;
  release.manifest = trust::sha256("m");
  release.model = "curvefault";
  ASSERT_THAT(registry_->save(release), IsOk());
  enroll("pi-2", key_);
  const auto told = [&](const std::string& device, std::uint64_t sequence, std::uint64_t calls) {
    messages::Layers layers;
    layers.header = {device, 3, sequence, clock_.now(), true};
    layers.device_class = "raspberry-pi-4";
    layers.engine = "torch";
    layers.manifest = release.manifest;
    layers.variants = {{"float", "", calls, {{"aten::conv2d", std::chrono::nanoseconds(7)}}}};
    return layers;
  };
  const auto send_layers = [&](const messages::Layers& layers, const trust::PrivateKey& key, const std::string& from = "pi-1") {
    EXPECT_TRUE(send(topics::up(from, "layers"), trust::sign_envelope("layers", as_bytes(to_json(layers)), std::span(&key, 1))));
  };
  const auto calls_kept = [&]() -> std::uint64_t {
    const auto text = layer_times(*registry_, release.manifest, "raspberry-pi-4");
    EXPECT_THAT(text, IsOk());
    return text && *text ? messages::parse_layers(as_bytes(**text))->variants.at(0).calls : 0;
  };
  send_layers(told("pi-1", 2, 20), key_of(2));
  send_layers(told("pi-2", 2, 20), key_);  // by another's topic
  EXPECT_EQ(statistics().forged, 2U);
  messages::Layers strange = told("pi-1", 2, 20);
  strange.manifest = trust::sha256("of no release here");
  send_layers(strange, key_);
  strange = told("pi-1", 2, 20);
  strange.device_class = "workstation";
  send_layers(strange, key_);
  EXPECT_TRUE(send(topics::up("pi-1", "layers"), std::string(1 << 20, ' ')));
  EXPECT_EQ(statistics().malformed, 3U);
  EXPECT_EQ(calls_kept(), 0U);
  send_layers(told("pi-1", 2, 20), key_);
  EXPECT_EQ(calls_kept(), 20U);
  send_layers(told("pi-1", 1, 10), key_);
  send_layers(told("pi-1", 2, 20), key_);
  EXPECT_EQ(statistics().stale, 2U) << "a broker may say again what was said once";
  EXPECT_EQ(calls_kept(), 20U);
  messages::Layers older = told("pi-2", 9, 90);
  older.header.time -= std::chrono::hours(1);
  send_layers(older, key_, "pi-2");
  EXPECT_EQ(calls_kept(), 20U);
  older.header.time = clock_.now() + std::chrono::seconds(1);
  send_layers(older, key_, "pi-2");
  EXPECT_EQ(calls_kept(), 90U);
}

TEST_F(IngestTest, a_report_is_stored_then_acknowledged) {
  send_report(sign(report(1, 1), key_));
  EXPECT_EQ(stored(), 1U);
  EXPECT_EQ(acknowledged_, (std::vector<messages::MessageId>{{1, 1}}));
  ASSERT_EQ(statements_.size(), 1U);
  EXPECT_TRUE(statements_[0].is_signed);
}

TEST_F(IngestTest, the_same_report_twice_is_stored_once_and_acknowledged_twice) {
  send_report(sign(report(1, 1), key_));
  send_report(sign(report(1, 1), key_));
  EXPECT_EQ(stored(), 1U);
  EXPECT_EQ(acknowledged_.size(), 2U);
  EXPECT_EQ(statistics().repeated, 1U);
}

TEST_F(IngestTest, refuses_a_report_with_a_wrong_signature) {
  send_report(sign(report(1, 1), key_of(2)));
  std::string broken = sign(report(1, 1), key_);
  broken.replace(broken.find("\"sig\":\"") + 8, 2, "AA");
  send_report(broken);
  EXPECT_EQ(statistics().forged, 2U);
  EXPECT_EQ(stored(), 0U);
  EXPECT_TRUE(acknowledged_.empty());
}

TEST_F(IngestTest, refuses_a_report_signed_as_something_else) {
  send_report(
      trust::sign_envelope("targets", as_bytes(to_json(report(1, 1))), std::span(&key_, 1)));
  EXPECT_EQ(statistics().forged, 1U);
}

TEST_F(IngestTest, refuses_a_report_in_another_boards_name) {
  enroll("pi-2", key_of(2));
  // pi-2 signs with its own key what would be pi-1's, on its own topic.
  send_report(sign(report(1, 1), key_of(2)), "pi-2");
  EXPECT_EQ(statistics().forged, 1U);
  EXPECT_EQ(stored(), 0U);
}

TEST_F(IngestTest, refuses_reports_of_unknown_and_revoked_boards) {
  send_report(sign(report(1, 1), key_), "stranger");
  Device device = **registry_->device("pi-1");
  device.revoked = clock_.now();
  ASSERT_THAT(registry_->save(device), IsOk());
  send_report(sign(report(1, 1), key_));
  EXPECT_EQ(statistics().unknown, 2U);
  EXPECT_EQ(stored(), 0U);
  EXPECT_TRUE(acknowledged_.empty());
}

TEST_F(IngestTest, refuses_what_is_no_report) {
  const std::vector<std::string> payloads{
      "",
      "{",
      "[]",
      std::string(10'000'000, 'x'),
      std::string(10'000'000, '['),
      "{\"payload\": 1}",
      to_json(report(1, 1)),  // not in an envelope
      trust::sign_envelope("report", as_bytes("{\"type\": \"report\"}"), std::span(&key_, 1)),
      trust::sign_envelope("report", as_bytes("\xff\xfe"), std::span(&key_, 1)),
  };
  for (const std::string& payload : payloads) send_report(payload);
  EXPECT_EQ(statistics().malformed + statistics().forged, payloads.size());
  EXPECT_EQ(stored(), 0U);
  EXPECT_TRUE(acknowledged_.empty());
}

TEST_F(IngestTest, refuses_statuses_and_progress_that_are_none) {
  send(topics::status("pi-1"), "{}");
  send(topics::status("pi-1"), std::string(10'000'000, '{'));
  send(topics::up("pi-1", "progress"), "null");
  messages::DeviceStatus other = status(1);
  other.device = "pi-2";
  send(topics::status("pi-1"), to_json(other));
  EXPECT_EQ(statistics().malformed, 3U);
  EXPECT_EQ(statistics().forged, 1U);
  EXPECT_TRUE(statuses_.empty());
  send(topics::status("pi-1"), "");  // a cleared topic says nothing
  EXPECT_EQ(statistics().refused(), 4U);
}

TEST_F(IngestTest, leaves_topics_of_others_alone) {
  EXPECT_FALSE(send("outcrop/v1/req/pi-1", "x"));
  EXPECT_FALSE(send("outcrop/v1/d/pi-1/cmd", "x"));
  EXPECT_FALSE(send("outcrop/v1/d/pi-1", "x"));
  EXPECT_TRUE(send("outcrop/v1/d//status", "x"));
  EXPECT_EQ(statistics().unknown, 1U);
}

TEST_F(IngestTest, passes_on_progress_without_storing_it) {
  messages::Progress progress;
  progress.header = {"pi-1", 1, 4, Timestamp(std::chrono::seconds(1)), true};
  progress.deployment = {"r", 1, trust::sha256("m")};
  progress.state = DeploymentState::downloading;
  progress.bytes_done = ByteCount(5);
  progress.bytes_total = ByteCount(10);
  send(topics::up("pi-1", "progress"), to_json(progress));
  ASSERT_EQ(statements_.size(), 1U);
  EXPECT_FALSE(statements_[0].is_signed);
  ASSERT_TRUE(ingest_->presence().progress("pi-1"));
  EXPECT_EQ(ingest_->presence().progress("pi-1")->bytes_done, ByteCount(5));
}

class RenewalTest : public IngestTest {
 protected:
  void SetUp() override {
    IngestTest::SetUp();
    ASSERT_THAT(registry_->save(DeviceAuthority{authority_.certificate(), *authority_.revocation_list()}), IsOk());
  }
  std::string issue(const std::string& name, const trust::PrivateKey& key, const pki::Authority& by) {
    return *by.issue({name, {}, pki::Authority::Usage::client}, key.public_key());
  }
  void says(const trust::PrivateKey& by, const std::string& certificate, std::uint64_t sequence, const std::string& device = "pi-1") {
    messages::Renewal renewal;
    renewal.header = {device, 7, sequence, clock_.now(), true, signed_since};
    renewal.certificate_request = *trust::make_certificate_request(next_);
    renewal.certificate = certificate;
    ingest_->on_message({topics::up("pi-1", "renewal"),
                         trust::sign_envelope(messages::renewal_kind, as_bytes(to_json(renewal)), std::span(&by, 1)), false});
  }
  trust::PublicKey key_now() { return (*registry_->device("pi-1"))->key; }

  pki::Authority authority_ = *pki::Authority::open_or_make(folder_.path() / "authority", "Outcrop devices");
  trust::PrivateKey next_ = key_of(77);
};

TEST_F(RenewalTest, a_new_key_counts_by_the_word_of_the_old_one_and_its_authority) {
  says(next_, "", 1);
  EXPECT_TRUE(ingest_->renewals().all().empty()) << "not by its own word";
  says(key_, "", 2);
  EXPECT_TRUE(ingest_->renewals().all().contains("pi-1"));
  const auto stranger = *pki::Authority::open_or_make(folder_.path() / "stranger", "Others");
  const std::string good = issue("pi-1", next_, authority_);
  says(next_, good, 3);
  says(key_, issue("pi-2", next_, authority_), 4);
  says(key_, issue("pi-1", key_of(78), authority_), 5);
  says(key_, issue("pi-1", next_, stranger), 6);
  says(key_, good, 7, "pi-2");
  says(key_, "nothing", 8);
  EXPECT_EQ(key_now(), key_.public_key());
  EXPECT_TRUE(acknowledged_.empty());
  EXPECT_EQ(ingest_->statistics().forged, 7U);

  says(key_, good, 9);
  EXPECT_EQ(key_now(), next_.public_key());
  EXPECT_THAT(acknowledged_, ::testing::ElementsAre(messages::MessageId{7, 9}));
  EXPECT_TRUE(ingest_->renewals().all().empty());
  says(key_, good, 10);
  EXPECT_EQ(acknowledged_.size(), 1U) << "the old key renews nothing any more";
  says(next_, good, 11);
  EXPECT_EQ(acknowledged_.size(), 2U) << "told again, since the answer was lost";
}

TEST_F(RenewalTest, what_the_old_key_signed_comes_late_for_an_hour) {
  says(key_, issue("pi-1", next_, authority_), 1);
  send_report(sign(report(7, 2), key_));
  send_report(sign(report(7, 3), next_));
  EXPECT_EQ(stored(), 2U);
  steady_ += std::chrono::hours(1);
  send_report(sign(report(7, 4), key_));
  EXPECT_EQ(stored(), 2U);
  EXPECT_EQ(statistics().forged, 1U);
}

class IngestPictureTest : public IngestTest {
 protected:
  messages::Picture picture(std::uint64_t sequence) {
    messages::Picture drawn;
    drawn.header = {"pi-1", 1, sequence, clock_.now(), true};
    drawn.manifest = trust::sha256("m");
    drawn.variant = "float";
    drawn.drawn = messages::Picture::Drawn{"velocity", {2, 2}, 1, 2, "abcd"};
    return drawn;
  }
  void send_picture(const messages::Picture& drawn, const trust::PrivateKey& key) {
    EXPECT_TRUE(send(topics::up("pi-1", "picture"),
                     trust::sign_envelope("picture", as_bytes(to_json(drawn)), std::span(&key, 1))));
  }
  std::optional<messages::Picture> kept() {
    const auto picture = registry_->picture("pi-1");
    return *picture ? (*picture)->picture : std::nullopt;
  }
};

TEST_F(IngestPictureTest, is_kept_where_it_was_asked_for_and_acknowledged) {
  send_picture(picture(1), key_);
  EXPECT_EQ(kept(), std::nullopt) << "nobody asked";
  EXPECT_TRUE(acknowledged_.empty());
  EXPECT_THAT(ingest_->presence().limited("pi-1"), ::testing::ElementsAre(::testing::Pair("pictures", 1)));
  ASSERT_THAT(registry_->ask_picture("pi-1", clock_.now()), IsOk());
  send_picture(picture(2), key_);
  EXPECT_EQ(kept()->header.sequence, 2U);
  send_picture(picture(2), key_);
  EXPECT_THAT(acknowledged_, ::testing::ElementsAre(messages::MessageId{1, 2}, messages::MessageId{1, 2})) << "the repeat, too";
  EXPECT_THAT(drew_, ::testing::ElementsAre("pi-1", "pi-1"));
  EXPECT_EQ(statistics().pictures, 2U);
}

TEST_F(IngestPictureTest, that_is_no_boards_word_is_refused) {
  ASSERT_THAT(registry_->ask_picture("pi-1", clock_.now()), IsOk());
  send_picture(picture(1), key_of(2));
  messages::Picture other = picture(1);
  other.header.device = "pi-2";
  send_picture(other, key_);
  EXPECT_EQ(statistics().forged, 2U);
  send(topics::up("pi-1", "picture"), "{}");
  steady_ += std::chrono::hours(1);
  send(topics::up("pi-1", "picture"), std::string(50'000, 'x'));
  std::string text = to_json(picture(1));
  text.replace(text.find("YWJjZA=="), 8, "YWJj");
  send(topics::up("pi-1", "picture"), trust::sign_envelope("picture", as_bytes(text), std::span(&key_, 1)));
  EXPECT_EQ(statistics().malformed, 3U);
  EXPECT_EQ(kept(), std::nullopt);
  EXPECT_TRUE(acknowledged_.empty());
}

TEST_F(IngestPictureTest, is_taken_at_a_rate) {
  ASSERT_THAT(registry_->ask_picture("pi-1", clock_.now()), IsOk());
  for (std::uint64_t i = 1; i <= 6; ++i) send_picture(picture(i), key_);
  EXPECT_EQ(kept()->header.sequence, 4U);
  EXPECT_EQ(statistics().limited, 2U);
  steady_ += std::chrono::minutes(1);
  send_picture(picture(7), key_);
  EXPECT_EQ(kept()->header.sequence, 7U);
}

}  // namespace
}  // namespace outcrop::fleet
