#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <future>

#include "platform/http/client.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/messages/layers.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/envelope.hpp"
#include "protocol/trust/roles.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/test_broker.hpp"
#include "trainer_host/fleet/monitor/postgres_server_for_tests.hpp"
#include "trainer_host/fleet/outcropd_fixture.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"

// The program as a whole: real processes, the real broker, boards that follow a script.

namespace outcrop::fleet {
namespace {

using messages::DeploymentState;
using nlohmann::json;

TEST_F(OutcropdTest, rolls_out_to_the_canary_then_to_the_rest_by_what_the_canary_measured) {
  start();
  const std::string manifest = publish(1);
  auto canary = enroll("canary");
  auto other = enroll("other");
  auto third = enroll("third");
  auto stranger = enroll("stranger", "toaster");  // a class without a budget
  for (auto* board : {canary.get(), other.get(), third.get(), stranger.get()}) board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 4; }));
  post("/v1/rollouts",
       {{"name", "first"}, {"manifest", manifest.substr(0, 8)}, {"canaries", {"canary"}}}, 201);
  ASSERT_TRUE(rollout_is("first", "done"));

  ASSERT_EQ(canary->offers().size(), 1U);
  EXPECT_TRUE(canary->offers()[0].variants.empty());
  EXPECT_GE(canary->offers()[0].snapshot_version, 1U);
  ASSERT_EQ(other->offers().size(), 1U);
  EXPECT_EQ(other->offers()[0].variants, std::vector<std::string>{"int8-qint8"});
  EXPECT_TRUE(stranger->offers().empty());
  const json rollout = get("/v1/rollouts/first");
  for (const json& device : rollout["devices"]) {
    if (device["name"] != "stranger") continue;
    EXPECT_EQ(device["excluded"], true);
    EXPECT_NE(device["reason"].get<std::string>().find("no budget"), std::string::npos);
  }
  // Metadata and roots are retained for boards, reports are acknowledged.
  EXPECT_TRUE(until([&] { return !canary->acknowledged().empty(); }));
  const auto& seen = canary->topics();
  for (const char* role :
       {"root/1", "targets", "revoked", "stage-curvefault", "snapshot", "timestamp"}) {
    EXPECT_NE(std::find(seen.begin(), seen.end(), transport::topics::metadata(role)), seen.end())
        << role;
  }
  // A board that is enrolled later gets the same.
  auto late = enroll("late");
  late->connect();
  ASSERT_TRUE(until([&] { return late->offers().size() == 1; }));
  EXPECT_EQ(late->offers()[0].variants, std::vector<std::string>{"int8-qint8"});
  kill(SIGTERM);
  EXPECT_EQ(exit_code_, 0);
}

// What was acknowledged is in the history, whenever outcropd is killed; what was not is said again.
TEST_F(OutcropdTest, keeps_how_boards_fare_over_a_kill_and_has_them_measure_again) {
  start();
  const std::string manifest = publish(1);
  auto board = enroll("pi-1");
  board->connect();
  ASSERT_TRUE(until([&] { return board->asked().size() == 1; }));
  EXPECT_EQ(std::get<messages::Watch>(board->asked()[0]).interval, std::chrono::seconds(300));
  EXPECT_EQ(post("/v1/measure", {{"device", "pi-1"}})["left_out"]["pi-1"], "it serves nothing");
  post("/v1/rollouts", {{"name", "first"}, {"manifest", manifest}}, 201);
  ASSERT_TRUE(rollout_is("first", "done"));
  EXPECT_EQ(post("/v1/measure", {{"device_class", "raspberry-pi-4"}})["asked"], json({"pi-1"}));
  ASSERT_TRUE(until([&] { return board->asked().size() == 2; }));
  EXPECT_EQ(std::get<messages::Measure>(board->asked()[1]).manifest.hex(), manifest);
  post("/v1/measure", {{"device", "pi-1"}, {"layers", true}});
  ASSERT_TRUE(until([&] { return board->asked().size() == 3; }));
  EXPECT_TRUE(std::get<messages::Measure>(board->asked()[2]).layers);
  const std::string layers = "/v1/releases/" + manifest + "/layers";
  call("GET", layers, {}, 400);
  call("GET", layers + "?class=raspberry-pi-4", {}, 404);
  messages::Layers spent;
  spent.header = {"pi-1", board->status().session, 1'000, SystemClock().now(), true};
  spent.device_class = "raspberry-pi-4";
  spent.engine = "torch";
  spent.manifest = *trust::Sha256Digest::from_hex(manifest);
  spent.variants = {{"float", "", 25, {{"aten::conv2d", std::chrono::nanoseconds(31'000)}}}};
  board->publish(transport::topics::up("pi-1", "layers"),
                 trust::sign_envelope("layers", as_bytes(to_json(spent)), std::span(&board->key(), 1)));
  ASSERT_TRUE(until([&] { return http::call(socket_, {"GET", layers + "?class=raspberry-pi-4", "", ""})->status == 200; }));
  EXPECT_EQ(get(layers + "?class=raspberry-pi-4"), json::parse(to_json(spent)));
  call("POST", "/v1/measure", json::object(), 400);
  call("POST", "/v1/measure", {{"device", "nobody"}}, 404);

  const messages::MessageId told = board->tell(55.5);
  ASSERT_TRUE(until([&] { return board->has_acknowledged(told); }));
  kill(SIGKILL);
  start();
  ASSERT_TRUE(until([&] { return board->connected() && get("/v1/host")["online"] == 1; }));
  const auto heat = [&] { return get("/v1/history?measure=temperature&device=pi-1&resolution=raw")["points"]; };
  ASSERT_EQ(heat().size(), 1U);
  EXPECT_EQ(heat()[0]["max"], 55.5);
  EXPECT_GT(get("/v1/host")["history"]["most_bytes"], 0);
  EXPECT_EQ(get("/v1/host")["history"]["problem"], "");
  const auto measured = get("/v1/history?measure=measured_p90_ms&device=pi-1&variant=int8-qint8")["points"];
  ASSERT_EQ(measured.size(), 1U) << "of the canary's report";
  EXPECT_EQ(get("/v1/outliers")["outliers"], json::array());
  const auto audit = get("/v1/audit?subject=first&action=rollout-decided")["entries"];
  ASSERT_FALSE(audit.empty());
  EXPECT_EQ(audit[0]["detail"]["after"], "done");
  EXPECT_EQ(get("/v1/audit?subject=first&action=rollout-started")["entries"].size(), 1U);
  EXPECT_EQ(get("/v1/audit?action=release-published")["entries"][0]["subject"], manifest);
  EXPECT_EQ(audit[0]["detail"]["boards"]["UPDATED"], 1);
  EXPECT_EQ(audit[0]["detail_text"].get<std::string>()[0], '{');
  kill(SIGTERM);
  EXPECT_EQ(exit_code_, 0);

  // A history that cannot be written is told; nothing that it does not have is acknowledged, and all else goes on.
  for (const auto& file : std::filesystem::directory_iterator(home_ / "state/history")) {
    if (file.path().extension() != ".sqlite") continue;
    auto database = Database::open(file.path());
    ASSERT_TRUE(database && database->script("PRAGMA user_version = 99"));
  }
  start();
  ASSERT_TRUE(until([&] { return board->connected() && get("/v1/host")["online"] == 1; }));
  const messages::MessageId lost = board->tell(60);
  ASSERT_TRUE(until([&] { return get("/v1/host")["attention"].dump().find("newer outcropd") != std::string::npos; }));
  EXPECT_FALSE(board->has_acknowledged(lost));
  const std::string second = publish(2);
  post("/v1/rollouts", {{"name", "second"}, {"manifest", second}}, 201);
  EXPECT_TRUE(rollout_is("second", "done"));
}

TEST_F(OutcropdTest, keeps_its_history_in_postgresql_and_goes_on_where_that_is_away) {
  if (!monitor::PostgresServer::is_here()) GTEST_SKIP() << "no PostgreSQL here: script/bootstrap --postgresql, then build again";
  monitor::PostgresServer server;
  write_config("[broker]\nport = " + std::to_string(free_port()) + "\n[history]\nstore = \"" +
               server.make_database("outcrop") + "\"\n");
  const std::vector<std::string> check{"--check-config", "--config", config_.string()};
  EXPECT_EQ(run(check), 0) << output_;
  start();
  const std::string manifest = publish(1);
  auto board = enroll("pi-1");
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  const messages::MessageId told = board->tell(55.5);
  ASSERT_TRUE(until([&] { return board->has_acknowledged(told); }));
  kill(SIGKILL);
  start();
  ASSERT_TRUE(until([&] { return board->connected() && get("/v1/host")["online"] == 1; }));
  EXPECT_EQ(get("/v1/history?measure=temperature&device=pi-1&resolution=raw")["points"][0]["max"], 55.5);
  EXPECT_FALSE(std::filesystem::exists(home_ / "state/history"));
  server.stop();
  EXPECT_NE(run(check), 0);
  EXPECT_NE(output_.find("[history] store: the database outcrop on"), std::string::npos) << output_;
  const messages::MessageId waits = board->tell(60);
  ASSERT_TRUE(until([&] { return get("/v1/host")["attention"].dump().find("how boards fare cannot be kept") != std::string::npos; }));
  EXPECT_FALSE(board->has_acknowledged(waits));
  post("/v1/rollouts", {{"name", "first"}, {"manifest", manifest}}, 201);
  EXPECT_TRUE(rollout_is("first", "done"));
  server.start();
  EXPECT_TRUE(until([&] { return board->has_acknowledged(waits); }));
  EXPECT_EQ(run({"backup", (home_ / "copy").string(), "--config", config_.string()}), 0);
  EXPECT_NE(output_.find("The history is in PostgreSQL"), std::string::npos) << output_;
}

TEST_F(OutcropdTest, a_failed_canary_stops_it_returns_the_others_and_touches_no_other_board) {
  start();
  const std::string first = publish(1);
  auto one = enroll("one");
  auto two = enroll("two");
  auto rest = enroll("rest");
  for (auto* board : {one.get(), two.get(), rest.get()}) board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 3; }));
  post("/v1/rollouts", {{"name", "good"}, {"manifest", first}, {"canaries", {"one"}}}, 201);
  ASSERT_TRUE(rollout_is("good", "done"));
  const std::string second = publish(2);
  two->answer_with(DeploymentState::failed);
  post("/v1/rollouts", {{"name", "bad"}, {"manifest", second}, {"canaries", {"one", "two"}}}, 201);
  ASSERT_TRUE(rollout_is("bad", "stopped"));
  const json rollout = get("/v1/rollouts/bad");
  EXPECT_EQ(rollout["reason"], "canary two FAILED: proof failed");
  ASSERT_TRUE(until([&] { return one->cancels().size() == 1; }));
  EXPECT_EQ(one->cancels()[0].return_to->hex(), first);
  EXPECT_EQ(rest->offers().size(), 1U);  // of "good"
  EXPECT_TRUE(rest->cancels().empty());
  ASSERT_TRUE(until([&] {
    const json after = get("/v1/rollouts/bad");
    for (const json& device : after["devices"]) {
      if (device["name"] == "one" && device["state"] == "ROLLED_BACK") return true;
    }
    return false;
  }));
}

TEST_F(OutcropdTest, goes_on_after_it_was_killed_in_the_middle_of_a_rollout) {
  start();
  const std::string manifest = publish(1);
  auto canary = enroll("canary");
  auto other = enroll("other");
  canary->answer_with(DeploymentState::downloading);
  canary->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  post("/v1/rollouts", {{"name", "r"}, {"manifest", manifest}, {"canaries", {"canary"}}}, 201);
  ASSERT_TRUE(until([&] { return canary->offers().size() == 1; }));
  kill(SIGKILL);
  start();  // the broker is a new one, too
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  const messages::Offer& offer = canary->offers()[0];
  canary->status().active_manifest = offer.manifest;
  canary->say({offer.rollout, offer.generation, offer.manifest}, DeploymentState::updated);
  // The other one was offline all the time: its offer waits for it.
  ASSERT_TRUE(rollout_is("r", "widening"));
  kill(SIGKILL);
  start();
  other->connect();
  ASSERT_TRUE(rollout_is("r", "done"));
  EXPECT_EQ(canary->offers().size(), 1U);
  EXPECT_EQ(other->status().generation, other->offers()[0].generation);
  // Versions of what it signs only rise.
  EXPECT_GE(get("/v1/host")["snapshot_version"], 1);
}

TEST_F(OutcropdTest, a_revoked_board_is_disconnected_and_its_name_can_be_enrolled_anew) {
  start();
  publish(1);
  auto board = enroll("board");
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  EXPECT_EQ(post("/v1/devices/board/revoke",
                 {{"reason", "lost"}, {"crl", revoke_certificate("board")}})["disconnected"],
            true);
  ASSERT_TRUE(until([&] { return !board->connected(); }));
  EXPECT_EQ(get("/v1/host")["devices"], 0);
  EXPECT_EQ(get("/v1/devices")["devices"][0]["revoked_reason"], "lost");
  auto replacement = enroll("board");
  replacement->connect();
  EXPECT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
}

TEST_F(OutcropdTest, a_board_that_replaces_a_failed_canary_gets_what_was_done_last) {
  start();
  const std::string first = publish(1);
  auto canary = enroll("canary");
  auto good = enroll("good");
  canary->connect();
  good->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 2; }));
  post("/v1/rollouts", {{"name", "first"}, {"manifest", first}, {"canaries", {"good"}}}, 201);
  ASSERT_TRUE(rollout_is("first", "done"));
  canary->answer_with(DeploymentState::failed);
  post("/v1/rollouts", {{"name", "second"}, {"manifest", publish(2)}, {"canaries", {"canary"}}},
       201);
  ASSERT_TRUE(rollout_is("second", "stopped"));
  post("/v1/devices/canary/revoke", {{"reason", "broke"}, {"crl", revoke_certificate("canary")}});
  auto replacement = enroll("canary");
  replacement->connect();
  ASSERT_TRUE(until([&] { return !replacement->offers().empty(); }));
  EXPECT_EQ(replacement->offers()[0].manifest.hex(), first);
  EXPECT_EQ(replacement->offers()[0].rollout, "first");
}

TEST_F(OutcropdTest, a_board_that_is_enrolled_twice_stays_online) {
  start();
  auto board = enroll("board");
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  post("/v1/devices",
       {{"name", "board"},
        {"model", "curvefault"},
        {"device_class", "raspberry-pi-4"},
        {"certificate", *read_text_file(home_ / "board-1.pem")}},
       201);
  EXPECT_EQ(get("/v1/host")["online"], 1);
}

TEST_F(OutcropdTest, refuses_a_name_that_is_enrolled_with_another_key) {
  start();
  auto first = enroll("board");
  auto second = enroll("board", "raspberry-pi-4", 409);
}

TEST_F(OutcropdTest, takes_a_revoked_release_back_from_every_board) {
  start();
  const std::string manifest = publish(1);
  auto board = enroll("board");
  board->connect();
  post("/v1/rollouts", {{"name", "r"}, {"manifest", manifest}}, 201);
  ASSERT_TRUE(rollout_is("r", "done"));
  ASSERT_TRUE(release::revoke_manifest(
      keys_, {*trust::Sha256Digest::from_hex(manifest), "wrong data", clock_.now()},
      std::chrono::days(30), clock_.now()));
  post("/v1/metadata", {{"revoked", *read_text_file(keys_ / "metadata/revoked.json")}});
  ASSERT_TRUE(until([&] { return board->cancels().size() == 1; }));
  EXPECT_EQ(get("/v1/rollouts/r")["state"], "stopped");
  EXPECT_EQ(get("/v1/releases")["releases"][0]["state"], "revoked");
  post("/v1/rollouts", {{"manifest", manifest}}, 409);
}

TEST_F(OutcropdTest, pauses_resumes_and_aborts) {
  start();
  const std::string manifest = publish(1);
  auto canary = enroll("canary");
  auto other = enroll("other");
  canary->answer_with(DeploymentState::measuring);
  other->answer_with(DeploymentState::downloading);
  canary->connect();
  other->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 2; }));
  post("/v1/rollouts", {{"name", "r"}, {"manifest", manifest}, {"canaries", {"canary"}}}, 201);
  ASSERT_TRUE(until([&] { return canary->offers().size() == 1; }));
  const json another = post("/v1/rollouts", {{"name", "s"}, {"manifest", manifest}}, 409);
  EXPECT_NE(another.dump().find("r of curvefault is in its canary phase: one at a time"),
            std::string::npos)
      << another;
  EXPECT_EQ(post("/v1/rollouts/r/pause", nullptr)["state"], "paused");
  const messages::Offer offer = canary->offers()[0];
  canary->say({offer.rollout, offer.generation, offer.manifest}, DeploymentState::updated);
  loop_.run_for(std::chrono::milliseconds(500));
  EXPECT_TRUE(other->offers().empty());
  post("/v1/rollouts/r/resume", nullptr);
  ASSERT_TRUE(until([&] { return other->offers().size() == 1; }));
  EXPECT_EQ(post("/v1/rollouts/r/abort", nullptr)["state"], "aborted");
  ASSERT_TRUE(until([&] { return canary->cancels().size() + other->cancels().size() == 2; }));
  post("/v1/rollouts/r/abort", nullptr, 409);
  post("/v1/rollouts/none/abort", nullptr, 404);
}

// Whoever lost an answer asks again.
TEST_F(OutcropdTest, a_request_with_a_key_has_its_effect_once_over_any_kill) {
  start();
  const std::string manifest = publish(1);
  auto board = enroll("board");
  board->answer_with(DeploymentState::downloading);
  const auto ask = [&](const std::string& target, const json& body, const std::string& key) {
    const auto answer = http::call(socket_, {"POST", target, "application/json", body.is_null() ? "" : body.dump(),
                                             std::chrono::seconds(30), key});
    EXPECT_TRUE(answer);
    return answer.value_or(http::Answer());
  };
  const json wanted{{"manifest", manifest}, {"soak_seconds", 1}};
  EXPECT_EQ(ask("/v1/rollouts", {{"manifest", "0"}}, "k-1").status, 404);  // no effect: its key is free
  const http::Answer first = ask("/v1/rollouts", wanted, "\"k-1\"");
  ASSERT_EQ(first.status, 201) << first.body;
  const std::string name = json::parse(first.body)["name"];
  EXPECT_EQ(ask("/v1/rollouts", wanted, "k-2").status, 409) << "one at a time";
  kill(SIGKILL);
  start();
  const http::Answer again = ask("/v1/rollouts", wanted, "k-1");
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(get("/v1/rollouts")["rollouts"].size(), 1U);
  EXPECT_EQ(get("/v1/audit?action=rollout-started")["entries"].size(), 1U);
  const http::Answer other = ask("/v1/rollouts", {{"manifest", manifest}}, "k-1");
  EXPECT_EQ(other.status, 422);
  EXPECT_EQ(other.content_type, "application/problem+json");
  EXPECT_NE(other.body.find("another request's"), std::string::npos) << other.body;
  EXPECT_EQ(ask("/v1/rollouts/" + name + "/pause", nullptr, "k-1").status, 422);
  EXPECT_EQ(ask("/v1/rollouts/" + name + "/pause", nullptr, "k-3").status, 200);
  post("/v1/rollouts/" + name + "/resume", nullptr);
  EXPECT_EQ(json::parse(ask("/v1/rollouts/" + name + "/pause", nullptr, "k-3").body)["state"], "paused");
  EXPECT_EQ(get("/v1/rollouts/" + name)["state"], "canary") << "said again, not done again";
  // The board hears of it as of any other.
  board->connect();
  EXPECT_TRUE(until([&] { return board->offers().size() == 1; }));
  const json made = json::parse(ask("/v1/tokens", {{"name", "ops"}, {"role", "viewer"}}, "k-4").body);
  EXPECT_TRUE(made["token"].is_string());
  EXPECT_TRUE(json::parse(ask("/v1/tokens", {{"name", "ops"}, {"role", "viewer"}}, "k-4").body)["token"].is_null());
  EXPECT_EQ(ask("/v1/tokens", {{"name", "more"}, {"role", "viewer"}}, "no key").status, 400);
}

TEST_F(OutcropdTest, refuses_bad_requests_by_name) {
  start();
  post("/v1/rollouts", {{"manifest", "ab"}, {"colour", 1}}, 400);
  post("/v1/devices", {{"name", "Board!"}}, 400);
  post("/v1/device-authority", {{"authority", "x"}, {"crl", "y"}}, 400);
  call("GET", "/v1/nothing", nullptr, 404);
  call("DELETE", "/v1/devices", nullptr, 405);
  call("GET", "/v1/blobs/xyz", nullptr, 400);
  call("GET", "/v1/reports?limit=-1", nullptr, 400);
  call("GET", "/v1/reports?manifest=", nullptr, 400);
  call("GET", "/v1/devices?health=luck", nullptr, 400);
  call("GET", "/v1/rollouts?limit=0", nullptr, 400);
  call("GET", "/v1/releases?after=none", nullptr, 400);
  call("GET", "/v1/reports?after=1-000000000000", nullptr, 400);
  for (const char* path : {"/v1/host", "/v1/devices", "/v1/groups", "/v1/releases", "/v1/rollouts", "/v1/reports", "/v1/changes", "/v1/best",
                           "/v1/history", "/v1/outliers", "/v1/audit", "/v1/events", "/v1/tokens", "/v1/device-authorities", "/metrics"}) {
    EXPECT_NE(call("GET", path + std::string("?colour=red"), nullptr, 400)["error"]["message"].get<std::string>().find("'colour'"),
              std::string::npos) << path;
  }
  const std::string manifest = publish(1);
  json body = submission(folder_.path() / "release-1");
  body["manifest"] = std::string(64, 'a');
  post("/v1/releases", body, 403);  // no stage role lists it
  body["manifest"] = manifest;
  body["targets"] = body["revoked"];
  post("/v1/releases", body, 403);
}

TEST_F(OutcropdTest, how_good_a_release_is_was_read_when_it_was_published) {
  start();
  const std::string manifest = publish(1);
  const auto shown = [&] { return get("/v1/releases")["releases"][0]["quality"]; };
  ASSERT_EQ(shown()["samples"], 64);
  // As an earlier version left it.
  kill(SIGTERM);
  {
    auto database = Database::open(home_ / "state/registry.sqlite");
    ASSERT_TRUE(database);
    ASSERT_TRUE(database->run("UPDATE release SET quality = NULL"));
  }
  start();
  ASSERT_EQ(shown()["samples"], 64);
  const json golden = get("/v1/releases/" + manifest)["document"]["golden"]["output"];
  const auto digest = golden["sha256"].get<std::string>();
  std::filesystem::remove(home_ / "state/blobs" / digest.substr(0, 2) / digest);
  EXPECT_EQ(shown()["samples"], 64) << "no request reads the golden outputs";
  kill(SIGTERM);
  start();
  EXPECT_EQ(shown()["samples"], 64);
}

TEST_F(OutcropdTest, starts_no_rollout_under_a_role_that_has_expired) {
  start();
  const std::string manifest = publish(1);
  const json release = get("/v1/releases/" + manifest);
  auto board = enroll("board");
  kill(SIGTERM);
  // As if a year had passed.
  trust::StageMetadata stage;
  stage.model = "curvefault";
  stage.expires = SystemClock().now() - std::chrono::hours(1);
  stage.releases = {{*trust::Sha256Digest::from_hex(manifest),
                     ByteCount(release["manifest_size"].get<std::uint64_t>()), 1,
                     release["epoch"].get<std::uint64_t>()}};
  const auto key = trust::PrivateKey::read_pem(release::KeyStorePaths(keys_).stage("curvefault") /
                                               "stage.key");
  ASSERT_TRUE(key);
  const std::string envelope =
      trust::sign_envelope("stage", as_bytes(to_json(stage)), std::vector{*key});
  {
    auto registry = open_sqlite_registry(home_ / "state/registry.sqlite");
    ASSERT_TRUE(registry);
    ASSERT_TRUE((*registry)->save_metadata("stage-curvefault", envelope));
  }
  start();
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  const json refused = post("/v1/rollouts", {{"name", "r"}, {"manifest", manifest}}, 403);
  const auto words = refused.dump();
  EXPECT_NE(words.find("stage-curvefault expired on"), std::string::npos) << words;
  EXPECT_NE(words.find("outcrop release create"), std::string::npos) << words;
  EXPECT_TRUE(get("/v1/rollouts")["rollouts"].empty());
  EXPECT_TRUE(board->offers().empty());
}

TEST_F(OutcropdTest, tells_listeners_what_changes_and_who_has_it_already_that_nothing_did) {
  start();
  auto board = enroll("board");
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  const std::string ask = "curl -sN --unix-socket " + socket_.string() + " http://local";
  auto heard = std::async(std::launch::async, [&] {
    return run_shell("timeout 20 bash -c \"grep -m1 '^event: board' < <(" + ask + "/v1/events)\"").code;
  });
  ASSERT_TRUE(until([&] {
    board->status().held = !board->status().held;
    board->publish_status();
    return heard.wait_for(std::chrono::milliseconds(100)) == std::future_status::ready;
  }));
  EXPECT_EQ(heard.get(), 0);
  // One that is off or on is another answer: its last word has come.
  ASSERT_TRUE(until([&] { return get("/v1/devices/board")["status"]["held"] == board->status().held; }));
  const std::string etag = run_shell(ask + "/v1/devices/board -o /dev/null -w '%header{etag}'").output;
  const std::string again = ask + "/v1/devices/board -o /dev/null -w '%{http_code}' -H 'If-None-Match: ";
  EXPECT_EQ(run_shell(again + etag + "'").output, "304") << etag;
  EXPECT_EQ(run_shell(again + "\"x\"'").output, "200");
  EXPECT_EQ(run_shell(again + "\"x\", W/" + etag + "'").output, "304");
  // A page of those that are asked for.
  enroll("other", "toaster");
  const json page = get("/v1/devices?class=toaster&limit=1");
  ASSERT_EQ(page["devices"].size(), 1U);
  EXPECT_EQ(page["devices"][0]["name"], "other");
  EXPECT_EQ(page["matching"], 1);
  EXPECT_TRUE(page["after"].is_null());
  call("GET", "/v1/devices?colour=red", nullptr, 400);
  call("DELETE", "/v1/devices", nullptr, 405);
  EXPECT_EQ(get("/v1/openapi.json")["openapi"], "3.1.0");
}

}  // namespace
}  // namespace outcrop::fleet
