#include "trainer_host/trainer/experiment/make_step.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/join.hpp"
#include "protocol/messages/json_reader.hpp"
#include "trainer_host/trainer/analyze/charts.hpp"
#include "trainer_host/trainer/analyze/class_comparison.hpp"
#include "trainer_host/trainer/analyze/contender_page.hpp"
#include "trainer_host/trainer/analyze/read_results.hpp"
#include "trainer_host/trainer/analyze/transfer_size.hpp"
#include "trainer_host/trainer/experiment/exports.hpp"
#include "trainer_host/trainer/experiment/figures.hpp"
#include "trainer_host/trainer/kinds/answers_classes.hpp"
#include "trainer_host/trainer/kinds/foreign_code.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/aware_training.hpp"
#include "trainer_host/trainer/quantize/method.hpp"
#include "trainer_host/trainer/stage/stage_end.hpp"
#include "trainer_host/trainer/train/process.hpp"
#include "trainer_host/trainer/train/trainer.hpp"

namespace outcrop::experiment {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;
using torch::Tensor;

std::string stem_of(const train::TrainConfig& config, const Step& step) {
  return config.name + "_stage" + std::to_string(step.number);
}

Status enclose(const Experiment& experiment, const train::TrainConfig& config, const std::vector<fs::path>& weights,
               const std::vector<fs::path>& write, const kinds::Register& kinds, bool allow_reduced) {
  OUTCROP_TRY(kind, kinds.find(config.kind));
  std::vector<fs::path> read = config.recipe->brought();
  read.insert(read.end(), {experiment.file, experiment.config, fs::path(experiment.config.string() + ".d")});
  read.insert(read.end(), weights.begin(), weights.end());
  const kinds::DataPlaces& places = config.recipe->places();
  read.insert(read.end(), places.train.begin(), places.train.end());
  read.insert(read.end(), places.validation.begin(), places.validation.end());
  return kinds::enclose(*kind, read, write, allow_reduced);
}

struct Opened {
  std::unique_ptr<kinds::Task> task;
  models::ModelDescription description;
};

Result<Opened> open_weights(const train::TrainConfig& config, const fs::path& weights) {
  OUTCROP_TRY(file, models::read_model_file(weights));
  OUTCROP_TRY(description, models::description_in(file.about));
  OUTCROP_TRY(task, config.recipe->open(config.train.seed));
  const Status taken = kinds::take_weights(file, *task);
  if (!taken) return fail(taken.error().context("taking " + weights.string()));
  return Opened{std::move(task), std::move(description)};
}

// The weights by the name that a stage's end knows, and the curve that is drawn with it.
Status bring(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
  if (error) return fail(ErrorCode::io, "copying " + from.string() + ": " + error.message());
  return {};
}

Status end_stage(const train::TrainConfig& config, const Step& step, const fs::path& weights, Opened& opened,
                 bool allow_reduced) {
  const train::History no_history;
  OUTCROP_TRY(stage_end, stage::make_stage_end(config, {allow_reduced}));
  return stage_end.end({.config = config,
                        .task = *opened.task,
                        .history = no_history,
                        .lineage = {},
                        .weights = weights,
                        .stage = step.number,
                        .epoch = opened.description.epoch,
                        .trained = opened.description.trained});
}

Result<std::vector<std::pair<std::string, std::string>>> left_out_of_stage(const fs::path& stage) {
  constexpr ByteCount largest = ByteCount::mib(16);
  const fs::path file = stage / "quantization.json";
  OUTCROP_TRY(text, read_text_file(file, largest));
  OUTCROP_TRY(json, messages::parse_object(text, largest, file.string()));
  return left_out_in(json);
}

// How good each is, by files that this process made itself a moment ago.
Status score(std::vector<analyze::Contender>& contenders, const fs::path& stem, kinds::Task& task, StepFigures& figures) {
  const auto* const classes = dynamic_cast<const kinds::AnswersClasses*>(&task);
  Tensor of_float;
  if (classes != nullptr) {
    OUTCROP_TRY(model, models::LiteModel::load(stem.string() + "_float.ptl"));
    OUTCROP_TRY(answers, classes->answers_of(model));
    of_float = answers;
  }
  for (analyze::Contender& one : contenders) {
    const fs::path file = stem.string() + "_" + one.name + ".ptl";
    std::fprintf(stderr, "judging %s on %zu samples\n", one.name.c_str(), task.data().held_out);
    if (const auto packed = analyze::transfer_size(file)) one.transfer = packed->value();
    OUTCROP_TRY(model, models::LiteModel::load(file));
    auto quality = task.judge(model);
    if (!quality) return fail(quality.error().context("judging " + one.name));
    figures.samples = quality->samples;
    figures.held_out = quality->held_out;
    if (classes != nullptr && one.name != "float") {
      OUTCROP_TRY(answers, classes->answers_of(model));
      const auto beside = analyze::compare_classes(of_float, answers, classes->judged_labels());
      one.mcnemar = beside.mcnemar;
      one.logits_db = beside.logits_db;
    }
    const Score of = score_of(*quality);
    if (of.metric.empty()) continue;
    one.metric = of.metric;
    one.score = of.value;
  }
  return {};
}

// Beside the baseline's, where these are there.
Status show(const Step& step, const ResultPaths& paths, const StepFigures& figures) {
  std::vector<analyze::Contender> all = figures.contenders;
  const fs::path baseline = paths.metrics(baseline_name);
  std::error_code error;
  if (step.name != baseline_name && fs::exists(baseline, error)) {
    OUTCROP_TRY(before, read_figures(baseline));
    all.insert(all.begin(), before.contenders.begin(), before.contenders.end());
  }
  const fs::path folder = paths.step(step.name);
  OUTCROP_CHECK(write_file_durably(folder / "comparison.csv", analyze::contenders_csv(all)));
  if (const Status drawn = analyze::draw_charts(all, folder, step.name == baseline_name ? step.name : step.name + " beside float"); !drawn) {
    std::fprintf(stderr, "note: no pictures: %s\n", drawn.error().message().c_str());
  }
  return {};
}

// Of the variants that were asked for at least one.
Status check_any(const Step& step, const StepFigures& figures) {
  if (!figures.contenders.empty()) return {};
  const std::string why = figures.left_out.empty() ? "" : figures.left_out.front().first + ": " + figures.left_out.front().second;
  return fail(ErrorCode::unsupported, "nothing of " + step.name + " could be made" + (why.empty() ? "" : ": " + why));
}

// Whether each method can make its variants of the network as it is before any training.
Status check_methods(const std::vector<const Step*>& steps, kinds::Task& task) {
  task.set_training(false);
  task.fit();
  const kinds::Export model = kinds::export_of(task);
  const auto trained = quantize::trained_variants();
  for (const Step* step : steps) {
    for (const std::string& variant : step->variants) {
      if (std::find(trained.begin(), trained.end(), variant) != trained.end()) continue;  // of weights that there are not yet
      OUTCROP_TRY(kind, quantize::find_variant(variant));
      const auto plan = kind->method->plan(model);
      if (!plan) return fail(plan.error().context("step " + step->name + ", " + variant));
    }
  }
  return {};
}

Status check_int8(const std::vector<const Step*>& steps, kinds::Task& task) {
  for (const Step* step : steps) {
    if (step->int8_epochs == 0) continue;
    quantize::AwareTraining training;
    const Status possible = training.choose_ranges(task);
    training.leave(task);
    return possible ? Status() : Status(fail(possible.error().context("step " + step->name)));
  }
  return {};
}

// Each step's folder holds variants of at most the float model's size, and weights; those that train a run besides.
Status check_room(const std::vector<const Step*>& steps, const kinds::Task& task, const fs::path& out) {
  const ByteCount weights = train::size_of_weights(task);
  std::uint64_t needed = 0;
  for (const Step* step : steps) {
    const std::uint64_t copies = 2 + step->variants.size() + exported_names(*step).size();
    needed += copies * weights.value() * (step->release ? 2 : 1) + ByteCount::mib(2).value();
    if (step->trains()) needed += train::space_of_stage(weights, false).value();
  }
  return train::check_room_for(out, ByteCount(needed), "these steps take up to",
                               "make room there, name another folder (--out DIR), or fewer steps (--only NAME)");
}

}  // namespace

std::vector<std::string> settings_of_step(const Experiment& experiment, const Step& step) {
  std::vector<std::string> settings = experiment.settings;
  if (step.int8_epochs > 0) {
    settings.emplace_back("train.qat_from=1");
    settings.push_back("train.stage_epochs=" + std::to_string(step.int8_epochs));
  }
  return settings;
}

Result<train::TrainConfig> config_of_step(const Experiment& experiment, const Step& step, const ResultPaths& paths,
                                          const kinds::Register& kinds) {
  OUTCROP_TRY(config, train::read_config(experiment.config, kinds, settings_of_step(experiment, step)));
  config.train.out = paths.step(step.name);
  config.variants = step.variants;
  config.variants.insert(config.variants.begin(), "float");
  if (step.release && !config.release) {
    return fail(ErrorCode::invalid_argument, "step " + step.name + " is to make a release, and " + experiment.config.string() +
                                                 " has no [release] that names keys");
  }
  if (!step.release) config.release.reset();
  return config;
}

fs::path weights_of_step(const Experiment& experiment, const Step& step, const ResultPaths& paths, const std::string& model) {
  const bool own = step.int8_epochs > 0;
  return paths.training(own ? step.name : baseline_name) /
         (model + "_stage" + std::to_string(own ? 1 : experiment.stages) + ".weights");
}

Status make_step(const Experiment& experiment, const Step& step, const ResultPaths& paths, const kinds::Register& kinds,
                 bool allow_reduced) {
  const Clock::time_point start = Clock::now();
  OUTCROP_TRY(config, config_of_step(experiment, step, paths, kinds));
  const fs::path trained = weights_of_step(experiment, step, paths, config.name);
  // What lies in its own folder may be read with that.
  std::vector<fs::path> read;
  if (!step.trains()) read.push_back(trained);
  if (step.name != baseline_name) read.push_back(paths.metrics(baseline_name));
  OUTCROP_CHECK(enclose(experiment, config, read, {config.train.out}, kinds, allow_reduced));
  (void)train::set_threads(config.train.threads);
  OUTCROP_TRY(opened, open_weights(config, trained));
  const fs::path weights = config.train.out / (stem_of(config, step) + ".weights");
  OUTCROP_CHECK(bring(trained, weights));
  const fs::path curve = trained.parent_path() / "training.csv";
  if (step.trains()) OUTCROP_CHECK(bring(curve, config.train.out / "training.csv"));
  OUTCROP_CHECK(end_stage(config, step, weights, opened, allow_reduced));

  StepFigures figures;
  figures.step = step.name;
  figures.digest = recorded_digest(paths.record(step.name));
  if (step.trains()) figures.trained_seconds = opened.description.trained.count();
  const fs::path stage = config.train.out / ("stage" + std::to_string(step.number));
  OUTCROP_TRY(left_out, left_out_of_stage(stage));
  figures.left_out = std::move(left_out);
  OUTCROP_TRY(contenders, analyze::read_results({stage}));
  // The float model of the baseline is what all are held against.
  if (step.name != baseline_name) std::erase_if(contenders, [](const analyze::Contender& one) { return one.is_float; });
  OUTCROP_CHECK(score(contenders, stage / stem_of(config, step), *opened.task, figures));
  figures.contenders = std::move(contenders);
  OUTCROP_CHECK(check_any(step, figures));
  for (auto& [name, why] : export_step(step, stage / stem_of(config, step), weights, config.train.out)) {
    figures.left_out.emplace_back(name, why);
  }
  OUTCROP_CHECK(show(step, paths, figures));
  figures.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return write_file_durably(paths.metrics(step.name), std::string_view(to_json(figures)));
}

Status check_steps(const Experiment& experiment, const std::vector<const Step*>& steps, const ResultPaths& paths,
                   const kinds::Register& kinds, bool allow_reduced) {
  OUTCROP_TRY(config, config_of_step(experiment, experiment.steps.front(), paths, kinds));
  for (const Step* step : steps) {
    OUTCROP_TRY(of_step, config_of_step(experiment, *step, paths, kinds));
  }
  OUTCROP_CHECK(enclose(experiment, config, {}, {}, kinds, allow_reduced));
  (void)train::set_threads(config.train.threads);
  OUTCROP_TRY(task, config.recipe->open(config.train.seed));
  OUTCROP_CHECK(check_room(steps, *task, paths.out));
  OUTCROP_CHECK(check_methods(steps, *task));
  return check_int8(steps, *task);
}

}  // namespace outcrop::experiment
