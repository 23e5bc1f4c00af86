#include "trainer_host/trainer/evaluate/evaluate_verb.hpp"

#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "platform/console/progress_bar.hpp"
#include "platform/console/table.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/evaluate/evaluation.hpp"
#include "trainer_host/trainer/evaluate/gnuplot.hpp"
#include "trainer_host/trainer/models/model_file.hpp"

namespace outcrop::evaluate {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  fs::path model;
  fs::path data;
  std::string encoder;
  std::vector<fs::path> training;
  std::string other;
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
  OUTCROP_TRY(file, models::read_model_file(files.weights));
  OUTCROP_TRY(trained, models::description_in(file.about));
  about.epoch = trained.epoch;
  about.trained_seconds = trained.trained.count();
  about.title += ", epoch " + std::to_string(trained.epoch) + ", trained in " +
                 human_duration(trained.trained);
  return about;
}

std::string figure(const std::optional<double>& value, const char* format) {
  return value ? number(*value, format) : "–";
}

// What a line says of one thing, where it says anything.
template <class Choose>
std::string figure(const ScoredLine& line, const char* format, Choose choose) {
  return line.scores ? figure(choose(*line.scores), format) : "–";
}

std::string caption(const Evaluation& evaluation) {
  const ScoredLine& model = evaluation.variants.front();
  const ScoredLine& mean = evaluation.baselines.front();
  const auto ssim = [](const Scores& scores) { return scores.velocity.ssim; };
  const auto mae = [](const Scores& scores) { return scores.velocity.mae; };
  const auto reflections = [](const Scores& scores) { return scores.gather_error.reflections; };
  return "Of " + std::to_string(evaluation.samples) + " reconstructions: SSIM of maps " +
         figure(model, "%.3f", ssim) + " (mean map " + figure(mean, "%.3f", ssim) + "), " +
         figure(model, "%.0f", mae) + " m/s;  error of reflections " +
         figure(model, "%.2f", reflections) + " of their size (mean gather " +
         figure(mean, "%.2f", reflections) + ", silence 1)";
}

Json to_json(const Score& score) {
  return {{"ssim", score.ssim}, {"mae", score.mae}, {"rmse", score.rmse}};
}

Json to_json(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json to_json(const std::vector<ScoredLine>& lines) {
  Json json = Json::array();
  for (const ScoredLine& line : lines) {
    Json entry{{"name", line.name}, {"velocity", nullptr}, {"gathers", nullptr}};
    if (line.scores) {
      entry["velocity"] = to_json(line.scores->velocity);
      entry["gathers"] = to_json(line.scores->gathers);
      entry["gathers"]["relative_error"] = line.scores->gather_error.whole;
      entry["gathers"]["reflections_relative_error"] =
          to_json(line.scores->gather_error.reflections);
    }
    json.push_back(std::move(entry));
  }
  return json;
}

Json to_json(const Evaluation& evaluation, const About& about, const StageFiles& files) {
  const GeneratedReport& generated = evaluation.generated;
  Json made{{"samples", generated.samples},
            {"diversity_m_per_s", generated.diversity},
            {"data_diversity_m_per_s", to_json(generated.data_diversity)}};
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
  json["remarks"] = evaluation.remarks;
  return json;
}

std::string to_text(const Evaluation& evaluation, const About& about) {
  Table table({"", "SSIM map", "MAE m/s", "RMSE m/s", "SSIM gather", "MAE gather", "RMSE gather",
               "reflections"});
  bool all_available = true;
  for (const auto* lines : {&evaluation.variants, &evaluation.baselines}) {
    for (const ScoredLine& line : *lines) {
      all_available = all_available && line.scores.has_value();
      const auto cell = [&](const char* format, auto choose) {
        return figure(line, format, choose);
      };
      table.add_row({line.name, cell("%.4f", [](const Scores& s) { return s.velocity.ssim; }),
                     cell("%.1f", [](const Scores& s) { return s.velocity.mae; }),
                     cell("%.1f", [](const Scores& s) { return s.velocity.rmse; }),
                     cell("%.4f", [](const Scores& s) { return s.gathers.ssim; }),
                     cell("%.4f", [](const Scores& s) { return s.gathers.mae; }),
                     cell("%.4f", [](const Scores& s) { return s.gathers.rmse; }),
                     cell("%.3f", [](const Scores& s) { return s.gather_error.reflections; })});
    }
  }
  std::string text = about.title + "\n" + table.to_string();
  if (!all_available) text += "–: not available of one sample, which would stand for itself\n";
  const GeneratedReport& generated = evaluation.generated;
  text += std::to_string(generated.samples) + " generated maps differ by " +
          number(generated.diversity, "%.0f") +
          " m/s from each other (these data: " + figure(generated.data_diversity, "%.0f") + ")";
  if (generated.nearest) {
    text += ", by " + number(*generated.nearest, "%.0f") + " m/s from the nearest training map (" +
            number(*generated.data_nearest, "%.0f") + "), at least " +
            number(*generated.closest, "%.0f");
  }
  text += "\n";
  for (const std::string& remark : evaluation.remarks) text += remark + "\n";
  return text;
}

// Also of "data/marmousi/".
std::string folder_name(const fs::path& folder) {
  return (folder.has_filename() ? folder : folder.parent_path()).filename().string();
}

Result<std::optional<data::Dataset>> open_where_given(const std::string& folder) {
  if (folder.empty()) return std::nullopt;
  OUTCROP_TRY(opened, data::Dataset::open(folder));
  return std::optional<data::Dataset>(std::move(opened));
}

// Scores need no picture: where none can be drawn they are had all the same, and this says why.
void say_no_gallery(const Status& gallery) {
  if (gallery) return;
  std::fprintf(stderr, "note: no gallery: %s\n", gallery.error().message().c_str());
}

// The picture, or nothing: never that of other scores.
Status draw_or_remove(const Gallery& gallery, const fs::path& picture) {
  Status drawn = draw_gallery(gallery, picture);
  std::error_code ignored;
  if (!drawn) fs::remove(picture, ignored);
  return drawn;
}

Status run(const Arguments& arguments) {
  std::optional<fs::path> encoder;
  if (!arguments.encoder.empty()) encoder = arguments.encoder;
  OUTCROP_TRY(files, find_stage_files(arguments.model, encoder, arguments.variants));
  OUTCROP_TRY(about, describe(files));
  OUTCROP_TRY(dataset, data::Dataset::open(arguments.data));
  OUTCROP_TRY(training, data::DatasetList::open(arguments.training));
  OUTCROP_TRY(other, open_where_given(arguments.other));
  const fs::path out(arguments.out);
  if (!arguments.out.empty()) {
    std::error_code error;
    fs::create_directories(out, error);
    if (error) return fail(ErrorCode::io, "making " + out.string() + ": " + error.message());
    say_no_gallery(check_drawing());
  }
  EvaluationInputs inputs{.data = dataset,
                          .training = training.size() > 0 ? &training : nullptr,
                          .other = other ? &*other : nullptr,
                          .other_label = folder_name(arguments.other),
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
  Json json = to_json(*evaluation, about, files);
  const fs::path picture = out / "gallery.png";
  Status drawn;
  if (!arguments.out.empty()) {
    drawn = draw_or_remove({about.title, caption(*evaluation), evaluation->reconstructed_rows,
                            evaluation->generated_rows},
                           picture);
    say_no_gallery(drawn);
    json["gallery"] = drawn ? Json(picture.filename().string()) : Json(nullptr);
    if (!drawn) json["no_gallery"] = drawn.error().message();
  }
  // Shown before they are stored: a full disk takes no score away.
  const std::string text = arguments.json ? json_text(json) + "\n" : to_text(*evaluation, about);
  std::fputs(text.c_str(), stdout);
  if (arguments.out.empty()) return {};
  OUTCROP_CHECK(write_file_durably(out / "evaluation.json", json_text(json, 2) + "\n"));
  if (drawn && !arguments.json) std::printf("%s\n", picture.c_str());
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
                   "The training data, repeatable: for their mean, and how far generated maps are "
                   "from them")
      ->allow_extra_args(false)
      ->type_name("DIR");
  verb->add_option("--other", arguments->other,
                   "Data of another kind (of outcrop synth --from, say): its first sample is shown "
                   "too, under the folder's name");
  verb->add_option("--generated", arguments->generated, "Maps to generate from noise")
      ->capture_default_str()
      ->check(CLI::Range(8, 100'000));
  verb->add_option("--out", arguments->out,
                   "Folder for evaluation.json and, where gnuplot can draw it, gallery.png");
  verb->add_flag("--json", arguments->json, "Print the result as one line of JSON");
  verb->footer(
      "SSIM as OpenFWI takes it: window 11, sigma 1.5, on [0, 1]; gathers under log1p.\n"
      "MAE and RMSE are in m/s for maps and in pressure for gathers. 'reflections' is the error "
      "of\n"
      "the gathers with the direct wave muted, relative to the true ones, under log1p: 0 is "
      "right,\n"
      "silence reaches 1. A 'permuted' score near the model's own means that it ignores its "
      "input.\n\n"
      "Example:\n"
      "  outcrop evaluate run/stage1 data/held-out --train data/train --out evaluation/stage1");
  verb->callback([arguments, &chosen] { chosen = [arguments] { return run(*arguments); }; });
}

}  // namespace outcrop::evaluate
