#include "trainer_host/trainer/quantize/quantize_verb.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "platform/console/step_progress.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/kinds/foreign_code.hpp"
#include "trainer_host/trainer/quantize/performance.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::quantize {
namespace fs = std::filesystem;
namespace {

struct Arguments {
  fs::path weights;
  std::vector<fs::path> data;
  fs::path out;
  bool min_max = false;
  std::vector<std::string> variants = usual_variants();
  std::string plan;
  bool skip_measuring = false;
  bool allow_reduced = false;
  std::size_t calls = 100;
  double seconds = 5;
  bool json = false;
};

Result<std::vector<PerformanceRow>> measure(const Arguments& arguments,
                                            const ExportedStage& exported,
                                            const models::ModelDescription& model) {
  MeasureOptions options;
  if (arguments.allow_reduced) options.runner.confinement = runtime::Confinement::reduced;
  options.calls = arguments.calls;
  options.time = std::chrono::milliseconds(static_cast<std::int64_t>(arguments.seconds * 1000));
  const StepProgress progress("measure");
  options.progress = progress;
  return measure_performance(exported, model.name, static_cast<int>(model.stage), options);
}

void print_stays_float(const ExportedStage& exported) {
  std::printf("Not int8 in %s:\n", exported.variants.back().name.c_str());
  for (const kinds::FloatPart& part : exported.variants.back().stays_float) {
    std::printf("  %-22s %s\n", part.name.c_str(), part.reason.c_str());
  }
}

void note_other_data(const Arguments& arguments, const kinds::TrainedTask& opened) {
  if (opened.description.data_digest == opened.task->data().digest) return;
  std::string folders;
  for (const fs::path& folder : arguments.data) folders += folder.string() + " ";
  std::fprintf(stderr,
               "note: %sis not the data, or not in the order, that these weights were trained on\n",
               folders.c_str());
}

Result<VariantChoice> choice_of(const Arguments& arguments) {
  VariantChoice choice;
  choice.variants = arguments.variants;
  OUTCROP_CHECK(check_variants(choice.variants));
  if (arguments.min_max) choice.observer = "min-max";
  if (arguments.plan.empty()) return choice;
  OUTCROP_TRY(plan, read_plan(arguments.plan));
  if (std::find(choice.variants.begin(), choice.variants.end(), plan.variant) ==
      choice.variants.end()) {
    return fail(ErrorCode::invalid_argument,
                arguments.plan + " is for variant '" + plan.variant + "', which is not made");
  }
  choice.plan = std::move(plan);
  return choice;
}

Status run(const Arguments& arguments, const kinds::Register& kinds) {
  OUTCROP_TRY(choice, choice_of(arguments));
  std::vector<fs::path> read = arguments.data;
  read.push_back(arguments.weights);
  if (!arguments.plan.empty()) read.emplace_back(arguments.plan);
  OUTCROP_CHECK(kinds::enclose_for(arguments.weights, kinds, read, {arguments.out},
                                   arguments.allow_reduced));
  OUTCROP_TRY(opened, kinds::open_trained(arguments.weights, kinds, {.train = arguments.data}));
  note_other_data(arguments, opened);
  const models::ModelDescription& model = opened.description;
  std::error_code error;
  fs::create_directories(arguments.out, error);
  if (error)
    return fail(ErrorCode::io, "making " + arguments.out.string() + ": " + error.message());
  const fs::path table = arguments.out / "quantization_performance.csv";
  if (!arguments.skip_measuring) OUTCROP_CHECK(check_performance_csv(table));
  OUTCROP_TRY(exported,
              export_variants(opened.task->make_export(), arguments.out,
                              model.name + "_stage" + std::to_string(model.stage), choice));
  const std::string json = exported_to_json(exported);
  OUTCROP_CHECK(write_file_durably(arguments.out / "quantization.json", json));
  std::vector<PerformanceRow> rows;
  if (arguments.skip_measuring) {
    rows = unmeasured_rows(exported, model.name, static_cast<int>(model.stage), "");
  } else {
    OUTCROP_TRY(measured, measure(arguments, exported, model));
    rows = std::move(measured);
    OUTCROP_CHECK(update_performance_csv(table, rows));
  }
  if (arguments.json) {
    std::printf("%s\n", json_text(nlohmann::ordered_json::parse(json)).c_str());
    return {};
  }
  std::fputs(performance_table(rows).c_str(), stdout);
  std::fputs(left_out_text(exported).c_str(), stdout);
  print_stays_float(exported);
  return {};
}

}  // namespace

void add_quantize(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "quantize",
      "Export trained weights in all variants: float, float-mobile, int8-quint8 (QNNPACK kernels) "
      "and int8-qint8 (XNNPACK kernels), with golden outputs, sizes, errors and times. A stage's "
      "end does this by itself.");
  verb->add_option("WEIGHTS", arguments->weights,
                   "<model>_stage<N>.weights, or a checkpoint (told apart by looking inside)")
      ->required()
      ->check(CLI::ExistingFile);
  verb->add_option("--data", arguments->data,
                   "The training data, repeatable, in the order of training: it calibrates the "
                   "ranges of activations")
      ->allow_extra_args(false)
      ->type_name("DIR")
      ->required();
  verb->add_option("--out", arguments->out,
                   "Folder for the files; those of the same name are replaced")
      ->required();
  verb->add_option("--variants", arguments->variants,
                   "What to make, float first: float, float-mobile, int8-quint8, int8-qint8")
      ->delimiter(',')
      ->capture_default_str();
  verb->add_option("--plan", arguments->plan,
                   "A variant's plan (<model>_stage<N>_<variant>.plan.toml), perhaps changed: layers "
                   "that it makes float stay float")
      ->type_name("FILE");
  verb->add_flag("--min-max", arguments->min_max,
                 "Take activation ranges as wide as seen, instead of the least squared error");
  verb->add_flag("--no-measure", arguments->skip_measuring,
                 "Leave out times and memory (they take the confined runner some seconds)");
  verb->add_flag("--allow-reduced-confinement", arguments->allow_reduced,
                 "Measure on a machine that cannot confine a runner fully");
  verb->add_option("--calls", arguments->calls, "Steady inferences of each variant")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  verb->add_option("--seconds", arguments->seconds,
                   "Longest time for these inferences of one variant, in seconds")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  verb->add_flag("--json", arguments->json, "Print what was exported as one line of JSON");
  verb->footer(
      "Every layer that should be int8 is planned first and counted when it runs: an export where\n"
      "one stayed float fails and names it. The same weights and data give the same bytes.\n\n"
      "Example:\n"
      "  outcrop quantize run/curvefault_stage1.weights --data data/train --out variants");
  verb->callback([arguments, &chosen, &kinds] {
    chosen = [arguments, &kinds] { return run(*arguments, kinds); };
  });
}

}  // namespace outcrop::quantize
