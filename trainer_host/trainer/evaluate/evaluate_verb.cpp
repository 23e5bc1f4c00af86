#include "trainer_host/trainer/evaluate/evaluate_verb.hpp"

#include <cstdio>
#include <memory>
#include <optional>

#include "platform/console/progress_bar.hpp"
#include "protocol/base/durable_file.hpp"
#include "trainer_host/trainer/evaluate/evaluation_text.hpp"
#include "trainer_host/trainer/evaluate/result_folder.hpp"
#include "trainer_host/trainer/evaluate/stage_files.hpp"
#include "trainer_host/trainer/kinds/foreign_code.hpp"
#include "trainer_host/trainer/models/confined_model.hpp"

namespace outcrop::evaluate {
namespace fs = std::filesystem;
namespace {

struct Arguments {
  fs::path model;
  fs::path data;
  std::string weights;
  std::vector<fs::path> training;
  std::string other;
  std::vector<std::string> variants;
  std::string out;
  std::size_t drawn = 32;
  bool allow_reduced = false;
  bool json = false;
};

Result<std::vector<models::ConfinedModel>> load_variants(const StageFiles& files,
                                                         const Arguments& arguments) {
  runtime::RunnerOptions options;
  if (arguments.allow_reduced) options.confinement = runtime::Confinement::reduced;
  std::vector<models::ConfinedModel> models;
  for (const StageFiles::Variant& variant : files.variants) {
    OUTCROP_TRY(model, models::ConfinedModel::load(variant.file, options));
    models.push_back(std::move(model));
  }
  return models;
}

Result<kinds::Evaluation> evaluate(const StageFiles& files, const Arguments& arguments,
                                   kinds::Task& task) {
  OUTCROP_TRY(models, load_variants(files, arguments));
  kinds::EvaluationRequest request;
  request.drawn = arguments.drawn;
  request.other = arguments.other;
  for (std::size_t i = 0; i < models.size(); ++i) {
    request.variants.push_back({files.variants[i].name, &models[i]});
  }
  std::optional<ProgressBar> bar;
  request.progress = [&](std::size_t done, std::size_t total) {
    if (!bar) bar.emplace("evaluate", total, "samples");
    bar->update(done);
  };
  OUTCROP_TRY(evaluation, task.evaluate(request));
  const kinds::DataSummary& data = task.data();
  if (data.shared > 0) {
    evaluation.remarks.push_back(std::to_string(data.shared) + " of " +
                                 std::to_string(data.held_out) +
                                 " samples are among those of --train: what was trained on says "
                                 "nothing of what is new");
  }
  return evaluation;
}

Status enclose(const StageFiles& files, const Arguments& arguments, const kinds::Register& kinds) {
  std::vector<fs::path> read{arguments.model, arguments.data, files.weights};
  read.insert(read.end(), arguments.training.begin(), arguments.training.end());
  if (!arguments.other.empty()) read.emplace_back(arguments.other);
  std::vector<fs::path> write;
  if (!arguments.out.empty()) write.emplace_back(arguments.out);
  return kinds::enclose_for(files.weights, kinds, read, write, arguments.allow_reduced);
}

Status run(const Arguments& arguments, const kinds::Register& kinds) {
  OUTCROP_TRY(files, find_stage_files(arguments.model, arguments.weights, arguments.variants));
  OUTCROP_CHECK(enclose(files, arguments, kinds));
  OUTCROP_TRY(opened, kinds::open_trained(files.weights, kinds,
                                          {.train = arguments.training,
                                           .validation = {arguments.data},
                                           .only_scored = true}));
  const fs::path out(arguments.out);
  if (!arguments.out.empty()) OUTCROP_CHECK(make_result_folder(out));
  OUTCROP_TRY(evaluation, evaluate(files, arguments, *opened.task));
  const std::string title = title_of(opened.description);
  DrawnPicture picture;
  if (!arguments.out.empty() && evaluation.draw) picture = draw_into(out, evaluation, title);
  // Shown before they are stored: a full disk takes no score away.
  const std::string text = arguments.json
                               ? evaluation_json(evaluation, opened.description, picture) + "\n"
                               : evaluation_text(evaluation, title);
  std::fputs(text.c_str(), stdout);
  if (arguments.out.empty()) return {};
  OUTCROP_CHECK(write_file_durably(
      out / "evaluation.json", evaluation_json(evaluation, opened.description, picture, 2) + "\n"));
  if (!picture.name.empty() && !arguments.json) {
    std::printf("%s\n", (out / picture.name).c_str());
  }
  return {};
}

}  // namespace

void add_evaluate(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "evaluate",
      "Score a trained stage on data, by what its kind is judged by, beside what a model that learned "
      "nothing reaches, with a picture. Variants run confined, as on boards.");
  verb->add_option("MODEL", arguments->model,
                   "A stage's folder (run/stage1), or one .ptl with --weights")
      ->required();
  verb->add_option("DATA", arguments->data,
                   "Data of the model's kind; best such as training has not seen")
      ->required();
  verb->add_option("--weights", arguments->weights,
                   "The weights that a single .ptl was made of (<model>_stage<N>.weights)");
  verb->add_option("--variant", arguments->variants,
                   "Variants of the folder to score, repeatable; the first one is in the picture "
                   "(default: float and int8-qint8)");
  verb->add_option("--train", arguments->training,
                   "The training data, repeatable: for their mean, and how far generated maps are "
                   "from them")
      ->allow_extra_args(false)
      ->type_name("DIR");
  verb->add_option("--other", arguments->other,
                   "Data of another sort (of outcrop synth --from, say): its first sample is shown "
                   "too, under the folder's name; generators only");
  verb->add_option("--generated", arguments->drawn,
                   "Samples to draw from noise, by kinds that draw any")
      ->capture_default_str()
      ->check(CLI::Range(8, 100'000));
  verb->add_option("--out", arguments->out,
                   "Folder for evaluation.json and, where gnuplot can draw it, the picture");
  verb->add_flag("--allow-reduced-confinement", arguments->allow_reduced,
                 "Run variants on a machine that cannot confine a runner fully");
  verb->add_flag("--json", arguments->json, "Print the result as one line of JSON");
  verb->footer(
      "Of generators: SSIM as OpenFWI takes it: window 11, sigma 1.5, on [0, 1]; gathers under\n"
      "log1p. MAE and RMSE are in m/s for maps and in pressure for gathers. 'reflections' is the\n"
      "error of the gathers with the direct wave muted, relative to the true ones, under log1p: 0 is\n"
      "right, silence reaches 1. A 'permuted' score near the model's own means that it ignores its\n"
      "input. The misfit of generated pairs is that of their gathers to those which our solver makes of\n"
      "their own maps, relative to these: 0 obeys the wave equation, silence reaches 1.\n\n"
      "Example:\n"
      "  outcrop evaluate run/stage1 data/held-out --train data/train --out evaluation/stage1");
  verb->callback([arguments, &chosen, &kinds] {
    chosen = [arguments, &kinds] { return run(*arguments, kinds); };
  });
}

}  // namespace outcrop::evaluate
