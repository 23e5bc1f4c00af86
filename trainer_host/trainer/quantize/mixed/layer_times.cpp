#include "trainer_host/trainer/quantize/mixed/layer_times.hpp"

#include <algorithm>
#include <chrono>
#include <map>

#include "protocol/base/median.hpp"
#include "runtime/engine/torch/operator_times.hpp"
#include "trainer_host/trainer/quantize/goldens.hpp"

namespace outcrop::quantize {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t fewest_rounds = 5;
constexpr std::size_t most_rounds = 60;
constexpr std::chrono::milliseconds longest{1500};  // of rounds beyond the fewest

double milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

// Rounds until there are enough.
template <class Round>
Status repeat(const Round& round) {
  const auto begin = Clock::now();
  for (std::size_t i = 0; i < most_rounds; ++i) {
    OUTCROP_CHECK(round());
    if (i + 1 >= fewest_rounds && Clock::now() - begin > longest) break;
  }
  return {};
}

Result<DividedRun> timed_run(const std::vector<TimedLayer>& layers, models::LiteModel& model, const kinds::ExampleCall& call,
                           bool int8) {
  runtime::OperatorTimes times;
  OUTCROP_TRY(ignored, answer(model, call));
  return divided(layers, times.take(), int8);
}

// Of so many values, to codes and back.
struct BorderTimes {
  double to_codes = 0.0;
  double to_floats = 0.0;
};

class Borders {
 public:
  const BorderTimes& of(std::int64_t values) {
    const auto [found, fresh] = known_.try_emplace(values);
    if (fresh) found->second = measured(values);
    return found->second;
  }

 private:
  static BorderTimes measured(std::int64_t values) {
    constexpr int rounds = 15;
    const auto floats = torch::linspace(-1.0, 1.0, std::max<std::int64_t>(values, 1));
    std::vector<double> to_codes;
    std::vector<double> to_floats;
    for (int i = 0; i < rounds; ++i) {
      const auto start = Clock::now();
      const auto codes = torch::quantize_per_tensor(floats, 1.0 / 64, 0, torch::kQInt8);
      const auto middle = Clock::now();
      const auto back = codes.dequantize();
      to_floats.push_back(milliseconds(Clock::now() - middle));
      to_codes.push_back(milliseconds(middle - start));
    }
    return {median(to_codes), median(to_floats)};
  }

  std::map<std::int64_t, BorderTimes> known_;
};

}  // namespace

Result<std::vector<LayerFigures>> measure_layers(const std::vector<TimedLayer>& layers, models::LiteModel& int8,
                                                 models::LiteModel& plain, const kinds::ExampleCall& call) {
  OUTCROP_TRY(traffic, traffic_of(layers, plain, call));
  std::vector<std::vector<double>> in_int8(layers.size());
  std::vector<std::vector<double>> in_float(layers.size());
  std::vector<bool> floats_before;
  OUTCROP_CHECK(timed_run(layers, int8, call, true));  // warm
  OUTCROP_CHECK(timed_run(layers, plain, call, false));
  OUTCROP_CHECK(repeat([&]() -> Status {
    OUTCROP_TRY(one, timed_run(layers, int8, call, true));
    OUTCROP_TRY(other, timed_run(layers, plain, call, false));
    for (std::size_t i = 0; i < layers.size(); ++i) {
      in_int8[i].push_back(one.ms[i]);
      in_float[i].push_back(other.ms[i]);
    }
    floats_before = std::move(one.floats_before);
    return {};
  }));
  Borders borders;
  std::vector<LayerFigures> figures;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    LayerFigures one;
    one.int8_ms = median(in_int8[i]);
    one.float_ms = median(in_float[i]);
    one.first = layers[i].first;
    if (one.first || !floats_before[i]) {
      one.enter_ms = borders.of(traffic[i].in).to_codes;
      if (!one.first) one.leave_ms = borders.of(traffic[i].in).to_floats;
    }
    if (layers[i].last) one.end_ms = borders.of(traffic[i].out).to_floats;
    figures.push_back(one);
  }
  return figures;
}

Result<std::vector<double>> median_times(const std::vector<models::LiteModel*>& models, const kinds::ExampleCall& call) {
  std::vector<std::vector<double>> times(models.size());
  for (models::LiteModel* model : models) OUTCROP_CHECK(answer(*model, call));  // warm
  OUTCROP_CHECK(repeat([&]() -> Status {
    for (std::size_t i = 0; i < models.size(); ++i) {
      const auto start = Clock::now();
      OUTCROP_TRY(ignored, answer(*models[i], call));
      times[i].push_back(milliseconds(Clock::now() - start));
    }
    return {};
  }));
  std::vector<double> medians;
  for (auto& one : times) medians.push_back(median(std::move(one)));
  return medians;
}

}  // namespace outcrop::quantize
