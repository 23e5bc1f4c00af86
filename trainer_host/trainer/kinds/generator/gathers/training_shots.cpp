#include "trainer_host/trainer/kinds/generator/gathers/training_shots.hpp"

#include <ATen/Parallel.h>

#include <cmath>
#include <vector>

#include "trainer_host/trainer/data/acoustic_solver.hpp"
#include "trainer_host/trainer/data/counter_random.hpp"
#include "trainer_host/trainer/kinds/generator/blur.hpp"
#include "trainer_host/trainer/kinds/generator/scores/metrics.hpp"
#include "trainer_host/trainer/kinds/generator/scores/reflections.hpp"

namespace outcrop::generator {
namespace {

using torch::Tensor;

constexpr double widest_blur = 2.5;    // cells, of the Gaussian
constexpr double narrowest_blur = 0.5;
const float log_of_loudest = std::log1p(60.0F);

std::int64_t size_of(std::size_t extent) {
  return static_cast<std::int64_t>(extent);
}

Tensor map_of(const earth::SplitData& data, const kinds::Draw& draw) {
  auto map = torch::empty({size_of(data.geometry.depth), size_of(data.geometry.width)});
  data.write_map(draw.sample, {map.data_ptr<float>(), data.geometry.map_size()});
  return draw.mirrored ? map.flip({1}) : map;
}

// A draw of a batch for the maker: the same from the same batch, another in each epoch.
std::uint64_t seed_of(std::span<const kinds::Draw> draws) {
  std::uint64_t seed = 0xcbf29ce484222325;  // FNV-1a
  for (const kinds::Draw& draw : draws) {
    for (const std::uint64_t word : {static_cast<std::uint64_t>(draw.sample), static_cast<std::uint64_t>(draw.mirrored)}) {
      seed = (seed ^ word) * 0x100000001b3;
    }
  }
  return seed;
}

// One shot before its tensors are filled.
struct Shot {
  Tensor map;
  std::size_t column = 0;
  const float* recorded = nullptr;  // the data's; null: to be solved
  bool mirrored = false;            // of what was recorded
};

class Shots {
 public:
  Shots(std::size_t count, const data::Geometry& geometry) : geometry_(geometry) {
    const auto shots = size_of(count);
    const auto times = size_of(geometry.times);
    const auto width = size_of(geometry.width);
    made_ = {torch::empty({shots, size_of(geometry.depth), width}), torch::empty({shots}, torch::kLong),
             torch::empty({shots, times, width}), torch::empty({shots, times, width})};
  }
  void fill(std::size_t at, const Shot& shot) {
    const auto row = size_of(at);
    made_.maps[row].copy_(shot.map);
    made_.columns[row].fill_(size_of(shot.column));
    data::Geometry one = geometry_;
    one.shots = 1;
    one.source_columns = {shot.column};
    const std::span<const float> map(made_.maps[row].data_ptr<float>(), geometry_.map_size());
    const std::span<float> gather(made_.gathers[row].data_ptr<float>(), geometry_.shot_size());
    record(shot, one, map, gather);
    for (float& pressure : gather) pressure = log_scaled(pressure) / log_of_loudest;
    const std::vector<float> kept = kept_of_muted(map, one);
    std::copy(kept.begin(), kept.end(), made_.kept[row].data_ptr<float>());
  }
  [[nodiscard]] TrainingShots take() { return std::move(made_); }

 private:
  static void record(const Shot& shot, const data::Geometry& one, std::span<const float> map, std::span<float> gather) {
    if (shot.recorded == nullptr) {
      data::AcousticSolver solver(one);
      const Status taken = solver.set_velocity(map);
      TORCH_CHECK(taken.has_value(), "a map to learn gathers from: ", taken.has_value() ? "" : taken.error().message());
      solver.shoot(0, gather);
      return;
    }
    std::copy_n(shot.recorded, gather.size(), gather.begin());
    if (!shot.mirrored) return;
    for (std::size_t row = 0; row < one.times; ++row) {
      std::reverse(gather.begin() + static_cast<std::ptrdiff_t>(row * one.width),
                   gather.begin() + static_cast<std::ptrdiff_t>((row + 1) * one.width));
    }
  }

  const data::Geometry& geometry_;
  TrainingShots made_;
};

TrainingShots filled(const std::vector<Shot>& shots, const data::Geometry& geometry) {
  Shots made(shots.size(), geometry);
  at::parallel_for(0, size_of(shots.size()), 1, [&](auto begin, auto end) {
    for (auto i = begin; i < end; ++i) made.fill(static_cast<std::size_t>(i), shots[static_cast<std::size_t>(i)]);
  });
  return made.take();
}

}  // namespace

TrainingShots training_shots(const earth::SplitData& data, std::span<const kinds::Draw> draws, const Tensor& decoded,
                             double share) {
  const torch::NoGradGuard no_gradient;
  const data::Geometry& geometry = data.geometry;
  const std::uint64_t seed = seed_of(draws);
  std::vector<Shot> shots;
  const auto all = static_cast<double>(draws.size());
  const auto count = static_cast<std::size_t>(std::max(1.0, std::ceil(share * all)));
  for (std::size_t chosen = 0; chosen < count; ++chosen) {
    const std::size_t i = chosen * draws.size() / count;
    const kinds::Draw& draw = draws[i];
    data::CounterRandom random(seed, i);
    const auto number = static_cast<std::size_t>(random.below(geometry.shots));
    const std::size_t column = geometry.source_columns[number];
    Shot shot{.map = map_of(data, draw),
              .column = draw.mirrored ? geometry.width - 1 - column : column,
              .mirrored = draw.mirrored};
    const std::uint64_t turn = random.below(4);
    if (turn < 2 && !data.fresh) {
      shot.recorded = data.training.gathers(draw.sample).data() + number * geometry.shot_size();
    }
    if (turn == 2) {
      const double deviation = random.uniform(narrowest_blur, widest_blur);
      shot.map = blurred(shot.map.unsqueeze(0).unsqueeze(0), deviation)[0][0].contiguous();
    }
    if (turn == 3) shot.map = decoded[size_of(i)][0];
    shots.push_back(std::move(shot));
  }
  return filled(shots, geometry);
}

TrainingShots recorded_shots(const earth::Samples& samples, std::size_t first, std::size_t count,
                             const data::Geometry& geometry) {
  std::vector<Shot> shots;
  for (std::size_t i = first; i < first + count; ++i) {
    const std::size_t number = i % geometry.shots;
    const auto map = samples.velocity(i);
    shots.push_back({.map = torch::from_blob(const_cast<float*>(map.data()),
                                             {size_of(geometry.depth), size_of(geometry.width)}, torch::kFloat),
                     .column = geometry.source_columns[number],
                     .recorded = samples.gathers(i).data() + number * geometry.shot_size()});
  }
  return filled(shots, geometry);
}

Tensor misfit_loss(const Tensor& gathers, const TrainingShots& truth) {
  const auto error = (gathers - truth.gathers).square();
  const auto energy = truth.gathers.square();
  const auto weight = truth.kept.square();
  constexpr double silence = 1e-6;  // maps without a reflection have none to be wrong in
  return error.sum() / (energy.sum() + silence) + (error * weight).sum() / ((energy * weight).sum() + silence);
}

}  // namespace outcrop::generator
