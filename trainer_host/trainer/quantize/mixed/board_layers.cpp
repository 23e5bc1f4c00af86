#include "trainer_host/trainer/quantize/mixed/board_layers.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>

#include "runtime/engine/torch/operator_times.hpp"
#include "trainer_host/trainer/quantize/goldens.hpp"
#include "trainer_host/trainer/quantize/operator_trace.hpp"

namespace outcrop::quantize {
namespace {

using Operators = std::vector<runtime::OperatorTime>;

constexpr std::array border_names{"aten::quantize_per_tensor", "aten::dequantize"};

double ms_of(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

tl::unexpected<Error> refuse_costs(const std::string& why) {
  return fail(ErrorCode::invalid_argument, "costs: " + why);
}

Result<const messages::VariantLayers*> told_of(const messages::Layers& board, const std::string& name) {
  for (const messages::VariantLayers& variant : board.variants) {
    if (variant.name != name) continue;
    if (variant.reason.empty()) return &variant;
    return refuse_costs(board.header.device + " has not timed '" + name + "': " + variant.reason);
  }
  return refuse_costs(board.header.device + " has no times of '" + name +
                "': only a board that has both float and int8-qint8 tells what a layer costs in each, as a canary does");
}

// The board's times of what `model` runs here. Of the float variant it may have run more besides, but no layer: what is folded
// or frozen away in a float island takes nothing there.
Result<Operators> as_run_here(const messages::VariantLayers& told, models::LiteModel& model, const kinds::ExampleCall& call,
                              bool int8) {
  runtime::OperatorTimes watch;
  OUTCROP_TRY(ignored, answer(model, call));
  Operators run = watch.take();
  auto there = told.operators.begin();
  const auto pass_to = [&](const std::string& name) {
    while (!int8 && there != told.operators.end() && there->name != name && !is_layer_call(there->name, false)) ++there;
  };
  for (std::size_t i = 0; i < run.size(); ++i) {
    pass_to(run[i].name);
    if (there == told.operators.end() || there->name != run[i].name) {
      return refuse_costs("operator " + std::to_string(i + 1) + " of '" + told.name + "' is " + run[i].name +
                          " here, where the board runs " + (there == told.operators.end() ? "nothing more" : there->name) +
                          ": they are of another model, or of one that was made otherwise");
    }
    run[i].time = there->time;
    ++there;
  }
  pass_to("");
  if (there == told.operators.end()) return run;
  return refuse_costs("'" + told.name + "' ends here, and the board runs " + there->name + " as well: they are of another model");
}

// Milliseconds of a value, of each of border_names.
Result<std::array<double, 2>> border_costs(const Operators& run, models::LiteModel& int8, const kinds::ExampleCall& call) {
  OperatorTrace trace;
  OUTCROP_TRY(ignored, answer(int8, call));
  std::vector<TracedCall> traced = trace.take();
  std::erase_if(traced, [](const TracedCall& one) { return !is_border_call(one.name); });
  std::array<double, 2> ms{};
  std::array<double, 2> values{};
  std::size_t place = 0;
  for (const runtime::OperatorTime& one : run) {
    if (!is_border_call(one.name)) continue;
    if (place >= traced.size() || traced[place].name != one.name) return refuse_costs("its borders of codes cannot be told apart");
    const std::size_t kind = one.name == border_names[0] ? 0 : 1;
    ms[kind] += ms_of(one.time);
    values[kind] += static_cast<double>(traced[place].inputs.at(0).toTensor().numel());
    ++place;
  }
  for (std::size_t kind = 0; kind < border_names.size(); ++kind) {
    if (values[kind] <= 0.0) {
      return refuse_costs("the int8 variant never runs " + std::string(border_names[kind]) + ", so nobody knows what a border costs");
    }
    ms[kind] /= values[kind];
  }
  return ms;
}

Result<DividedRun> divided_there(const std::vector<TimedLayer>& layers, const Operators& run, bool int8) {
  auto division = divided(layers, run, int8);
  if (division) return division;
  return refuse_costs("in the call that boards time " + division.error().message() +
                " (of a model that runs layers again and again, as a diffusion does, a board's times are not those of layers)");
}

}  // namespace

Result<BoardLayers> layers_of_board(const messages::Layers& board, const std::vector<TimedLayer>& layers,
                                    models::LiteModel& int8, models::LiteModel& plain, const kinds::ExampleCall& call) {
  OUTCROP_TRY(told_plain, told_of(board, "float"));
  OUTCROP_TRY(told_int8, told_of(board, "int8-qint8"));
  OUTCROP_TRY(plain_run, as_run_here(*told_plain, plain, call, false));
  OUTCROP_TRY(int8_run, as_run_here(*told_int8, int8, call, true));
  OUTCROP_TRY(in_float, divided_there(layers, plain_run, false));
  OUTCROP_TRY(in_int8, divided_there(layers, int8_run, true));
  OUTCROP_TRY(traffic, traffic_of(layers, plain, call));
  OUTCROP_TRY(border, border_costs(int8_run, int8, call));
  BoardLayers found;
  double of_layers = 0.0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    LayerFigures one;
    one.int8_ms = in_int8.ms[i];
    one.float_ms = in_float.ms[i];
    one.first = layers[i].first;
    if (one.first || !in_int8.floats_before[i]) {
      one.enter_ms = border[0] * static_cast<double>(traffic[i].in);
      if (!one.first) one.leave_ms = border[1] * static_cast<double>(traffic[i].in);
    }
    if (layers[i].last) one.end_ms = border[1] * static_cast<double>(traffic[i].out);
    of_layers += one.float_ms;
    found.figures.push_back(one);
  }
  const double whole = std::accumulate(plain_run.begin(), plain_run.end(), 0.0, [](double sum, const runtime::OperatorTime& one) {
    return sum + ms_of(one.time);
  });
  found.other_ms = std::max(0.0, whole - of_layers);
  return found;
}

}  // namespace outcrop::quantize
