#include "trainer_host/trainer/kinds/generator/comparison.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "trainer_host/trainer/kinds/generator/decoding.hpp"
#include "trainer_host/trainer/kinds/generator/scores/edges.hpp"
#include "trainer_host/trainer/kinds/generator/scores/sample_mean.hpp"
#include "trainer_host/trainer/models/noise.hpp"

namespace outcrop::generator {
namespace {

using data::Geometry;

// [1, latent] of [N, latent].
torch::Tensor row_of(const torch::Tensor& latents, std::size_t row) {
  return latents.narrow(0, static_cast<std::int64_t>(row), 1);
}

std::vector<float> copy(std::span<const float> span) {
  return {span.begin(), span.end()};
}

std::vector<float> shown_gather(std::span<const float> gathers, const Geometry& geometry) {
  const std::size_t size = geometry.shot_size();
  return copy(gathers.subspan(geometry.shots / 2 * size, size));
}

// The mean map and mean gathers of a data set.
struct Mean {
  std::vector<float> map;
  std::vector<float> gathers;
};

Mean mean_of(const earth::Samples& data) {
  SampleMean maps;
  SampleMean gathers;
  for (std::size_t i = 0; i < data.size(); ++i) {
    maps.add(data.velocity(i));
    gathers.add(data.gathers(i));
  }
  return {maps.mean(), gathers.mean()};
}

class ComparedSum {
 public:
  ComparedSum(std::string name, const Geometry& geometry)
      : name_(std::move(name)), geometry_(geometry) {}

  void add(const earth::Samples& data, std::size_t i, std::span<const float> map,
           std::span<const float> gathers) {
    const Score velocity = score_velocity_map(data.velocity(i), map, geometry_);
    const Score pressure = score_shot_gathers(data.gathers(i), gathers, geometry_);
    velocity_.add(velocity);
    gathers_.add(pressure);
    errors_.add(gather_error(data.velocity(i), data.gathers(i), gathers, geometry_));
    in_layer_ += share_in_layer(data.velocity(i), map);
    if (!std::isfinite(velocity.mae) || !std::isfinite(pressure.mae)) ++not_finite_;
  }
  [[nodiscard]] std::size_t not_finite() const { return not_finite_; }  // samples
  [[nodiscard]] ComparedLine scored() const {
    const double count = static_cast<double>(velocity_.count());
    return {name_, PairScores{velocity_.mean(), gathers_.mean(), errors_.mean(), count > 0 ? in_layer_ / count : 0.0}};
  }
  // For what says nothing of this data.
  [[nodiscard]] ComparedLine not_available() const { return {name_, std::nullopt}; }

 private:
  std::string name_;
  const Geometry& geometry_;
  MeanScore velocity_;
  MeanScore gathers_;
  MeanGatherError errors_;
  double in_layer_ = 0.0;
  std::size_t not_finite_ = 0;
};

struct Neighbour {
  std::size_t sample = 0;
  double distance = std::numeric_limits<double>::infinity();  // mean |difference|, m/s
};

Neighbour nearest_to(std::span<const float> map, const earth::Samples& training) {
  Neighbour nearest;
  for (std::size_t i = 0; i < training.size(); ++i) {
    const double distance = mean_absolute_error(map, training.velocity(i));
    if (distance < nearest.distance) nearest = {i, distance};
  }
  return nearest;
}

// None for fewer than two.
std::optional<double> mean_pairwise(const Maps& maps) {
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

double mean_fine_share(const Maps& maps, const Geometry& geometry) {
  double sum = 0.0;
  for (const auto& map : maps) sum += fine_share(map, geometry.depth, geometry.width);
  return sum / static_cast<double>(maps.size());
}

struct NearestTraining {
  double mean = 0.0;
  double closest = std::numeric_limits<double>::infinity();
};

NearestTraining nearest_training(const Maps& maps, const earth::Samples& training) {
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

bool all_finite(const GeneratedPair& pair) {
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

// A reconstruction's gathers belong to another map than the true one, however well they obey the wave equation: whose
// reflections they are held against must be said.
std::string gather_note(const GatherError& error, const std::string& whose) {
  return error.reflections ? text("%.2f off ", *error.reflections) + whose + " reflections"
                           : std::string("no reflections");
}

GalleryRow reconstructed_row(const std::string& label, const earth::Samples& data, std::size_t i,
                             const GeneratedPair& pair, const Geometry& geometry) {
  const Score score = score_velocity_map(data.velocity(i), values(pair.velocity), geometry);
  return {.label = label,
          .reference_map = copy(data.velocity(i)),
          .model_map = copy(values(pair.velocity)),
          .map_note = note_or_hole(values(pair.velocity),
                                   text("SSIM %.2f, %.0f m/s", score.ssim, score.mae)),
          .solver_gather = shown_gather(data.gathers(i), geometry),
          .model_gather = shown_gather(values(pair.seismic), geometry),
          .gather_note = note_or_hole(
              values(pair.seismic),
              gather_note(gather_error(data.velocity(i), data.gathers(i), values(pair.seismic), geometry),
                          "the true"))};
}

// A generated pair beside what the wave equation makes of its map, and the nearest training map.
GalleryRow generated_row(const std::string& label, const GeneratedPair& pair,
                         std::span<const float> solved, const earth::Samples* training,
                         const Geometry& geometry) {
  const auto map = values(pair.velocity);
  GalleryRow row{.label = label,
                 .reference_map = {},
                 .model_map = copy(map),
                 .map_note = {},
                 .solver_gather = shown_gather(solved, geometry),
                 .model_gather = shown_gather(values(pair.seismic), geometry),
                 .gather_note = note_or_hole(
                     values(pair.seismic),
                     gather_note(gather_error(map, solved, values(pair.seismic), geometry), "its map's"))};
  if (training != nullptr) {
    const Neighbour nearest = nearest_to(map, *training);
    row.reference_map = copy(training->velocity(nearest.sample));
    row.map_note = text("%.0f m/s from it", nearest.distance);
  }
  return row;
}

// The misfits of pairs to the wave equation of their own maps, for variants and for gathers that say
// nothing of the map.
class PhysicsSums {
 public:
  PhysicsSums(const std::vector<kinds::EvaluatedVariant>& variants, const Mean& mean, bool of_training,
              const Geometry& geometry)
      : mean_(mean),
        silence_(geometry.gather_size(), 0.0F),
        another_("another pair's gathers", geometry),
        of_mean_(of_training ? "mean gathers of the training data" : "mean gathers of the data", geometry),
        of_silence_("silence", geometry) {
    for (const kinds::EvaluatedVariant& variant : variants) variants_.emplace_back(variant.name, geometry);
  }

  void add(std::size_t variant, const GeneratedPair& pair, std::span<const float> solved) {
    const auto map = values(pair.velocity);
    variants_[variant].add(map, solved, values(pair.seismic));
    if (variant > 0) return;
    if (!last_gathers_.empty()) another_.add(map, solved, last_gathers_);
    last_gathers_ = copy(values(pair.seismic));
    of_mean_.add(map, solved, mean_.gathers);
    of_silence_.add(map, solved, silence_);
  }
  [[nodiscard]] PhysicsReport report() const {
    PhysicsReport report{{}, {another_.line(), of_mean_.line(), of_silence_.line()}};
    for (const PhysicsSum& variant : variants_) report.variants.push_back(variant.line());
    return report;
  }

 private:
  const Mean& mean_;
  std::vector<float> silence_;
  std::vector<float> last_gathers_;  // of the first variant
  std::vector<PhysicsSum> variants_;
  PhysicsSum another_;
  PhysicsSum of_mean_;
  PhysicsSum of_silence_;
};

// Enough for a median, and a map takes as long as all else.
constexpr std::size_t most_solved = 64;

// All work on one data set with one set of files.
class Comparing {
 public:
  Comparing(GeneratorTask& task, const std::vector<kinds::EvaluatedVariant>& variants,
            const ComparisonOptions& options)
      : task_(task),
        variants_(variants),
        options_(options),
        geometry_(task.split().geometry),
        data_(task.split().held_out),
        training_(task.split().training.size() > 0 ? &task.split().training : nullptr) {}

  Result<Comparison> run();

 private:
  Status score_variants();
  void score_baselines();
  Status generate();
  Status add_other_row();
  Status compare_diffusion(const DistanceFromReal& from_real);
  Status add_gaussian(const DistanceFromReal& from_real);
  Status add_equal_noise();
  Status add_strips();
  void judge_physics(std::size_t seed, std::size_t variant, const GeneratedPair& pair,
                     PhysicsSums& sums);
  [[nodiscard]] bool draws_by_diffusion() const {
    const LatentDiffusion* diffusion = task_.diffusion();
    return diffusion != nullptr && diffusion->is_trained() && options_.generated > 0;
  }
  void step() {
    ++done_;
    if (options_.progress) options_.progress(done_, total_);
  }

  GeneratorTask& task_;
  const std::vector<kinds::EvaluatedVariant>& variants_;
  const ComparisonOptions& options_;
  const Geometry& geometry_;
  const earth::Samples& data_;
  const earth::Samples* training_;  // null: none
  Mean mean_;                       // of the training data; without, of these
  Comparison result_;
  std::size_t done_ = 0;
  std::size_t total_ = 0;
};

Result<Comparison> Comparing::run() {
  if (data_.size() == 0) return fail(ErrorCode::invalid_argument, "no samples to evaluate");
  total_ = data_.size() * (variants_.size() + 1) + options_.generated * (draws_by_diffusion() ? 2 : 1);
  result_.samples = data_.size();
  OUTCROP_CHECK(score_variants());
  score_baselines();
  OUTCROP_CHECK(add_other_row());
  OUTCROP_CHECK(generate());
  return std::move(result_);
}

Status Comparing::score_variants() {
  ComparedSum permuted("reconstructions, permuted", geometry_);
  const auto latents = task_.encode_all(data_);
  for (std::size_t m = 0; m < variants_.size(); ++m) {
    ComparedSum line(variants_[m].name, geometry_);
    for (std::size_t i = 0; i < data_.size(); ++i) {
      OUTCROP_TRY(pair, decode_each(*variants_[m].model, row_of(latents, i)));
      line.add(data_, i, values(pair.velocity), values(pair.seismic));
      if (m == 0) {
        permuted.add(data_, (i + 1) % data_.size(), values(pair.velocity), values(pair.seismic));
        if (i < options_.gallery_samples) {
          result_.reconstructed_rows.push_back(
              reconstructed_row("sample " + std::to_string(i + 1), data_, i, pair, geometry_));
        }
      }
      step();
    }
    result_.variants.push_back(line.scored());
    if (line.not_finite() > 0) {
      result_.remarks.push_back(variants_[m].name + ": " +
                                share(line.not_finite(), data_.size(), "reconstructions"));
    }
  }
  // One sample's only other sample is itself.
  result_.baselines.push_back(data_.size() > 1 ? permuted.scored() : permuted.not_available());
  return {};
}

void Comparing::score_baselines() {
  mean_ = training_ != nullptr ? mean_of(*training_) : mean_of(data_);
  const float middle = (geometry_.slowest + geometry_.fastest) / 2;
  const std::vector<float> constant(geometry_.map_size(), middle);
  const std::vector<float> silence(geometry_.gather_size(), 0.0F);
  ComparedSum mean_line(training_ != nullptr ? "mean of the training data"
                                             : "mean of the data themselves",
                        geometry_);
  ComparedSum constant_line(text("%.0f m/s, silence", middle), geometry_);
  for (std::size_t i = 0; i < data_.size(); ++i) {
    mean_line.add(data_, i, mean_.map, mean_.gathers);
    constant_line.add(data_, i, constant, silence);
    step();
  }
  const bool its_own_mean = training_ == nullptr && data_.size() == 1;
  result_.baselines.insert(result_.baselines.begin(),
                           its_own_mean ? mean_line.not_available() : mean_line.scored());
  result_.baselines.push_back(constant_line.scored());
}

Status Comparing::add_other_row() {
  const earth::Samples& other = options_.other;
  if (other.size() == 0) return {};
  OUTCROP_TRY(pair, decode_each(*variants_.front().model, task_.encode_all(other)));
  result_.reconstructed_rows.push_back(reconstructed_row(options_.other_label, other, 0, pair, geometry_));
  return {};
}

void Comparing::judge_physics(std::size_t seed, std::size_t variant, const GeneratedPair& pair,
                              PhysicsSums& sums) {
  const bool shown = variant == 0 && seed <= options_.gallery_generated;
  if (!shown && !all_finite(pair)) return;
  const std::string label = "seed " + std::to_string(seed);
  const auto solved = solved_gathers(values(pair.velocity), geometry_);
  if (!solved) {
    result_.remarks.push_back(variants_[variant].name + ", " + label +
                              " is not in the gallery or among the misfits, as the wave equation cannot be "
                              "solved on its map: " + solved.error().message());
    return;
  }
  if (all_finite(pair)) sums.add(variant, pair, *solved);
  if (shown) {
    result_.generated_rows.push_back(generated_row(label, pair, *solved, training_, geometry_));
  }
}

// The noise that forward(1, seed) begins with.
torch::Tensor noise_of(torch::jit::Module& generator, std::size_t seed) {
  return generator.forward({std::int64_t{1}, static_cast<std::int64_t>(seed)}).toTensor().to(torch::kFloat) *
         std::ldexp(1.0, -models::noise_fraction_bits);
}

constexpr std::size_t most_at_equal_noise = 16;

Status Comparing::compare_diffusion(const DistanceFromReal& from_real) {
  if (!draws_by_diffusion()) return {};
  OUTCROP_CHECK(add_gaussian(from_real));
  OUTCROP_CHECK(add_equal_noise());
  return add_strips();
}

Status Comparing::add_gaussian(const DistanceFromReal& from_real) {
  const LatentPrior prior = task_.diffusion()->space();
  auto generator = models::make_noise(prior.mean.size(0));
  Maps maps;
  for (std::size_t i = 0; i < options_.generated; ++i) {
    OUTCROP_TRY(pair, decode_each(*variants_.front().model, out_of_space(prior, noise_of(generator, i + 1))));
    if (all_finite(pair)) maps.push_back(copy(values(pair.velocity)));
    step();
  }
  result_.generated.gaussian_distance = from_real.of(maps);
  return {};
}

Status Comparing::add_equal_noise() {
  std::vector<MeanScore> scores(variants_.size());
  const std::size_t seeds = std::min(options_.generated, most_at_equal_noise);
  for (std::size_t seed = 1; seed <= seeds && variants_.size() > 1; ++seed) {
    std::vector<float> first;
    for (std::size_t m = 0; m < variants_.size(); ++m) {
      OUTCROP_TRY(latent, sample_latent(*variants_[m].model, static_cast<std::int64_t>(seed)));
      OUTCROP_TRY(pair, decode_each(*variants_[m].model, latent));
      if (m == 0) {
        first = copy(values(pair.velocity));
      } else {
        scores[m].add(score_velocity_map(first, values(pair.velocity), geometry_));
      }
    }
  }
  for (std::size_t m = 1; m < variants_.size(); ++m) {
    result_.equal_noise.push_back({variants_[m].name, seeds, scores[m].mean().ssim, scores[m].mean().mae});
  }
  return {};
}

Status Comparing::add_strips() {
  auto generator = models::make_noise(task_.diffusion()->space().mean.size(0));
  models::CallableModel& model = *variants_.front().model;
  for (std::size_t seed = 1; seed <= std::min(options_.gallery_strips, options_.generated); ++seed) {
    OUTCROP_TRY(path, model.call("path", {noise_of(generator, seed)}));
    const torch::Tensor latents = path.at(0)[0];
    const auto steps = latents.size(0);
    const auto frames = static_cast<std::int64_t>(FilmStrip::frames);
    FilmStrip strip{"seed " + std::to_string(seed), {}};
    result_.strip_headings.clear();
    for (std::int64_t frame = 0; frame < frames; ++frame) {
      const auto step = frame * (steps - 1) / (frames - 1);
      OUTCROP_TRY(pair, decode_each(model, latents.slice(0, step, step + 1)));
      strip.maps.push_back(copy(values(pair.velocity)));
      result_.strip_headings.push_back("map at step " + std::to_string(step + 1) + " of " + std::to_string(steps));
    }
    result_.strips.push_back(std::move(strip));
  }
  return {};
}

Status Comparing::generate() {
  Maps maps;  // of pairs without a hole
  PhysicsSums physics(variants_, mean_, training_ != nullptr, geometry_);
  for (std::size_t i = 0; i < options_.generated; ++i) {
    OUTCROP_TRY(latent, sample_latent(*variants_.front().model, static_cast<std::int64_t>(i + 1)));
    for (std::size_t m = 0; m < (i < most_solved ? variants_.size() : 1); ++m) {
      OUTCROP_TRY(pair, decode_each(*variants_[m].model, latent));
      if (m == 0 && all_finite(pair)) maps.push_back(copy(values(pair.velocity)));
      if (i < most_solved) judge_physics(i + 1, m, pair, physics);
    }
    step();
  }
  result_.physics = physics.report();
  const Maps data_maps = first_maps(data_, options_.generated);
  GeneratedReport& report = result_.generated;
  report.samples = options_.generated;
  if (maps.size() < options_.generated) {
    result_.remarks.push_back(
        variants_.front().name + ": " +
        share(options_.generated - maps.size(), options_.generated, "generated samples") +
        "; the figures of generated maps leave them out");
  }
  const RealMaps real = real_maps_beside(options_.generated, task_.split());
  const DistanceFromReal from_real(real, geometry_);
  report.distance = from_real.of(maps);
  report.reconstructed_distance = from_real.of(task_.reconstructed(real.others));
  OUTCROP_CHECK(compare_diffusion(from_real));
  if (!maps.empty()) report.fine = mean_fine_share(maps, geometry_);
  report.data_fine = mean_fine_share(data_maps, geometry_);
  report.diversity = mean_pairwise(maps).value_or(0.0);
  report.data_diversity = mean_pairwise(data_maps);
  if (training_ != nullptr && !maps.empty()) {
    const auto generated = nearest_training(maps, *training_);
    report.nearest = generated.mean;
    report.closest = generated.closest;
    report.data_nearest = nearest_training(data_maps, *training_).mean;
  }
  return {};
}

}  // namespace

Result<Comparison> compare(GeneratorTask& task,
                           const std::vector<kinds::EvaluatedVariant>& variants,
                           const ComparisonOptions& options) {
  return Comparing(task, variants, options).run();
}

}  // namespace outcrop::generator
