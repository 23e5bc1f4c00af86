#include "trainer_host/trainer/train/train_verb.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "platform/cli/strict_numbers.hpp"
#include "platform/console/progress_bar.hpp"
#include "protocol/base/counted.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/kinds/foreign_code.hpp"
#include "trainer_host/trainer/train/rehearsal.hpp"
#include "trainer_host/trainer/train/trainer.hpp"

namespace outcrop::train {
namespace {

constexpr const char* example = R"(Example CONFIG.toml (values shown are the defaults, except the
names and paths, which have none; relative paths start at the file's folder):

  [model]
  name = "curvefault"       # a-z, 0-9, -
  kind = "generator"        # what is trained; each kind has keys of its own, see below

  [data]
  held_out = 0              # samples at the end of the training data, kept for scoring
  #validation = "other"     # or a folder of its own, or several, instead of held_out

  [train]
  out = "run"               # checkpoint, training.csv, TensorBoard's events, weights of each stage
  stage_epochs = 20
  batch = 8                 # samples a step
  learning_rate = 0.002     # at the peak of each stage's cycle
  weight_decay = 0.0001
  gradient_clip = 1.0       # largest norm of a step's gradients
  average = 0               # 0, or 0.5 to 0.99999: stages are of averaged weights
  qat_from = 0              # the first stage that is trained for int8 (quantization-aware), and all after
                            # it: its variants are int8-qat and int8-qat-quint8; 0: none
  #qat_rate = 0.1           # their learning rate, times the others'
  #qat_warm_up = 0.1        # share of such a stage in float before; batch norms are frozen behind it
  #qat_frozen_from = 0.5    # share of it from which on the ranges of activations are frozen, too; at least
                            # qat_warm_up
  seed = 1
  threads = 0               # 0: one for each processor
  keep_stages = 0           # the newest so many stages stay on disk, and the newest release; 0: all

  [quantize]                # what each stage makes; float first, which others are compared with
  variants = ["float", "float-mobile", "int8-quint8", "int8-qint8"]
  #mixed = { budget_ms = 12 } # what int8-mixed, among them, keeps to: budget_ms, budget_size (bytes), min_db; and aim

  [release]                 # optional: sign a release at the end of each stage
  keys = "keys"             # made by outcrop keys init
  expiry_days = 90
  objective = "p90_ms"      # or p50_ms, memory_mb, error
  #policy = "policy.toml"   # how good a model and its variants must be: docs/release-policy.md

  [budgets.raspberry-pi-4]  # what one inference may cost on a device class
  p90_ms = 400              # milliseconds
  memory_mb = 400           # peak of the whole runner, LibTorch included; 10^6 bytes
)";

constexpr const char* examples = R"(
Examples:
  outcrop train demo.toml --stages 2     train two stages, or what is missing of them
  outcrop train demo.toml                go on until Ctrl-C, stage after stage
  outcrop train demo.toml --check-config look at all that it needs, and train nothing
  outcrop train demo.toml --stages 3 --dry-run
                                         say what that takes: parameters, memory, space, time
  outcrop train demo.toml --set train.learning_rate=0.001 --out other
                                         with one key otherwise, in a folder of its own
  tensorboard --logdir run               look at the curves while it trains
  outcrop train demo.toml --allow-change go on though rate, losses, batch, average or data changed,
                                         or to train for int8 from some stage on (qat_from)
  outcrop train fine.toml --init run/curvefault_stage2.weights
                                         a new run, in a folder of its own, from these weights

Killed at any moment, the same command goes on after the last finished epoch. What a run began with
and what was changed on its way stands in lineage.json.)";

std::string footer(const kinds::Register& kinds) {
  std::string text = example;
  for (const auto& kind : kinds.all()) text += "\n" + std::string(kind->help()) + "\n";
  return text + examples;
}

struct Arguments {
  std::filesystem::path config;
  std::int64_t stages = 0;
  std::string resume = "auto";
  std::string init;
  std::string out;
  bool allow_change = false;
  bool allow_reduced = false;
  std::vector<std::string> settings;
  bool check_config = false;
  bool dry_run = false;
  bool weights_only = false;
  bool json = false;
};

TrainOptions options_of(const Arguments& arguments) {
  TrainOptions options;
  options.allow_change = arguments.allow_change;
  options.init = arguments.init;
  if (arguments.stages > 0) options.stages = arguments.stages;
  if (arguments.resume == "none") {
    options.resume = TrainOptions::Resume::none;
  } else if (arguments.resume != "auto") {
    options.resume = TrainOptions::Resume::from_file;
    options.checkpoint = arguments.resume;
  }
  return options;
}

void print(const TrainSummary& summary, bool json) {
  if (!json) {
    std::printf("stage %ld, epoch %ld: %s of training; checkpoint %s\n",
                static_cast<long>(summary.stage), static_cast<long>(summary.epoch),
                human_duration(std::chrono::duration<double>(summary.trained_seconds)).c_str(),
                summary.checkpoint.c_str());
    return;
  }
  nlohmann::json result{{"stage", summary.stage},
                        {"epoch", summary.epoch},
                        {"trained_seconds", summary.trained_seconds},
                        {"checkpoint", summary.checkpoint.string()},
                        {"weights", summary.weights.string()}};
  for (const auto& [column, value] : summary.values) {
    result[column] = value ? nlohmann::json(*value) : nlohmann::json(nullptr);
  }
  std::printf("%s\n", json_text(result, 2).c_str());
}

// What a run of a module made by others may read and write.
Status enclose(const Arguments& arguments, const TrainConfig& config, const kinds::Register& kinds) {
  OUTCROP_TRY(kind, kinds.find(config.kind));
  std::vector<std::filesystem::path> read = config.recipe->brought();
  read.push_back(arguments.config);
  read.emplace_back(arguments.config.string() + ".d");
  const kinds::DataPlaces& places = config.recipe->places();
  read.insert(read.end(), places.train.begin(), places.train.end());
  read.insert(read.end(), places.validation.begin(), places.validation.end());
  if (!arguments.init.empty()) read.emplace_back(arguments.init);
  // A checkpoint of the run's own folder may be read with it.
  const auto checkpoint = options_of(arguments).checkpoint;
  std::error_code error;
  if (!checkpoint.empty() &&
      !std::filesystem::equivalent(checkpoint.parent_path(), config.train.out, error)) {
    read.push_back(checkpoint);
  }
  return kinds::enclose(*kind, read, {config.train.out}, arguments.allow_reduced);
}

Result<StageEnd> stage_end_of(const Arguments& arguments, const TrainConfig& config,
                              const MakeStageEnd& make_stage_end) {
  if (arguments.weights_only) return StageEnd();
  return make_stage_end(config, {arguments.allow_reduced});
}

Status check(const Arguments& arguments, const TrainConfig& config, const TrainOptions& options,
             const MakeStageEnd& make_stage_end) {
  OUTCROP_TRY(stage_end, stage_end_of(arguments, config, make_stage_end));
  OUTCROP_TRY(outlook, look_ahead(config, options, stage_end));
  std::printf("%s is good: %s to train on, %zu held out; it %s\n", arguments.config.c_str(),
              counted(outlook.training, "sample").c_str(), outlook.held_out, outlook.from.c_str());
  if (!arguments.dry_run) return {};
  const auto rehearsal = rehearse(config, std::max<std::int64_t>(1, arguments.stages));
  if (!rehearsal) return fail(rehearsal.error());
  std::printf("%s", rehearsal_text(*rehearsal, config.train).c_str());
  return {};
}

Status run(const Arguments& arguments, const kinds::Register& kinds,
           const MakeStageEnd& make_stage_end, const MakeForInt8& make_for_int8) {
  OUTCROP_TRY(config, read_config(arguments.config, kinds, arguments.settings));
  if (!arguments.out.empty()) config.train.out = arguments.out;
  TrainOptions options = options_of(arguments);
  options.for_int8 = make_for_int8();
  if (options.resume == TrainOptions::Resume::from_file && !options.init.empty()) {
    return fail(ErrorCode::invalid_argument,
                "--resume PATH goes on with a run, --init begins another: give one of them");
  }
  OUTCROP_CHECK(enclose(arguments, config, kinds));
  if (arguments.check_config || arguments.dry_run) return check(arguments, config, options, make_stage_end);
  OUTCROP_TRY(stage_end, stage_end_of(arguments, config, make_stage_end));
  OUTCROP_TRY(summary, train(config, options, stage_end));
  print(summary, arguments.json);
  return {};
}

}  // namespace

void add_train(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds,
               MakeStageEnd make_stage_end, MakeForInt8 make_for_int8) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "train", "Train a model in stages; quantize, measure and release at each stage's end.");
  verb->add_option("CONFIG", arguments->config, "TOML file that says what to train and how")
      ->required();
  auto* stages =
      verb->add_option("--stages", arguments->stages,
                       "Stop after stage K, counted from the first (default: go on until Ctrl-C)");
  cli::in_unit(stages, "K")->check(CLI::Range(1, 1'000'000));
  verb->add_option("--resume", arguments->resume,
                   "auto: go on from the checkpoint in the output folder, where there is one; "
                   "PATH: from that checkpoint; none: start anew, where no stage is finished yet")
      ->type_name("auto|PATH|none")
      ->capture_default_str();
  verb->add_option("--init", arguments->init,
                   "Begin a new run with these weights, or a checkpoint's, instead of random ones")
      ->type_name("WEIGHTS");
  verb->add_flag("--allow-change", arguments->allow_change,
                 "Go on although schedule, weights of the losses, batch, average or data are not the "
                 "checkpoint's any more; the run's lineage records it");
  verb->add_option("--out", arguments->out, "Output folder, instead of train.out")
      ->type_name("DIR");
  verb->add_flag("--check-config", arguments->check_config,
                 "Look at CONFIG and all that it names, say what is wrong, and train nothing");
  verb->add_option("--set", arguments->settings,
                   "A key of CONFIG that is otherwise here, as TOML has it, repeatable: train.batch=64")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  verb->add_flag("--dry-run", arguments->dry_run,
                 "Say what it would train, with parameters, memory, space and time by some batches, and write nothing");
  verb->add_flag("--weights-only", arguments->weights_only,
                 "Make nothing of a stage but its weights: no variants, no measurements, no release");
  verb->add_flag("--allow-reduced-confinement", arguments->allow_reduced,
                 "Measure and prove variants on a machine that cannot confine them fully");
  verb->add_flag("--json", arguments->json, "Print the result as JSON");
  verb->footer(footer(kinds));
  verb->callback([&chosen, &kinds, arguments, make_stage_end = std::move(make_stage_end),
                  make_for_int8 = std::move(make_for_int8)] {
    chosen = [&kinds, arguments, make_stage_end, make_for_int8] {
      return run(*arguments, kinds, make_stage_end, make_for_int8);
    };
  });
}

}  // namespace outcrop::train
