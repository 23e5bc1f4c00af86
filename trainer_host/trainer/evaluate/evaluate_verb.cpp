#include "trainer_host/trainer/evaluate/evaluate_verb.hpp"

#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "platform/console/progress_bar.hpp"
#include "platform/console/table.hpp"
#include "protocol/base/durable_file.hpp"
#include "trainer_host/trainer/evaluate/evaluation.hpp"
#include "trainer_host/trainer/models/model_file.hpp"

namespace outcrop::evaluate {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  fs::path model;
  fs::path data;
  std::string encoder;
  std::string training;
  std::string real;
  std::vector<std::string> variants;
  std::string out;
  std::size_t generated = 32;
  bool json = false;
};

std::string number(double value, const char* format) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

// What is known of the stage besides its scores.
struct About {
  std::string title;
  std::optional<std::int64_t> epoch;
  std::optional<double> trained_seconds;
};

Result<About> describe(const StageFiles& files) {
  About about;
  about.title = files.model;
  if (files.stage) about.title += ", stage " + std::to_string(*files.stage);
  if (files.weights.empty()) return about;
  OUTCROP_TRY(trained, models::load_model(files.weights));
  about.epoch = trained.epoch;
  about.trained_seconds = trained.trained.count();
  about.title += ", epoch " + std::to_string(trained.epoch) + ", trained in " +
                 human_duration(trained.trained);
  return about;
}

std::string caption(const Evaluation& evaluation) {
  const ScoredLine& model = evaluation.variants.front();
  const ScoredLine& mean = evaluation.baselines.front();
  return "SSIM of " + std::to_string(evaluation.samples) + " reconstructed maps " +
         number(model.velocity.ssim, "%.3f") + " (mean map " + number(mean.velocity.ssim, "%.3f") +
         "), " + number(model.velocity.mae, "%.0f") + " m/s; of gathers " +
         number(model.gathers.ssim, "%.3f") + " (mean gather " + number(mean.gathers.ssim, "%.3f") +
         ").  Generated ones come from noise and belong to no row.";
}

Json to_json(const Score& score) {
  return {{"ssim", score.ssim}, {"mae", score.mae}, {"rmse", score.rmse}};
}

Json to_json(const std::vector<ScoredLine>& lines) {
  Json json = Json::array();
  for (const ScoredLine& line : lines) {
    json.push_back({{"name", line.name},
                    {"velocity", to_json(line.velocity)},
                    {"gathers", to_json(line.gathers)}});
  }
  return json;
}

Json to_json(const Evaluation& evaluation, const About& about, const StageFiles& files) {
  const GeneratedReport& generated = evaluation.generated;
  Json made{{"samples", generated.samples},
            {"diversity_m_per_s", generated.diversity},
            {"data_diversity_m_per_s", generated.data_diversity}};
  if (generated.nearest) {
    made["nearest_training_m_per_s"] = *generated.nearest;
    made["closest_training_m_per_s"] = *generated.closest;
    made["data_nearest_training_m_per_s"] = *generated.data_nearest;
  }
  Json json{{"model", files.model}};
  if (files.stage) json["stage"] = *files.stage;
  if (about.epoch) json["epoch"] = *about.epoch;
  if (about.trained_seconds) json["trained_seconds"] = *about.trained_seconds;
  json["samples"] = evaluation.samples;
  json["reconstructions"] = to_json(evaluation.variants);
  json["baselines"] = to_json(evaluation.baselines);
  json["generated"] = std::move(made);
  return json;
}

std::string to_text(const Evaluation& evaluation, const About& about) {
  Table table({"", "SSIM map", "MAE m/s", "RMSE m/s", "SSIM gather", "MAE gather", "RMSE gather"});
  for (const auto* lines : {&evaluation.variants, &evaluation.baselines}) {
    for (const ScoredLine& line : *lines) {
      table.add_row({line.name, number(line.velocity.ssim, "%.4f"),
                     number(line.velocity.mae, "%.1f"), number(line.velocity.rmse, "%.1f"),
                     number(line.gathers.ssim, "%.4f"), number(line.gathers.mae, "%.4f"),
                     number(line.gathers.rmse, "%.4f")});
    }
  }
  const GeneratedReport& generated = evaluation.generated;
  std::string text =
      about.title + "\n" + table.to_string() + std::to_string(generated.samples) +
      " generated maps differ by " + number(generated.diversity, "%.0f") +
      " m/s from each other (these data: " + number(generated.data_diversity, "%.0f") + ")";
  if (generated.nearest) {
    text += ", by " + number(*generated.nearest, "%.0f") + " m/s from the nearest training map (" +
            number(*generated.data_nearest, "%.0f") + "), at least " +
            number(*generated.closest, "%.0f");
  }
  return text + "\n";
}

Result<std::optional<data::Dataset>> open_where_given(const std::string& folder) {
  if (folder.empty()) return std::nullopt;
  OUTCROP_TRY(opened, data::Dataset::open(folder));
  return std::optional<data::Dataset>(std::move(opened));
}

Status run(const Arguments& arguments) {
  std::optional<fs::path> encoder;
  if (!arguments.encoder.empty()) encoder = arguments.encoder;
  OUTCROP_TRY(files, find_stage_files(arguments.model, encoder, arguments.variants));
  OUTCROP_TRY(about, describe(files));
  OUTCROP_TRY(dataset, data::Dataset::open(arguments.data));
  OUTCROP_TRY(training, open_where_given(arguments.training));
  OUTCROP_TRY(real, open_where_given(arguments.real));
  EvaluationInputs inputs{.data = dataset,
                          .training = training ? &*training : nullptr,
                          .real = real ? &*real : nullptr,
                          .real_label = "real: " + fs::path(arguments.real).filename().string(),
                          .generated = arguments.generated,
                          .progress = {}};
  Result<Evaluation> evaluation = fail(ErrorCode::internal, "not run");
  {
    ProgressBar bar("evaluate", dataset.size() * (files.variants.size() + 1) + inputs.generated,
                    "samples");
    inputs.progress = [&](std::size_t done, std::size_t) { bar.update(done); };
    evaluation = evaluate(files, inputs);
  }
  if (!evaluation) return fail(evaluation.error());
  const Json json = to_json(*evaluation, about, files);
  if (!arguments.out.empty()) {
    const fs::path out(arguments.out);
    std::error_code error;
    fs::create_directories(out, error);
    if (error) return fail(ErrorCode::io, "making " + out.string() + ": " + error.message());
    OUTCROP_CHECK(
        draw_gallery({about.title, caption(*evaluation), evaluation->rows}, out / "gallery.png"));
    OUTCROP_CHECK(write_file_durably(out / "evaluation.json", json.dump(2) + "\n"));
  }
  const std::string text = arguments.json ? json.dump() + "\n" : to_text(*evaluation, about);
  std::fputs(text.c_str(), stdout);
  if (!arguments.json && !arguments.out.empty()) {
    std::printf("%s\n", (fs::path(arguments.out) / "gallery.png").c_str());
  }
  return {};
}

}  // namespace

void add_evaluate(CLI::App& app, cli::Action& chosen) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb = app.add_subcommand(
      "evaluate",
      "Score a trained stage on data: SSIM, MAE and RMSE of reconstructed velocity maps and shot "
      "gathers, beside what a model that learned nothing reaches, and a gallery.");
  verb->add_option("MODEL", arguments->model,
                   "A stage's folder (run/stage1), or one .ptl of your own with --encoder; its "
                   "code is run, so not a stranger's")
      ->required();
  verb->add_option("DATA", arguments->data,
                   "Folder in OpenFWI's layout; best one that training has not seen")
      ->required();
  verb->add_option("--encoder", arguments->encoder,
                   "The host's float encoder (<model>_stage<N>_encoder.pt) for a single .ptl");
  verb->add_option("--variant", arguments->variants,
                   "Variants of the folder to score, repeatable; the first one generates "
                   "(default: float and int8-qint8)");
  verb->add_option("--train", arguments->training,
                   "The training data: for their mean, and how far generated maps are from them");
  verb->add_option("--real", arguments->real,
                   "Data from a real model (outcrop synth --from): its first sample is shown too");
  verb->add_option("--generated", arguments->generated, "Maps to generate from noise")
      ->capture_default_str()
      ->check(CLI::Range(8, 100'000));
  verb->add_option("--out", arguments->out, "Folder for gallery.png and evaluation.json");
  verb->add_flag("--json", arguments->json, "Print the result as one line of JSON");
  verb->footer(
      "SSIM as OpenFWI takes it: window 11, sigma 1.5, on [0, 1]; gathers under log1p.\n"
      "MAE and RMSE are in m/s for maps and in pressure for gathers. A 'permuted' score near the\n"
      "model's own means that it ignores its input.\n\n"
      "Example:\n"
      "  outcrop evaluate run/stage1 data/held-out --train data/train --out evaluation/stage1");
  verb->callback([arguments, &chosen] { chosen = [arguments] { return run(*arguments); }; });
}

}  // namespace outcrop::evaluate
