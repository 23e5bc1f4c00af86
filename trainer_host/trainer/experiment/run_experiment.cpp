#include "trainer_host/trainer/experiment/run_experiment.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>

#include "platform/console/progress_bar.hpp"
#include "platform/text/csv.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/number.hpp"
#include "protocol/trust/digest.hpp"
#include "trainer_host/trainer/data/stop_signal.hpp"
#include "trainer_host/trainer/experiment/comparison.hpp"
#include "trainer_host/trainer/experiment/exports.hpp"
#include "trainer_host/trainer/experiment/make_step.hpp"
#include "trainer_host/trainer/experiment/own_program.hpp"
#include "trainer_host/trainer/experiment/step_record.hpp"

namespace outcrop::experiment {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// How long the steps that are left will take, by what those before took.
class TimeLeft {
 public:
  // Of training that has ended in `folder`: its epochs.
  void trained(const fs::path& folder) {
    const auto text = read_text_file(folder / "training.csv");
    const auto table = text ? platform::parse_csv(*text) : Result<platform::CsvTable>(platform::CsvTable());
    const auto column = table ? table->column("seconds") : std::nullopt;
    if (!column || table->rows.empty()) return;
    Seconds all{0};
    for (const auto& row : table->rows) all += Seconds(read_number<double>(row[*column]).value_or(0.0));
    epoch_ = all / static_cast<double>(table->rows.size());
  }
  void made(Seconds time) {
    making_ += time;
    ++steps_;
  }
  // Nothing before the first of both is known.
  [[nodiscard]] std::optional<Seconds> of(const std::vector<const Step*>& steps) const {
    if (steps_ == 0) return std::nullopt;
    Seconds left{0};
    for (const Step* step : steps) {
      left += making_ / steps_;
      left += epoch_ * static_cast<double>(step->int8_epochs);
    }
    return left;
  }

 private:
  Seconds epoch_{0};
  Seconds making_{0};
  int steps_ = 0;
};

class Run {
 public:
  Run(const Experiment& experiment, const ExperimentOptions& options, const kinds::Register& kinds)
      : experiment_(experiment), options_(options), kinds_(kinds), paths_(experiment.out) {}

  Status check() const;
  Status make_all();
  [[nodiscard]] const std::vector<Missing>& missing() const { return missing_; }
  [[nodiscard]] const ResultPaths& paths() const { return paths_; }

 private:
  [[nodiscard]] std::vector<const Step*> chosen() const;
  Status make(const Step& step);
  Status train_weights(const Step& step, const train::TrainConfig& config, const fs::path& weights);
  [[nodiscard]] Inputs inputs_of_training(const Step& step, const train::TrainConfig& config) const;
  [[nodiscard]] Result<Inputs> inputs_of(const Step& step, const train::TrainConfig& config, const fs::path& weights) const;
  [[nodiscard]] std::vector<std::string> with_options(std::vector<std::string> arguments) const;
  void say_where(const Step& step, std::size_t at, const std::vector<const Step*>& steps) const;

  const Experiment& experiment_;
  const ExperimentOptions& options_;
  const kinds::Register& kinds_;
  ResultPaths paths_;
  std::vector<Missing> missing_;
  TimeLeft time_;
  Clock::time_point start_ = Clock::now();
};

void say(const std::string& line) {
  std::fprintf(stderr, "%s\n", line.c_str());
}

std::vector<const Step*> Run::chosen() const {
  std::vector<const Step*> steps;
  for (const Step& step : experiment_.steps) {
    const auto& only = options_.only;
    if (only.empty() || std::find(only.begin(), only.end(), step.name) != only.end()) steps.push_back(&step);
  }
  return steps;
}

std::vector<std::string> Run::with_options(std::vector<std::string> arguments) const {
  if (options_.allow_reduced) arguments.emplace_back("--allow-reduced-confinement");
  return arguments;
}

// By another process: LibTorch keeps what it has once taken, and others' modules are opened in a jail.
Status Run::check() const {
  std::vector<std::string> arguments{"experiment", experiment_.file.string(), "--out", paths_.out.string(), "--check-config"};
  if (!options_.only.empty()) {
    arguments.emplace_back("--only");
    arguments.insert(arguments.end(), options_.only.begin(), options_.only.end());
  }
  return run_own_program(with_options(std::move(arguments)), paths_.out / "check.log");
}

void Run::say_where(const Step& step, std::size_t at, const std::vector<const Step*>& steps) const {
  std::string line = "== step " + std::to_string(at + 1) + " of " + std::to_string(steps.size()) + ": " + step.name +
                     "; so far " + human_duration(Clock::now() - start_);
  const auto left = time_.of({steps.begin() + static_cast<std::ptrdiff_t>(at), steps.end()});
  if (left) line += ", about " + human_duration(*left) + " left";
  say(line);
}

Inputs Run::inputs_of_training(const Step& step, const train::TrainConfig& config) const {
  const kinds::DataPlaces& places = config.recipe->places();
  std::vector<fs::path> data = places.train;
  data.insert(data.end(), places.validation.begin(), places.validation.end());
  Inputs inputs = inputs_of_data(data);
  inputs.push_back("training = " + config.fingerprint());
  inputs.push_back("stages = " + std::to_string(step.int8_epochs > 0 ? 1 : experiment_.stages));
  return inputs;
}

Result<Inputs> Run::inputs_of(const Step& step, const train::TrainConfig& config, const fs::path& weights) const {
  Inputs inputs = inputs_of_training(step, config);
  OUTCROP_TRY(trained, trust::sha256_file(weights));
  OUTCROP_TRY(said, trust::sha256_file(experiment_.config));
  inputs.push_back("weights = " + trained.hex());
  inputs.push_back("configuration = " + said.hex());
  for (const std::string& line : inputs_of_data({experiment_.config.string() + ".d"})) inputs.push_back(line);
  inputs.push_back("set = " + join(experiment_.settings));
  inputs.push_back("variants = " + join(step.variants) + (step.release ? ", released" : ""));
  for (const std::string& name : exported_names(step)) inputs.push_back("export = " + name);
  return inputs;
}

Status Run::train_weights(const Step& step, const train::TrainConfig& config, const fs::path& weights) {
  const fs::path folder = paths_.training(step.name);
  const fs::path done = folder / "trained_of";
  Inputs inputs = inputs_of_training(step, config);
  std::vector<std::string> begin;
  if (step.int8_epochs > 0) {
    begin = {"--init", weights_of_step(experiment_, experiment_.steps.front(), paths_, config.name).string()};
    OUTCROP_TRY(digest, trust::sha256_file(begin.back()));
    inputs.push_back("begins with " + digest.hex());
  }
  std::error_code error;
  const auto known = read_text_file(done);
  const bool current = known && *known == digest_of(inputs) && fs::exists(weights, error);
  if (!current && options_.skip_training) {
    if (fs::exists(weights, error)) return {};
    return fail(ErrorCode::not_found, "there are no weights of it (" + weights.string() + "), and --skip-training trains none");
  }
  if (!current) {
    fs::create_directories(folder, error);
    auto arguments = training_arguments(experiment_.config, folder, step.int8_epochs > 0 ? 1 : experiment_.stages,
                                        settings_of_step(experiment_, step));
    arguments.insert(arguments.end(), begin.begin(), begin.end());
    OUTCROP_CHECK(run_own_program(with_options(std::move(arguments)), paths_.step(step.name) / "training.log"));
    OUTCROP_CHECK(write_file_durably(done, std::string_view(digest_of(inputs))));
  }
  return {};
}

Status Run::make(const Step& step) {
  OUTCROP_TRY(config, config_of_step(experiment_, step, paths_, kinds_));
  const fs::path weights = weights_of_step(experiment_, step, paths_, config.name);
  std::error_code error;
  fs::create_directories(paths_.step(step.name), error);
  if (error) return fail(ErrorCode::io, "making " + paths_.step(step.name).string() + ": " + error.message());
  const fs::path of_baseline = weights_of_step(experiment_, experiment_.steps.front(), paths_, config.name);
  if (step.name != baseline_name && !fs::exists(of_baseline, error)) {
    return fail(ErrorCode::not_found, "it needs the weights of " + std::string(baseline_name) + ", which are not there");
  }
  if (step.trains()) OUTCROP_CHECK(train_weights(step, config, weights));
  if (step.trains()) time_.trained(paths_.training(step.name));
  OUTCROP_TRY(inputs, inputs_of(step, config, weights));
  if (is_current(paths_, step, inputs)) {
    say(step.name + " is up to date");
    return {};
  }
  OUTCROP_CHECK(begin_step(paths_, experiment_, step, inputs));
  // Only we put anything there; and it marks the folder as ours for those that look before others' code may write.
  OUTCROP_TRY(lock, try_lock_file(paths_.step(step.name) / ".lock", 0644, "another process makes this step"));
  const Clock::time_point start = Clock::now();
  OUTCROP_CHECK(run_own_program(with_options({"experiment", experiment_.file.string(), "--out", paths_.out.string(), "--step",
                                              step.name}),
                                paths_.step(step.name) / "step.log"));
  time_.made(Clock::now() - start);
  return {};
}

Status Run::make_all() {
  const auto steps = chosen();
  for (std::size_t at = 0; at < steps.size(); ++at) {
    say_where(*steps[at], at, steps);
    const Status made = make(*steps[at]);
    if (made) continue;
    if (made.error().code() == ErrorCode::interrupted) return made;
    say("step " + steps[at]->name + " failed: " + made.error().message());
    missing_.push_back({steps[at]->name, made.error().message()});
    std::error_code ignored;
    fs::remove(paths_.metrics(steps[at]->name), ignored);  // those of an earlier one are not of this
  }
  return {};
}

}  // namespace

Status run_experiment(const Experiment& experiment, const ExperimentOptions& options, const kinds::Register& kinds) {
  for (const std::string& name : options.only) OUTCROP_CHECK(experiment.check_step(name));
  OUTCROP_CHECK(claim_results(experiment, experiment.out));
  OUTCROP_TRY(lock, try_lock_file(experiment.out / ".lock", 0644, "another process makes " + experiment.out.string()));
  const data::StopSignal stop_signal;
  Run run(experiment, options, kinds);
  if (!options.only_comparison) {
    OUTCROP_CHECK(run.check());
    OUTCROP_CHECK(run.make_all());
  }
  OUTCROP_TRY(text, write_comparison(experiment, run.paths(), run.missing(), options.reports));
  std::printf("%s", text.c_str());
  if (run.missing().empty()) return {};
  std::vector<std::string> names;
  for (const Missing& one : run.missing()) names.push_back(one.step);
  return fail(ErrorCode::internal, std::to_string(names.size()) + " of " + std::to_string(experiment.steps.size()) +
                                       " steps failed: " + join(names));
}

}  // namespace outcrop::experiment
