#include "trainer_host/trainer/quantize/quantize_verb.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "platform/console/step_progress.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/layers.hpp"
#include "trainer_host/trainer/quantize/performance.hpp"
#include "trainer_host/trainer/quantize/quantize_config.hpp"
#include "trainer_host/trainer/quantize/quantized_model.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::quantize {
namespace fs = std::filesystem;
namespace {

constexpr ByteCount longest_costs = ByteCount::mib(1);

struct Arguments {
  NamedModel model;  // its file may be a folder of them
  fs::path out;
  std::vector<std::string> methods;
  std::string config;
  std::string plan;
  std::string target;
  kinds::MixedWishes mixed;
  std::string costs;
  bool skip_measuring = false;
  bool allow_reduced = false;
  std::size_t calls = 100;
  double seconds = 5;
  bool json = false;
};

// The models of a folder, by name; or the one.
Result<std::vector<NamedModel>> models_of(const Arguments& arguments) {
  std::vector<NamedModel> models;
  if (!fs::is_directory(arguments.model.file)) return std::vector{arguments.model};
  for (const auto& entry : fs::directory_iterator(arguments.model.file)) {
    const bool hidden = entry.path().filename().string().starts_with('.');  // what file managers leave
    if (hidden || entry.path().extension() != ".pt") continue;
    models.push_back(arguments.model);
    models.back().file = entry.path();
  }
  std::sort(models.begin(), models.end(),
            [](const NamedModel& one, const NamedModel& other) { return one.file < other.file; });
  if (!models.empty()) return models;
  return fail(ErrorCode::not_found, arguments.model.file.string() + " holds no .pt");
}

Result<std::vector<PerformanceRow>> measure(const Arguments& arguments, const ExportedStage& exported,
                                            const OpenedModel& model) {
  MeasureOptions options;
  if (arguments.allow_reduced) options.runner.confinement = runtime::Confinement::reduced;
  options.calls = arguments.calls;
  options.time = std::chrono::milliseconds(static_cast<std::int64_t>(arguments.seconds * 1000));
  const StepProgress progress("measure");
  options.progress = progress;
  return measure_performance(exported, model.name, static_cast<int>(model.stage), options);
}

// How int8 or float was chosen.
void print_mixed(const ExportedStage& exported) {
  for (const VariantFile& variant : exported.variants) {
    if (variant.mixed) std::fputs(mixed_text(*variant.mixed).c_str(), stdout);
  }
}

void print_stays_float(const ExportedStage& exported) {
  const VariantFile& last = exported.variants.back();
  std::printf("As it was in %s:\n", last.name.c_str());
  for (const kinds::FloatPart& part : last.stays_float) {
    std::printf("  %-22s %s\n", part.name.c_str(), part.reason.c_str());
  }
}

void note_other_data(const OpenedModel& opened, const NamedModel& model) {
  if (!opened.other_data) return;
  std::string folders;
  for (const fs::path& folder : model.calibration) folders += folder.string() + " ";
  std::fprintf(stderr, "note: %sis not the data, or not in the order, that these weights were trained on\n",
               folders.c_str());
}

// What the command line says goes before what a configuration says.
kinds::MixedWishes merged(kinds::MixedWishes wishes, const kinds::MixedWishes& said) {
  if (said.budget_ms) wishes.budget_ms = said.budget_ms;
  if (said.budget_size) wishes.budget_size = said.budget_size;
  if (said.min_db) wishes.min_db = said.min_db;
  if (said.aim) wishes.aim = said.aim;
  return wishes;
}

// Nobody's budget or costs are passed over.
Status check_mixed(const Arguments& arguments, const VariantChoice& choice) {
  const std::string variant = "int8-mixed";
  const bool made = std::find(choice.variants.begin(), choice.variants.end(), variant) != choice.variants.end();
  const bool chosen = made && !(choice.plan && choice.plan->variant == variant);
  const bool said = !(choice.settling.mixed == kinds::MixedWishes()) || !arguments.costs.empty();
  if (chosen || !said) return {};
  return fail(ErrorCode::invalid_argument,
              "budgets, min_db, aim and costs are for --method mixed, which chooses by them" +
                  std::string(made ? "; here a plan says all of it already" : ""));
}

// A plan, or what `outcrop fleet layers --json` prints.
Status read_costs(const std::string& file, Settling& settling) {
  OUTCROP_TRY(text, read_text_file(file, longest_costs));
  if (!text.starts_with('{')) {
    OUTCROP_TRY(costs, read_plan(file));
    settling.costs = std::move(costs);
    return {};
  }
  auto layers = messages::parse_layers(as_bytes(text));
  if (!layers) return fail(layers.error().context(file));
  settling.board = std::move(*layers);
  return {};
}

Result<VariantChoice> choice_of(const Arguments& arguments) {
  QuantizeConfig config;
  if (!arguments.config.empty()) {
    OUTCROP_TRY(read, read_quantize_config(arguments.config));
    config = std::move(read);
  }
  if (!arguments.methods.empty()) config.methods = arguments.methods;
  VariantChoice choice;
  choice.weights = config.weights;
  choice.target = arguments.target;
  choice.settling.mixed = merged(config.mixed, arguments.mixed);
  if (!arguments.costs.empty()) OUTCROP_CHECK(read_costs(arguments.costs, choice.settling));
  std::optional<Plan> plan;
  if (!arguments.plan.empty()) {
    OUTCROP_TRY(read, read_plan(arguments.plan));
    if (config.methods.empty()) config.methods = {read.variant};
    plan = std::move(read);
  }
  if (!config.methods.empty()) {
    OUTCROP_TRY(wanted, variants_of(config.methods));
    choice.variants = {"float", "float-mobile"};
    for (const std::string& variant : wanted) {
      if (variant != "float" && variant != "float-mobile") choice.variants.push_back(variant);
    }
  }
  OUTCROP_CHECK(check_variants(choice.variants));
  if (plan && std::find(choice.variants.begin(), choice.variants.end(), plan->variant) == choice.variants.end()) {
    return fail(ErrorCode::invalid_argument,
                arguments.plan + " is for variant '" + plan->variant + "', which is not made");
  }
  choice.plan = std::move(plan);
  OUTCROP_CHECK(check_mixed(arguments, choice));
  return choice;
}

// What was asked for and could not be made, where nothing else was.
Status check_any(const Arguments& arguments, const ExportedStage& exported) {
  const bool asked = !arguments.methods.empty() || !arguments.config.empty();
  if (!asked || exported.left_out.empty() || exported.variants.size() > 2) return {};
  return fail(ErrorCode::unsupported, exported.left_out.front().first + ": " + exported.left_out.front().second);
}

Status quantize_one(const Arguments& arguments, const NamedModel& named, const fs::path& out,
                    const VariantChoice& choice, const kinds::Register& kinds) {
  OUTCROP_TRY(model, open_named(named, kinds));
  note_other_data(model, named);
  std::error_code error;
  fs::create_directories(out, error);
  if (error) return fail(ErrorCode::io, "making " + out.string() + ": " + error.message());
  const fs::path table = out / "quantization_performance.csv";
  if (!arguments.skip_measuring) OUTCROP_CHECK(check_performance_csv(table));
  const StepProgress progress("quantize");
  VariantChoice shown = choice;
  shown.progress = progress;
  const StepProgress within("int8-mixed");
  shown.settling.progress = [&](std::size_t done, std::size_t total, const std::string& next) {
    if (done == 0) progress.finish();
    within(done, total, next);
    if (done == total) within.finish();
  };
  OUTCROP_TRY(exported, export_variants(kinds::export_of(*model.task), out, model.stem, shown));
  progress(shown.variants.size(), shown.variants.size(), "done");
  progress.finish();
  const std::string json = exported_to_json(exported);
  OUTCROP_CHECK(write_file_durably(out / "quantization.json", json));
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
    return check_any(arguments, exported);
  }
  std::fputs(performance_table(rows).c_str(), stdout);
  print_mixed(exported);
  std::fputs((remarks_text(exported) + left_out_text(exported)).c_str(), stdout);
  print_stays_float(exported);
  return check_any(arguments, exported);
}

// A folder's models one after the other: that one cannot be does not keep the others.
Status run(const Arguments& arguments, const kinds::Register& kinds) {
  if (arguments.model.calibration.empty()) {
    return fail(ErrorCode::invalid_argument,
                "--calibration DIR is missing. Also methods that calibrate nothing (fp16, nf4, dynamic, ...) want a row such as "
                "boards will see: no file says which shape a model takes, and what is made is proved by golden calls. One row "
                "is enough for them: DIR with x.npy of shape [1, ...], by the names of forward's arguments");
  }
  OUTCROP_TRY(choice, choice_of(arguments));
  OUTCROP_TRY(models, models_of(arguments));
  std::vector<fs::path> read;
  if (fs::is_directory(arguments.model.file)) read.push_back(arguments.model.file);
  for (const std::string& file : {arguments.config, arguments.plan, arguments.costs}) {
    if (!file.empty()) read.emplace_back(file);
  }
  OUTCROP_CHECK(enclose_named(models, kinds, read, {arguments.out}, arguments.allow_reduced));
  if (!fs::is_directory(arguments.model.file)) {
    return quantize_one(arguments, models.front(), arguments.out, choice, kinds);
  }
  std::vector<std::string> failed;
  for (const NamedModel& model : models) {
    const std::string name = model.file.stem().string();
    if (!arguments.json) std::printf("%s\n", name.c_str());
    const Status status = quantize_one(arguments, model, arguments.out / name, choice, kinds);
    if (status) continue;
    std::fprintf(stderr, "%s: %s\n", name.c_str(), status.error().message().c_str());
    failed.push_back(name);
  }
  if (failed.empty()) return {};
  std::string names;
  for (const std::string& name : failed) names += (names.empty() ? "" : ", ") + name;
  return fail(ErrorCode::unsupported, std::to_string(failed.size()) + " of " + std::to_string(models.size()) +
                                          " models could not be quantized: " + names);
}

void add_mixed_options(CLI::App& verb, Arguments& arguments) {
  const std::string group = "int8 or float by layer (--method mixed)";
  verb.add_option("--budget-ms", arguments.mixed.budget_ms,
                  "Longest median of a call on one thread of this machine, in milliseconds")
      ->check(CLI::Range(1e-3, 1e7))
      ->group(group);
  verb.add_option_function<std::uint64_t>(
          "--budget-size", [&arguments](const std::uint64_t& bytes) { arguments.mixed.budget_size = ByteCount(bytes); },
          "Largest file, in bytes")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 50))
      ->group(group);
  verb.add_option("--min-db", arguments.mixed.min_db,
                  "Signal to noise of answers against float's that is good enough, in decibels: then the fastest is taken")
      ->check(CLI::Range(0.0, 150.0))
      ->group(group);
  verb.add_option_function<std::string>(
          "--aim", [&arguments](const std::string& name) { arguments.mixed.aim = kinds::aim_from(name); },
          "What counts most within these: accuracy, speed or size")
      ->check(CLI::IsMember({"accuracy", "speed", "size"}))
      ->group(group);
  verb.add_option("--costs", arguments.costs,
                  "Times of layers as another machine has them: what `outcrop fleet layers --json` prints of the release's "
                  "float and int8-qint8, or a plan of int8-mixed with int8_ms, float_ms, enter_ms, leave_ms, end_ms of "
                  "each layer and [costs] other_ms")
      ->type_name("FILE")
      ->check(CLI::ExistingFile)
      ->group(group);
}

}  // namespace

void add_quantize(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "quantize",
      "Quantize a model by one method or several: float and quantized files with golden outputs, sizes, "
      "errors and times. A stage's end does this by itself; `outcrop list` shows all methods.");
  verb->add_option("MODEL", arguments->model.file,
                   "TorchScript (torch.jit.script(model.eval()).save, or trace), a folder of such .pt files, "
                   "<model>_stage<N>.weights, or a checkpoint: told apart by looking inside")
      ->required()
      ->check(CLI::ExistingPath);
  verb->add_option("OUT", arguments->out, "Folder for the files; those of the same name are replaced")->required();
  verb->add_option("-m,--method", arguments->methods,
                   "static, static-mse, dynamic, … or a variant's name, several with commas (default: what a "
                   "stage makes: float, float-mobile, int8-quint8, int8-qint8)")
      ->delimiter(',');
  verb->add_option("--calibration,--data", arguments->model.calibration,
                   "Rows such as boards will see, repeatable (docs/modules.md): they calibrate ranges, and are "
                   "the golden calls. Of a training: its training data, in their order")
      ->allow_extra_args(false)
      ->type_name("DIR");
  verb->add_option("--held-out", arguments->model.held_out, "Rows that it was not trained on, repeatable")
      ->allow_extra_args(false)
      ->type_name("DIR");
  verb->add_option("--weights", arguments->model.weights,
                   "For TorchScript: a state_dict of torch.save, or .safetensors, instead of its own values")
      ->check(CLI::ExistingFile);
  verb->add_option("--loss", arguments->model.loss,
                   "For TorchScript: mse, mae, huber, cross-entropy or binary-cross-entropy against target.npy");
  verb->add_option("-c,--config", arguments->config,
                   "TOML: method = \"gptq-4bit\" and its numbers (group_size, damp_percent, desc_act, sym, "
                   "double_quant); [mixed] with budget_ms, budget_size, min_db and aim")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  verb->add_option("--target", arguments->target,
                   "Whose kernels must run it: qnnpack or xnnpack (outcrop list). A variant with layers that these cannot "
                   "run is left out before anything is converted, with the layers and why")
      ->check(CLI::IsMember({"qnnpack", "xnnpack", "onednn"}));
  verb->add_option("--plan", arguments->plan,
                   "A variant's plan (<model>_<variant>.plan.toml), perhaps changed: layers that it makes float "
                   "stay float")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  add_mixed_options(*verb, *arguments);
  verb->add_flag("--no-measure", arguments->skip_measuring,
                 "Leave out times and memory (they take the confined runner some seconds)");
  verb->add_flag("--allow-reduced-confinement", arguments->allow_reduced,
                 "Go on where this machine cannot confine the process, or a runner");
  verb->add_option("--calls", arguments->calls, "Steady inferences of each variant")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  verb->add_option("--seconds", arguments->seconds,
                   "Longest time for these inferences of one variant, in seconds")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  verb->add_flag("--json", arguments->json, "Print what was exported as one line of JSON");
  verb->footer(
      "Every layer is planned first and counted when it runs: a file where one is not what the plan says\n"
      "is not written. The same model and data give the same bytes.\n\n"
      "Examples:\n"
      "  outcrop quantize net.pt quantized --method static,dynamic --calibration rows\n"
      "  outcrop quantize net.pt mixed --method mixed --min-db 35 --calibration rows\n"
      "  outcrop quantize run/curvefault_stage1.weights variants --calibration data/train\n"
      "  outcrop quantize net.pt again --plan quantized/net_int8-qint8.plan.toml --calibration rows");
  verb->callback([arguments, &chosen, &kinds] {
    chosen = [arguments, &kinds] { return run(*arguments, kinds); };
  });
}

}  // namespace outcrop::quantize
