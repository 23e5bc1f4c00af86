#include "trainer_host/trainer/sweep/sweep_verb.hpp"

#include <cstdio>
#include <memory>

#include "trainer_host/trainer/sweep/run_sweep.hpp"

namespace outcrop::sweep {
namespace {

constexpr const char* footer = R"(Example CONFIG.toml (relative paths start at the file's folder):

  [sweep]
  config = "fashion-mnist.toml"       # what is trained, as outcrop train takes it
  set = ["train.stage_epochs=2"]      # keys of it that are otherwise in all trials
  out = "sweep"
  search = "halving"                  # "grid": every combination; "random": drawn; "halving": drawn, and after
                                      # each stage the better ones go on
  trials = 16                         # that are drawn; a grid has its own number
  seed = 1
  stages = 3                          # that a trial is trained for, where it goes on to the end
  keep = 0.5                          # share that goes on after each stage of halving
  goal = "held_out_accuracy"          # a column of training.csv; the kind's first score, where nothing is said
  better = "more"                     # or "less": as the goal's name says (loss, mae, rmse, error: less)

  [keys."train.learning_rate"]        # any key of the training's configuration
  from = 0.0005
  to = 0.01
  scale = "log"                       # or "linear"; whole = true draws integers
  [keys."model.widths"]
  values = ["[16, 32]", "[32, 64]"]   # as TOML has them; texts in quotes of their own: ['"adam"']

It leaves sweep.csv (the best first), sweep.png (parallel coordinates), best.toml (a drop-in of the training's
configuration), and a run for each trial, which outcrop train goes on with and TensorBoard shows (--logdir sweep).

Examples:
  outcrop sweep rates.toml                 killed at any moment, the same command goes on
  outcrop sweep rates.toml --check-config  look at keys, values, data and room, and train nothing
  cp sweep/best.toml fashion-mnist.toml.d/ train with the best from now on)";

struct Arguments {
  std::filesystem::path file;
  std::string out;
  bool check_config = false;
};

Status run(const Arguments& arguments, const kinds::Register& kinds) {
  OUTCROP_TRY(sweep, read_sweep(arguments.file));
  if (!arguments.out.empty()) sweep.out = arguments.out;
  if (!arguments.check_config) return run_sweep(sweep, kinds);
  OUTCROP_TRY(goal, check_sweep(sweep, kinds));
  OUTCROP_TRY(points, points_of(sweep));
  std::printf("%s is good: %zu trials, judged by %s\n", arguments.file.c_str(), points.size(), goal.c_str());
  return {};
}

}  // namespace

void add_sweep(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "sweep", "Train a model with several values of keys of its configuration, and say which are best: grid, random, halving.");
  verb->add_option("CONFIG", arguments->file, "TOML file that says which keys, of which training")->required();
  verb->add_option("--out", arguments->out, "Folder of the trials, instead of sweep.out")->type_name("DIR");
  verb->add_flag("--check-config", arguments->check_config, "Look at CONFIG and all that it needs, and train nothing");
  verb->footer(footer);
  verb->callback([arguments, &chosen, &kinds] { chosen = [arguments, &kinds] { return run(*arguments, kinds); }; });
}

}  // namespace outcrop::sweep
