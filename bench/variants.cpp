// outcrop-bench-variants: what each variant costs beside optimized float, by the boards' runner.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "protocol/base/durable_file.hpp"
#include "platform/console/step_progress.hpp"
#include "platform/console/table.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/data/synth.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"
#include "trainer_host/trainer/quantize/performance.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"
#include "trainer_host/trainer/train/trainer.hpp"

namespace outcrop::bench {
namespace fs = std::filesystem;
namespace {

constexpr double size_aim = 0.27;  // of float

struct Options {
  bool quick = false;
  std::string json;
};

// Gone with everything in it when the benchmark ends.
class WorkFolder {
 public:
  WorkFolder() {
    std::string name = (fs::temp_directory_path() / "outcrop-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  ~WorkFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// The generator of the demo's shape, trained just enough that its activations have the ranges of
// a trained one: times do not depend on weights, errors do.
Result<quantize::ExportedStage> make_variants(const fs::path& folder, bool quick) {
  data::SynthOptions synth;
  synth.count = quick ? 8 : 24;
  synth.seed = 1;
  synth.threads = 2;
  synth.out = folder / "data";
  OUTCROP_TRY(made, data::synthesize(synth, {}));
  train::TrainConfig config;
  config.name = "bench";
  config.kind = "generator";
  const auto recipe = std::make_shared<generator::GeneratorRecipe>();
  recipe->data.train = {synth.out};
  config.recipe = recipe;
  config.train.out = folder / "run";
  config.train.stage_epochs = quick ? 2 : 8;
  Result<quantize::ExportedStage> exported = fail(ErrorCode::internal, "no stage ended");
  OUTCROP_TRY(trained, train::train(config, {.checkpoint = {}, .stages = 1},
                                    [&](const train::StageContext& stage) -> Status {
                                      exported = quantize::export_variants(
                                          stage.task.make_export(), folder, "bench_stage1");
                                      if (!exported) return fail(exported.error());
                                      return {};
                                    }));
  return exported;
}

std::string number(double value, const char* format) {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

double milliseconds(const quantize::PerformanceRow& row) {
  return row.steady.p50.count();
}

nlohmann::ordered_json to_json(const quantize::PerformanceRow& row, double float_size,
                               double baseline) {
  const quantize::VariantFile& variant = row.variant;
  const auto size = static_cast<double>(variant.size.value());
  return {{"variant", variant.name},
          {"bytes", variant.size.value()},
          {"size_of_float", size / float_size},
          {"load_ms", row.load.count()},
          {"first_ms", row.first.count()},
          {"inferences", row.steady.calls},
          {"p50_ms", milliseconds(row)},
          {"p90_ms", row.steady.p90.count()},
          {"of_float_mobile", milliseconds(row) / baseline},
          {"peak_memory_bytes", row.peak_memory.value()},
          {"velocity_mae_m_per_s", variant.outputs.at("velocity").average_abs_error},
          {"velocity_ssim", variant.outputs.at("velocity").likeness},
          {"seismic_mae", variant.outputs.at("seismic").average_abs_error},
          {"seismic_ssim", variant.outputs.at("seismic").likeness},
          {"int8_multiply_adds", variant.coverage.multiply_adds},
          {"valid", row.valid}};
}

Status report(const std::vector<quantize::PerformanceRow>& rows, const Options& options) {
  const auto find = [&](const char* name) -> const quantize::PerformanceRow& {
    return *std::find_if(rows.begin(), rows.end(),
                         [&](const auto& row) { return row.variant.name == name; });
  };
  const auto float_size = static_cast<double>(find("float").variant.size.value());
  const double baseline = milliseconds(find("float-mobile"));
  Table table({"variant", "size", "of float", "ms p50", "ms p90", "of float-mobile", "load ms",
               "peak", "m/s against float", "SSIM map against float", "SSIM gather against float"});
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  double largest_int8 = 0.0;
  bool valid = true;
  for (const auto& row : rows) {
    const quantize::VariantFile& variant = row.variant;
    const double share = static_cast<double>(variant.size.value()) / float_size;
    if (variant.name.starts_with("int8")) largest_int8 = std::max(largest_int8, share);
    valid = valid && row.valid;
    table.add_row({variant.name, variant.size.human(), number(share, "%.3f"),
                   number(milliseconds(row), "%.1f"), number(row.steady.p90.count(), "%.1f"),
                   number(milliseconds(row) / baseline, "%.2f"), number(row.load.count(), "%.0f"),
                   row.peak_memory.human(), number(variant.outputs.at("velocity").average_abs_error, "%.2f"),
                   number(variant.outputs.at("velocity").likeness, "%.4f"), number(variant.outputs.at("seismic").likeness, "%.4f")});
    json.push_back(to_json(row, float_size, baseline));
  }
  std::printf("%sforward(1, 1), 1 thread, confined runner, variants in turns%s\n",
              table.to_string().c_str(), valid ? "" : "; others used this machine meanwhile");
  std::printf("largest int8 file: %.3f of float (aim: at most %.2f)\n", largest_int8, size_aim);
  if (options.json.empty()) return {};
  const nlohmann::ordered_json whole{{"quick", options.quick},
                                     {"variants", json},
                                     {"size_aim", size_aim},
                                     {"largest_int8_of_float", largest_int8}};
  return write_file_durably(options.json, json_text(whole, 2) + "\n");
}

Status run(const Options& options) {
  const WorkFolder folder;
  if (folder.path().empty()) return fail(Error::from_errno("making a temporary folder"));
  OUTCROP_TRY(exported, make_variants(folder.path(), options.quick));
  quantize::MeasureOptions measuring;
  measuring.calls = options.quick ? 12 : 120;
  measuring.time = std::chrono::milliseconds(options.quick ? 1'000 : 12'000);
  measuring.rounds = options.quick ? 2 : 6;
  const StepProgress progress("variants");
  measuring.progress = progress;
  auto rows = quantize::measure_performance(exported, "bench", 1, measuring);
  progress.finish();
  if (!rows) return fail(rows.error());
  for (const quantize::PerformanceRow& row : *rows) {
    if (row.unmeasured.empty()) continue;
    return fail(ErrorCode::internal, row.variant.name + " was not measured: " + row.unmeasured);
  }
  return report(*rows, options);
}

}  // namespace
}  // namespace outcrop::bench

int main(int argc, char** argv) {
  outcrop::bench::Options options;
  CLI::App app{
      "Measures the variants of a lightly trained generator: size, time, memory and error."};
  app.add_flag("--quick", options.quick, "Little training and few repetitions");
  app.add_option("--json", options.json, "Write the figures to this file as well");
  CLI11_PARSE(app, argc, argv);
  const auto status = outcrop::bench::run(options);
  if (status) return 0;
  std::fprintf(stderr, "outcrop-bench-variants: %s\n", status.error().message().c_str());
  return 1;
}
