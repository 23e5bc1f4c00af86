#include "trainer_host/trainer/quantize/quantize_verb.hpp"

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "platform/console/step_progress.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/data/dataset_list.hpp"
#include "trainer_host/trainer/models/model_file.hpp"
#include "trainer_host/trainer/models/normalization.hpp"
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
  bool skip_measuring = false;
  bool allow_reduced = false;
  std::size_t calls = 100;
  double seconds = 5;
  bool json = false;
};

// [N, latent] of all maps.
torch::Tensor encode(models::Generator& generator, const data::DatasetList& data) {
  using namespace data::grid;
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> latents;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const auto map = torch::from_blob(
        const_cast<float*>(data.velocity(i).data()),
        {1, 1, static_cast<std::int64_t>(depth), static_cast<std::int64_t>(width)});
    latents.push_back(
        generator.encoder.forward({models::normalize_velocity(map)}).toTensor().reshape({1, -1}));
  }
  return torch::cat(latents);
}

Result<std::vector<PerformanceRow>> measure(const Arguments& arguments,
                                            const ExportedStage& exported,
                                            const models::TrainedModel& model) {
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
  for (const FloatPart& part : exported.variants.back().float_parts) {
    std::printf("  %-22s %s\n", part.name.c_str(), part.reason.c_str());
  }
}

Status run(const Arguments& arguments) {
  OUTCROP_TRY(model, models::load_model(arguments.weights));
  OUTCROP_TRY(dataset, data::DatasetList::open(arguments.data));
  if (model.data_digest != dataset.digest()) {
    std::string folders;
    for (const fs::path& folder : arguments.data) folders += folder.string() + " ";
    std::fprintf(stderr, "note: %sis not the data, or not in the order, that these weights were "
                 "trained on\n", folders.c_str());
  }
  const auto latents = encode(model.generator, dataset);
  if (!model.prior) model.prior = models::fit_gaussian(latents);
  std::error_code error;
  fs::create_directories(arguments.out, error);
  if (error)
    return fail(ErrorCode::io, "making " + arguments.out.string() + ": " + error.message());
  const fs::path table = arguments.out / "quantization_performance.csv";
  if (!arguments.skip_measuring) OUTCROP_CHECK(check_performance_csv(table));
  OUTCROP_TRY(exported, export_variants(
                            model.generator, *model.prior, latents, arguments.out, model.name,
                            static_cast<int>(model.stage),
                            arguments.min_max ? RangeSearch::min_max : RangeSearch::squared_error));
  const std::string json = exported_to_json(exported);
  OUTCROP_CHECK(write_file_durably(arguments.out / "quantization.json", json));
  std::vector<PerformanceRow> rows;
  if (arguments.skip_measuring) {
    for (const VariantFile& variant : exported.variants) {
      PerformanceRow row;
      row.variant = variant;
      rows.push_back(std::move(row));
    }
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
  print_stays_float(exported);
  return {};
}

}  // namespace

void add_quantize(CLI::App& app, cli::Action& chosen) {
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
                   "The training data, repeatable, in the order of training: its latents calibrate "
                   "the ranges of activations")
      ->allow_extra_args(false)
      ->type_name("DIR")
      ->required();
  verb->add_option("--out", arguments->out,
                   "Folder for the files; those of the same name are replaced")
      ->required();
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
  verb->callback([arguments, &chosen] { chosen = [arguments] { return run(*arguments); }; });
}

}  // namespace outcrop::quantize
