#include "trainer_host/trainer/evaluate/evaluation.hpp"

#include <torch/script.h>

#include <algorithm>
#include <cstdio>
#include <limits>

#include "trainer_host/trainer/models/normalization.hpp"
#include "trainer_host/trainer/quantize/lite_model.hpp"

namespace outcrop::evaluate {
namespace {

using data::Dataset;
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
    return module_.forward({models::normalize_velocity(velocity)}).toTensor().reshape({1, -1});
  }

 private:
  torch::jit::Module module_;
};

// The mean map and mean gathers of a data set.
struct Mean {
  std::vector<float> map;
  std::vector<float> gathers;
};

Mean mean_of(const Dataset& data) {
  std::vector<double> map(map_size);
  std::vector<double> gathers(gather_size);
  for (std::size_t i = 0; i < data.size(); ++i) {
    const auto velocity = data.velocity(i);
    const auto pressure = data.gathers(i);
    for (std::size_t k = 0; k < map.size(); ++k) map[k] += velocity[k];
    for (std::size_t k = 0; k < gathers.size(); ++k) gathers[k] += pressure[k];
  }
  const auto n = static_cast<double>(data.size());
  Mean mean;
  for (const double sum : map) mean.map.push_back(static_cast<float>(sum / n));
  for (const double sum : gathers) mean.gathers.push_back(static_cast<float>(sum / n));
  return mean;
}

class Line {
 public:
  explicit Line(std::string name) : name_(std::move(name)) {}

  void add(const Dataset& data, std::size_t i, std::span<const float> map,
           std::span<const float> gathers) {
    velocity_.add(score_velocity_map(data.velocity(i), map));
    gathers_.add(score_shot_gathers(data.gathers(i), gathers));
  }
  [[nodiscard]] ScoredLine scored() const { return {name_, velocity_.mean(), gathers_.mean()}; }

 private:
  std::string name_;
  MeanScore velocity_;
  MeanScore gathers_;
};

double distance_to_nearest(std::span<const float> map, const Dataset& training) {
  double nearest = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < training.size(); ++i) {
    nearest = std::min(nearest, mean_absolute_error(map, training.velocity(i)));
  }
  return nearest;
}

double mean_pairwise(const std::vector<std::vector<float>>& maps) {
  double sum = 0.0;
  std::size_t pairs = 0;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    for (std::size_t k = i + 1; k < maps.size(); ++k, ++pairs) {
      sum += mean_absolute_error(maps[i], maps[k]);
    }
  }
  return pairs == 0 ? 0.0 : sum / static_cast<double>(pairs);
}

struct NearestTraining {
  double mean = 0.0;
  double closest = std::numeric_limits<double>::infinity();
};

NearestTraining nearest_training(const std::vector<std::vector<float>>& maps,
                                 const Dataset& training) {
  NearestTraining result;
  for (const auto& map : maps) {
    const double distance = distance_to_nearest(map, training);
    result.mean += distance / static_cast<double>(maps.size());
    result.closest = std::min(result.closest, distance);
  }
  return result;
}

GalleryRow reconstructed_row(const std::string& label, const Dataset& data, std::size_t i,
                             const quantize::GeneratedPair& pair) {
  const Score score = score_velocity_map(data.velocity(i), values(pair.velocity));
  std::array<char, 48> note{};
  std::snprintf(note.data(), note.size(), "SSIM %.2f, %.0f m/s", score.ssim, score.mae);
  GalleryRow row;
  row.label = label;
  row.true_map = copy(data.velocity(i));
  row.reconstructed_map = copy(values(pair.velocity));
  row.true_gather = middle_shot(data.gathers(i));
  row.reconstructed_gather = middle_shot(values(pair.seismic));
  row.reconstruction_note = note.data();
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
  Status add_real_row();
  void step() {
    ++done_;
    if (inputs_.progress) inputs_.progress(done_, total_);
  }

  const StageFiles& files_;
  const EvaluationInputs& inputs_;
  std::optional<Encoder> encoder_;
  std::vector<quantize::LiteModel> models_;
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
    OUTCROP_TRY(model, quantize::LiteModel::load(variant.file));
    models_.push_back(std::move(model));
  }
  total_ = data.size() * (models_.size() + 1) + inputs_.generated;
  result_.samples = data.size();
  OUTCROP_CHECK(score_variants());
  score_baselines();
  OUTCROP_CHECK(add_real_row());
  OUTCROP_CHECK(generate());
  return std::move(result_);
}

Status Evaluator::score_variants() {
  const auto& data = inputs_.data;
  Line permuted("reconstructions, permuted");
  for (std::size_t m = 0; m < models_.size(); ++m) {
    Line line(files_.variants[m].name);
    for (std::size_t i = 0; i < data.size(); ++i) {
      OUTCROP_TRY(pair, models_[m].decode((*encoder_)(data.velocity(i))));
      line.add(data, i, values(pair.velocity), values(pair.seismic));
      if (m == 0) {
        permuted.add(data, (i + 1) % data.size(), values(pair.velocity), values(pair.seismic));
        if (i < inputs_.gallery_rows) {
          result_.rows.push_back(
              reconstructed_row("sample " + std::to_string(i + 1), data, i, pair));
        }
      }
      step();
    }
    result_.variants.push_back(line.scored());
  }
  result_.baselines.push_back(permuted.scored());
  return {};
}

void Evaluator::score_baselines() {
  const auto& data = inputs_.data;
  const Mean mean = mean_of(inputs_.training != nullptr ? *inputs_.training : data);
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
  result_.baselines.insert(result_.baselines.begin(), mean_line.scored());
  result_.baselines.push_back(constant_line.scored());
}

Status Evaluator::add_real_row() {
  if (inputs_.real == nullptr || inputs_.real->size() == 0) return {};
  OUTCROP_TRY(pair, models_.front().decode((*encoder_)(inputs_.real->velocity(0))));
  result_.rows.push_back(reconstructed_row(inputs_.real_label, *inputs_.real, 0, pair));
  return {};
}

Status Evaluator::generate() {
  std::vector<std::vector<float>> maps;
  for (std::size_t i = 0; i < inputs_.generated; ++i) {
    OUTCROP_TRY(latent, models_.front().sample_latent(static_cast<std::int64_t>(i + 1)));
    OUTCROP_TRY(pair, models_.front().decode(latent));
    maps.push_back(copy(values(pair.velocity)));
    if (i < result_.rows.size()) {
      result_.rows[i].generated_map = maps.back();
      result_.rows[i].generated_gather = middle_shot(values(pair.seismic));
    }
    step();
  }
  std::vector<std::vector<float>> data_maps;
  for (std::size_t i = 0; i < std::min(inputs_.data.size(), inputs_.generated); ++i) {
    data_maps.push_back(copy(inputs_.data.velocity(i)));
  }
  GeneratedReport& report = result_.generated;
  report.samples = maps.size();
  report.diversity = mean_pairwise(maps);
  report.data_diversity = mean_pairwise(data_maps);
  if (inputs_.training != nullptr) {
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
