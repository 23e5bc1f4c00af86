#include "trainer_host/trainer/quantize/mixed/divided_run.hpp"

#include <chrono>

#include "trainer_host/trainer/quantize/goldens.hpp"
#include "trainer_host/trainer/quantize/layer_plan.hpp"
#include "trainer_host/trainer/quantize/operator_trace.hpp"

namespace outcrop::quantize {
namespace {

// "conv2d" of aten::conv2d in a float run, of quantized::conv2d_relu in the other.
std::string operation_of_call(const std::string& name, bool int8) {
  if (int8) return planned_operation_of(name);
  const std::string space = "aten::";
  if (!name.starts_with(space)) return {};
  const std::string operation = name.substr(space.size());
  return has_static_kernel(operation) ? operation : std::string();
}

}  // namespace

bool is_layer_call(const std::string& name, bool int8) {
  return !operation_of_call(name, int8).empty();
}

bool is_border_call(const std::string& name) {
  return name == "aten::quantize_per_tensor" || name == "aten::dequantize";
}

Result<DividedRun> divided(const std::vector<TimedLayer>& layers, const std::vector<runtime::OperatorTime>& run, bool int8) {
  DividedRun division;
  std::vector<double> borders;  // of each layer's end
  bool floats = false;
  for (const runtime::OperatorTime& one : run) {
    const double ms = std::chrono::duration<double, std::milli>(one.time).count();
    const std::string operation = operation_of_call(one.name, int8);
    if (!operation.empty()) {
      const std::size_t at = borders.size();
      if (at >= layers.size() || layers[at].operation != operation) {
        return fail(ErrorCode::unsupported, "other layers run than the plan has");
      }
      division.ms.push_back(0.0);
      division.floats_before.push_back(floats);
      floats = false;
      borders.push_back(0.0);
    } else {
      if (one.name == "aten::dequantize") floats = true;
      if (int8 && is_border_call(one.name) && !borders.empty()) borders.back() += ms;
    }
    if (!division.ms.empty()) division.ms.back() += ms;
  }
  if (borders.size() != layers.size()) return fail(ErrorCode::unsupported, "fewer layers run than the plan has");
  // What a network ends with, and goes over to the next one with, is a border of its own (end_ms).
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].last) division.ms[i] -= borders[i];
  }
  return division;
}

Result<std::vector<Traffic>> traffic_of(const std::vector<TimedLayer>& layers, models::LiteModel& plain,
                                        const kinds::ExampleCall& call) {
  OperatorTrace trace;
  OUTCROP_TRY(ignored, answer(plain, call));
  std::vector<Traffic> traffic;
  for (const TracedCall& one : trace.take()) {
    if (!is_layer_call(one.name, false)) continue;
    traffic.push_back({one.inputs.at(0).toTensor().numel(), one.outputs.at(0).toTensor().numel()});
  }
  if (traffic.size() != layers.size()) return fail(ErrorCode::unsupported, "other layers run than the plan has");
  return traffic;
}

}  // namespace outcrop::quantize
