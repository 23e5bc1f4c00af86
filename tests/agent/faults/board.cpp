#include "tests/agent/faults/board.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <thread>

#include <boost/asio/co_spawn.hpp>

#include "agent/agent.hpp"
#include "agent/enroll/identity.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/durable_file.hpp"
#include "tests/agent/scripted_host.hpp"
#include "tests/support/fake_session.hpp"

namespace outcrop {
namespace {

namespace fs = std::filesystem;

// A board that is hung is killed by systemd, by its watchdog.
constexpr std::chrono::milliseconds watchdog{100};

agent::AgentConfig config_of(const Life& life) {
  agent::AgentConfig config;
  config.state = life.folder / "state";
  config.socket = life.folder / "agent.sock";
  config.log = "debug";
  config.model = Forge::model;
  config.device_class = Forge::device_class;
  config.runner_program = life.runner;
  // As under an emulator: it takes what it proved, whatever else this machine does.
  config.runner_launcher = {"/usr/bin/env"};
  config.allow_reduced_confinement = true;
  config.measure_calls = 1;
  config.measure_rounds = 1;
  config.measure_patience = std::chrono::seconds(0);
  config.disk_reserve = ByteCount(0);
  return config;
}

std::string digest_of(const std::optional<trust::Sha256Digest>& manifest) {
  return manifest ? manifest->hex() : "-";
}

// The host beside the board, which remembers what it heard before the board's latest start.
class RememberingHost {
 public:
  RememberingHost(transport::Loop& loop, transport::FakeNetwork& network, const Life& life)
      : folder_(life.folder / "host"),
        wanted_(life.wanted),
        forge_(*life.forge),
        move_(life.move),
        host_(loop, network.session(), "pi-1", folder_ / "blobs") {
    host_.speak_by(forge_);
    next_authority_ = read_text_file(folder_ / "authority").value_or("");
    for (const Heard& heard : history(life.folder)) note(heard);
    for (const auto& file : fs::directory_iterator(folder_ / "metadata")) {
      std::string role = file.path().filename().string();
      std::replace(role.begin(), role.end(), '+', '/');
      metadata_[role] = read_text_file(file.path()).value_or("");
    }
    host_.on_each_status = [this](const messages::DeviceStatus& status) { on_status(status); };
    host_.on_each_report = [this](const messages::Report& report) {
      const Heard heard{"report", report.deployment.generation,
                        std::string(messages::to_string(report.state)),
                        digest_of(report.active_manifest)};
      remember(heard);
      if (online_) tell_next();
    };
  }

  void know(const trust::PublicKey& key) { host_.board_key = key; }
  [[nodiscard]] bool satisfied() const { return moved() && ended_ >= wanted_; }

  // Where the board connects to, and by whom it believes that it is there. Whether anybody is.
  bool on_connecting(const transport::SessionOptions& options, const std::string& authority) {
    const auto is = [&](const std::string& host, std::uint16_t port) { return options.host == host && options.port == port; };
    place_ = is(next_host, next_port) ? Heard::told : Heard::enrolled;
    const bool right = place_ == Heard::told ? authority == next_authority_ : is("127.0.0.1", 1) && authority != next_authority_ && !authority.empty();
    remember({"place", place_, "-", right ? "right" : "wrong"});
    online_ = false;
    return place_ != Heard::told || move_ != Life::Move::to_nowhere;
  }

 private:
  static constexpr const char* next_host = "127.0.0.2";
  static constexpr std::uint16_t next_port = 2;

  void note(const Heard& heard) {
    if (heard.kind == "report" && is_end(heard.state)) ended_ = std::max(ended_, heard.generation);
    if (heard.kind == "place" && heard.generation == Heard::told) tried_ = true;
  }

  // It was let in where it is to be from now on, or came back.
  [[nodiscard]] bool moved() const {
    if (move_ == Life::Move::none) return true;
    return online_ && tried_ && place_ == (move_ == Life::Move::followed ? Heard::told : Heard::enrolled);
  }

  void remember(const Heard& heard) {
    note(heard);
    const std::string line = heard.kind + " " + std::to_string(heard.generation) + " " +
                             heard.state + " " + heard.active + "\n";
    const int fd = ::open((folder_ / "history").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)!::write(fd, line.data(), line.size());
    ::close(fd);
  }

  void on_status(const messages::DeviceStatus& status) {
    if (!status.online) return;
    Heard heard{"status", 0, "NONE", digest_of(status.active_manifest)};
    if (status.deployment) {
      heard.generation = status.deployment->id.generation;
      heard.state = messages::to_string(status.deployment->state);
    }
    remember(heard);
    if (online_) return;
    online_ = true;
    host_.publish(metadata_);
    tell_next();
  }

  // The move, then one offer after the other; the same again where the board may not have got it.
  void tell_next() {
    if (!moved()) {
      messages::BrokerMove move;
      move.expires = SystemClock().now() + std::chrono::hours(1);
      move.host = next_host;
      move.port = next_port;
      move.authority = next_authority_;
      return host_.send(forge_.move(move));
    }
    if (satisfied()) return;
    const auto text = read_text_file(folder_ / ("offer-" + std::to_string(ended_ + 1)));
    if (!text) return;
    if (const auto offer = messages::parse_command(*text)) host_.send(*offer);
  }

  fs::path folder_;
  std::uint64_t wanted_;
  const Forge& forge_;
  Life::Move move_;
  std::string next_authority_;
  std::uint64_t place_ = Heard::enrolled;
  bool tried_ = false;
  std::map<std::string, std::string> metadata_;
  std::uint64_t ended_ = 0;
  bool online_ = false;
  ScriptedHost host_;
};

}  // namespace

bool is_end(const std::string& state) {
  static constexpr std::array ends{"REJECTED", "NOT_MEASURABLE", "UPDATED", "FAILED",
                                   "ROLLED_BACK"};
  return std::find(ends.begin(), ends.end(), state) != ends.end();
}

std::vector<Heard> history(const fs::path& folder) {
  std::vector<Heard> all;
  std::ifstream file(folder / "host" / "history");
  Heard heard;
  while (file >> heard.kind >> heard.generation >> heard.state >> heard.active) {
    all.push_back(heard);
  }
  return all;
}

int live(const Life& life) {
  const agent::AgentConfig config = config_of(life);
  transport::Loop loop;
  transport::FakeNetwork network(loop.executor());
  RememberingHost host(loop, network, life);
  if (const auto identity = agent::Identity::read(config.state)) {
    host.know(identity->key().public_key());
  }
  agent::DeployTimes times;
  times.soak_interval = std::chrono::milliseconds(200);
  times.first_retry = std::chrono::milliseconds(200);
  if (life.move == Life::Move::to_nowhere) times.trial = std::chrono::milliseconds(200);
  times.boot = life.boot;
  times.reached = [&](const std::string& point) -> Status {
    if (life.at_point.empty() || point != life.point) return {};
    std::ofstream(life.folder / "hit", std::ios::app) << point << "\n" << std::flush;
    if (life.at_point == "error") return fail(ErrorCode::io, "a fault at " + point);
    if (life.at_point == "hang") std::this_thread::sleep_for(watchdog);
    ::raise(SIGKILL);
    return {};
  };
  FaultDisk::arm(config.state, life.disk, life.folder / "hit", life.folder / "synced");
  auto opened = agent::Agent::open(
      loop.executor(), config, times,
      [&](boost::asio::any_io_executor, const transport::SessionOptions& options) -> std::unique_ptr<transport::Session> {
        auto session = network.session();
        if (!host.on_connecting(options, FaultDisk::look(options.tls->authority))) session->keep_out();
        return session;
      });
  if (!opened) {
    std::fprintf(stderr, "%s\n", opened.error().message().c_str());
    return ended_badly;
  }
  bool begins_again = false;
  (*opened)->on_begin_again([&] { begins_again = true; });
  (*opened)->start();
  loop.until([&] { return begins_again || host.satisfied(); }, life.patience);
  // The host's acknowledgement is still to be taken.
  if (!begins_again) loop.run_for(std::chrono::milliseconds(10));
  if (!begins_again && life.disk.kind == DiskFault::Kind::cut) {
    std::ofstream(life.folder / "hit", std::ios::app) << "after the end\n" << std::flush;
    ::raise(SIGKILL);
  }
  const bool satisfied = host.satisfied();
  bool stopped = false;
  boost::asio::co_spawn(loop.executor(), (*opened)->stop(),
                        [&](const std::exception_ptr&) { stopped = true; });
  loop.until([&] { return stopped; });
  std::ofstream(calls_of(life.folder)) << FaultDisk::calls() << "\n" << std::flush;
  std::fflush(nullptr);
  // Its threads end with it.
  ::_exit(begins_again ? is_to_begin_again : satisfied ? 0 : heard_nothing);
}

}  // namespace outcrop
