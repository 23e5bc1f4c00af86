#include "trainer_host/trainer/evaluate/condition_verb.hpp"

#include <cstdio>
#include <memory>
#include <optional>

#include "platform/console/progress_bar.hpp"
#include "protocol/base/durable_file.hpp"
#include "runtime/engine/npy_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/evaluate/evaluation_text.hpp"
#include "trainer_host/trainer/evaluate/result_folder.hpp"
#include "trainer_host/trainer/evaluate/stage_files.hpp"
#include "trainer_host/trainer/kinds/foreign_code.hpp"
#include "trainer_host/trainer/models/confined_model.hpp"

namespace outcrop::evaluate {
namespace fs = std::filesystem;
namespace {

constexpr ByteCount most_given = ByteCount::mib(512);

struct ConditionArguments {
  fs::path model;
  fs::path out;
  fs::path known;
  fs::path around;
  std::string weights;
  std::string variant;
  kinds::Conditions conditions;
  bool allow_reduced = false;
  bool json = false;

  [[nodiscard]] bool is_known() const { return !known.empty(); }
  [[nodiscard]] const fs::path& given() const { return is_known() ? known : around; }
};

Result<runtime::Tensor> read_given(const fs::path& file) {
  OUTCROP_TRY(bytes, read_file(file, most_given));
  auto tensor = runtime::decode_npy(bytes);
  if (!tensor) return fail(tensor.error().context(file.string()));
  return tensor;
}

Status run_condition(const ConditionArguments& arguments, const kinds::Register& kinds) {
  OUTCROP_TRY(files, find_stage_files(arguments.model, arguments.weights,
                                      arguments.variant.empty() ? std::vector<std::string>{}
                                                                : std::vector{arguments.variant}));
  OUTCROP_CHECK(kinds::enclose_for(files.weights, kinds, {arguments.model, arguments.given(), files.weights},
                                   {arguments.out}, arguments.allow_reduced));
  kinds::Conditions conditions = arguments.conditions;
  conditions.way = arguments.is_known() ? kinds::Conditions::Way::known : kinds::Conditions::Way::around;
  OUTCROP_TRY(given, read_given(arguments.given()));
  conditions.given = std::move(given);
  OUTCROP_TRY(opened, kinds::open_trained(files.weights, kinds, {.train = {}, .only_scored = true}));
  runtime::RunnerOptions options;
  if (arguments.allow_reduced) options.confinement = runtime::Confinement::reduced;
  OUTCROP_TRY(model, models::ConfinedModel::load(files.variants.front().file, options));
  conditions.model = &model;
  std::optional<ProgressBar> bar;
  conditions.progress = [&](std::size_t done, std::size_t total) {
    if (!bar) bar.emplace("condition", total, "steps");
    bar->update(done);
  };
  auto conditioned = opened.task->condition(conditions);
  if (!conditioned) return fail(conditioned.error().context(arguments.given().string()));
  OUTCROP_CHECK(make_result_folder(arguments.out));
  OUTCROP_CHECK(runtime::write_tensor_file(arguments.out / "conditioned.safetensors", conditioned->outputs));
  const std::string title = title_of(opened.description);
  const DrawnPicture picture = draw_into(arguments.out, conditioned->shown, title);
  const std::string json = evaluation_json(conditioned->shown, opened.description, picture, 2);
  OUTCROP_CHECK(write_file_durably(arguments.out / "conditioned.json", json + "\n"));
  const std::string text = arguments.json ? evaluation_json(conditioned->shown, opened.description, picture) + "\n"
                                          : evaluation_text(conditioned->shown, title);
  std::fputs(text.c_str(), stdout);
  if (arguments.json) return {};
  std::printf("%s\n", (arguments.out / "conditioned.safetensors").c_str());
  if (!picture.name.empty()) std::printf("%s\n", (arguments.out / picture.name).c_str());
  return {};
}

}  // namespace

void add_condition(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds) {
  auto arguments = std::make_shared<ConditionArguments>();
  kinds::Conditions& conditions = arguments->conditions;
  CLI::App* verb = app.add_subcommand("condition", "Draw samples that agree with what is known, or that vary a given one");
  verb->add_option("MODEL", arguments->model, "A stage's folder (run/stage2), or one .ptl with --weights")->required();
  verb->add_option("OUT", arguments->out, "Folder for conditioned.safetensors, .json and, where gnuplot can draw it, .png")
      ->required();
  auto* way = verb->add_option_group("what is given");
  way->add_option("--known", arguments->known, ".npy of a map in the data's unit, NaN where nothing is known");
  way->add_option("--around", arguments->around, ".npy of a whole map, to be varied");
  way->require_option(1);
  verb->add_option("--sample", conditions.sample, "Which sample, where the file has several (a data set's vel4_1_0.npy)")
      ->capture_default_str();
  verb->add_option("--columns", conditions.columns, "Of --known only these columns, as wells: 10,35; the rest then tells how far off maps are")
      ->delimiter(',')
      ->needs("--known");
  verb->add_option("--deviation", conditions.deviation, "Of --known: standard deviation of what is known, in the data's unit")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->needs("--known");
  verb->add_option("--strength", conditions.strength, "Of --around: how much of the map noise replaces, above 0 to 1")
      ->check(CLI::Range(0.01, 1.0))
      ->capture_default_str()
      ->needs("--around");
  verb->add_option("--count", conditions.count, "Samples to draw")->check(CLI::Range(1, 256))->capture_default_str();
  verb->add_option("--seed", conditions.seed, "Of the noise")->capture_default_str();
  verb->add_option("--variant", arguments->variant, "The variant that makes them (default: float)");
  verb->add_option("--weights", arguments->weights, "The weights that a single .ptl was made of (<model>_stage<N>.weights)");
  verb->add_flag("--allow-reduced-confinement", arguments->allow_reduced,
                 "Run the variant on a machine that cannot confine a runner fully");
  verb->add_flag("--json", arguments->json, "Print the result as one line of JSON");
  verb->footer(
      "Of generators. --known: the noise of each sample is moved, as little as need be, until its map agrees with the\n"
      "known cells (randomized maximum likelihood): maps agree there and differ elsewhere, as far as the model knows\n"
      "of the earth. --around: the map's latent is turned towards noise. Figures and picture show the same noise under\n"
      "no condition beside them.\n\n"
      "Examples:\n"
      "  outcrop condition run/stage2 completed --known data/held-out/vel4_1_0.npy --sample 3 --columns 17,52\n"
      "  outcrop condition run/stage2 completed --known measured.npy --deviation 50 --count 32\n"
      "  outcrop condition run/stage2 varied --around data/held-out/vel4_1_0.npy --strength 0.3\n"
      "  outcrop draw varied/conditioned.safetensors --out varied.png");
  verb->callback([arguments, &chosen, &kinds] { chosen = [arguments, &kinds] { return run_condition(*arguments, kinds); }; });
}

}  // namespace outcrop::evaluate
