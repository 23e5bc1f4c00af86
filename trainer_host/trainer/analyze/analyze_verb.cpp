#include "trainer_host/trainer/analyze/analyze_verb.hpp"

#include <cstdio>
#include <memory>
#include <optional>

#include "platform/cli/strict_numbers.hpp"
#include "platform/console/progress_bar.hpp"
#include "platform/console/step_progress.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/without_controls.hpp"
#include "trainer_host/trainer/analyze/analysis_page.hpp"
#include "trainer_host/trainer/analyze/analysis_text.hpp"
#include "trainer_host/trainer/analyze/charts.hpp"
#include "trainer_host/trainer/analyze/examine.hpp"
#include "trainer_host/trainer/analyze/forms.hpp"
#include "trainer_host/trainer/analyze/plan_change.hpp"
#include "trainer_host/trainer/analyze/summary.hpp"
#include "trainer_host/trainer/analyze/text_questions.hpp"
#include "trainer_host/trainer/evaluate/gnuplot.hpp"
#include "trainer_host/trainer/kinds/foreign_code.hpp"

namespace outcrop::analyze {
namespace fs = std::filesystem;
namespace {

constexpr const char* kind_of_others = "module";

struct Arguments {
  fs::path original;
  fs::path quantized;
  fs::path out;
  std::string data;
  std::string loss;
  std::string method;
  std::size_t rows = 256;
  double float_below = 20;
  bool skip_measuring = false;
  bool allow_reduced = false;
  std::size_t calls = 100;
  double seconds = 5;
  bool json = false;
};

// What was made to be measured is gone in the end, whatever happened.
class MadeForms {
 public:
  explicit MadeForms(fs::path folder) : folder_(std::move(folder)) {}
  MadeForms(const MadeForms&) = delete;
  MadeForms& operator=(const MadeForms&) = delete;
  ~MadeForms() {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
      if (entry.path().filename().string().starts_with(".form-")) fs::remove(entry.path(), ignored);
    }
  }

 private:
  fs::path folder_;
};

// Both lie beside their plans, golden inputs and other forms.
std::vector<fs::path> read_places(const Arguments& arguments) {
  std::vector<fs::path> read;
  for (const fs::path& file : {arguments.original, arguments.quantized}) {
    read.push_back(file);
    read.push_back(plan_beside(file));
    read.push_back(file.parent_path() / golden_inputs_file);
    std::string stem = file.stem().string();
    if (const auto ending = stem.rfind("_float"); ending != std::string::npos) {
      read.push_back(file.parent_path() / (stem.substr(0, ending) + "_float-mobile.ptl"));
    }
  }
  if (!arguments.data.empty()) read.emplace_back(arguments.data);
  return read;
}

Status enclose(const Arguments& arguments, const kinds::Register& kinds) {
  OUTCROP_TRY(kind, kinds.find(kind_of_others));  // whoever made these files, nobody vouches for them
  return kinds::enclose(*kind, read_places(arguments), {arguments.out}, arguments.allow_reduced);
}

Result<Questions> questions_for(const Arguments& arguments, const AnalyzedModel& original) {
  const std::vector<fs::path> beside{arguments.quantized.parent_path(), arguments.original.parent_path()};
  if (arguments.data.empty()) return read_goldens(original, beside, arguments.method);
  if (are_texts(arguments.data)) return read_texts(original, arguments.data, beside, arguments.method);
  return read_data(original, arguments.data, arguments.method);
}

Result<std::optional<user_module::Objective>> objective_for(const Arguments& arguments,
                                                            const Questions& questions) {
  if (arguments.loss.empty()) return std::optional<user_module::Objective>();
  OUTCROP_TRY(objective, user_module::Objective::named(arguments.loss));
  if (questions.targets.empty()) {
    return fail(ErrorCode::invalid_argument,
                "--loss " + arguments.loss + " judges answers by target.npy, which " + questions.from +
                    (arguments.data.empty() ? " do not have; give rows with --data" : " has not"));
  }
  return std::optional(objective);
}

Result<Analysis> examined(const Arguments& arguments, AnalyzedModel& original, AnalyzedModel& quantized,
                          const Questions& questions, const std::optional<quantize::Plan>& plan) {
  ExamineOptions options;
  OUTCROP_TRY(objective, objective_for(arguments, questions));
  options.objective = objective;
  options.plan = plan;
  options.most_rows = arguments.rows;
  std::optional<ProgressBar> bar;
  options.progress = [&](std::size_t done, std::size_t total) {
    if (!bar) bar.emplace("analyze", total, "rows");
    bar->update(done);
  };
  return examine(original, quantized, questions, options);
}

Result<std::vector<Form>> measured(const Arguments& arguments, const AnalyzedModel& original,
                                   const AnalyzedModel& quantized, const Questions& questions,
                                   const std::string& variant) {
  const MadeForms made(arguments.out);
  OUTCROP_TRY(files, form_files(original, arguments.original, quantized, arguments.quantized, variant,
                                arguments.out));
  FormOptions options;
  options.measure = !arguments.skip_measuring;
  if (arguments.allow_reduced) options.runner.confinement = runtime::Confinement::reduced;
  options.calls = arguments.calls;
  options.time = std::chrono::milliseconds(static_cast<std::int64_t>(arguments.seconds * 1000));
  const StepProgress progress("measure");
  options.progress = progress;
  std::vector<torch::Tensor> row;
  for (const torch::Tensor& input : questions.batches.front()) row.push_back(input.slice(0, 0, 1).contiguous());
  return measure_forms(files, questions.method.name, row, options);
}

Status write_all(const Arguments& arguments, const Analysis& analysis, const std::optional<quantize::Plan>& plan) {
  const fs::path& out = arguments.out;
  OUTCROP_CHECK(write_file_durably(out / "metrics.json", analysis_json(analysis)));
  OUTCROP_CHECK(write_file_durably(out / "comparison.csv", layers_csv(analysis)));
  OUTCROP_CHECK(write_file_durably(out / "summary_report.md", analysis_markdown(analysis, arguments.float_below)));
  if (plan) {
    OUTCROP_CHECK(write_file_durably(out / "plan.toml",
                                     quantize::to_toml(with_worst_float(*plan, analysis, arguments.float_below))));
  }
  return write_file_durably(out / "report.html", analysis_page(analysis, arguments.float_below));
}

Status run(const Arguments& arguments, const kinds::Register& kinds) {
  OUTCROP_CHECK(enclose(arguments, kinds));
  std::error_code error;
  fs::create_directories(arguments.out, error);
  if (error) return fail(ErrorCode::io, "making " + arguments.out.string() + ": " + error.message());
  OUTCROP_TRY(original, AnalyzedModel::load(arguments.original));
  OUTCROP_TRY(quantized, AnalyzedModel::load(arguments.quantized));
  OUTCROP_TRY(plan, read_plan_beside(arguments.quantized));
  OUTCROP_TRY(questions, questions_for(arguments, original));
  OUTCROP_TRY(analysis, examined(arguments, original, quantized, questions, plan));
  OUTCROP_TRY(forms, measured(arguments, original, quantized, questions, analysis.variant));
  analysis.forms = std::move(forms);
  OUTCROP_CHECK(write_all(arguments, analysis, plan));
  // All else is had without pictures.
  if (const Status drawn = draw_charts(analysis, arguments.out); !drawn) {
    std::fprintf(stderr, "note: no pictures: %s\n", drawn.error().message().c_str());
  }
  if (arguments.json) {
    std::fputs(analysis_json(analysis, -1).c_str(), stdout);
    return {};
  }
  for (const std::string& sentence : summary_of(analysis)) {
    std::printf("%s\n", without_controls(sentence).c_str());
  }
  std::printf("%s\n", (arguments.out / "report.html").c_str());
  return {};
}

}  // namespace

void add_analyze(CLI::App& app, cli::Action& chosen, const kinds::Register& kinds) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "analyze",
      "Say what a quantization did to a model: what really ran in place of each layer, how far values are from "
      "float's (SQNR), what stays float, size, times and memory beside the fastest float form. Writes report.html, "
      "metrics.json, comparison.csv, summary_report.md, pictures, and a plan with the worst layers float.");
  verb->add_option("ORIGINAL", arguments->original,
                   "The float model: <model>_float.ptl of outcrop quantize, or TorchScript (.pt)")
      ->required()
      ->check(CLI::ExistingFile);
  verb->add_option("QUANTIZED", arguments->quantized,
                   "Another form of it, .ptl or .pt; its plan is read where it lies beside it (<same>.plan.toml)")
      ->required()
      ->check(CLI::ExistingFile);
  verb->add_option("OUT", arguments->out, "Folder for the report: new, empty, or of an earlier run")->required();
  verb->add_option("--data", arguments->data,
                   "Rows to ask: a folder with <argument>.npy for each argument, or rows.safetensors; of a model of texts also "
                   "texts with their classes, as it was trained on (default: the golden inputs "
                   "that lie beside the files)")
      ->check(CLI::ExistingPath)
      ->type_name("PATH");
  verb->add_option("--loss", arguments->loss,
                   "Judge answers by target.npy of --data, too: mse, mae, huber, cross-entropy or "
                   "binary-cross-entropy");
  verb->add_option("--method", arguments->method,
                   "Which method to call (default: forward, or the first that takes tensors alone)");
  verb->add_option("--rows", arguments->rows, "Rows that layers are compared on; outputs and --loss are on all")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  cli::in_unit(verb->add_option("--float-below", arguments->float_below,
                                "Layers whose SQNR is below so many decibels are float in plan.toml"),
               "DB")
      ->capture_default_str()
      ->check(CLI::Range(-100.0, 200.0));
  verb->add_flag("--no-measure", arguments->skip_measuring, "Leave out times and memory");
  verb->add_flag("--allow-reduced-confinement", arguments->allow_reduced,
                 "Go on where this machine cannot confine the process");
  verb->add_option("--calls", arguments->calls, "Timed calls of each form")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  verb->add_option("--seconds", arguments->seconds, "Longest time for these, in seconds")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 3600.0));
  verb->add_flag("--json", arguments->json, "Print metrics.json as one line");
  verb->footer(
      "Both files run in a process that can read what is named here, write into OUT, and reach nothing else.\n\n"
      "Examples:\n"
      "  outcrop analyze variants/net_stage1_float.ptl variants/net_stage1_int8-qint8.ptl report\n"
      "  outcrop analyze net.pt net_int8.ptl report --data test --loss cross-entropy\n"
      "  outcrop analyze run/stage1/news_stage1_float.ptl run/stage1/news_stage1_int8-qint8.ptl report --data texts --loss cross-entropy");
  verb->callback([arguments, &chosen, &kinds] {
    chosen = [arguments, &kinds] { return run(*arguments, kinds); };
  });
}

}  // namespace outcrop::analyze
