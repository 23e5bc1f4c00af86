// outcrop-bench-solver: how exact and how fast the acoustic solver is.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "bench/solver_plain.hpp"
#include "protocol/base/durable_file.hpp"
#include "platform/console/table.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/median.hpp"
#include "trainer_host/trainer/data/acoustic_solver.hpp"
#include "trainer_host/trainer/data/earth_model.hpp"
#include "trainer_host/trainer/data/exact_answer.hpp"
#include "trainer_host/trainer/data/flush_denormals.hpp"

namespace outcrop::bench {
namespace {

using nlohmann::ordered_json;
using SteadyClock = std::chrono::steady_clock;
using namespace outcrop::data;

constexpr std::size_t one_gather = grid::times * grid::width;

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

// Of the calling thread alone: what else runs on the machine does not count.
double cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

std::string number(double value, const char* format = "%.2f") {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

ordered_json measure_accuracy() {
  std::printf(
      "Relative L2 against the exact answer in a homogeneous medium, within 90 ms of the "
      "arrival\n");
  Table table({"m/s", "m", "error", "known", "ratio"});
  ordered_json rows = ordered_json::array();
  AcousticSolver solver(acoustic_kernels().back(), known_errors_row);
  std::vector<float> gather(one_gather);
  double worst = 0.0;
  for (const KnownError& known : known_errors) {
    const std::vector<float> map(grid::map_size, static_cast<float>(known.velocity));
    if (!solver.set_velocity(map)) continue;
    solver.shoot(0, gather);
    std::vector<float> trace;
    const auto receiver = static_cast<std::size_t>(known.distance / 10.0);
    for (std::size_t i = receiver; i < gather.size(); i += grid::width) trace.push_back(gather[i]);
    const double error =
        relative_error_at_arrival(trace, exact_homogeneous_trace(known.velocity, known.distance),
                                  known.velocity, known.distance);
    const double ratio = error / known.relative_error;
    worst = std::max(worst, ratio);
    table.add_row({number(known.velocity, "%.0f"), number(known.distance, "%.0f"),
                   number(error, "%.4f"), number(known.relative_error, "%.4f"), number(ratio)});
    rows.push_back({{"velocity_m_s", known.velocity},
                    {"distance_m", known.distance},
                    {"relative_l2", error},
                    {"known_relative_l2", known.relative_error},
                    {"ratio", ratio}});
  }
  std::printf("%s\n", table.to_string().c_str());
  return {{"rows", rows}, {"worst_ratio", worst}};
}

std::vector<float> test_map() {
  std::vector<float> velocity(grid::map_size);
  make_velocity_map(Family::curvefault_a, 1, 0, velocity);
  return velocity;
}

// The plain loop over the whole padded grid for as many steps as a shot has; returns seconds.
class PlainLoop {
 public:
  explicit PlainLoop(PlainStep step)
      : step_(step),
        fields_{field(0.0F), field(0.0F)},
        alpha_(field(0.06F)),
        kappa_(field(0.01F)) {}

  double run() {
    const FlushDenormals guard;
    for (auto& one : fields_) std::fill(one.begin(), one.end(), 0.0F);
    const double start = cpu_seconds();
    for (std::size_t step = 0; step < grid::times; ++step) {
      auto& ahead = fields_[(step + 1) % 2];
      step_({ahead.data(), fields_[step % 2].data(), alpha_.data(), kappa_.data(), side});
      ahead[122 * side + 122] += static_cast<float>(ricker(static_cast<double>(step) * 1e-3));
    }
    return cpu_seconds() - start;
  }
  static constexpr double updates = 310.0 * 310.0 * grid::times;

 private:
  static constexpr std::size_t side = 314;
  static std::vector<float> field(float value) { return std::vector<float>(side * side, value); }

  PlainStep step_;
  std::vector<float> fields_[2];
  std::vector<float> alpha_;
  std::vector<float> kappa_;
};

std::vector<std::pair<std::string, PlainStep>> plain_steps() {
#ifdef OUTCROP_KERNEL_X86_LEVELS
  std::vector<std::pair<std::string, PlainStep>> steps{{"x86-64", plain_step_baseline}};
  if (__builtin_cpu_supports("avx2")) steps.emplace_back("x86-64-v3", plain_step_v3);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
    steps.emplace_back("x86-64-v4", plain_step_v4);
  }
  return steps;
#else
  return {{"generic", plain_step_baseline}};
#endif
}

// Rounds alternate between all candidates, so that a busy machine slows all of them alike.
ordered_json measure_speed(int rounds) {
  struct Candidate {
    std::string name;
    std::string level;
    std::function<double()> run;
    double updates;
    std::vector<double> seconds{};
  };
  std::vector<Candidate> candidates;
  std::vector<PlainLoop> loops;
  std::vector<AcousticSolver> solvers;
  loops.reserve(3);
  solvers.reserve(3);
  for (const auto& [level, step] : plain_steps()) {
    PlainLoop& loop = loops.emplace_back(step);
    candidates.push_back({"plain loop", level, [&loop] { return loop.run(); }, PlainLoop::updates});
  }
  std::vector<float> gather(one_gather);
  for (const AcousticKernel& kernel : acoustic_kernels()) {
    AcousticSolver& solver = solvers.emplace_back(kernel);
    if (!solver.set_velocity(test_map())) continue;
    const auto run = [&solver, &gather] {
      const double start = cpu_seconds();
      solver.shoot(2, gather);
      return cpu_seconds() - start;
    };
    candidates.push_back(
        {"outcrop", std::string(kernel.name), run, static_cast<double>(solver.updates_per_shot())});
  }
  for (int round = 0; round < rounds; ++round) {
    for (Candidate& one : candidates) one.seconds.push_back(one.run());
  }
  std::printf(
      "Cell updates a second, one thread, median of %d interleaved shots of 1000 steps, by CPU "
      "time\n",
      rounds);
  Table table({"program", "level", "10^9/s", "ms a shot"});
  ordered_json rows = ordered_json::array();
  double best_plain = 0.0;
  double best_plain_shot = 1e9;
  for (const Candidate& one : candidates) {
    const double seconds = median(one.seconds);
    const double rate = one.updates / seconds;
    if (one.name == "plain loop") {
      best_plain = std::max(best_plain, rate);
      best_plain_shot = std::min(best_plain_shot, seconds);
    }
    table.add_row({one.name, one.level, number(rate * 1e-9), number(seconds * 1e3, "%.1f")});
    rows.push_back({{"program", one.name},
                    {"level", one.level},
                    {"updates_per_second", rate},
                    {"shot_ms", seconds * 1e3}});
  }
  const double ours = candidates.back().updates / median(candidates.back().seconds);
  const double shot_ratio = best_plain_shot / median(candidates.back().seconds);
  std::printf(
      "%soutcrop / fastest plain loop: %.2f in cell updates a second, %.2f in shots (cells "
      "that cannot matter are left out)\n\n",
      table.to_string().c_str(), ours / best_plain, shot_ratio);
  return {{"rows", rows}, {"ratio_to_plain", ours / best_plain}, {"shot_ratio", shot_ratio}};
}

// Fires `shots` shots; what a thread and a process do alike.
void fire(int shots) {
  AcousticSolver solver;
  std::vector<float> gather(one_gather);
  if (!solver.set_velocity(test_map())) std::abort();
  for (int i = 0; i < shots; ++i) solver.shoot(static_cast<std::size_t>(i) % grid::shots, gather);
}

double two_threads(int shots) {
  const auto start = SteadyClock::now();
  {
    const std::jthread first(fire, shots);
    const std::jthread second(fire, shots);
  }
  return seconds_since(start);
}

double two_processes(int shots) {
  const auto start = SteadyClock::now();
  pid_t children[2];
  for (pid_t& child : children) {
    child = ::fork();
    if (child == 0) {
      fire(shots);
      ::_exit(0);
    }
  }
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  return seconds_since(start);
}

ordered_json measure_scaling(int rounds, int shots) {
  std::vector<double> threads;
  std::vector<double> processes;
  std::vector<double> alone;
  for (int round = 0; round < rounds; ++round) {
    threads.push_back(two_threads(shots));
    processes.push_back(two_processes(shots));
    const double start = cpu_seconds();
    fire(shots);
    alone.push_back(cpu_seconds() - start);
  }
  const double ratio = median(processes) / median(threads);
  const double sample = median(alone) / shots * static_cast<double>(grid::shots);
  std::printf(
      "Two threads / two one-thread processes, in shots a second: %.2f (median of %d "
      "interleaved)\nOne sample of five shots, one thread: %.3f s of CPU time\n",
      ratio, rounds, sample);
  return {{"two_threads_to_two_processes", ratio}, {"sample_seconds_one_thread", sample}};
}

int run(int argc, char** argv) {
  CLI::App app("How exact and how fast the acoustic solver is", "outcrop-bench-solver");
  bool quick = false;
  std::string json;
  app.add_flag("--quick", quick, "Fewer repetitions");
  app.add_option("--json", json, "Also write the figures to this file");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  ordered_json figures;
  figures["accuracy"] = measure_accuracy();
  figures["speed"] = measure_speed(quick ? 7 : 31);
  figures["scaling"] = measure_scaling(quick ? 3 : 9, quick ? 10 : 25);
  if (json.empty()) return 0;
  const Status status = write_file_durably(json, json_text(figures, 2) + "\n");
  if (status) return 0;
  std::fprintf(stderr, "outcrop-bench-solver: %s\n", status.error().message().c_str());
  return 1;
}

}  // namespace
}  // namespace outcrop::bench

int main(int argc, char** argv) {
  return outcrop::bench::run(argc, argv);
}
