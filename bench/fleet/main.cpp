// outcrop-bench-fleet: what a fleet of thousands costs its host, by the host itself.

#include "bench/fleet/crowd.hpp"

#include <sys/resource.h>

#include <cstdio>
#include <thread>

#include <CLI/CLI.hpp>

#include "bench/fleet/host.hpp"
#include "bench/fleet/lookers.hpp"
#include "platform/console/table.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/program.hpp"

namespace outcrop::bench {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;

constexpr seconds longest_phase{300};
constexpr seconds between_looks{1};
constexpr std::size_t handshakes_at_once = 100;
constexpr double telemetry_every = 300, heartbeat_every = 30;  // seconds, of a board

double seconds_since(SteadyClock::time_point then) {
  return std::chrono::duration<double>(SteadyClock::now() - then).count();
}

std::string number(double value, const char* format = "%.1f") {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string quantiles(const LogHistogram& of) {
  if (of.empty()) return "";
  return number(*of.quantile(.5), "%.0f") + " / " + number(*of.quantile(.95), "%.0f") + " / " + number(*of.max(), "%.0f");
}

ordered_json to_json(const LogHistogram& of) {
  if (of.empty()) return nullptr;
  return {{"count", of.count()}, {"p50", *of.quantile(.5)}, {"p95", *of.quantile(.95)}, {"p99", *of.quantile(.99)}, {"max", *of.max()}};
}

std::chrono::duration<double> own_time() {
  rusage use{};
  ::getrusage(RUSAGE_SELF, &use);
  const auto seconds_of = [](const timeval& time) {
    return std::chrono::duration<double>(static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6);
  };
  return seconds_of(use.ru_utime) + seconds_of(use.ru_stime);
}

// What one part of the run cost, as shares of one processor, and how those who looked fared meanwhile.
class Phase {
 public:
  Phase(std::string name, const Host& host, Lookers* lookers)
      : name_(std::move(name)), host_(host), lookers_(lookers), use_(host.use()), own_(own_time()) {
    if (lookers_ != nullptr) (void)lookers_->take();
  }

  void finish(Table& table, ordered_json& figures, const std::string& result) {
    const double took = seconds_since(begun_);
    const Use use = host_.use();
    // A host that was started anew meanwhile has but its own time.
    const auto share = [&](std::chrono::duration<double> before, std::chrono::duration<double> now) {
      return (now < before ? now : now - before).count() / took;
    };
    const double outcropd = share(use_.outcropd, use.outcropd), broker = share(use_.broker, use.broker);
    const double generator = share(own_, own_time());
    const Looked looked = lookers_ != nullptr ? lookers_->take() : Looked();
    table.add_row({name_, number(took), number(outcropd, "%.2f"), number(broker, "%.2f"), number(generator, "%.2f"),
                   quantiles(looked.list), quantiles(looked.page), quantiles(looked.scrape), result});
    figures[name_] = {{"seconds", took}, {"outcropd_cores", outcropd}, {"broker_cores", broker}, {"generator_cores", generator},
                      {"list_ms", to_json(looked.list)}, {"page_ms", to_json(looked.page)}, {"scrape_ms", to_json(looked.scrape)},
                      {"event_ms", to_json(looked.event)}, {"looks_that_failed", looked.failures}, {"result", result}};
  }

 private:
  std::string name_;
  const Host& host_;
  Lookers* lookers_;
  Use use_;
  std::chrono::duration<double> own_;
  SteadyClock::time_point begun_ = SteadyClock::now();
};

struct Options {
  std::size_t boards = 10'000;
  std::size_t listeners = 200;
  seconds steady{120};
  std::uint64_t seed = 1;
  std::string json;
};

// One run from the first connection to the last look at what was kept.
class Run {
 public:
  explicit Run(const Options& options) : options_(options), random_(options.seed), tls_(boost::asio::ssl::context::tls_client) {}

  Result<ordered_json> all(const fs::path& outcropd) {
    OUTCROP_TRY(host, Host::make(outcropd, options_.boards));
    host_ = std::move(host);
    OUTCROP_CHECK(host_->start());
    OUTCROP_TRY(before, host_->publish(1));
    OUTCROP_TRY(after, host_->publish(2));
    tls_.load_verify_file(host_->broker_authority());
    tls_.set_verify_mode(boost::asio::ssl::verify_peer);
    surroundings_.emplace(Surroundings{loop_.get_executor(), tls_,
                                       {boost::asio::ip::make_address("127.0.0.1"), host_->port()},
                                       host_->director(), before, random_, tally_});
    crowd_ = std::make_unique<Crowd>(loop_, *surroundings_, host_->take_identities());
    OUTCROP_CHECK(connect());
    lookers_ = std::make_unique<Lookers>(host_->socket(), options_.listeners);
    steady();
    OUTCROP_CHECK(roll_out(after));
    OUTCROP_CHECK(kill_and_come_back());
    OUTCROP_CHECK(look_at_what_was_kept());
    const Use use = host_->use();
    show();
    std::printf("processors of this machine: %u; %zu boards, each with a TLS connection, a key and signatures of its own\n",
                std::thread::hardware_concurrency(), options_.boards);
    figures_["boards"] = options_.boards;
    figures_["seed"] = options_.seed;
    figures_["processors"] = std::thread::hardware_concurrency();
    figures_["outcropd_memory"] = std::max(memory_.value(), use.outcropd_memory.value());
    figures_["broker_memory"] = use.broker_memory.value();
    std::printf("memory at most: outcropd %s, its broker %s\n", ByteCount(std::max(memory_, use.outcropd_memory)).human().c_str(), use.broker_memory.human().c_str());
    if (tally_.refused > 0) return fail(ErrorCode::internal, std::to_string(tally_.refused) + " commands were not signed by the host");
    return figures_;
  }

  // As far as it came.
  void show() const { std::printf("%s", table_.to_string().c_str()); }

 private:
  [[nodiscard]] std::size_t online() const {
    const auto answer = host_->call("GET", "/v1/host");
    return answer ? (*answer)["online"].get<std::size_t>() : 0;
  }
  [[nodiscard]] Status all_online() {
    crowd_->keep_connected(handshakes_at_once);
    const auto all_known = [&, asked = SteadyClock::time_point()]() mutable {
      if (crowd_->connected() < options_.boards || SteadyClock::now() - asked < between_looks) return false;
      asked = SteadyClock::now();
      return online() == options_.boards;
    };
    if (crowd_->run_until(all_known, longest_phase)) return {};
    return fail(ErrorCode::timeout, std::to_string(crowd_->connected()) + " of " + std::to_string(options_.boards) + " boards are connected, the host knows " +
                                        std::to_string(online()) + "; the last that was lost: " + tally_.lost_because + "; outcropd's log:\n" + host_->log());
  }

  Status connect() {
    Phase phase("all connect", *host_, nullptr);
    OUTCROP_CHECK(all_online());
    phase.finish(table_, figures_, std::to_string(options_.boards) + " online");
    return {};
  }

  void say() {
    const auto boards = static_cast<double>(options_.boards);
    crowd_->say_at({boards / telemetry_every, boards / telemetry_every, boards / heartbeat_every});
  }

  void steady() {
    say();
    Phase phase("steady", *host_, lookers_.get());
    tally_.acknowledged_ms = {};
    const Tally before = tally_;
    (void)crowd_->latest();
    const auto end = SteadyClock::now() + options_.steady;
    for (std::size_t i = 0; SteadyClock::now() < end; ++i) {
      Board& board = *crowd_->boards()[i % options_.boards];
      lookers_->expect(board.name());
      board.hold(true);
      crowd_->run_for(milliseconds(900));
      board.hold(false);
      crowd_->run_for(milliseconds(100));
    }
    const double took = static_cast<double>(options_.steady.count());
    const auto rate = [&](std::uint64_t now, std::uint64_t was) { return number(static_cast<double>(now - was) / took); };
    phase.finish(table_, figures_,
                 rate(tally_.telemetry, before.telemetry) + " samples, " + rate(tally_.reports, before.reports) + " reports, " +
                     rate(tally_.heartbeats, before.heartbeats) + " heartbeats a second; " + std::to_string(lookers_->listening()) + " listeners");
    figures_["steady"]["acknowledged_ms"] = to_json(tally_.acknowledged_ms);
    figures_["steady"]["generator_late_seconds"] = crowd_->latest().count();
    std::printf("acknowledged after (ms, p50 / p95 / most): %s\n", quantiles(tally_.acknowledged_ms).c_str());
  }

  Status roll_out(const trust::Sha256Digest& release) {
    Phase phase("rollout to all", *host_, lookers_.get());
    const auto begun = SteadyClock::now();
    const auto started = host_->call("POST", "/v1/rollouts",
                                     {{"manifest", release.hex()}, {"name", "update"}, {"canary_count", 1}, {"first_ring", options_.boards}});
    if (!started) return fail(started.error());
    double offered = 0;
    SteadyClock::time_point asked;
    const bool done = crowd_->run_until(
        [&] {
          if (offered == 0 && tally_.offered.size() == options_.boards) offered = seconds_since(begun);
          if (tally_.updated.size() < options_.boards || SteadyClock::now() - asked < between_looks) return false;
          asked = SteadyClock::now();
          const auto now = host_->call("GET", "/v1/rollouts");
          return now && (*now)["rollouts"][0]["state"] == "done";
        },
        longest_phase);
    if (!done) {
      const auto now = host_->call("GET", "/v1/rollouts/update");
      return fail(ErrorCode::timeout, "the rollout is not done: " + std::to_string(tally_.offered.size()) + " offered, " + std::to_string(tally_.updated.size()) +
                                          " updated" + (now ? "; " + (*now)["reason"].get<std::string>().substr(0, 200) : ""));
    }
    phase.finish(table_, figures_, "all offered after " + number(offered) + " s, done after " + number(seconds_since(begun)) + " s");
    figures_["rollout to all"]["offered_seconds"] = offered;
    figures_["rollout to all"]["done_seconds"] = seconds_since(begun);
    return {};
  }

  // SIGKILL while boards speak ten times as much as they ever do; the broker dies with it, and every board comes back.
  Status kill_and_come_back() {
    const auto boards = static_cast<double>(options_.boards);
    crowd_->say_at({10 * boards / telemetry_every, 10 * boards / telemetry_every, boards / heartbeat_every});
    crowd_->run_for(seconds(5));
    lookers_.reset();
    memory_ = host_->use().outcropd_memory;
    crowd_->keep_connected(0);
    host_->kill();
    crowd_->run_until([&] { return crowd_->connected() == 0; }, seconds(10));
    say();
    OUTCROP_CHECK(host_->start());
    Phase phase("all come back", *host_, nullptr);
    OUTCROP_CHECK(all_online());
    phase.finish(table_, figures_, std::to_string(options_.boards) + " online");
    Phase rest("said again", *host_, nullptr);
    crowd_->say_at({});
    if (!crowd_->run_until([&] { return crowd_->waiting() == 0; }, longest_phase)) {
      return fail(ErrorCode::timeout, std::to_string(crowd_->waiting()) + " messages were never acknowledged");
    }
    rest.finish(table_, figures_, std::to_string(tally_.repeated) + " messages said again, all kept");
    return {};
  }

  // Every report that a board was told of as kept is asked for by its number, and as many samples as were acknowledged.
  Status look_at_what_was_kept() {
    std::size_t reports = 0, samples = 0, lost = 0;
    for (const auto& board : crowd_->boards()) {
      std::set<messages::MessageId> kept;
      OUTCROP_TRY(answer, host_->call("GET", "/v1/reports?limit=1000&device=" + board->name()));
      for (const auto& one : answer["reports"]) kept.insert({one["report"]["session"], one["report"]["sequence"]});
      for (const messages::MessageId& id : board->kept_reports()) lost += kept.contains(id) ? 0 : 1;
      reports += board->kept_reports().size();
      if (board->kept_telemetry() == 0) continue;
      OUTCROP_TRY(series, host_->call("GET", "/v1/history?measure=temperature&resolution=raw&points=5000&device=" + board->name()));
      std::size_t found = 0;
      for (const auto& point : series["points"]) found += point["samples"].get<std::size_t>();
      lost += board->kept_telemetry() > found ? board->kept_telemetry() - found : 0;
      samples += board->kept_telemetry();
    }
    std::printf("acknowledged: %zu reports and %zu samples; lost over kill -9: %zu\n", reports, samples, lost);
    figures_["acknowledged_reports"] = reports;
    figures_["acknowledged_samples"] = samples;
    figures_["lost"] = lost;
    return lost == 0 ? Status() : fail(ErrorCode::internal, std::to_string(lost) + " acknowledged messages were lost");
  }

  Options options_;
  std::mt19937_64 random_;
  boost::asio::io_context loop_{1};
  boost::asio::ssl::context tls_;
  Tally tally_;
  std::optional<Surroundings> surroundings_;
  std::unique_ptr<Host> host_;
  std::unique_ptr<Crowd> crowd_;
  std::unique_ptr<Lookers> lookers_;
  ByteCount memory_;
  Table table_{{"phase", "s", "outcropd", "broker", "generator", "list ms", "page ms", "scrape ms", "what"}};
  ordered_json figures_ = ordered_json::object();
};

int run(int argc, char** argv) {
  CLI::App app("What a fleet costs its host: a seeded replay through its own broker, ingest and database. outcropd, broker and generator are in "
               "cores; list, page and scrape are p50 / p95 / most", "outcrop-bench-fleet");
  Options options;
  bool quick = false;
  app.add_option("--boards", options.boards, "How many")->check(CLI::Range(10, 50'000))->capture_default_str();
  app.add_option("--listeners", options.listeners, "Clients of the event stream")->check(CLI::Range(0, 1000))->capture_default_str();
  app.add_option("--seed", options.seed, "Of who speaks when, and of what boards measure")->capture_default_str();
  app.add_flag("--quick", quick, "300 boards where --boards says nothing, and 20 s of steady load instead of 120");
  app.add_option("--json", options.json, "Also write the figures to this file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (quick && app.count("--boards") == 0) options.boards = 300;
  if (quick) options.steady = seconds(20);
  Run bench(options);
  const auto figures = bench.all(fs::canonical("/proc/self/exe").parent_path() / "outcropd");
  Status status = {};
  if (!figures) {
    bench.show();
    status = fail(figures.error());
  } else if (!options.json.empty()) {
    status = write_file_durably(options.json, json_text(*figures, 2) + "\n");
  }
  if (status) return 0;
  std::fprintf(stderr, "outcrop-bench-fleet: %s\n", status.error().message().c_str());
  return 1;
}

}  // namespace
}  // namespace outcrop::bench

int main(int argc, char** argv) {
  return outcrop::run_main("outcrop-bench-fleet", [&] { return outcrop::bench::run(argc, argv); });
}
