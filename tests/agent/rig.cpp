#include "tests/agent/rig.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "agent/enroll/identity.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/enrolment_token.hpp"

namespace outcrop {
namespace fs = std::filesystem;
namespace {

const char* const program = OUTCROP_BIN "/outcrop-agent";
const char* const faulty_program = OUTCROP_TESTS_BIN "/outcrop-faulty-agent";

std::string measure_quickly() {
  return "[measure]\ncalls = 4\nseconds = 1\nrounds = 1\nattempts = 100\npatience_seconds = 60\n";
}

}  // namespace

const fs::path AgentTest::scripted_runner = OUTCROP_TESTS_BIN "/outcrop-scripted-runner";

AgentTest::AgentTest(bool directed) : forge_(directed) {
  host_.speak_by(forge_);
  enroll();
  configure();
}

AgentTest::~AgentTest() {
  if (agent_ > 0) kill_agent();
  if (HasFailure()) std::fprintf(stderr, "--- the agent's log\n%s---\n", log().c_str());
}

void AgentTest::enroll() {
  fs::create_directories(state_);
  // This test is the host.
  const auto request =
      agent::request_enrolment(state_, "0123456789abcdef-0123456789abcdef0123456789abcdef");
  if (!request) throw std::runtime_error(request.error().message());
  const auto key = trust::read_certificate_request(request->certificate_request);
  messages::EnrolmentBundle bundle;
  bundle.device = "pi-1";
  bundle.model = Forge::model;
  bundle.device_class = Forge::device_class;
  bundle.certificate =
      broker_.devices().issue({"pi-1", {}, pki::Authority::Usage::client}, *key).value();
  bundle.broker_authority = broker_.broker().authority();
  bundle.broker_host = "127.0.0.1";
  bundle.broker_port = broker_.broker().port();
  bundle.root_envelope = forge_.root();
  bundle.root = trust::sha256(forge_.root());
  bundle.mac = trust::token_mac(trust::answer_key("0123456789abcdef0123456789abcdef").hex(), unproved_text(bundle));
  const auto accepted = agent::accept_enrolment(state_, bundle, Forge::model, Forge::device_class);
  if (!accepted) throw std::runtime_error(accepted.error().message());
  host_.board_key = *key;
}

void AgentTest::configure(const std::string& extra) {
  const std::string text =
      "state = \"" + state_.string() + "\"\nsocket = \"" +
      (folder_.path() / "agent.sock").string() + "\"\n[device]\nmodel = \"" + Forge::model +
      "\"\nclass = \"" + Forge::device_class + "\"\n[runner]\nprogram = \"" + scripted_runner.string() +
      "\"\nconfinement = \"" OUTCROP_TESTED_CONFINEMENT "\"\n" +
      (extra.find("[measure]") == std::string::npos ? measure_quickly() : std::string()) + extra;
  const auto written = write_file_durably(config_, std::string_view(text));
  if (!written) throw std::runtime_error(written.error().message());
  fs::permissions(config_, fs::perms::owner_read | fs::perms::owner_write);
}

void AgentTest::start_agent() {
  const std::string log_file = (folder_.path() / "agent.log").string();
  agent_ = ::fork();
  if (agent_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int log = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    std::vector<const char*> words;
    for (const std::string& word : launcher_) words.push_back(word.c_str());
    if (fault_.empty()) {
      for (const char* word : {program, "run", "--config", config_.c_str()}) words.push_back(word);
    } else {
      for (const char* word : {faulty_program, config_.c_str()}) words.push_back(word);
      for (const std::string& word : fault_) words.push_back(word.c_str());
    }
    words.push_back(nullptr);
    ::execvp(words[0], const_cast<char* const*>(words.data()));
    ::_exit(127);
  }
}

void AgentTest::kill_agent() {
  ::kill(agent_, SIGKILL);
  ::waitpid(agent_, nullptr, 0);
  agent_ = 0;
}

int AgentTest::end_agent() {
  ::kill(agent_, SIGTERM);
  int status = 0;
  const bool ended = loop_.until([&] { return ::waitpid(agent_, &status, WNOHANG) == agent_; });
  if (!ended) return -1;
  agent_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool AgentTest::agent_runs() {
  if (agent_ <= 0 || ::waitpid(agent_, nullptr, WNOHANG) == 0) return agent_ > 0;
  agent_ = 0;
  return false;
}

void AgentTest::agent_is_online() {
  const std::size_t before = host_.statuses.size();
  start_agent();
  ASSERT_TRUE(
      loop_.until([&] { return host_.statuses.size() > before && host_.statuses.back().online; }));
}

ShellOutcome AgentTest::agent_says(const std::string& verb_and_options) {
  return run_shell(std::string(program) + " " + verb_and_options);
}

ForgedRelease AgentTest::released(const Forge::ReleaseOptions& options) {
  ForgedRelease release = Forge::make_release(options);
  forge_.permit(release);
  host_.publish(forge_);
  host_.store(release);
  return release;
}

bool AgentTest::reaches(std::uint64_t generation, State state, std::chrono::seconds patience) {
  return loop_.until([&] { return host_.at(generation, state); }, patience);
}

const messages::Report* AgentTest::ends(std::uint64_t generation, State state,
                                        std::chrono::seconds patience) {
  loop_.until(
      [&] { return host_.report(generation, state) != nullptr && host_.at(generation, state); },
      patience);
  return host_.report(generation, state);
}

ForgedRelease AgentTest::first_release() {
  ForgedRelease release = released({.stage = 1});
  host_.send(host_.offer(release, 1, forge_));
  EXPECT_NE(ends(1, State::updated), nullptr);
  return release;
}

fs::path AgentTest::carried(const ForgedRelease& release) {
  const fs::path folder = folder_.path() / "stick" / release.manifest.short_hex();
  fs::create_directories(folder / "metadata");
  fs::create_directories(folder / "blobs");
  for (const auto& [role, envelope] : forge_.envelopes()) {
    const std::string name = role.starts_with("root/") ? role.substr(5) + ".root" : role;
    EXPECT_TRUE(write_file_durably(folder / "metadata" / (name + ".json"), std::string_view(envelope)));
  }
  for (const auto& [digest, bytes] : release.blobs) {
    EXPECT_TRUE(write_file_durably(folder / "blobs" / digest.hex(), std::string_view(bytes)));
  }
  return folder;
}

std::string AgentTest::written_state() const {
  const auto text = read_text_file(state_ / "board.json");
  if (!text) return {};
  const std::string document = text->substr(text->find('\n') + 1);  // behind its checksum
  const auto json = nlohmann::json::parse(document, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json["record"]["deployment"].is_object()) return {};
  return std::to_string(json.value("generation", 0)) + " " +
         json["record"]["deployment"].value("state", std::string());
}

std::string AgentTest::log() const {
  const auto text = read_text_file(folder_.path() / "agent.log");
  return text ? *text : std::string();
}

}  // namespace outcrop
