// outcrop-bench-hostile: what others of a host, its broker and an agent notice while somebody floods them. Started by
// script/bench-hostile, which sets all of them up.

#include <cstdio>
#include <fstream>
#include <thread>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/hostile/floods.hpp"
#include "platform/console/table.hpp"
#include "platform/http/client.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/log_histogram.hpp"
#include "protocol/base/program.hpp"

namespace outcrop::bench {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using Steady = std::chrono::steady_clock;

struct Options {
  fs::path host_socket, agent_socket;
  fs::path board, blob;  // the board's state folder, a file named by its digest
  pid_t host = 0, broker = 0, agent = 0;
  std::chrono::seconds each{20};
  std::string only;
  std::string json;
};

ByteCount memory_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmRSS:")) return ByteCount(std::stoull(line.substr(6)) * 1024);
  }
  return {};
}

// How others fare: each interface is asked ten times a second, in a thread of its own; memory is looked at as often.
class Watch {
 public:
  explicit Watch(const Options& options) : options_(options) {
    threads_.emplace_back([this] { ask(options_.host_socket, "/v1/devices", host_); });
    threads_.emplace_back([this] { ask(options_.agent_socket, "/v1/status", agent_); });
    threads_.emplace_back([this] { look(); });
  }
  ~Watch() { end(); }

  void end() {
    ended_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  struct Answers {
    LogHistogram ms;
    std::uint64_t failed = 0;
  };
  [[nodiscard]] const Answers& host() const { return host_; }
  [[nodiscard]] const Answers& agent() const { return agent_; }
  [[nodiscard]] ByteCount most(std::size_t process) const { return most_.at(process); }

 private:
  static constexpr std::chrono::milliseconds pause{100};

  // From when each was due: one that had to wait for the one before counts from there.
  void ask(const fs::path& socket, const std::string& target, Answers& answers) const {
    for (auto due = Steady::now(); !ended_; due += pause) {
      std::this_thread::sleep_until(due);
      const auto answer = http::call(socket, {"GET", target});
      if (answer && answer->status == 200) {
        answers.ms.add(std::chrono::duration<double, std::milli>(Steady::now() - due).count());
      } else {
        ++answers.failed;
      }
    }
  }
  void look() {
    const std::array<pid_t, 3> processes{options_.host, options_.broker, options_.agent};
    for (; !ended_; std::this_thread::sleep_for(pause)) {
      for (std::size_t i = 0; i < processes.size(); ++i) most_[i] = std::max(most_[i], memory_of(processes[i]));
    }
  }

  const Options& options_;
  std::atomic<bool> ended_{false};
  Answers host_, agent_;
  std::array<ByteCount, 3> most_{};
  std::vector<std::thread> threads_;
};

std::string in_words(const Watch::Answers& answers) {
  if (answers.ms.empty()) return "no answer";
  char text[96];
  std::snprintf(text, sizeof text, "%.0f / %.0f / %.0f", *answers.ms.quantile(.5), *answers.ms.quantile(.99), *answers.ms.max());
  return text + (answers.failed > 0 ? ", " + std::to_string(answers.failed) + " failed" : std::string());
}

ordered_json in_json(const Watch::Answers& answers) {
  if (answers.ms.empty()) return {{"failed", answers.failed}};
  return {{"p50", *answers.ms.quantile(.5)}, {"p99", *answers.ms.quantile(.99)}, {"max", *answers.ms.max()}, {"count", answers.ms.count()}, {"failed", answers.failed}};
}

Result<Besieged> read_besieged(const Options& options) {
  OUTCROP_TRY(key, trust::PrivateKey::read_pem(options.board / "device.key"));
  OUTCROP_TRY(text, read_text_file(options.board / "enrolment.json"));
  const auto enrolment = nlohmann::json::parse(text, nullptr, false);
  if (!enrolment.is_object()) return fail(ErrorCode::invalid_data, (options.board / "enrolment.json").string() + ": not JSON");
  const fs::path authority = options.board / "bench-authority.pem";
  OUTCROP_CHECK(write_file_durably(authority, enrolment.at("broker_authority").get<std::string>()));
  OUTCROP_TRY(blob, trust::Sha256Digest::from_hex(options.blob.filename().string()));
  return Besieged{{enrolment.at("broker").at("port"), authority},
                  {enrolment.at("device"), std::move(key), enrolment.at("certificate")},
                  options.host_socket,
                  options.agent_socket,
                  blob,
                  ByteCount(fs::file_size(options.blob))};
}

Status flood_all(const Options& options) {
  OUTCROP_TRY(besieged, read_besieged(options));
  Table table({"flood", "of", "host, ms (p50 / p99 / most)", "agent, ms", "host", "broker", "agent", "sent"});
  ordered_json figures = ordered_json::array();
  for (const Flood& flood : floods()) {
    if (flood.name.find(options.only) == std::string::npos) continue;
    std::fprintf(stderr, "%s…\n", flood.name.c_str());
    Watch watch(options);
    const std::string sent = flood.run(besieged, Steady::now() + options.each);
    watch.end();
    table.add_row({flood.name, flood.clause, in_words(watch.host()), in_words(watch.agent()), watch.most(0).human(), watch.most(1).human(),
                   watch.most(2).human(), sent});
    figures.push_back({{"flood", flood.name}, {"seconds", options.each.count()}, {"sent", sent}, {"host_ms", in_json(watch.host())},
                       {"agent_ms", in_json(watch.agent())}, {"outcropd_bytes", watch.most(0).value()}, {"broker_bytes", watch.most(1).value()},
                       {"agent_bytes", watch.most(2).value()}});
  }
  std::printf("%s", table.to_string().c_str());
  std::printf("Memory at most during each flood; processors of this machine: %u\n", std::thread::hardware_concurrency());
  for (const pid_t process : {options.host, options.broker, options.agent}) {
    if (memory_of(process) == ByteCount()) return fail(ErrorCode::crashed, "process " + std::to_string(process) + " did not outlive the floods");
  }
  return options.json.empty() ? Status() : write_file_durably(options.json, json_text(figures, 2) + "\n");
}

int run(int argc, char** argv) {
  Options options;
  int each = 20;
  CLI::App app("Floods a host, its broker and an agent, and says how others fare meanwhile (script/bench hostile)");
  app.add_option("--host", options.host_socket, "Socket of outcropd")->required();
  app.add_option("--agent", options.agent_socket, "Socket of an agent")->required();
  app.add_option("--host-pid", options.host)->required();
  app.add_option("--broker-pid", options.broker)->required();
  app.add_option("--agent-pid", options.agent)->required();
  app.add_option("--board", options.board, "State folder of an enrolled board whose agent does not run")->required();
  app.add_option("--blob", options.blob, "File of a blob that the host has, named by its digest")->required();
  app.add_option("--seconds", each, "Of each flood")->check(CLI::Range(1, 3600))->capture_default_str();
  app.add_option("--only", options.only, "Those whose name has this in it");
  app.add_option("--json", options.json, "Also write the figures to this file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  options.each = std::chrono::seconds(each);
  const Status status = flood_all(options);
  if (status) return 0;
  std::fprintf(stderr, "outcrop-bench-hostile: %s\n", status.error().message().c_str());
  return 1;
}

}  // namespace
}  // namespace outcrop::bench

int main(int argc, char** argv) {
  return outcrop::run_main("outcrop-bench-hostile", [&] { return outcrop::bench::run(argc, argv); });
}
