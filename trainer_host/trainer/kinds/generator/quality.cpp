#include "trainer_host/trainer/kinds/generator/generator_task.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "trainer_host/trainer/kinds/generator/scores/metrics.hpp"
#include "trainer_host/trainer/kinds/generator/scores/sample_mean.hpp"
#include "trainer_host/trainer/kinds/generator/normalization.hpp"
#include "trainer_host/trainer/kinds/generator/decoding.hpp"

namespace outcrop::generator {
namespace {

using data::Geometry;

// Samples that say it all without taking long, chosen evenly.
constexpr std::size_t most_averaged = 4096;  // training samples, for their mean
constexpr std::size_t most_judged = 64;       // reconstructed samples
constexpr std::size_t drawn_samples = 16;     // forward's seeds 1, 2, …

constexpr const char* velocity = "velocity";
constexpr const char* seismic = "seismic";

std::vector<std::int64_t> evenly_chosen_samples(std::size_t of, std::size_t most) {
  const std::size_t count = std::min(of, most);
  std::vector<std::int64_t> chosen;
  for (std::size_t i = 0; i < count; ++i) {
    chosen.push_back(static_cast<std::int64_t>(i * of / count));
  }
  return chosen;
}

// What learned nothing but the training data's mean, and how far those lie from it.
struct TrainingMean {
  std::vector<float> map;
  std::vector<float> gathers;
  double map_spread = 0.0;
  double gather_spread = 0.0;
};

TrainingMean training_mean(const earth::Samples& training) {
  SampleMean maps;
  SampleMean gathers;
  for (const std::int64_t sample : evenly_chosen_samples(training.size(), most_averaged)) {
    maps.add(training.velocity(static_cast<std::size_t>(sample)));
    gathers.add(training.gathers(static_cast<std::size_t>(sample)));
  }
  return {maps.mean(), gathers.mean(), maps.spread(), gathers.spread()};
}

struct OneSample {
  std::span<const float> map;
  std::span<const float> gathers;
};

OneSample row(const GeneratedPair& pair, std::int64_t index, const Geometry& geometry) {
  return {{pair.velocity[index].data_ptr<float>(), geometry.map_size()},
          {pair.seismic[index].data_ptr<float>(), geometry.gather_size()}};
}

// One line of the result: scores of each sample, found side by side, added up in order.
class ScoredLine {
 public:
  ScoredLine(std::string name, std::size_t samples, const Geometry& geometry)
      : name_(std::move(name)), geometry_(geometry), maps_(samples), gathers_(samples) {}

  void score(std::size_t sample, const OneSample& truth, const OneSample& prediction) {
    maps_[sample] = score_velocity_map(truth.map, prediction.map, geometry_);
    gathers_[sample] = score_shot_gathers(truth.gathers, prediction.gathers, geometry_);
  }

  [[nodiscard]] messages::ScoredModel scored() const {
    return {name_, {{velocity, mean_over(maps_)}, {seismic, mean_over(gathers_)}}};
  }

 private:
  static messages::OutputScore mean_over(const std::vector<Score>& scores) {
    MeanScore mean;
    for (const Score& score : scores) mean.add(score);
    const Score all = mean.mean();
    return {{{"ssim", all.ssim}, {"mae", all.mae}, {"rmse", all.rmse}}};
  }

  std::string name_;
  const Geometry& geometry_;
  std::vector<Score> maps_;
  std::vector<Score> gathers_;
};

Status score_reconstructions(GeneratorTask& task, models::CallableModel& model,
                             const TrainingMean& mean, messages::Quality& quality) {
  const Geometry& geometry = task.split().geometry;
  quality.held_out = task.split().held_out.size() > 0;
  const earth::Samples& samples = quality.held_out ? task.split().held_out : task.split().training;
  const auto chosen = evenly_chosen_samples(samples.size(), most_judged);
  quality.samples = chosen.size();
  const auto all = quality.held_out ? task.encode_all(samples) : task.training_latents();
  const auto latents = all.index_select(0, torch::tensor(chosen));
  OUTCROP_TRY(decoded, decode_each(model, latents));
  const float middle = (geometry.slowest + geometry.fastest) / 2;
  const std::vector<float> constant(geometry.map_size(), middle);
  const std::vector<float> silence(geometry.gather_size(), 0.0F);
  ScoredLine of_model("float", chosen.size(), geometry);
  ScoredLine of_mean(std::string(messages::mean_baseline), chosen.size(), geometry);
  ScoredLine of_constant(std::to_string(std::lround(middle)) + " m/s, silence", chosen.size(),
                         geometry);
  at::parallel_for(0, static_cast<std::int64_t>(chosen.size()), 1, [&](auto begin, auto end) {
    for (auto i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const auto sample = static_cast<std::size_t>(chosen[at]);
      const OneSample truth{samples.velocity(sample), samples.gathers(sample)};
      of_model.score(at, truth, row(decoded, i, geometry));
      of_mean.score(at, truth, {mean.map, mean.gathers});
      of_constant.score(at, truth, {constant, silence});
    }
  });
  quality.model = of_model.scored();
  quality.baselines = {of_mean.scored(), of_constant.scored()};
  return {};
}

Status score_draws(models::CallableModel& model, const TrainingMean& mean,
                   const Geometry& geometry, messages::Quality& quality) {
  MeanScore maps;
  MeanScore gathers;
  for (std::size_t seed = 1; seed <= drawn_samples; ++seed) {
    OUTCROP_TRY(latent, sample_latent(model, static_cast<std::int64_t>(seed)));
    OUTCROP_TRY(pair, decode_each(model, latent));
    const OneSample drawn = row(pair, 0, geometry);
    maps.add({.rmse = root_mean_square_error(drawn.map, mean.map)});
    gathers.add({.rmse = root_mean_square_error(drawn.gathers, mean.gathers)});
  }
  quality.drawn = drawn_samples;
  quality.spread = {{velocity, {maps.mean().rmse, mean.map_spread}},
                    {seismic, {gathers.mean().rmse, mean.gather_spread}}};
  return {};
}

// Data or outputs with NaN among them: no figure says anything then.
Status check_finite(const messages::Quality& quality) {
  std::vector<const messages::ScoredModel*> lines{&quality.model};
  for (const messages::ScoredModel& baseline : quality.baselines) lines.push_back(&baseline);
  for (const messages::ScoredModel* line : lines) {
    for (const auto& [output, score] : line->outputs) {
      const bool finite = std::all_of(score.metrics.begin(), score.metrics.end(),
                                      [](const auto& one) { return std::isfinite(one.second); });
      if (finite) continue;
      return fail(ErrorCode::diverged,
                  "the error of " + line->name + " in " + output + " is not a finite number");
    }
  }
  for (const auto& [output, spread] : quality.spread) {
    if (std::isfinite(spread.drawn) && std::isfinite(spread.data)) continue;
    return fail(ErrorCode::diverged, "drawn " + output + " is not finite");
  }
  return {};
}

}  // namespace

Result<messages::Quality> GeneratorTask::judge(models::CallableModel& model) {
  const torch::NoGradGuard no_grad;
  const TrainingMean mean = training_mean(data_.training);
  messages::Quality quality;
  quality.units = {{velocity, "m/s"}, {seismic, "pressure"}};
  OUTCROP_CHECK(score_reconstructions(*this, model, mean, quality));
  OUTCROP_CHECK(score_draws(model, mean, data_.geometry, quality));
  OUTCROP_CHECK(check_finite(quality));
  return quality;
}

}  // namespace outcrop::generator
