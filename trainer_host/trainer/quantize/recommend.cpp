#include "trainer_host/trainer/quantize/recommend.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace outcrop::quantize {
namespace {

std::string percent(std::int64_t part, std::int64_t whole) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%.0f %%",
                whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0);
  return text.data();
}

bool most_of(std::int64_t part, std::int64_t whole) {
  return 10 * part >= 7 * whole;
}

// Matrices of which 4 bits spare more than int8 and cost less than it would in small filters.
constexpr std::int64_t worth_four_bits = 100'000;

}  // namespace

Makeup makeup_of(const kinds::Export& model) {
  Makeup makeup;
  makeup.one_float_argument = true;
  makeup.trained_for_int8 = !model.parts.empty();
  for (const kinds::ExportPart& part : model.parts) {
    if (part.trained_ranges.empty()) makeup.trained_for_int8 = false;
    if (part.calibration.size() != 1) makeup.one_float_argument = false;
    const auto found = layered(part);
    if (!found) {
      makeup.not_layered = found.error().message();
      return makeup;
    }
    for (const PlannedLayer& layer : found->layers) {
      const std::string& operation = layer.operation;
      const bool recurrent = operation == "lstm" || operation == "gru";
      makeup.weights += layer.weights;
      makeup.multiply_adds += layer.multiply_adds;
      if (!layer.inside.empty()) makeup.loops = true;
      if (has_static_kernel(operation) && layer.weights > 0 && layer.inside.empty()) {
        makeup.static_multiply_adds += layer.multiply_adds;
      }
      if ((operation == "linear" || recurrent) && layer.weights > 0) makeup.dynamic_multiply_adds += layer.multiply_adds;
      if (operation.starts_with("conv")) makeup.convolution_multiply_adds += layer.multiply_adds;
      if (operation == "linear" || operation == "embedding" || recurrent) makeup.matrix_weights += layer.weights;
    }
  }
  return makeup;
}

std::vector<Advice> recommend(const Makeup& makeup, Wish wish) {
  if (!makeup.not_layered.empty()) {
    return {{"float-mobile", "its layers cannot be told apart (" + makeup.not_layered + "): float is what there is"}};
  }
  const std::int64_t all = makeup.multiply_adds;
  std::vector<Advice> advice;
  const bool has_static = makeup.one_float_argument && !makeup.loops && most_of(makeup.static_multiply_adds, all);
  const bool is_dynamic = most_of(makeup.dynamic_multiply_adds, all);
  const Advice by_static{makeup.trained_for_int8 ? "qat" : "static", (makeup.trained_for_int8 ? "it was trained for int8, and " : "") +
                                       percent(makeup.static_multiply_adds, all) +
                                       " of its multiply-adds are of layers with static int8 kernels: a quarter of the "
                                       "size, and as a rule faster: a board measures whether"};
  const Advice by_dynamic{"dynamic", percent(makeup.dynamic_multiply_adds, all) +
                                         " of its multiply-adds are of linear and recurrent layers: int8 without "
                                         "calibration"};
  const Advice by_mixed{"mixed", "int8 or float by layer, as times and errors measured here have it: where int8 loses too "
                                 "much, or is no faster for every layer; takes minutes"};
  const bool large = makeup.matrix_weights >= worth_four_bits && most_of(makeup.matrix_weights, makeup.weights);
  switch (wish) {
    case Wish::speed:
      if (has_static) advice.push_back(by_static);
      if (has_static) advice.push_back(by_mixed);
      if (is_dynamic) advice.push_back(by_dynamic);
      advice.push_back({"float-mobile", "the fastest float, for comparison: int8 is worth it only where a board measures it"});
      break;
    case Wish::size:
      if (large) {
        advice.push_back({"gptq-4bit", percent(makeup.matrix_weights, makeup.weights) +
                                           " of its weights are in matrices: an eighth of the size, with rows to calibrate"});
        advice.push_back({"nf4-4bit", "as small, without calibration"});
      }
      if (has_static) advice.push_back(by_static);
      if (is_dynamic) advice.push_back(by_dynamic);
      advice.push_back({"int8-weights", "a quarter of the size; runs in float"});
      break;
    case Wish::accuracy:
      advice.push_back({"fp16", "half the size and next to no error; runs in float"});
      advice.push_back({"int8-weights", "a quarter of the size, activations stay float"});
      if (has_static) advice.push_back(by_mixed);
      if (has_static && makeup.trained_for_int8) advice.push_back(by_static);
      if (has_static && !makeup.trained_for_int8) {
        advice.push_back({"static-mse", "int8 with the ranges of the least squared error; where that loses too much, train "
                                         "it on for int8 (train.qat_from) and take qat"});
      }
      if (is_dynamic) advice.push_back(by_dynamic);
      break;
  }
  return advice;
}

}  // namespace outcrop::quantize
