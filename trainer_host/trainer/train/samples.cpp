#include "trainer_host/trainer/train/samples.hpp"

#include <algorithm>

#include "trainer_host/trainer/data/counter_random.hpp"
#include "trainer_host/trainer/models/normalization.hpp"

namespace outcrop::train {
namespace {

constexpr std::int64_t depth = data::grid::depth;
constexpr std::int64_t width = data::grid::width;
constexpr std::int64_t shots = data::grid::shots;
constexpr std::int64_t times = data::grid::times;
constexpr std::int64_t middle_shot = shots / 2;

torch::Tensor view_of(std::span<const float> values, at::IntArrayRef shape) {
  // from_blob wants a mutable pointer; nothing writes through it.
  return torch::from_blob(const_cast<float*>(values.data()), shape, torch::kFloat);
}

}  // namespace

Result<SplitData> open_samples(const DataConfig& config) {
  OUTCROP_TRY(opened, data::Dataset::open(config.train));
  const auto training = std::make_shared<const data::Dataset>(std::move(opened));
  const auto held_out = static_cast<std::size_t>(config.held_out);
  if (training->size() < held_out + 2) {
    return fail(ErrorCode::invalid_argument,
                config.train.string() + " holds " + std::to_string(training->size()) +
                    " samples, of which " + std::to_string(held_out) +
                    " are held out: at least 2 must be left for training");
  }
  const std::size_t used = training->size() - held_out;
  SplitData split{.training = Samples(training, 0, used),
                  .held_out = Samples(training, used, held_out),
                  .data_digest = training->digest()};
  if (config.validation) {
    OUTCROP_TRY(validation, data::Dataset::open(*config.validation));
    const std::size_t count = validation.size();
    split.held_out =
        Samples(std::make_shared<const data::Dataset>(std::move(validation)), 0, count);
  }
  return split;
}

std::vector<Draw> draw_epoch(std::uint64_t seed, std::int64_t epoch, std::size_t count, bool flip) {
  data::CounterRandom random(seed, static_cast<std::uint64_t>(epoch));
  std::vector<Draw> draws(count);
  for (std::size_t i = 0; i < count; ++i) {
    draws[i] = {.sample = i, .flipped = flip && random.below(2) == 1};
  }
  // Fisher-Yates.
  for (std::size_t i = count; i > 1; --i) std::swap(draws[i - 1], draws[random.below(i)]);
  return draws;
}

std::span<const Draw> batch_of(std::span<const Draw> epoch, std::size_t index,
                               std::size_t batches) {
  const std::size_t begin = epoch.size() * index / batches;
  const std::size_t end = epoch.size() * (index + 1) / batches;
  return epoch.subspan(begin, end - begin);
}

Batch load_batch(const Samples& samples, std::span<const Draw> draws) {
  const auto count = static_cast<std::int64_t>(draws.size());
  auto velocity = torch::empty({count, 1, depth, width});
  auto gathers = torch::empty({count, shots, times, width});
  auto shot_weight = torch::ones({count, shots, 1, 1});
  for (std::int64_t i = 0; i < count; ++i) {
    const Draw& draw = draws[static_cast<std::size_t>(i)];
    auto map = view_of(samples.velocity(draw.sample), {1, depth, width});
    auto recorded = view_of(samples.gathers(draw.sample), {shots, times, width});
    if (draw.flipped) {
      map = map.flip({2});
      recorded = recorded.flip({0, 2});
      shot_weight[i][middle_shot] = 0.0;
    }
    velocity[i].copy_(map);
    gathers[i].copy_(recorded);
  }
  return {models::normalize_velocity(velocity), models::normalize_pressure(gathers), shot_weight};
}

}  // namespace outcrop::train
