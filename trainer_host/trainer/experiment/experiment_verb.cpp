#include "trainer_host/trainer/experiment/experiment_verb.hpp"

#include <cstdio>
#include <memory>

#include "trainer_host/trainer/experiment/experiment_config.hpp"
#include "trainer_host/trainer/experiment/make_step.hpp"
#include "trainer_host/trainer/experiment/run_experiment.hpp"

namespace outcrop::experiment {
namespace {

constexpr const char* footer = R"(Example CONFIG.toml (relative paths start at the file's folder):

  [experiment]
  name = "fashion-mnist-cnn"      # a results folder belongs to one experiment
  config = "fashion-mnist.toml"   # what is trained, as outcrop train takes it
  set = ["train.stage_epochs=10"] # keys of it that are otherwise here
  out = "results"
  stages = 1                      # of the baseline
  steps = ["baseline", "dynamic", "static", "qat", "mixed"]
  exports = ["tflite", "keras"]   # and "onnx", "safetensors": what each step leaves for other runtimes, too; a step's own
                                  # table may say otherwise. ptq_quantized_model.tflite, dynamic_range_quantized_model.tflite,
                                  # qat_quantized_model.tflite; baseline_model.keras, qat_model.keras, which train on

  [steps.qat]
  int8_epochs = 5                 # trained on for int8 from the baseline's weights; 5 where nothing is said
  [steps.static]
  release = true                  # signed, so that boards measure it; needs [release] in what is trained
  [steps.small]                   # a step of yours: any methods of outcrop list
  methods = ["gptq-4bit", "nf4-4bit"]

Each step gets a folder: config.json (what it was made of), metrics.json, comparison.csv, charts, variants in
stage<N>; comparison/ has all beside each other: summary.csv, report.html, radar.png, accuracy_against_size.png,
dashboard.png.

Examples:
  outcrop experiment fashion.toml                       everything, or what is missing of it
  outcrop experiment fashion.toml --only static mixed   these steps, and the comparison
  outcrop experiment fashion.toml --skip-training       of the weights that are there
  outcrop experiment fashion.toml --only-comparison     tables and pictures anew
  outcrop fleet reports --json > boards.json; outcrop experiment fashion.toml --only-comparison --boards boards.json
                                                        with what boards measured of released steps
  outcrop experiment fashion.toml --check-config        look at all that it needs, and make nothing

Killed at any moment, the same command goes on; what is up to date is not made again. A step that fails is named in
the report, and the others are made all the same.)";

struct Arguments {
  std::filesystem::path file;
  std::string out;
  std::string step;
  bool check_config = false;
  ExperimentOptions options;
};

Status run(const Arguments& arguments, const kinds::Register& kinds) {
  OUTCROP_TRY(experiment, read_experiment(arguments.file));
  if (!arguments.out.empty()) experiment.out = arguments.out;
  const ResultPaths paths(experiment.out);
  const ExperimentOptions& options = arguments.options;
  if (!arguments.step.empty()) {
    OUTCROP_CHECK(experiment.check_step(arguments.step));
    return make_step(experiment, *experiment.find(arguments.step), paths, kinds, options.allow_reduced);
  }
  if (!arguments.check_config) return run_experiment(experiment, options, kinds);
  std::vector<const Step*> steps;
  for (const std::string& name : options.only) {
    OUTCROP_CHECK(experiment.check_step(name));
    steps.push_back(experiment.find(name));
  }
  for (const Step& step : experiment.steps) {
    if (options.only.empty()) steps.push_back(&step);
  }
  OUTCROP_CHECK(check_steps(experiment, steps, paths, kinds, options.allow_reduced));
  std::printf("%s is good: %zu steps\n", arguments.file.c_str(), steps.size());
  return {};
}

}  // namespace

void add_experiment(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "experiment",
      "Train a model, quantize it in several ways, and compare them: tables, pictures and a report by one command.");
  verb->add_option("CONFIG", arguments->file, "TOML file that says which steps, of which training")->required();
  verb->add_option("--only", arguments->options.only, "Make these steps and no others")->type_name("NAME");
  verb->add_flag("--skip-training", arguments->options.skip_training, "Train nothing: take the weights that are there");
  auto* comparison = verb->add_flag("--only-comparison", arguments->options.only_comparison,
                                    "Make no step: compare what is there");
  verb->add_option("--boards", arguments->options.reports,
                   "What boards measured of steps that were released, as outcrop fleet reports --json printed it: shown beside "
                   "the host's figures")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  verb->add_option("--out", arguments->out, "Folder of results, instead of experiment.out")->type_name("DIR");
  verb->add_flag("--check-config", arguments->check_config, "Look at CONFIG and all that it needs, and make nothing")
      ->excludes(comparison);
  verb->add_flag("--allow-reduced-confinement", arguments->options.allow_reduced,
                 "Measure and prove variants on a machine that cannot confine them fully");
  verb->add_option("--step", arguments->step, "Make this step of weights that are there, in this process")->group("");
  verb->footer(footer);
  verb->callback([arguments, &chosen, &kinds] { chosen = [arguments, &kinds] { return run(*arguments, kinds); }; });
}

}  // namespace outcrop::experiment
