#include "trainer_host/trainer/evaluate/evaluation.hpp"

#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "trainer_host/trainer/data/acoustic_solver.hpp"
#include "trainer_host/trainer/evaluate/sample_mean.hpp"
#include "trainer_host/trainer/kinds/generator/normalization.hpp"
#include "trainer_host/trainer/kinds/generator/decoding.hpp"

namespace outcrop::evaluate {
namespace {

using data::Dataset;
using data::DatasetList;
using namespace data::grid;

constexpr std::size_t shown_shot = shots / 2;
constexpr std::size_t shot_size = times * width;

std::span<const float> values(const torch::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

std::vector<float> copy(std::span<const float> span) {
  return {span.begin(), span.end()};
}

std::vector<float> middle_shot(std::span<const float> gathers) {
  return copy(gathers.subspan(shown_shot * shot_size, shot_size));
}

class Encoder {
 public:
  static Result<Encoder> load(const std::filesystem::path& file) {
    try {
      Encoder encoder;
      encoder.module_ = torch::jit::load(file.string());
      encoder.module_.eval();
      return encoder;
    } catch (const std::exception&) {
      return fail(ErrorCode::invalid_data,
                  file.string() + " is not an encoder (TorchScript), or is damaged");
    }
  }

  // [1, latent] of a map in m/s.
  torch::Tensor operator()(std::span<const float> map) {
    const torch::NoGradGuard no_grad;
    const auto velocity = torch::from_blob(
        const_cast<float*>(map.data()),
        {1, 1, static_cast<std::int64_t>(depth), static_cast<std::int64_t>(width)});
    return module_.forward({generator::normalize_velocity(velocity)}).toTensor().reshape({1, -1});
  }

 private:
  torch::jit::Module module_;
};

// The mean map and mean gathers of a data set.
struct Mean {
  std::vector<float> map;
  std::vector<float> gathers;
};

template <class Data>
Mean mean_of(const Data& data) {
  SampleMean maps;
  SampleMean gathers;
  for (std::size_t i = 0; i < data.size(); ++i) {
    maps.add(data.velocity(i));
    gathers.add(data.gathers(i));
  }
  return {maps.mean(), gathers.mean()};
}

class Line {
 public:
  explicit Line(std::string name) : name_(std::move(name)) {}

  void add(const Dataset& data, std::size_t i, std::span<const float> map,
           std::span<const float> gathers) {
    const Score velocity = score_velocity_map(data.velocity(i), map);
    const Score pressure = score_shot_gathers(data.gathers(i), gathers);
    velocity_.add(velocity);
    gathers_.add(pressure);
    errors_.add(gather_error(data.velocity(i), data.gathers(i), gathers));
    if (!std::isfinite(velocity.mae) || !std::isfinite(pressure.mae)) ++not_finite_;
  }
  [[nodiscard]] std::size_t not_finite() const { return not_finite_; }  // samples
  [[nodiscard]] ScoredLine scored() const {
    return {name_, Scores{velocity_.mean(), gathers_.mean(), errors_.mean()}};
  }
  // For what says nothing of this data.
  [[nodiscard]] ScoredLine not_available() const { return {name_, std::nullopt}; }

 private:
  std::string name_;
  MeanScore velocity_;
  MeanScore gathers_;
  MeanGatherError errors_;
  std::size_t not_finite_ = 0;
};

struct Neighbour {
  std::size_t sample = 0;
  double distance = std::numeric_limits<double>::infinity();  // mean |difference|, m/s
};

Neighbour nearest_to(std::span<const float> map, const DatasetList& training) {
  Neighbour nearest;
  for (std::size_t i = 0; i < training.size(); ++i) {
    const double distance = mean_absolute_error(map, training.velocity(i));
    if (distance < nearest.distance) nearest = {i, distance};
  }
  return nearest;
}

// None for fewer than two.
std::optional<double> mean_pairwise(const std::vector<std::vector<float>>& maps) {
  if (maps.size() < 2) return std::nullopt;
  double sum = 0.0;
  std::size_t pairs = 0;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    for (std::size_t k = i + 1; k < maps.size(); ++k, ++pairs) {
      sum += mean_absolute_error(maps[i], maps[k]);
    }
  }
  return sum / static_cast<double>(pairs);
}

struct NearestTraining {
  double mean = 0.0;
  double closest = std::numeric_limits<double>::infinity();
};

NearestTraining nearest_training(const std::vector<std::vector<float>>& maps,
                                 const DatasetList& training) {
  NearestTraining result;
  for (const auto& map : maps) {
    const double distance = nearest_to(map, training).distance;
    result.mean += distance / static_cast<double>(maps.size());
    result.closest = std::min(result.closest, distance);
  }
  return result;
}

std::string text(const char* format, double first, double second = 0.0) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, first, second);
  return buffer.data();
}

bool all_finite(std::span<const float> span) {
  return std::all_of(span.begin(), span.end(), [](float value) { return std::isfinite(value); });
}

bool all_finite(const generator::GeneratedPair& pair) {
  return all_finite(values(pair.velocity)) && all_finite(values(pair.seismic));
}

// A hole in a picture looks like a colour: a panel that has one says so instead of its score.
std::string note_or_hole(std::span<const float> shown, const std::string& note) {
  return all_finite(shown) ? note : "holds NaN or infinity";
}

std::string share(std::size_t some, std::size_t all, const std::string& what) {
  return "of " + std::to_string(all) + " " + what + " " + std::to_string(some) +
         " hold values that are NaN or infinite";
}

std::string gather_note(const GatherError& error) {
  return error.reflections ? text("reflections: error %.2f", *error.reflections)
                           : std::string("no reflections");
}

GalleryRow reconstructed_row(const std::string& label, const Dataset& data, std::size_t i,
                             const generator::GeneratedPair& pair) {
  const Score score = score_velocity_map(data.velocity(i), values(pair.velocity));
  return {.label = label,
          .reference_map = copy(data.velocity(i)),
          .model_map = copy(values(pair.velocity)),
          .map_note = note_or_hole(values(pair.velocity),
                                   text("SSIM %.2f, %.0f m/s", score.ssim, score.mae)),
          .solver_gather = middle_shot(data.gathers(i)),
          .model_gather = middle_shot(values(pair.seismic)),
          .gather_note = note_or_hole(
              values(pair.seismic),
              gather_note(gather_error(data.velocity(i), data.gathers(i), values(pair.seismic))))};
}

// A generated pair beside what the wave equation makes of its map, and the nearest training map.
Result<GalleryRow> generated_row(const std::string& label, const generator::GeneratedPair& pair,
                                 const DatasetList* training) {
  const auto map = values(pair.velocity);
  data::AcousticSolver solver;
  OUTCROP_CHECK(solver.set_velocity(map));
  std::vector<float> solved(gather_size);
  for (std::size_t shot = 0; shot < shots; ++shot) {
    solver.shoot(shot, std::span(solved).subspan(shot * shot_size, shot_size));
  }
  GalleryRow row{.label = label,
                 .reference_map = {},
                 .model_map = copy(map),
                 .map_note = {},
                 .solver_gather = middle_shot(solved),
                 .model_gather = middle_shot(values(pair.seismic)),
                 .gather_note = note_or_hole(
                     values(pair.seismic),
                     gather_note(gather_error(map, solved, values(pair.seismic))))};
  if (training != nullptr) {
    const Neighbour nearest = nearest_to(map, *training);
    row.reference_map = copy(training->velocity(nearest.sample));
    row.map_note = text("%.0f m/s from it", nearest.distance);
  }
  return row;
}

// All work on one data set with one set of files.
class Evaluator {
 public:
  Evaluator(const StageFiles& files, const EvaluationInputs& inputs)
      : files_(files), inputs_(inputs) {}

  Result<Evaluation> run();

 private:
  Status score_variants();
  void score_baselines();
  Status generate();
  Status add_other_row();
  void add_generated_row(std::size_t seed, const generator::GeneratedPair& pair);
  void step() {
    ++done_;
    if (inputs_.progress) inputs_.progress(done_, total_);
  }

  const StageFiles& files_;
  const EvaluationInputs& inputs_;
  std::optional<Encoder> encoder_;
  std::vector<models::LiteModel> models_;
  Evaluation result_;
  std::size_t done_ = 0;
  std::size_t total_ = 0;
};

Result<Evaluation> Evaluator::run() {
  const auto& data = inputs_.data;
  if (data.size() == 0) return fail(ErrorCode::invalid_argument, "no samples to evaluate");
  OUTCROP_TRY(encoder, Encoder::load(files_.encoder));
  encoder_ = std::move(encoder);
  for (const auto& variant : files_.variants) {
    OUTCROP_TRY(model, models::LiteModel::load(variant.file));
    models_.push_back(std::move(model));
  }
  total_ = data.size() * (models_.size() + 1) + inputs_.generated;
  result_.samples = data.size();
  OUTCROP_CHECK(score_variants());
  score_baselines();
  OUTCROP_CHECK(add_other_row());
  OUTCROP_CHECK(generate());
  return std::move(result_);
}

Status Evaluator::score_variants() {
  const auto& data = inputs_.data;
  Line permuted("reconstructions, permuted");
  for (std::size_t m = 0; m < models_.size(); ++m) {
    Line line(files_.variants[m].name);
    for (std::size_t i = 0; i < data.size(); ++i) {
      OUTCROP_TRY(pair, generator::decode_each(models_[m], (*encoder_)(data.velocity(i))));
      line.add(data, i, values(pair.velocity), values(pair.seismic));
      if (m == 0) {
        permuted.add(data, (i + 1) % data.size(), values(pair.velocity), values(pair.seismic));
        if (i < inputs_.gallery_samples) {
          result_.reconstructed_rows.push_back(
              reconstructed_row("sample " + std::to_string(i + 1), data, i, pair));
        }
      }
      step();
    }
    result_.variants.push_back(line.scored());
    if (line.not_finite() > 0) {
      result_.remarks.push_back(files_.variants[m].name + ": " +
                                share(line.not_finite(), data.size(), "reconstructions"));
    }
  }
  // One sample's only other sample is itself.
  result_.baselines.push_back(data.size() > 1 ? permuted.scored() : permuted.not_available());
  return {};
}

void Evaluator::score_baselines() {
  const auto& data = inputs_.data;
  const Mean mean = inputs_.training != nullptr ? mean_of(*inputs_.training) : mean_of(data);
  const std::vector<float> constant((map_size), (slowest + fastest) / 2);
  const std::vector<float> silence(gather_size, 0.0F);
  Line mean_line(inputs_.training != nullptr ? "mean of the training data"
                                             : "mean of the data themselves");
  Line constant_line("3000 m/s, silence");
  for (std::size_t i = 0; i < data.size(); ++i) {
    mean_line.add(data, i, mean.map, mean.gathers);
    constant_line.add(data, i, constant, silence);
    step();
  }
  const bool its_own_mean = inputs_.training == nullptr && data.size() == 1;
  result_.baselines.insert(result_.baselines.begin(),
                           its_own_mean ? mean_line.not_available() : mean_line.scored());
  result_.baselines.push_back(constant_line.scored());
}

Status Evaluator::add_other_row() {
  if (inputs_.other == nullptr || inputs_.other->size() == 0) return {};
  OUTCROP_TRY(pair, generator::decode_each(models_.front(), (*encoder_)(inputs_.other->velocity(0))));
  result_.reconstructed_rows.push_back(
      reconstructed_row(inputs_.other_label, *inputs_.other, 0, pair));
  return {};
}

void Evaluator::add_generated_row(std::size_t seed, const generator::GeneratedPair& pair) {
  const std::string label = "seed " + std::to_string(seed);
  auto row = generated_row(label, pair, inputs_.training);
  if (row) {
    result_.generated_rows.push_back(std::move(*row));
  } else {
    result_.remarks.push_back(label +
                              " is not in the gallery, as the wave equation cannot be solved on " +
                              "its map: " + row.error().message());
  }
}

Status Evaluator::generate() {
  std::vector<std::vector<float>> maps;  // of pairs without a hole
  for (std::size_t i = 0; i < inputs_.generated; ++i) {
    OUTCROP_TRY(latent, generator::sample_latent(models_.front(), static_cast<std::int64_t>(i + 1)));
    OUTCROP_TRY(pair, generator::decode_each(models_.front(), latent));
    if (all_finite(pair)) maps.push_back(copy(values(pair.velocity)));
    if (i < inputs_.gallery_generated) add_generated_row(i + 1, pair);
    step();
  }
  std::vector<std::vector<float>> data_maps;
  for (std::size_t i = 0; i < std::min(inputs_.data.size(), inputs_.generated); ++i) {
    data_maps.push_back(copy(inputs_.data.velocity(i)));
  }
  GeneratedReport& report = result_.generated;
  report.samples = inputs_.generated;
  if (maps.size() < inputs_.generated) {
    result_.remarks.push_back(
        files_.variants.front().name + ": " +
        share(inputs_.generated - maps.size(), inputs_.generated, "generated samples") +
        "; the figures of generated maps leave them out");
  }
  report.diversity = mean_pairwise(maps).value_or(0.0);
  report.data_diversity = mean_pairwise(data_maps);
  if (inputs_.training != nullptr && !maps.empty()) {
    const auto generated = nearest_training(maps, *inputs_.training);
    report.nearest = generated.mean;
    report.closest = generated.closest;
    report.data_nearest = nearest_training(data_maps, *inputs_.training).mean;
  }
  return {};
}

}  // namespace

Result<Evaluation> evaluate(const StageFiles& files, const EvaluationInputs& inputs) {
  try {
    return Evaluator(files, inputs).run();
  } catch (const std::exception& error) {
    const std::string text = error.what();
    return fail(ErrorCode::internal, "evaluating: " + text.substr(0, text.find('\n')));
  }
}

}  // namespace outcrop::evaluate
