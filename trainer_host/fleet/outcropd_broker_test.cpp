#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "protocol/base/durable_file.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/envelope.hpp"
#include "protocol/trust/roles.hpp"
#include "tests/support/fleet_broker.hpp"
#include "tests/support/test_broker.hpp"
#include "trainer_host/fleet/outcropd_fixture.hpp"

// outcropd, its broker, and what comes through it.

namespace outcrop::fleet {
namespace {

using messages::DeploymentState;
using nlohmann::json;

TEST_F(OutcropdTest, survives_its_broker_being_killed) {
  start();
  const std::string manifest = publish(1);
  auto board = enroll("board");
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  const pid_t broker = mosquitto();
  ASSERT_GT(broker, 1);
  ASSERT_EQ(::kill(broker, SIGKILL), 0);
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 0; }));
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  const auto& seen = board->topics();
  EXPECT_TRUE(until([&] {
    return std::count(seen.begin(), seen.end(), transport::topics::metadata("timestamp")) >= 2;
  }));
  post("/v1/rollouts", {{"name", "r"}, {"manifest", manifest}}, 201);
  ASSERT_TRUE(rollout_is("r", "done"));
}

TEST_F(OutcropdTest, counts_bad_reports_and_goes_on) {
  start();
  const std::string manifest = publish(1);
  auto board = enroll("board");
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  const auto refused = [&](const char* kind) {
    return get("/v1/host")["refused_messages"][kind].get<int>();
  };
  const std::string topic = transport::topics::up("board", "report");
  const messages::Report report = board->make_report(
      {"none", 1, *trust::Sha256Digest::from_hex(manifest)}, DeploymentState::failed, "");
  board->publish(topic, "{}");
  board->publish(topic, std::string(900'000, '['));
  ASSERT_TRUE(until([&] { return refused("malformed") == 2; }));
  const auto other = trust::PrivateKey::generate();
  board->publish(topic,
                 trust::sign_envelope("report", as_bytes(to_json(report)), std::span(&*other, 1)));
  ASSERT_TRUE(until([&] { return refused("forged") == 1; }));
  // The same good one twice: both acknowledged, stored once. Of an unknown rollout, and kept.
  board->publish(topic, board->sign(report));
  board->publish(topic, board->sign(report));
  ASSERT_TRUE(until([&] { return board->acknowledged().size() == 2; }));
  EXPECT_EQ(get("/v1/reports?device=board")["reports"].size(), 1U);
  EXPECT_EQ(get("/v1/reports?manifest=" + manifest)["reports"].size(), 1U);
}

// 88,000 valid statuses kept the API silent for minutes, and the watchdog unfed.
TEST_F(OutcropdTest, answers_while_a_board_floods_it) {
  start();
  auto board = enroll("board");
  auto other = enroll("other");
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  constexpr std::uint64_t flood = 4000;
  for (std::uint64_t i = 1; i <= flood; ++i) {
    board->status().generation = i;
    board->publish_status();
  }
  other->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 2; })) << "others are heard";
  // Where the broker let that go, it is asked again after a quarter of a minute.
  EXPECT_TRUE(loop_.until([&] { return get("/v1/devices")["devices"][0]["status"]["generation"] == flood; }, std::chrono::seconds(60)))
      << "and what it said last is known in the end";
  EXPECT_GT(get("/v1/devices")["devices"][0]["limited"], 0);
  EXPECT_EQ(get("/v1/devices")["devices"][1]["limited"], 0);
  EXPECT_GT(get("/v1/host")["refused_messages"]["limited"], 0);
}

TEST_F(OutcropdTest, a_board_whose_telemetry_comes_too_often_is_told_and_named) {
  start();
  publish(1);  // with it the root that names who signs what boards are told
  auto board = enroll("board");
  board->connect();
  ASSERT_TRUE(until([&] { return board->asked().size() == 1; })) << "how often it may";
  for (int i = 0; i < 320; ++i) board->tell(50);
  ASSERT_TRUE(until([&] { return board->asked().size() >= 2; })) << "it is told again";
  EXPECT_EQ(std::get<messages::Watch>(board->asked().back()).interval, std::chrono::seconds(300));
  EXPECT_GT(get("/v1/devices/board")["limited_by_kind"]["telemetry"], 0);
  json entry;
  ASSERT_TRUE(until([&] {
    const json entries = get("/v1/audit?action=says-too-much")["entries"];
    if (!entries.empty()) entry = entries[0];
    return !entries.empty();
  })) << "written behind the loop";
  EXPECT_EQ(entry["subject"], "board");
  EXPECT_EQ(entry["detail"]["kind"], "telemetry");
  EXPECT_TRUE(until([&] { return get("/v1/host")["history"]["refused"].value("too often", 0) > 0; }));
}

TEST_F(OutcropdTest, works_with_the_broker_of_somebody_else) {
  FleetBroker broker(loop_.executor());
  const auto host = broker.host();
  write_config("[broker.external]\nhost = \"" + host.host +
               "\"\nport = " + std::to_string(host.port) + "\nauthority = \"" +
               host.tls->authority.string() + "\"\ncertificate = \"" +
               host.tls->certificate.string() + "\"\nkey = \"" + host.tls->key.string() + "\"\n");
  start();
  publish(1);
  EXPECT_EQ(get("/v1/enrolment")["broker_port"], host.port);
  transport::Client board(loop_, broker.enroll("board"), {"outcrop/v1/meta/#"});
  ASSERT_TRUE(board.has_messages(6));  // root/1, targets, revoked, stage, snapshot, timestamp
  // What it cannot do there, it does not claim.
  enroll("lost");
  EXPECT_EQ(post("/v1/devices/lost/revoke",
                 {{"reason", "lost"}, {"crl", revoke_certificate("lost")}})["disconnected"],
            false);
}

TEST_F(OutcropdTest, a_board_that_spoke_before_it_was_known_is_asked_again_once_it_is) {
  start();
  auto board = enroll("board");
  const std::string certificate = *read_text_file(home_ / "board-1.pem");
  kill(SIGTERM);
  // As if it had never been told of the board.
  for (const char* rest : {"", "-wal", "-shm"}) {
    std::filesystem::remove(home_ / "state" / ("registry.sqlite" + std::string(rest)));
  }
  start();
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["refused_messages"]["unknown"] >= 1; }));
  post("/v1/devices",
       {{"name", "board"},
        {"model", "curvefault"},
        {"device_class", "raspberry-pi-4"},
        {"certificate", certificate}},
       201);
  EXPECT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
}

TEST_F(OutcropdTest, a_broker_that_hangs_is_restarted_and_the_boards_come_back) {
  write_config("[broker]\nport = " + std::to_string(free_port()) + "\npatience_seconds = 2\n");
  start();
  auto board = enroll("board");
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  const pid_t hanging = mosquitto();
  ASSERT_GT(hanging, 1);
  ASSERT_EQ(::kill(hanging, SIGSTOP), 0);
  const auto restarted = [&] {
    const pid_t now = mosquitto();
    return now > 1 && now != hanging;
  };
  ASSERT_TRUE(until(restarted));
  EXPECT_NE(log().find("it is ended and started again"), std::string::npos);
  const std::string manifest = publish(1);  // a new connection carries what counts
  post("/v1/rollouts", {{"name", "r"}, {"manifest", manifest}}, 201);
  ASSERT_TRUE(rollout_is("r", "done"));
}

TEST_F(OutcropdTest, a_board_whose_card_was_set_back_is_told_which_numbers_are_used) {
  start();
  const std::string manifest = publish(1);
  auto board = enroll("board");
  for (int session = 1; session <= 3; ++session) {
    if (session > 1) board->disconnect();
    board->connect();
    ASSERT_TRUE(until([&] {
      const json known = get("/v1/devices")["devices"][0];
      return known["online"] == true && known["status"]["session"] == session;
    }));
  }
  board->disconnect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 0; }));
  board->status().session = 0;
  board->connect();
  ASSERT_TRUE(until([&] { return !board->used().empty(); }));
  EXPECT_EQ(board->used().front(), 3U);
  EXPECT_EQ(get("/v1/host")["online"], 1);
  EXPECT_NE(get("/v1/devices")["devices"][0]["attention"], "");
  post("/v1/rollouts", {{"name", "r"}, {"manifest", manifest}}, 201);
  EXPECT_TRUE(rollout_is("r", "done"));
}

TEST_F(OutcropdTest, an_offer_that_was_lost_is_sent_again_and_duplicates_do_no_harm) {
  start();
  const std::string manifest = publish(1);
  auto board = enroll("board");
  post("/v1/rollouts", {{"manifest", manifest}}, 201);  // while the board is away
  board->connect();
  ASSERT_TRUE(until([&] { return board->offers().size() == 1; }));
  const std::string name = board->offers()[0].rollout;
  ASSERT_TRUE(rollout_is(name, "done"));
  // It forgets everything but its highest generation, and one that says less is offered again.
  board->disconnect();
  board->status().generation = 0;
  board->status().deployment.reset();
  board->connect();
  ASSERT_TRUE(until([&] { return board->offers().size() == 2; }));
  EXPECT_EQ(board->offers()[1], board->offers()[0]);
  // What a board has seen of more than this database gave out is not to be undone by it.
  board->disconnect();
  board->status().generation = 1000;
  board->status().deployment->id.generation = 1000;
  board->status().snapshot_version = 50;
  board->connect();
  ASSERT_TRUE(until([&] { return !get("/v1/host")["older_than_fleet"].is_null(); }));
  EXPECT_GT(get("/v1/host")["snapshot_version"], 50);
  post("/v1/rollouts", {{"name", "next"}, {"manifest", manifest}}, 409);
  EXPECT_TRUE(post("/v1/host/adopt", nullptr)["older_than_fleet"].is_null());
  post("/v1/host/adopt", nullptr, 409);
  EXPECT_EQ(board->offers().size(), 2U);
  post("/v1/rollouts", {{"name", "next"}, {"manifest", manifest}}, 201);
  ASSERT_TRUE(rollout_is("next", "done"));
  EXPECT_GT(board->offers().back().generation, 1000U);
  EXPECT_GT(board->offers().back().snapshot_version, 50U);
}

}  // namespace
}  // namespace outcrop::fleet
