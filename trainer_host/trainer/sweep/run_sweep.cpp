#include "trainer_host/trainer/sweep/run_sweep.hpp"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>

#include "platform/console/progress_bar.hpp"
#include "platform/text/nearest.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/data/stop_signal.hpp"
#include "trainer_host/trainer/experiment/inputs.hpp"
#include "trainer_host/trainer/experiment/own_program.hpp"
#include "trainer_host/trainer/sweep/sweep_picture.hpp"
#include "trainer_host/trainer/sweep/trials.hpp"
#include "trainer_host/trainer/train/trainer.hpp"

namespace outcrop::sweep {
namespace fs = std::filesystem;
namespace {

void say(const std::string& line) {
  std::fprintf(stderr, "%s\n", line.c_str());
}

std::string goal_among(const std::vector<kinds::Column>& columns) {
  for (const kinds::Column& column : columns) {
    if (column.meaning == kinds::Column::Meaning::score) return column.name;
  }
  for (const kinds::Column& column : columns) {
    if (column.meaning == kinds::Column::Meaning::held_out_loss) return column.name;
  }
  return columns.empty() ? "" : columns.front().name;
}

Result<std::string> goal_of(const Sweep& sweep, const std::vector<kinds::Column>& columns) {
  if (sweep.goal.empty()) return goal_among(columns);
  std::vector<std::string> names;
  for (const kinds::Column& column : columns) names.push_back(column.name);
  if (std::find(names.begin(), names.end(), sweep.goal) != names.end()) return sweep.goal;
  return fail(ErrorCode::invalid_argument, sweep.file.string() + ": sweep.goal: training.csv will have no column '" + sweep.goal +
                                               "'; " + platform::did_you_mean(sweep.goal, names) + "it has " + join(names));
}

// One key at a time, of the first point: a mistake is said of the key that it is of.
Status check_keys(const Sweep& sweep, const std::vector<Point>& points, const kinds::Register& kinds) {
  for (std::size_t at = 0; at < sweep.keys.size(); ++at) {
    std::vector<std::string> values;
    for (const Point& point : points) {
      if (std::find(values.begin(), values.end(), point[at]) == values.end()) values.push_back(point[at]);
    }
    std::vector<std::string> said;
    for (const std::string& value : values) {
      Point point = points.front();
      point[at] = value;
      const auto config = train::read_config(sweep.config, kinds, settings_of(sweep, point));
      if (!config) return fail(config.error().context(sweep.file.string()));
      said.push_back(config->fingerprint());
    }
    if (values.size() > 1 && std::adjacent_find(said.begin(), said.end(), std::not_equal_to<>()) == said.end()) {
      return fail(ErrorCode::invalid_argument, sweep.file.string() + ": keys." + sweep.keys[at].name +
                                                   ": decides nothing of what is trained, so that all its values come to the same");
    }
  }
  return {};
}

// A checkpoint has three values for each weight, and a stage's weights are kept beside it.
Status check_room(const Sweep& sweep, std::size_t trials, const kinds::Task& task) {
  const ByteCount weights = train::size_of_weights(task);
  return train::check_room_for(sweep.out, ByteCount(4 * weights.value() * trials + train::space_of_stage(weights, false).value()),
                               std::to_string(trials) + " trials take about",
                               "make room there, name another folder (--out DIR), or try fewer");
}

// The folder of this sweep, made or taken up.
Status claim_folder(const Sweep& sweep, const std::vector<Point>& points, const train::TrainConfig& first) {
  const fs::path mark = sweep.out / "sweep.json";
  const kinds::DataPlaces& places = first.recipe->places();
  std::vector<fs::path> data = places.train;
  data.insert(data.end(), places.validation.begin(), places.validation.end());
  experiment::Inputs inputs = experiment::inputs_of_data(data);
  inputs.push_back(first.fingerprint());
  inputs.push_back(std::to_string(static_cast<int>(sweep.search)) + " " + std::to_string(sweep.keep));
  for (const Point& point : points) inputs.push_back(join(settings_of(sweep, point)));
  const std::string digest = experiment::digest_of(inputs);
  std::error_code error;
  if (fs::exists(mark, error)) {
    const auto text = read_text_file(mark);
    const auto json = text ? nlohmann::json::parse(*text, nullptr, false) : nlohmann::json();
    if (json.is_object() && json.value("digest", "") == digest) return {};
    return fail(ErrorCode::already_exists, sweep.out.string() + " holds another sweep, or one of other data or another "
                                               "configuration; nothing was changed. Name another folder (--out DIR)");
  }
  if (fs::exists(sweep.out, error) && !fs::is_empty(sweep.out, error)) {
    return fail(ErrorCode::already_exists, sweep.out.string() + " holds files that are no sweep's; nothing was changed. Name a "
                                                                "new or empty folder (--out DIR)");
  }
  fs::create_directories(sweep.out, error);
  if (error) return fail(ErrorCode::io, "making " + sweep.out.string() + ": " + error.message());
  return write_file_durably(mark, json_text(nlohmann::json{{"digest", digest}, {"sweep", sweep.file.string()}}, 2) + "\n");
}

class Trials {
 public:
  Trials(const Sweep& sweep, const kinds::Register& kinds, std::string goal)
      : sweep_(sweep), kinds_(kinds), goal_(std::move(goal)), more_(sweep.more_is_better.value_or(more_is_better(goal_))) {}

  Status take(const std::vector<Point>& points);
  Status train_all();
  Status report() const;

 private:
  Status train_to(Trial& trial, std::int64_t stage);
  Status show(bool picture) const;
  [[nodiscard]] fs::path training(const Trial& trial) const { return sweep_.out / folder_of(trial); }

  const Sweep& sweep_;
  const kinds::Register& kinds_;
  std::string goal_;
  bool more_;
  std::vector<Trial> trials_;
};

Status Trials::take(const std::vector<Point>& points) {
  for (const Point& point : points) {
    Trial trial{.number = trials_.size() + 1, .point = point};
    OUTCROP_TRY(config, train::read_config(sweep_.config, kinds_, settings_of(sweep_, point)));
    OUTCROP_CHECK(take_progress(training(trial), goal_, config.train.stage_epochs, trial));
    trials_.push_back(std::move(trial));
  }
  return {};
}

// To this stage, where it has not come to it.
Status Trials::train_to(Trial& trial, std::int64_t stage) {
  OUTCROP_TRY(config, train::read_config(sweep_.config, kinds_, settings_of(sweep_, trial.point)));
  const fs::path folder = training(trial);
  std::error_code error;
  if (trial.stage >= stage && fs::exists(folder / "checkpoint", error)) return {};
  fs::create_directories(folder, error);
  if (error) return fail(ErrorCode::io, "making " + folder.string() + ": " + error.message());
  const auto arguments = experiment::training_arguments(sweep_.config, folder, stage, settings_of(sweep_, trial.point));
  const Status trained = experiment::run_own_program(arguments, sweep_.out / (folder_of(trial) + ".log"));
  if (!trained && trained.error().code() == ErrorCode::interrupted) return trained;
  OUTCROP_CHECK(take_progress(folder, goal_, config.train.stage_epochs, trial));
  trial.failed = trained ? "" : trained.error().message();
  if (!trained) say("trial " + std::to_string(trial.number) + " failed: " + trial.failed);
  return show(/*picture=*/false);
}

Status Trials::train_all() {
  std::vector<std::size_t> going(trials_.size());
  std::iota(going.begin(), going.end(), 0);
  const bool halves = sweep_.search == Search::halving;
  const auto start = std::chrono::steady_clock::now();
  std::size_t done = 0;
  for (std::int64_t stage = halves ? 1 : sweep_.stages; stage <= sweep_.stages; ++stage) {
    for (std::size_t at = 0; at < going.size(); ++at) {
      Trial& trial = trials_[going[at]];
      std::string line = "== stage " + std::to_string(stage) + ", trial " + std::to_string(at + 1) + " of " +
                         std::to_string(going.size());
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
      if (done > 0) line += "; about " + human_duration(spent / done * (going.size() - at)) + " left of this stage";
      say(line);
      OUTCROP_CHECK(train_to(trial, stage));
      ++done;
    }
    if (halves && stage < sweep_.stages) going = that_go_on(trials_, stage, sweep_.keep, more_);
    if (going.empty()) break;
  }
  return {};
}

Status Trials::show(bool picture) const {
  OUTCROP_CHECK(write_file_durably(sweep_.out / "sweep.csv", std::string_view(trials_csv(sweep_, trials_, goal_, more_))));
  const auto order = best_first(trials_, more_);
  if (!order.front()->value) return {};
  OUTCROP_CHECK(write_file_durably(sweep_.out / "best.toml", std::string_view(drop_in_of(sweep_, *order.front(), goal_))));
  if (!picture) return {};
  if (const Status drawn = draw_sweep(sweep_, trials_, goal_, more_, sweep_.out / "sweep.png"); !drawn) {
    say("note: no picture: " + drawn.error().message());
  }
  return {};
}

Status Trials::report() const {
  OUTCROP_CHECK(show(/*picture=*/true));
  std::printf("%s", trials_table(sweep_, trials_, goal_, more_).c_str());
  const auto order = best_first(trials_, more_);
  if (!order.front()->value) {
    return fail(ErrorCode::internal, "all " + std::to_string(trials_.size()) + " trials failed; the first: " + trials_.front().failed);
  }
  std::printf("the best: trial %zu; %s has its keys\n", order.front()->number, (sweep_.out / "best.toml").c_str());
  return {};
}

}  // namespace

Result<std::string> check_sweep(const Sweep& sweep, const kinds::Register& kinds) {
  OUTCROP_TRY(points, points_of(sweep));
  OUTCROP_CHECK(check_keys(sweep, points, kinds));
  OUTCROP_TRY(config, train::read_config(sweep.config, kinds, settings_of(sweep, points.front())));
  OUTCROP_TRY(kind, kinds.find(config.kind));
  if (kind->made_by_others()) {
    return fail(ErrorCode::unsupported, sweep.config.string() + ": model.kind: a sweep opens its model before it gives up other "
                                                                "files, and so not one of kind '" + config.kind + "'");
  }
  OUTCROP_TRY(task, config.recipe->open(config.train.seed));
  OUTCROP_CHECK(check_room(sweep, points.size(), *task));
  return goal_of(sweep, task->columns());
}

Status run_sweep(const Sweep& sweep, const kinds::Register& kinds) {
  OUTCROP_TRY(goal, check_sweep(sweep, kinds));
  OUTCROP_TRY(points, points_of(sweep));
  OUTCROP_TRY(first, train::read_config(sweep.config, kinds, settings_of(sweep, points.front())));
  OUTCROP_CHECK(claim_folder(sweep, points, first));
  OUTCROP_TRY(lock, try_lock_file(sweep.out / ".lock", 0644, "another process sweeps in " + sweep.out.string()));
  const data::StopSignal stop_signal;
  Trials trials(sweep, kinds, goal);
  OUTCROP_CHECK(trials.take(points));
  OUTCROP_CHECK(trials.train_all());
  return trials.report();
}

}  // namespace outcrop::sweep
