#include "trainer_host/trainer/quantize/mixed/layer_times.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

#include "protocol/base/median.hpp"
#include "trainer_host/trainer/quantize/goldens.hpp"
#include "trainer_host/trainer/quantize/layer_plan.hpp"
#include "trainer_host/trainer/quantize/mixed/operator_times.hpp"
#include "trainer_host/trainer/quantize/operator_trace.hpp"

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

// "conv2d" of aten::conv2d in a float run, of quantized::conv2d_relu in the other.
std::string operation_of_call(const std::string& name, bool int8) {
  if (int8) return planned_operation_of(name);
  const std::string space = "aten::";
  if (!name.starts_with(space)) return {};
  const std::string operation = name.substr(space.size());
  return has_static_kernel(operation) ? operation : std::string();
}

bool is_border_call(const std::string& name) {
  return name == "aten::quantize_per_tensor" || name == "aten::dequantize";
}

// One run, divided among layers.
struct Division {
  std::vector<double> ms;           // of each layer
  std::vector<bool> floats_before;  // it goes to floats between the layer before and this one
};

Result<Division> divided(const std::vector<TimedLayer>& layers, const std::vector<TimedCall>& calls, bool int8) {
  Division division;
  std::vector<double> borders;  // of each layer's end
  std::optional<Clock::time_point> start;
  bool floats = false;
  for (const TimedCall& call : calls) {
    const std::string operation = operation_of_call(call.name, int8);
    if (operation.empty()) {
      if (call.name == "aten::dequantize") floats = true;
      if (int8 && is_border_call(call.name) && !borders.empty()) borders.back() += milliseconds(call.end - call.start);
      continue;
    }
    const std::size_t at = borders.size();
    if (at >= layers.size() || layers[at].operation != operation) {
      return fail(ErrorCode::unsupported, "other layers run than the plan has");
    }
    if (start) division.ms.push_back(milliseconds(call.start - *start));
    start = call.start;
    division.floats_before.push_back(floats);
    floats = false;
    borders.push_back(0.0);
  }
  if (borders.size() != layers.size()) return fail(ErrorCode::unsupported, "fewer layers run than the plan has");
  if (!layers.empty()) division.ms.push_back(milliseconds(calls.back().end - *start));
  // What a network ends with, and goes over to the next one with, is a border of its own (end_ms).
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].last) division.ms[i] -= borders[i];
  }
  return division;
}

Result<Division> timed_run(const std::vector<TimedLayer>& layers, models::LiteModel& model, const kinds::ExampleCall& call,
                           bool int8) {
  OperatorTimes times;
  OUTCROP_TRY(ignored, answer(model, call));
  return divided(layers, times.take(), int8);
}

// How many values come into each layer, and out of it.
struct Traffic {
  std::int64_t in = 0;
  std::int64_t out = 0;
};

Result<std::vector<Traffic>> traffic_of(models::LiteModel& plain, const kinds::ExampleCall& call) {
  OperatorTrace trace;
  OUTCROP_TRY(ignored, answer(plain, call));
  std::vector<Traffic> traffic;
  for (const TracedCall& one : trace.take()) {
    if (operation_of_call(one.name, false).empty()) continue;
    traffic.push_back({one.inputs.at(0).toTensor().numel(), one.outputs.at(0).toTensor().numel()});
  }
  return traffic;
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
  OUTCROP_TRY(traffic, traffic_of(plain, call));
  if (traffic.size() != layers.size()) return fail(ErrorCode::unsupported, "other layers run than the plan has");
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
