#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <future>

#include "platform/http/client.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/version.hpp"
#include "protocol/messages/enrolment.hpp"
#include "protocol/messages/renewal.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/enrolment_token.hpp"
#include "protocol/trust/envelope.hpp"
#include "protocol/trust/trusted_roles.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "trainer_host/fleet/outcropd_fixture.hpp"
#include "trainer_host/release/key_store.hpp"

namespace outcrop::fleet {
namespace {

namespace fs = std::filesystem;
using messages::DeploymentState;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

// The command line against outcropd itself, its broker, and boards that answer as they are told.
class FleetVerbsTest : public OutcropdTest {
 protected:
  void SetUp() override {
    OutcropdTest::SetUp();
    ::unsetenv("COLUMNS");  // tables are whole
    ::setenv("OUTCROP_SOCKET", socket_.c_str(), 1);
    ::setenv("OUTCROP_DEVICE_AUTHORITY", (home_ / "authority").c_str(), 1);
    ::setenv("OUTCROP_KEYS", keys_.c_str(), 1);
  }
  // Boards live meanwhile.
  ShellOutcome run(const std::string& arguments) {
    auto outcome = std::async(std::launch::async, run_shell, OUTCROP_BIN "/outcrop " + arguments);
    EXPECT_TRUE(loop_.until(
        [&] { return outcome.wait_for(std::chrono::seconds(0)) == std::future_status::ready; },
        std::chrono::seconds(60)));
    return outcome.get();
  }
  ShellOutcome run_ok(const std::string& arguments) {
    ShellOutcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << arguments << "\n" << outcome.output;
    return outcome;
  }

  std::string token(const std::string& name) {
    const ShellOutcome granted =
        run_ok("device enroll " + name + " --class raspberry-pi-4 --model curvefault --json");
    // What it says on standard error comes before the object.
    return json::parse(granted.output.substr(granted.output.find('{')))["token"];
  }
  // What a board makes of a token, and the key that stays on it.
  fs::path request(const std::string& name, const std::string& text, const trust::PrivateKey& key) {
    const auto parsed = trust::EnrolmentToken::parse(text);
    const std::string csr = *trust::make_certificate_request(key);
    const fs::path file = home_ / (name + "-request.json");
    EXPECT_THAT(
        write_file_durably(file, messages::to_json(messages::EnrolmentRequest{
                                     parsed->id, csr, trust::token_mac(parsed->secret, csr)})),
        IsOk());
    return file;
  }
  // A board that was enrolled by the command line and is online.
  std::unique_ptr<ScriptedBoard> board(const std::string& name) {
    const auto key = trust::PrivateKey::generate();
    const fs::path asked = request(name, token(name), *key);
    const fs::path answer = home_ / (name + ".json");
    run_ok("device sign " + asked.string() + " --out " + answer.string());
    const auto bundle = messages::parse_enrolment_bundle(*read_text_file(answer));
    EXPECT_THAT(bundle, IsOk());
    const std::string base = (home_ / name).string();
    EXPECT_THAT(write_file_durably(base + ".pem", bundle->certificate), IsOk());
    EXPECT_THAT(write_file_durably(base + ".ca", bundle->broker_authority), IsOk());
    EXPECT_THAT(key->write_pem(base + ".key"), IsOk());
    transport::SessionOptions session;
    session.host = bundle->broker_host;
    session.port = bundle->broker_port;
    session.client_id = name;
    session.tls = transport::TlsFiles{base + ".ca", base + ".pem", base + ".key"};
    session.first_retry = std::chrono::milliseconds(50);
    session.last_retry = std::chrono::milliseconds(500);
    messages::DeviceStatus status;
    status.device = name;
    status.agent = "0.1.0";
    status.model = bundle->model;
    status.device_class = bundle->device_class;
    status.speaks = protocol_version;
    const auto root = trust::TrustedRoot::pin(bundle->root_envelope);
    auto made = std::make_unique<ScriptedBoard>(loop_, session, *key, status,
                                                root->signers(trust::director_role));
    made->connect();
    EXPECT_TRUE(until([&] {
      const json all = get("/v1/devices");
      for (const json& device : all["devices"]) {
        if (device["name"] == name && device["online"] == true) return true;
      }
      return false;
    }));
    return made;
  }
  fs::path make_release(std::uint64_t stage) {
    const std::string name = "stage-" + std::to_string(stage);
    if (stage > 1) stage_folder_ = make_stage(name, stage, name);
    const std::string out = "release-" + std::to_string(stage);
    EXPECT_THAT(create(ReleaseTest::request(out)), IsOk());
    return folder_.path() / out;
  }
};

TEST_F(FleetVerbsTest, a_board_is_enrolled_once_and_a_cut_off_signing_is_completed) {
  start();
  const std::string text = token("pi-1");
  const auto key = trust::PrivateKey::generate();
  const fs::path asked = request("pi-1", text, *key);
  const std::string sign = "device sign " + asked.string() + " --out ";
  EXPECT_THAT(run_ok(sign + (home_ / "a.json").string()).output,
              HasSubstr("sudo -u outcrop-agent outcrop-agent enroll accept - < a.json"));
  run_ok(sign + (home_ / "b.json").string());
  const auto without_time = [&](const char* name) {
    json bundle = json::parse(*read_text_file(home_ / name));
    bundle.erase("mac");  // which is of the time as well
    bundle["metadata"].erase("time");
    return bundle;
  };
  EXPECT_EQ(without_time("a.json"), without_time("b.json"));
  EXPECT_THAT(run_ok(sign + "-").output, HasSubstr("\"device\": \"pi-1\""));

  const fs::path other = request("other", text, *trust::PrivateKey::generate());
  const ShellOutcome used = run("device sign " + other.string() + " --out -");
  EXPECT_EQ(used.code, 1);
  EXPECT_THAT(used.output, HasSubstr("this token was used on"));
  // Another board by the name of one that is enrolled.
  EXPECT_THAT(run_ok("device enroll pi-1 --class raspberry-pi-4 --model curvefault").output,
              AllOf(HasSubstr("a board 'pi-1' is enrolled already"),
                    HasSubstr("outcrop device revoke pi-1")));
  EXPECT_THAT(run_ok("device enroll pi-2 --class raspberry-pi-4 --model curvefault").output,
              Not(HasSubstr("enrolled already")));
  const fs::path twin = request("twin", token("pi-1"), *trust::PrivateKey::generate());
  const ShellOutcome taken = run("device sign " + twin.string() + " --out -");
  EXPECT_EQ(taken.code, 1);
  EXPECT_THAT(taken.output, HasSubstr("is enrolled with another key"));
  EXPECT_THAT(run_ok("device list").output, AllOf(HasSubstr("pi-1"), HasSubstr("never")));
  EXPECT_EQ(json::parse(run_ok("device list --json").output)["devices"].size(), 1u);
}

TEST_F(FleetVerbsTest, a_board_takes_a_new_key_while_it_works) {
  start();
  const auto pi = board("pi-1");
  EXPECT_THAT(run_ok("device renew").output, HasSubstr("No board asks"));
  EXPECT_THAT(run("device renew pi-1").output, HasSubstr("outcrop-agent enroll renew"));
  const auto next = trust::PrivateKey::generate();
  messages::Renewal renewal;
  renewal.header = {"pi-1", pi->status().session, 1000, SystemClock().now(), true, signed_since};
  renewal.certificate_request = *trust::make_certificate_request(*next);
  const auto say = [&] {
    const std::vector<trust::PrivateKey> keys{pi->key(), *next};
    pi->publish(transport::topics::up("pi-1", "renewal"),
                trust::sign_envelope(messages::renewal_kind, as_bytes(to_json(renewal)), keys));
  };
  say();
  ASSERT_TRUE(until([&] { return get("/v1/renewals")["renewals"].size() == 1; }));
  EXPECT_THAT(get("/v1/host")["attention"].dump(), HasSubstr("1 board asks for a certificate of the next key: outcrop device renew"));
  const auto wrong = trust::PrivateKey::generate();
  EXPECT_THAT(post("/v1/devices/pi-1/certificate",
                   {{"certificate", *devices_->issue({"pi-1", {}, pki::Authority::Usage::client}, wrong->public_key())}}, 400)["error"]["message"]
                  .get<std::string>(),
              HasSubstr("another key"));
  EXPECT_THAT(run_ok("device renew --wait 0").output,
              AllOf(HasSubstr("Certified, and told: pi-1"), HasSubstr("Not yet come by it: pi-1")));
  const auto told_certificate = [&] {
    return !pi->asked().empty() && std::holds_alternative<messages::Certificate>(pi->asked().back());
  };
  ASSERT_TRUE(until(told_certificate));
  const messages::Certificate given = std::get<messages::Certificate>(pi->asked().back());
  const auto* certificate = &given;
  EXPECT_EQ(trust::read_certificate(certificate->certificate)->key, next->public_key());
  renewal.certificate = certificate->certificate;
  renewal.header.sequence = 1001;
  say();
  const messages::MessageId told{renewal.header.session, 1001};
  ASSERT_TRUE(until([&] { return pi->has_acknowledged(told); }));
  EXPECT_TRUE(get("/v1/renewals")["renewals"].empty());
  EXPECT_THAT(run_ok("fleet audit").output, AllOf(HasSubstr("certificate-given"), HasSubstr("key-renewed")));

  // Both still open the broker; then the one that was replaced does no more.
  const auto let_in = [&](const transport::SessionOptions& options) {
    auto session = transport::make_paho_session(loop_.executor(), options);
    bool connected = false;
    std::string why;
    session->start({.connected = [&] { connected = true; }, .lost = [&](const Error& error) { why = error.message(); }, .message = {}});
    EXPECT_TRUE(until([&] { return connected || !why.empty(); }));
    bool stopped = false;
    session->stop([&] { stopped = true; });
    EXPECT_TRUE(until([&] { return stopped; }));
    return connected;
  };
  pi->disconnect();
  const transport::SessionOptions old = pi->options();
  transport::SessionOptions renewed = old;
  renewed.tls->certificate = home_ / "renewed.pem";
  renewed.tls->key = home_ / "renewed.key";
  ASSERT_THAT(write_file_durably(renewed.tls->certificate, certificate->certificate), IsOk());
  ASSERT_THAT(next->write_pem(renewed.tls->key), IsOk());
  EXPECT_TRUE(let_in(old));
  EXPECT_TRUE(let_in(renewed));
  EXPECT_THAT(run_ok("device renew").output, AllOf(HasSubstr("No board asks"), HasSubstr("before: pi-1")));
  EXPECT_FALSE(let_in(old));
  EXPECT_TRUE(let_in(renewed));
  EXPECT_THAT(run_ok("device renew").output, Not(HasSubstr("Revoked is"))) << "once";
  EXPECT_TRUE(get("/v1/devices/pi-1")["revoked"].is_null()) << "the board is not";
}

TEST_F(FleetVerbsTest, boards_are_told_where_their_broker_is_by_the_keys_of_targets) {
  start();
  const auto pi = board("pi-1");
  const fs::path authority = home_ / "other-broker.pem";
  ASSERT_THAT(write_file_durably(authority, devices_->certificate()), IsOk());
  const std::string verb = "fleet move-broker [fd00::1]:8884 --keys " + keys_.string() + " --authority ";
  const auto away = board("pi-2");
  away->disconnect();
  ASSERT_TRUE(until([&] { return !get("/v1/devices/pi-2")["online"].get<bool>(); }));
  EXPECT_THAT(run_ok(verb + authority.string()).output, AllOf(HasSubstr("[fd00::1]:8884: 1 board."), ContainsRegex("for 1 board that is offline:\n  pi-2\n")));
  const auto told = [](const ScriptedBoard& one) -> const messages::Move* {
    for (const messages::Command& command : one.asked()) {
      if (const auto* move = std::get_if<messages::Move>(&command)) return move;
    }
    return nullptr;
  };
  ASSERT_TRUE(until([&] { return told(*pi) != nullptr; }));
  away->connect();
  EXPECT_TRUE(until([&] { return told(*away) != nullptr; })) << "what the broker kept for it";
  const auto store = release::read_key_store(keys_);
  const auto verified = trust::verify_envelope(told(*pi)->move, messages::broker_move_kind, store->root.signers("targets"));
  ASSERT_THAT(verified, IsOk());
  const auto move = messages::parse_broker_move(verified->bytes());
  ASSERT_THAT(move, IsOk());
  EXPECT_EQ(move->host, "fd00::1");
  EXPECT_EQ(move->port, 8884);
  EXPECT_EQ(move->authority, devices_->certificate());
  EXPECT_THAT(run_ok("fleet audit").output, HasSubstr("broker-moved"));

  const auto refuses = [&](const std::string& arguments, const std::string& why) {
    const ShellOutcome refused = run(arguments);
    EXPECT_NE(refused.code, 0) << arguments;
    EXPECT_THAT(refused.output, HasSubstr(why));
  };
  refuses(verb + (keys_ / "online/director.key").string(), "director.key");
  refuses(verb + authority.string() + " --board nobody", "no board 'nobody' is enrolled");
  refuses("fleet move-broker fleet.example --keys " + keys_.string() + " --authority " + authority.string(), "HOST:PORT");
  fs::rename(keys_ / "offline", keys_ / "away");
  refuses(verb + authority.string(), "targets.key is not here");
  const auto director = trust::PrivateKey::read_pem(keys_ / "online/director.key");
  const std::vector<trust::PrivateKey> stolen{*director};
  EXPECT_THAT(post("/v1/broker/move", {{"move", trust::sign_envelope(messages::broker_move_kind, verified->bytes(), stolen)}}, 403)["error"]["message"]
                  .get<std::string>(),
              HasSubstr("targets"))
      << "the host's own keys move nobody";
}

TEST_F(FleetVerbsTest, a_device_authority_is_made_knowingly_and_no_second_one_by_chance) {
  ::unsetenv("OUTCROP_DEVICE_AUTHORITY");
  const fs::path elsewhere = home_ / "elsewhere";
  fs::create_directory(elsewhere);
  const auto enroll_there = [&](const std::string& more) {
    return run_shell("cd '" + elsewhere.string() +
                     "' && " OUTCROP_BIN
                     "/outcrop device enroll pi-1 --class raspberry-pi-4 --model curvefault " +
                     more);
  };
  start();  // it knows the authority of this test
  const ShellOutcome refused = enroll_there("");
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.output,
              AllOf(HasSubstr("no device authority in " + elsewhere.string() + "/device-auth"),
                    HasSubstr("outcropd knows another one"), HasSubstr("--authority"),
                    HasSubstr("OUTCROP_DEVICE_AUTHORITY")));
  EXPECT_FALSE(fs::exists(elsewhere / "device-authority"));
  // Named, as where the old one is lost.
  EXPECT_THAT(enroll_there("--authority named").output,
              HasSubstr("made a new device authority in " + elsewhere.string() + "/named"));
  EXPECT_THAT(enroll_there("--authority named").output, Not(HasSubstr("made a new")));
  kill(SIGTERM);
  EXPECT_THAT(enroll_there("").output, HasSubstr("made a new device authority"));
}

TEST_F(FleetVerbsTest, what_would_come_to_nothing_is_refused_before_a_token_is_given) {
  start();
  const auto enroll = [&](const std::string& name, const std::string& model) {
    return run("device enroll " + name + " --class raspberry-pi-4 --model " + model);
  };
  const ShellOutcome unknown = enroll("pi-1", "nonsense");
  EXPECT_EQ(unknown.code, 1);
  EXPECT_THAT(unknown.output, AllOf(HasSubstr("no key signs for a model 'nonsense'"), HasSubstr("curvefault")));
  // Where the key folder is elsewhere, outcropd says it once it was told.
  run_ok("keys publish --dir " + keys_.string());
  ::setenv("OUTCROP_KEYS", (home_ / "elsewhere").c_str(), 1);
  EXPECT_EQ(enroll("pi-1", "nonsense").code, 1);
  const auto kept = board("pi-1");
  const std::string id = json::parse(run_ok("device authorities --json").output)["authorities"][0]["keyid"];
  const std::string remove = "device remove-authority " + id.substr(0, 10) + " --reason stolen";
  EXPECT_THAT(run(remove).output, AllOf(HasSubstr("1 board is enrolled by this authority (pi-1)"), HasSubstr("--revoke-devices")));
  const fs::path waiting = request("pi-2", token("pi-2"), *trust::PrivateKey::generate());
  EXPECT_THAT(run_ok(remove + " --revoke-devices").output, HasSubstr("1 board was revoked with it"));
  EXPECT_THAT(run(remove).output, HasSubstr("was removed already on "));
  EXPECT_EQ(run("device remove-authority " + std::string(10, '0') + " --reason x").code, 1);
  EXPECT_THAT(enroll("pi-3", "curvefault").output, HasSubstr("was removed on "));
  const ShellOutcome late = run("device sign " + waiting.string() + " --out -");
  EXPECT_EQ(late.code, 1);
  EXPECT_THAT(late.output, HasSubstr("was removed on "));
}

TEST_F(FleetVerbsTest, a_rollouts_words_are_judged_before_its_release_is_looked_for) {
  start();
  for (const char* wrong : {"--objective nonsense", "--start-at tomorrow", "--canary 0"}) {
    const ShellOutcome refused = run(std::string("rollout start --release 4f2a8c ") + wrong);
    EXPECT_EQ(refused.code, 2) << refused.output;
    EXPECT_THAT(refused.output, Not(HasSubstr("outcrop release list"))) << wrong;
  }
  EXPECT_THAT(run_ok("fleet best").output, HasSubstr("No board is enrolled"));
}

TEST_F(FleetVerbsTest, a_request_that_was_tampered_with_is_refused) {
  start();
  const fs::path asked = request("pi-1", token("pi-1"), *trust::PrivateKey::generate());
  auto changed = json::parse(*read_text_file(asked));
  changed["mac"] = std::string(64, '0');
  ASSERT_THAT(write_file_durably(asked, changed.dump()), IsOk());
  EXPECT_THAT(run("device sign " + asked.string() + " --out -").output,
              HasSubstr("not made with the token"));
  ASSERT_THAT(write_file_durably(asked, "{}"), IsOk());
  EXPECT_THAT(run("device sign " + asked.string() + " --out -").output,
              HasSubstr("enrolment-request"));
}

TEST_F(FleetVerbsTest, without_outcropd_it_says_so_and_uses_nothing_up) {
  const std::string text = token("pi-1");
  const fs::path asked = request("pi-1", text, *trust::PrivateKey::generate());
  const std::string sign = "device sign " + asked.string() + " --out -";
  const ShellOutcome away = run(sign);
  EXPECT_EQ(away.code, 1);
  EXPECT_THAT(away.output, AllOf(HasSubstr("outcropd is not running"), HasSubstr("--host")));
  EXPECT_THAT(run("fleet devices --host /nowhere/x.sock").output, HasSubstr("/nowhere/x.sock"));
  start();
  run_ok(sign);
}

TEST_F(FleetVerbsTest, publishing_goes_on_where_it_was_cut_off) {
  start();
  const fs::path release = make_release(1);
  fs::path largest;
  for (const auto& entry : fs::directory_iterator(release / "blobs")) {
    if (largest.empty() || entry.file_size() > fs::file_size(largest)) largest = entry.path();
  }
  const std::string bytes = *read_text_file(largest);
  const std::string target = "/v1/blobs/" + largest.filename().string();
  ASSERT_THAT(
      http::call_ok(socket_, {"PUT", target + "?offset=0&size=" + std::to_string(bytes.size()),
                              "application/octet-stream", bytes.substr(0, 1000)}),
      IsOk());
  EXPECT_EQ(get(target)["bytes"], 1000);
  EXPECT_THAT(run_ok("release publish " + release.string()).output,
              AllOf(HasSubstr("uploading"), HasSubstr("Published stage 1 of curvefault")));
  EXPECT_EQ(get(target)["have"], true);
  EXPECT_THAT(run_ok("release publish " + release.string()).output, Not(HasSubstr("uploading")));
  EXPECT_THAT(run_ok("release list").output,
              AllOf(HasSubstr("curvefault"), HasSubstr("published")));
}

TEST_F(FleetVerbsTest, a_release_is_exported_with_all_that_a_board_asks_for) {
  start();
  const fs::path release = make_release(1);
  const std::string out = (home_ / "stick").string();
  const ShellOutcome unknown = run("release export " + release.string() + " " + out);
  EXPECT_EQ(unknown.code, 1);
  EXPECT_THAT(unknown.output, HasSubstr("outcrop release publish"));
  EXPECT_FALSE(fs::exists(out));
  run_ok("release publish " + release.string());
  EXPECT_THAT(run_ok("release export " + release.string() + " " + out).output, HasSubstr("outcrop-agent install"));
  for (const char* role : {"1.root", "targets", "revoked", "stage-curvefault", "snapshot", "timestamp"}) {
    EXPECT_TRUE(fs::exists(fs::path(out) / "metadata" / (std::string(role) + ".json"))) << role;
  }
  const auto count = [](const fs::path& folder) { return std::distance(fs::directory_iterator(folder), fs::directory_iterator()); };
  EXPECT_EQ(count(fs::path(out) / "blobs"), count(release / "blobs"));
  EXPECT_THAT(run("release export " + release.string() + " " + out).output, HasSubstr("exists already"));
}

TEST_F(FleetVerbsTest, lists_are_signed_above_those_that_boards_have_seen) {
  start();
  const auto seen = board("pi-1");
  seen->status().protocol = protocol_version;
  seen->status().instance = 1;
  seen->status().stage_version = 12;
  seen->publish_status();
  ASSERT_TRUE(until([&] { return get("/v1/host")["lists_seen"] == json{{"curvefault", 12}}; }));
  const fs::path release = make_release(1);
  const fs::path key = keys_ / "stages/curvefault/stage.key";
  fs::rename(key, home_ / "away");
  const ShellOutcome refused = run("release publish " + release.string());
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.output, AllOf(HasSubstr("boards have seen version 12 of stage-curvefault"), HasSubstr("stage.key is missing")));
  fs::rename(home_ / "away", key);
  EXPECT_THAT(run_ok("release publish " + release.string()).output, HasSubstr("signed it anew as version 13"));
  EXPECT_EQ(get("/v1/host")["lists_seen"], json::object());
  EXPECT_THAT(run_ok("keys publish --dir " + keys_.string()).output, Not(HasSubstr("signed it anew")));
  seen->status().stage_version = 20;
  seen->publish_status();
  ASSERT_TRUE(until([&] { return get("/v1/host")["lists_seen"] == json{{"curvefault", 20}}; }));
  EXPECT_THAT(run_ok("keys publish --dir " + keys_.string()).output, HasSubstr("signed it anew as version 21"));
  EXPECT_EQ(run_ok("release list").output.find("withdrawn"), std::string::npos);
}

TEST_F(FleetVerbsTest, a_damaged_release_is_not_published) {
  start();
  const fs::path release = make_release(1);
  for (const auto& entry : fs::directory_iterator(release / "blobs")) {
    if (entry.file_size() > 90'000) std::ofstream(entry.path(), std::ios::app) << "x";
  }
  const ShellOutcome bad = run("release publish " + release.string());
  EXPECT_EQ(bad.code, 1);
  EXPECT_THAT(bad.output, HasSubstr("variant"));
  EXPECT_THAT(run_ok("release list").output, HasSubstr("No release yet"));
  EXPECT_THAT(run("rollout start --release " + release.string()).output,
              HasSubstr("outcrop release publish"));
}

TEST_F(FleetVerbsTest, a_rollout_is_followed_to_its_end) {
  start();
  const auto canary = board("pi-1");
  const auto rest = board("pi-2");
  const std::string release = make_release(1).string();
  EXPECT_THAT(run_ok("release publish " + release).output, HasSubstr("No board runs it yet:"));
  EXPECT_THAT(run_ok("rollout start first --canary pi-1 --soak 0 --release " + release).output,
              HasSubstr("outcrop rollout status first --wait"));
  const ShellOutcome done = run_ok("rollout status first --wait");
  EXPECT_THAT(done.output, AllOf(HasSubstr("pi-1 (canary)  UPDATED"), HasSubstr("done: ")));
  ASSERT_EQ(rest->offers().size(), 1u);
  EXPECT_EQ(rest->offers()[0].variants, std::vector<std::string>{"int8-qint8"});
  EXPECT_THAT(run_ok("rollout status").output, HasSubstr("2 of 2"));
  EXPECT_THAT(
      run_ok("release publish " + release).output,
      AllOf(HasSubstr("2 boards of the model run it."), Not(HasSubstr("rollout start"))));
  enroll("pi-3");  // never comes online
  EXPECT_THAT(run_ok("release publish " + release).output,
              HasSubstr("2 of 3 boards of the model run it; for the others:"));
  EXPECT_EQ(json::parse(run_ok("rollout status first --json").output)["state"], "done");
  EXPECT_THAT(run_ok("fleet devices").output,
              AllOf(HasSubstr("online"), HasSubstr("stage 1, int8-qint8"), HasSubstr("first UPDATED"),
                    HasSubstr("0.82 pressure (mean of the training data 0.93)")));
  EXPECT_THAT(run_ok("rollout list").output, AllOf(HasSubstr("first"), HasSubstr("2 of 3")));
  const ShellOutcome unwell = run("fleet devices --check");
  EXPECT_EQ(unwell.code, 1);
  EXPECT_THAT(unwell.output, HasSubstr("outcrop: pi-3 was never seen\n"));
  EXPECT_THAT(run_ok("fleet reports").output,
              AllOf(HasSubstr("serves"), HasSubstr("m/s"), HasSubstr("100.00 MB")));
  EXPECT_THAT(run_ok("fleet reports --device pi-2").output, Not(HasSubstr("pi-1")));
  const ShellOutcome nobody = run("fleet reports --device pi_2");
  EXPECT_EQ(nobody.code, 1);
  EXPECT_THAT(nobody.output,
              HasSubstr("no board 'pi_2' was ever enrolled; did you mean 'pi-2'?"));
  EXPECT_EQ(call("GET", "/v1/reports?device=pi-9", nullptr, 404)["error"]["code"], "not_found");
  const json reports = json::parse(run_ok("fleet reports --json --release " + release).output);
  EXPECT_GE(reports["reports"].size(), 2u);
}

TEST_F(FleetVerbsTest, a_stopped_rollout_ends_the_wait_with_1_and_its_reason) {
  start();
  const auto canary = board("pi-1");
  canary->answer_with(DeploymentState::failed);
  const std::string release = make_release(1).string();
  run_ok("release publish " + release);
  const ShellOutcome none = run("rollout start bad --release " + release + " --canary 0");
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.output, HasSubstr("--canary 0: at least one board tries a release first"));
  run_ok("rollout start bad --release " + release + " --canary 1 --json");
  const ShellOutcome stopped = run("rollout status --wait");
  EXPECT_EQ(stopped.code, 1);
  EXPECT_THAT(stopped.output,
              AllOf(HasSubstr("the rollout bad was stopped"), HasSubstr("proof failed")));
}

TEST_F(FleetVerbsTest, rollouts_are_paused_resumed_and_aborted) {
  start();
  enroll("pi-1");  // never comes online
  const std::string release = make_release(1).string();
  run_ok("release publish " + release);
  run_ok("rollout start slow --release " + release);
  const ShellOutcome waited = run("rollout status slow --wait --at-most 1");
  EXPECT_EQ(waited.code, 3);
  EXPECT_THAT(waited.output,
              AllOf(HasSubstr("pi-1: it is offline, and gets the offer when it is back"),
                    HasSubstr("the rollout slow was not over after 1 s: canary, waits for pi-1")));
  EXPECT_THAT(run_ok("rollout pause slow").output, HasSubstr("paused"));
  EXPECT_THAT(run_ok("rollout resume slow").output, HasSubstr("canary"));
  EXPECT_THAT(run_ok("rollout abort slow").output, HasSubstr("aborted"));
  const ShellOutcome ended = run("rollout status slow --wait --json");
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.output, HasSubstr("was aborted"));
  const ShellOutcome unknown = run("rollout pause none");
  EXPECT_EQ(unknown.code, 1);
  EXPECT_THAT(unknown.output, HasSubstr("there is no rollout 'none'"));
}

TEST_F(FleetVerbsTest, releases_are_taken_back_by_digest_or_folder) {
  start();
  const auto runs_it = board("pi-1");
  const fs::path first = make_release(1);
  run_ok("release publish " + first.string());
  run_ok("rollout start one --soak 0 --release " + first.string());
  run_ok("rollout status one --wait");
  const std::string keys = " --keys " + keys_.string();
  run_ok("release withdraw " + first.string() + keys);
  run_ok("release withdraw " + first.string() + keys);
  EXPECT_THAT(run_ok("release list").output, HasSubstr("withdrawn"));
  EXPECT_THAT(run("release publish " + first.string()).output, HasSubstr("was withdrawn"));
  EXPECT_THAT(run("rollout start --release " + first.string()).output, HasSubstr("withdrawn"));
  EXPECT_TRUE(runs_it->cancels().empty()) << "a withdrawn release still serves";

  const std::string manifest = get("/v1/releases")["releases"][0]["manifest"];
  run_ok("release revoke " + manifest.substr(0, 6) + keys + " --reason 'bad data'");
  EXPECT_THAT(run_ok("release list").output, HasSubstr("revoked: bad data"));
  EXPECT_TRUE(until([&] { return !runs_it->cancels().empty(); }));
  run_ok("keys publish --dir " + keys_.string());
  EXPECT_EQ(run("release revoke zz --reason x" + keys).code, 2);
  EXPECT_THAT(run("release revoke " + std::string(64, 'a') + " --reason x" + keys).output,
              HasSubstr("no release whose manifest begins with"));
}

TEST_F(FleetVerbsTest, what_an_older_copy_of_the_keys_signed_is_no_success) {
  start();
  const fs::path first = make_release(1);
  run_ok("release publish " + first.string());
  const fs::path older = folder_.path() / "older-keys";
  fs::copy(keys_, older, fs::copy_options::recursive);
  const std::string second = make_release(2).string();
  run_ok("release publish " + second);
  run_ok("release publish " + make_release(3).string());

  // It signs a version that the host has, of another list.
  const ShellOutcome withdrawn = run("release withdraw " + first.string() + " --keys " + older.string());
  EXPECT_EQ(withdrawn.code, 1) << withdrawn.output;
  EXPECT_THAT(withdrawn.output, AllOf(HasSubstr("counts for nothing"), Not(HasSubstr("is withdrawn"))));
  EXPECT_EQ(run_ok("release list").output.find("withdrawn"), std::string::npos);
  const ShellOutcome published = run("keys publish --dir " + older.string());
  EXPECT_EQ(published.code, 1) << published.output;
  EXPECT_THAT(published.output, AllOf(HasSubstr("counts for nothing"), Not(HasSubstr("has all"))));
}

TEST_F(FleetVerbsTest, a_revoked_board_is_thrown_out_and_its_name_is_free_again) {
  start();
  const auto stolen = board("pi-1");
  EXPECT_THAT(run_ok("device revoke pi-1 --reason stolen").output, HasSubstr("is revoked"));
  EXPECT_TRUE(until([&] { return !stolen->connected(); }));
  EXPECT_THAT(run_ok("device list").output, HasSubstr("stolen"));
  EXPECT_THAT(run_ok("fleet devices").output, HasSubstr("No board is enrolled"));
  run_ok("device revoke pi-1 --reason stolen");
  const fs::path again = request("again", token("pi-1"), stolen->key());
  EXPECT_THAT(run("device sign " + again.string() + " --out -").output,
              HasSubstr("this key of 'pi-1' was revoked"));
  const auto successor = trust::PrivateKey::generate();
  const fs::path fresh = request("fresh", token("pi-1"), *successor);
  run_ok("device sign " + fresh.string() + " --out -");
  EXPECT_THAT(run("device revoke pi-7 --reason x").output, HasSubstr("no certificate to 'pi-7'"));
  EXPECT_THAT(run_ok("device publish").output, HasSubstr("but for those that it has revoked"));
  EXPECT_THAT(run("fleet adopt").output, HasSubstr("there is nothing to adopt"));
}

TEST_F(FleetVerbsTest, watching_ends_with_the_reason_where_nobody_reads_any_more) {
  start();
  const std::string devices = OUTCROP_BIN "/outcrop fleet devices --watch";
  const ShellOutcome full = run_shell(devices + " > /dev/full");
  EXPECT_EQ(full.code, 1);
  EXPECT_THAT(full.output, HasSubstr("standard output cannot be written: No space left on device"));
  EXPECT_EQ(full.output.find("standard output"), full.output.rfind("standard output")) << full.output;
  // The reader goes after the first line, and the table stays as it is: no write would tell.
  const fs::path said = home_ / "said";
  const ShellOutcome piped = run_shell("{ " + devices + " 2> " + said.string() + "; echo $? > " +
                                       (home_ / "code").string() + "; } | head -n 1");
  EXPECT_EQ(piped.code, 0);
  EXPECT_EQ(*read_text_file(home_ / "code"), "1\n");
  EXPECT_THAT(*read_text_file(said), HasSubstr("standard output cannot be written: Broken pipe"));
}

TEST_F(FleetVerbsTest, shows_how_a_board_fared_has_it_measure_again_and_tells_who_did_what) {
  start();
  auto pi = board("pi-1");
  ASSERT_TRUE(until([&] { return !pi->asked().empty(); }));
  EXPECT_THAT(run_ok("fleet history pi-1").output, HasSubstr("nothing is kept of pi-1"));
  const messages::MessageId told = pi->tell(61.5);
  ASSERT_TRUE(until([&] {
    const auto& all = pi->acknowledged();
    return std::find(all.begin(), all.end(), told) != all.end();
  }));
  EXPECT_THAT(run_ok("fleet history pi-1 --resolution raw").output, AllOf(HasSubstr("61.5"), HasSubstr("ago")));
  EXPECT_EQ(run("fleet history pi-9").code, 1);
  EXPECT_THAT(run_ok("fleet measure pi-1").output, HasSubstr("pi-1 is not asked: it serves nothing"));
  EXPECT_EQ(run("fleet measure").code, 2);
  const ShellOutcome audit = run_ok("fleet audit");
  EXPECT_THAT(audit.output, AllOf(HasSubstr("enrolled"), HasSubstr("pi-1"), HasSubstr("uid ")));
  EXPECT_THAT(run_ok("fleet audit --csv --action enrolled").output, HasSubstr(",enrolled,pi-1,"));
  const ShellOutcome verified = run_ok("fleet audit --verify");
  EXPECT_THAT(verified.output, HasSubstr("each as it was written"));
  const std::size_t line = verified.output.rfind('\n', verified.output.size() - 2);
  std::string head = verified.output.substr(line + 1);
  head.pop_back();
  run_ok("fleet audit --head " + head);
  head.back() = head.back() == 'a' ? 'b' : 'a';
  EXPECT_THAT(run("fleet audit --head " + head).output, HasSubstr("written anew"));
}

TEST_F(FleetVerbsTest, every_verb_teaches_its_use) {
  for (const char* verb : {"device enroll", "device sign", "device list", "device revoke",
                           "device publish", "fleet adopt",
                           "release publish", "release withdraw", "release revoke", "release list",
                           "rollout start", "rollout status", "rollout list", "rollout pause", "rollout resume",
                           "rollout abort", "fleet devices", "fleet reports", "fleet history", "fleet measure", "fleet layers",
                           "fleet audit", "keys publish", "keys add-model"}) {
    const ShellOutcome help = run(std::string(verb) + " --help");
    EXPECT_EQ(help.code, 0) << verb;
    EXPECT_THAT(help.output, AllOf(HasSubstr("Example"), HasSubstr("--json"))) << verb;
  }
  EXPECT_EQ(run("device enroll 'Bad Name' --class x --model m").code, 2);
  EXPECT_EQ(run("device enroll").code, 2);
  EXPECT_EQ(run("rollout start --release x --on-unmeasurable perhaps").code, 2);
  EXPECT_EQ(run("rollout status x --watch --wait").code, 2);
}

TEST_F(FleetVerbsTest, tokens_are_made_listed_and_taken_back) {
  start();
  const ShellOutcome made = run("fleet token add ops --role operator 2> /dev/null");
  EXPECT_EQ(made.code, 0);
  EXPECT_TRUE(made.output.starts_with("oct_"));
  EXPECT_EQ(made.output.size(), 4U + 64 + 1);  // alone, for a script
  EXPECT_THAT(run("fleet token add ops").output, HasSubstr("there is a token 'ops'"));
  EXPECT_THAT(run("fleet token add x --role king").output, HasSubstr("operator"));
  EXPECT_THAT(run("fleet token list").output, AllOf(HasSubstr("ops"), HasSubstr("operator")));
  EXPECT_EQ(run("fleet token remove ops").code, 0);
  EXPECT_THAT(run("fleet token list").output, Not(HasSubstr("ops ")));
  EXPECT_NE(run("fleet token remove ops").code, 0);
}

}  // namespace
}  // namespace outcrop::fleet
