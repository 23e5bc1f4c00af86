#include "trainer_host/fleet/outcropd_fixture.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>

#include "platform/http/client.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/version.hpp"
#include "protocol/messages/telemetry.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/envelope.hpp"
#include "tests/support/measured_variant.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/test_broker.hpp"
#include "trainer_host/release/key_store.hpp"

namespace outcrop::fleet {
namespace fs = std::filesystem;
using messages::DeploymentState;
using nlohmann::json;
namespace topics = transport::topics;

ScriptedBoard::ScriptedBoard(transport::Loop& loop, transport::SessionOptions session,
                             trust::PrivateKey key, messages::DeviceStatus status,
                             trust::Signers director)
    : loop_(loop),
      options_(std::move(session)),
      key_(std::move(key)),
      status_(std::move(status)),
      director_(std::move(director)) {
  status_.session = 0;
  answer_with(DeploymentState::updated);
}

void ScriptedBoard::connect() {
  ++status_.session;
  sequence_ = 0;
  status_.online = false;
  options_.will = transport::Message{topics::status(status_.device), status_text(), true};
  session_ = make_paho_session(loop_.executor(), options_);
  transport::SessionHandlers handlers;
  handlers.connected = [this] {
    for (const std::string& filter :
         {topics::command(status_.device), topics::ask(status_.device), std::string("outcrop/v1/meta/#")}) {
      session_->subscribe(filter, transport::Delivery::at_least_once, [this, filter](Status) {
        if (filter == "outcrop/v1/meta/#") publish_status();
      });
    }
  };
  handlers.lost = [](const Error&) {};
  handlers.message = [this](const transport::Message& message) { on_message(message); };
  status_.online = true;
  session_->start(std::move(handlers));
}

void ScriptedBoard::disconnect() {
  status_.online = false;
  if (session_->connected()) publish_status();
  bool stopped = false;
  session_->stop([&] { stopped = true; });
  loop_.until([&] { return stopped; });
  session_.reset();
}

void ScriptedBoard::publish(const std::string& topic, const std::string& payload) {
  session_->publish({topic, payload, false}, transport::Delivery::at_least_once, [](Status) {});
}

messages::MessageId ScriptedBoard::tell(double temperature) {
  messages::Telemetry telemetry;
  telemetry.header = {status_.device, status_.session, ++sequence_, SystemClock().now(), true};
  telemetry.device_class = status_.device_class;
  telemetry.active_manifest = status_.active_manifest;
  telemetry.active_variant = status_.active_variant;
  telemetry.temperature = temperature;
  publish(topics::up(status_.device, "telemetry"),
          trust::sign_envelope(messages::telemetry_kind, as_bytes(to_json(telemetry)), std::span(&key_, 1)));
  return {status_.session, sequence_};
}

void ScriptedBoard::publish_status() {
  session_->publish({topics::status(status_.device), status_text(), true},
                    transport::Delivery::at_least_once, [](Status) {});
}

// Signed, where this board speaks a protocol that signs.
Result<messages::Command> ScriptedBoard::read_command(const std::string& payload) const {
  if (status_.speaks < signed_since) return messages::parse_command(payload);
  OUTCROP_TRY(verified, trust::verify_envelope(payload, messages::command_kind, director_));
  OUTCROP_TRY(command, messages::parse_signed_command(verified.bytes()));
  if (command.device != status_.device) return fail(ErrorCode::untrusted, "for another board");
  return command.command;
}

std::string ScriptedBoard::status_text() const {
  const std::string text = to_json(status_);
  if (status_.speaks < signed_since) return text;
  return trust::sign_envelope(messages::status_kind, as_bytes(text), std::span(&key_, 1));
}

void ScriptedBoard::on_message(const transport::Message& message) {
  topics_.push_back(message.topic);
  if (message.topic == topics::ask(status_.device)) {
    const auto asked = read_command(message.payload);
    ASSERT_TRUE(asked) << asked.error().message();
    asked_.push_back(*asked);
    return;
  }
  if (message.topic != topics::command(status_.device)) return;
  const auto command = read_command(message.payload);
  ASSERT_TRUE(command) << command.error().message();
  if (const auto* offer = std::get_if<messages::Offer>(&*command)) {
    offers_.push_back(*offer);
    if (offer->generation > status_.generation) obey(*offer);
  } else if (const auto* cancel = std::get_if<messages::Cancel>(&*command)) {
    cancels_.push_back(*cancel);
    if (cancel->generation > status_.generation) obey(*cancel);
  } else if (const auto* used = std::get_if<messages::Used>(&*command)) {
    used_.push_back(used->session);
  } else {
    const auto& reports = std::get<messages::Acknowledgement>(*command).reports;
    acked_.insert(acked_.end(), reports.begin(), reports.end());
  }
}

void ScriptedBoard::obey(const messages::Offer& offer) {
  status_.generation = offer.generation;
  const DeploymentState state = answer_(offer);
  if (state == DeploymentState::updated) {
    status_.active_manifest = offer.manifest;
    status_.active_variant = offer.variants.empty() ? "int8-qint8" : offer.variants[0];
  }
  const bool failed = state == DeploymentState::failed || state == DeploymentState::rolled_back;
  say({offer.rollout, offer.generation, offer.manifest}, state, failed ? "proof failed" : "");
}

void ScriptedBoard::obey(const messages::Cancel& cancel) {
  status_.generation = cancel.generation;
  status_.active_manifest = cancel.return_to;
  status_.active_variant = cancel.return_to ? "int8-qint8" : "";
  say({cancel.rollout, cancel.generation, cancel.manifest}, DeploymentState::rolled_back,
      cancel.reason);
}

messages::Report ScriptedBoard::make_report(const messages::DeploymentId& deployment,
                                            DeploymentState state, const std::string& reason) {
  messages::Report report;
  report.header.device = status_.device;
  report.header.session = status_.session;
  report.header.sequence = ++sequence_;
  report.header.time = SystemClock().now();
  report.header.clock_synchronised = true;
  report.deployment = deployment;
  report.state = state;
  report.reason = reason;
  report.device_class = status_.device_class;
  report.agent = "0.1.0";
  report.engine = "torch";
  report.engine_version = "1.13.1";
  report.full_confinement = true;
  report.active_manifest = status_.active_manifest;
  report.active_variant = status_.active_variant;
  report.variants = {measured_variant("float", 300), measured_variant("int8-qint8", 100)};
  return report;
}

std::string ScriptedBoard::sign(const messages::Report& report) const {
  return trust::sign_envelope("report", as_bytes(to_json(report)), std::span(&key_, 1));
}

void ScriptedBoard::say(const messages::DeploymentId& deployment, DeploymentState state,
                        const std::string& reason) {
  status_.deployment = messages::DeviceStatus::Deployment{deployment, state, reason};
  publish(topics::up(status_.device, "report"), sign(make_report(deployment, state, reason)));
  publish_status();
}

void OutcropdTest::SetUp() {
  ReleaseTest::SetUp();
  home_ = folder_.path() / "host";
  fs::create_directory(home_);
  config_ = home_ / "host.toml";
  socket_ = home_ / "outcropd.sock";
  write_config("[broker]\nport = " + std::to_string(free_port()) + "\n");
  auto authority = pki::Authority::open_or_make(home_ / "authority", "Outcrop devices");
  ASSERT_TRUE(authority);
  devices_.emplace(std::move(*authority));
}

void OutcropdTest::write_config(const std::string& broker) {
  const std::string keys = keys_.string();
  ASSERT_TRUE(write_file_durably(
      config_, "state = \"state\"\nsocket = \"outcropd.sock\"\n[trust]\nroot = \"" + keys +
                   "/metadata/1.root.json\"\ntimestamp_key = \"" + keys +
                   "/online/timestamp.key\"\nsnapshot_key = \"" + keys +
                   "/online/snapshot.key\"\n" + broker + "[rollout]\nsoak_seconds = 0\n"));
}

void OutcropdTest::TearDown() {
  if (child_ != 0) kill(SIGKILL);
  if (HasFailure()) std::fputs(log().c_str(), stderr);
}

std::string OutcropdTest::log() const {
  return read_text_file(home_ / "log").value_or("");
}

void OutcropdTest::start() {
  const std::string program = OUTCROP_BIN "/outcropd";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int fd : {1, 2}) {
    posix_spawn_file_actions_addopen(&actions, fd, (home_ / "log").c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
  }
  std::vector<std::string> arguments{program, "--config", config_.string()};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const int result =
      ::posix_spawn(&child_, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ASSERT_EQ(result, 0);
  ASSERT_TRUE(until([&] {
    const auto answer = http::call(socket_, {"GET", "/v1/host", "", ""});
    return answer && answer->status == 200 && json::parse(answer->body)["broker"]["running"];
  }));
  if (devices_) {
    post("/v1/device-authority",
         {{"authority", devices_->certificate()}, {"crl", *devices_->revocation_list()}});
  }
}

pid_t OutcropdTest::mosquitto() const {
  const std::string id = std::to_string(child_);
  std::ifstream children("/proc/" + id + "/task/" + id + "/children");
  pid_t child = 0;
  children >> child;
  return child;
}

void OutcropdTest::kill(int signal) {
  ::kill(child_, signal);
  int status = 0;
  ::waitpid(child_, &status, 0);
  child_ = 0;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int OutcropdTest::run(const std::vector<std::string>& arguments) {
  std::string command = OUTCROP_BIN "/outcropd";
  for (const std::string& argument : arguments) command += " '" + argument + "'";
  ShellOutcome outcome = run_shell(command);
  output_ = std::move(outcome.output);
  return outcome.code;
}

json OutcropdTest::call(const std::string& method, const std::string& target, const json& body,
                        int expected) {
  const auto answer =
      http::call(socket_, {method, target, "application/json", body.is_null() ? "" : body.dump()});
  if (!answer) {
    ADD_FAILURE() << method << " " << target << ": " << answer.error().message();
    return {};
  }
  EXPECT_EQ(answer->status, expected) << method << " " << target << ": " << answer->body;
  return json::parse(answer->body, nullptr, false);
}

bool OutcropdTest::rollout_is(const std::string& name, const std::string& state) {
  const bool is = until([&] { return get("/v1/rollouts/" + name)["state"] == state; });
  if (!is) ADD_FAILURE() << get("/v1/rollouts/" + name).dump(1);
  return is;
}

json OutcropdTest::submission(const fs::path& release) const {
  const auto read = [&](const std::string& name) {
    return read_text_file(release / "metadata" / name).value_or("");
  };
  return {{"roots", {read("1.root.json")}},
          {"targets", read("targets.json")},
          {"revoked", read("revoked.json")},
          {"stage", read("stage-curvefault.json")}};
}

std::string OutcropdTest::publish(std::uint64_t stage) {
  const std::string name = "stage-" + std::to_string(stage);
  stage_folder_ = stage == 1 ? stage_folder_ : make_stage(name, stage, name);
  const std::string out = "release-" + std::to_string(stage);
  const auto created = create(request(out));
  EXPECT_TRUE(created) << created.error().message();
  const fs::path folder = folder_.path() / out;
  for (const auto& entry : fs::directory_iterator(folder / "blobs")) {
    const std::string blob = *read_text_file(entry.path());
    const auto answer = http::call(socket_, {"PUT",
                                             "/v1/blobs/" + entry.path().filename().string() +
                                                 "?offset=0&size=" + std::to_string(blob.size()),
                                             "application/octet-stream", blob});
    EXPECT_TRUE(answer && answer->status == 200);
  }
  json body = submission(folder);
  body["manifest"] = created->manifest_digest.hex();
  post("/v1/releases", body, 201);
  return created->manifest_digest.hex();
}

std::unique_ptr<ScriptedBoard> OutcropdTest::enroll(const std::string& name,
                                                    const std::string& device_class, int expected) {
  const auto key = trust::PrivateKey::generate();
  const auto certificate =
      devices_->issue({name, {}, pki::Authority::Usage::client}, key->public_key());
  const json enrolment = get("/v1/enrolment");
  post("/v1/devices",
       {{"name", name},
        {"model", "curvefault"},
        {"device_class", device_class},
        {"certificate", *certificate}},
       expected);
  const std::string base = (home_ / (name + "-" + std::to_string(++enrolled_))).string();
  EXPECT_TRUE(write_file_durably(base + ".pem", *certificate));
  EXPECT_TRUE(write_file_durably(base + ".ca", enrolment["broker_authority"].get<std::string>()));
  EXPECT_TRUE(key->write_pem(base + ".key"));
  transport::SessionOptions session;
  session.host = enrolment["broker_host"];
  session.port = enrolment["broker_port"];
  session.client_id = name;
  session.tls = transport::TlsFiles{base + ".ca", base + ".pem", base + ".key"};
  session.first_retry = std::chrono::milliseconds(50);
  session.last_retry = std::chrono::milliseconds(500);
  messages::DeviceStatus status;
  status.device = name;
  status.agent = "0.1.0";
  status.model = "curvefault";
  status.device_class = device_class;
  status.speaks = protocol_version;
  const auto root = release::pin_root_file(keys_ / "metadata/1.root.json");
  return std::make_unique<ScriptedBoard>(loop_, session, *key, status,
                                         root->signers(trust::director_role));
}

std::string OutcropdTest::revoke_certificate(const std::string& name) {
  const auto certificate = read_text_file(home_ / (name + "-1.pem"));
  const auto crl = devices_->revoke(certificate.value_or(""), "lost", SystemClock().now());
  EXPECT_TRUE(crl);
  return crl.value_or("");
}

}  // namespace outcrop::fleet
