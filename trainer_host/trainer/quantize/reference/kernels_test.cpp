#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <gtest/gtest.h>
#include <torch/script.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "trainer_host/trainer/quantize/reference/integer_reference.hpp"

namespace outcrop::quantize::reference {
namespace {

using c10::IValue;
using torch::Tensor;

// A set of kernels: an engine of LibTorch and a type of codes.
struct Kernels {
  std::string name;
  at::QEngine engine;
  torch::ScalarType type;
  std::int64_t largest_weight = 127;  // in the cases that they are held against

  [[nodiscard]] bool is_signed() const { return type == torch::kQInt8; }
  [[nodiscard]] bool available() const {
    const auto& engines = at::globalContext().supportedQEngines();
    return std::find(engines.begin(), engines.end(), engine) != engines.end();
  }
  // Each channel that comes out has a scale of its own.
  [[nodiscard]] bool per_channel(const std::string& operation) const {
    const bool plain = operation.find("transpose") == std::string::npos && operation != "linear";
    if (engine == at::QEngine::QNNPACK && !is_signed()) return true;
    return plain || (engine != at::QEngine::QNNPACK && operation == "linear");
  }
};

const std::vector<Kernels>& all_kernels() {
  static const std::vector<Kernels> kernels{{"QNNPACK", at::QEngine::QNNPACK, torch::kQUInt8},
                                            {"XNNPACK", at::QEngine::QNNPACK, torch::kQInt8},
                                            {"ONEDNN", at::QEngine::ONEDNN, torch::kQUInt8},
                                            {"ONEDNN7bit", at::QEngine::ONEDNN, torch::kQUInt8, 63}};
  return kernels;
}

// Kernels that are known to be further from the definition than one step, and how far at most.
struct KnownFault {
  std::string kernels;
  std::string operation;
  int steps;
  std::string about;
};

const std::vector<KnownFault>& known_faults() {
  // Without VNNI, ONEDNN adds up pairs of products in 16 bits, which saturate: with weights of 7 bits none can, and all
  // but one operator are right.
  constexpr const char* pairs = "pairs of products saturate at 16 bits on processors without VNNI";
  static const std::vector<KnownFault> faults{
      {"ONEDNN", "conv1d", 255, pairs},
      {"ONEDNN", "conv1d_relu", 255, pairs},
      {"ONEDNN", "conv2d", 255, pairs},
      {"ONEDNN", "conv2d_relu", 255, pairs},
      {"ONEDNN", "conv_transpose1d", 255, pairs},
      {"ONEDNN", "conv_transpose2d", 255, pairs},
      {"ONEDNN", "linear", 255, pairs},
      {"ONEDNN", "linear_relu", 255, pairs},
      {"ONEDNN7bit", "conv_transpose2d", 255, "wrong in some cases, of which we do not know more: never ship it"}};
  return faults;
}

const KnownFault* find_fault(const Kernels& kernels, const std::string& operation) {
  for (const KnownFault& fault : known_faults()) {
    if (fault.kernels == kernels.name && fault.operation == operation) return &fault;
  }
  return nullptr;
}

class Draw {
 public:
  explicit Draw(unsigned seed) : random_(seed) {}
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
  }
  double real(double low, double high) { return std::uniform_real_distribution<double>(low, high)(random_); }
  bool once_in(int n) { return between(1, n) == 1; }

  // Zero points at the ends of the codes as often as between them.
  // Of a ReLU never the last code: no code would be left, and kernels say so.
  Coding coding(const Kernels& kernels, double scale, bool relu = false) {
    const std::int32_t lowest = kernels.is_signed() ? -128 : 0;
    Coding coding{scale, 0, lowest, lowest + 255};
    switch (between(0, 3)) {
      case 0: coding.zero_point = coding.lowest; break;
      case 1: coding.zero_point = coding.highest; break;
      default: coding.zero_point = static_cast<std::int32_t>(between(coding.lowest, coding.highest));
    }
    if (relu) coding.zero_point = std::min(coding.zero_point, coding.highest - 1);
    return coding;
  }
  CodeTensor tensor(const Shape& shape, const Coding& coding) {
    CodeTensor tensor{shape, {}, coding};
    const bool ends = once_in(4);  // all codes at an end: the largest sums
    for (std::int64_t i = 0; i < shape[0] * shape[1] * shape[2] * shape[3]; ++i) {
      tensor.codes.push_back(static_cast<std::int32_t>(ends ? (once_in(2) ? coding.lowest : coding.highest)
                                                            : between(coding.lowest, coding.highest)));
    }
    return tensor;
  }
  CodeWeights weights(const Shape& shape, std::int64_t channels, bool per_channel, std::int64_t largest) {
    CodeWeights weights{shape, {}, {}, {}};
    const bool ends = once_in(4);
    for (std::int64_t i = 0; i < shape[0] * shape[1] * shape[2] * shape[3]; ++i) {
      weights.codes.push_back(static_cast<std::int32_t>(ends ? (once_in(2) ? -largest : largest) : between(-largest, largest)));
    }
    for (std::int64_t c = 0; c < (per_channel ? channels : 1); ++c) weights.scales.push_back(real(0.002, 0.02));
    for (std::int64_t c = 0; c < channels; ++c) weights.bias.push_back(real(-1.0, 1.0));
    return weights;
  }

 private:
  std::mt19937 random_;
};

// Without the axes that are 1 where there are fewer.
std::vector<std::int64_t> sizes(const Shape& shape, std::int64_t dimensions) {
  if (dimensions == 2) return {shape[0], shape[1]};
  if (dimensions == 3) return {shape[0], shape[1], shape[3]};
  return {shape.begin(), shape.end()};
}

Tensor quantized(const CodeTensor& x, const Kernels& kernels, std::int64_t dimensions) {
  const auto codes = torch::tensor(x.codes).reshape(sizes(x.shape, dimensions));
  const auto values = (codes - x.coding.zero_point).to(torch::kDouble) * x.coding.scale;
  const auto tensor = torch::quantize_per_tensor(values.to(torch::kFloat), x.coding.scale, x.coding.zero_point, kernels.type);
  EXPECT_TRUE(torch::equal(tensor.int_repr().to(torch::kInt), codes));
  return tensor;
}

Tensor quantized(const CodeWeights& weights, std::int64_t axis, std::int64_t dimensions) {
  const auto codes = torch::tensor(weights.codes).reshape(sizes(weights.shape, dimensions)).to(torch::kDouble);
  if (weights.scales.size() == 1) {
    return torch::quantize_per_tensor((codes * weights.scales[0]).to(torch::kFloat), weights.scales[0], 0, torch::kQInt8);
  }
  const auto scales = torch::tensor(weights.scales, torch::kDouble);
  std::vector<std::int64_t> shape(static_cast<std::size_t>(dimensions), 1);
  shape[static_cast<std::size_t>(axis)] = -1;
  return torch::quantize_per_channel((codes * scales.reshape(shape)).to(torch::kFloat), scales, torch::zeros_like(scales).to(torch::kLong),
                                     axis, torch::kQInt8);
}

Tensor bias_tensor(const CodeWeights& weights) {
  return torch::tensor(weights.bias, torch::kDouble).to(torch::kFloat);
}

IValue called(const std::string& name, torch::jit::Stack stack) {
  const char* overload = name == "conv2d" || name == "conv2d_relu" ? "new" : "";
  c10::Dispatcher::singleton().findSchemaOrThrow(("quantized::" + name).c_str(), overload).callBoxed(&stack);
  return stack.back();
}

std::vector<std::int64_t> numbers(std::array<std::int64_t, 2> pair, std::int64_t axes) {
  return axes == 1 ? std::vector{pair[1]} : std::vector{pair[0], pair[1]};
}

// What was measured over all cases of an operation.
struct Distance {
  std::int64_t codes = 0;
  std::int64_t different = 0;
  int steps = 0;
};

void measure(const Tensor& answer, const CodeTensor& truth, Distance& distance) {
  const auto codes = answer.int_repr().to(torch::kInt).contiguous();
  ASSERT_EQ(static_cast<std::size_t>(codes.numel()), truth.codes.size());
  const int* code = codes.data_ptr<int>();
  for (std::size_t i = 0; i < truth.codes.size(); ++i) {
    const int steps = std::abs(code[i] - truth.codes[i]);
    ++distance.codes;
    distance.different += steps > 0 ? 1 : 0;
    distance.steps = std::max(distance.steps, steps);
  }
}

// The scale of an output that its sums fill, or, now and then, that they saturate.
double filling(Draw& draw, const CodeTensor& x, const CodeWeights& weights, std::int64_t products) {
  const double deviation = 70.0 * 70.0 * std::sqrt(static_cast<double>(products));
  const double span = deviation * x.coding.scale * weights.scales[0] * 4.0;
  return span / 255.0 * (draw.once_in(4) ? 0.2 : draw.real(0.8, 2.0));
}

void convolve_once(const Kernels& kernels, const std::string& operation, std::int64_t axes, bool transposed, bool relu,
                   Draw& draw, Distance& distance) {
  const bool onednn = kernels.engine == at::QEngine::ONEDNN;
  Placement placement;
  const bool depthwise = draw.once_in(4);
  placement.groups = depthwise ? draw.between(1, 6) : draw.between(1, 2);
  const std::int64_t in = depthwise ? 1 : draw.between(1, 9);  // of a group
  const std::int64_t out = depthwise ? 1 : draw.between(1, 9);
  Shape kernel{0, 0, 1, draw.between(1, 4)};
  Shape size{0, 0, 1, draw.between(5, 9)};
  if (axes == 2) {
    kernel[2] = draw.between(1, 4);
    size[2] = draw.between(5, 9);
  }
  for (std::size_t axis = axes == 1 ? 1 : 0; axis < 2; ++axis) {
    placement.stride[axis] = draw.between(1, 3);
    placement.padding[axis] = draw.between(0, kernel[axis + 2] - 1);
    placement.dilation[axis] = kernel[axis + 2] <= 3 ? draw.between(1, 2) : 1;
    // More than the stride allows kernels refuse; ONEDNN takes none.
    const auto most = placement.stride[axis] - 1;
    if (transposed && !onednn) placement.output_padding[axis] = draw.between(0, most);
  }
  const std::int64_t channels = out * placement.groups;
  const CodeTensor x = draw.tensor({draw.between(1, 2), in * placement.groups, size[2], size[3]}, draw.coding(kernels, draw.real(0.01, 0.1)));
  const bool per_channel = kernels.per_channel(operation) && draw.once_in(2) && !(transposed && placement.groups > 1);
  const Shape shape = transposed ? Shape{in * placement.groups, out, kernel[2], kernel[3]} : Shape{channels, in, kernel[2], kernel[3]};
  const CodeWeights weights = draw.weights(shape, channels, per_channel, kernels.largest_weight);
  const Coding output = draw.coding(kernels, filling(draw, x, weights, in * kernel[2] * kernel[3]), relu);

  torch::jit::Stack packing{quantized(weights, transposed ? 1 : 0, axes + 2), bias_tensor(weights),
                            numbers(placement.stride, axes), numbers(placement.padding, axes)};
  if (transposed) packing.emplace_back(numbers(placement.output_padding, axes));
  packing.emplace_back(numbers(placement.dilation, axes));
  packing.emplace_back(placement.groups);
  const IValue packed = called(operation + "_prepack", std::move(packing));
  const auto answer = called(operation + (relu ? "_relu" : ""),
                             {quantized(x, kernels, axes + 2), packed, output.scale, static_cast<std::int64_t>(output.zero_point)}).toTensor();
  measure(answer, transposed ? convolve_transposed(x, weights, placement, output) : convolve(x, weights, placement, output, relu), distance);
}

void multiply_once(const Kernels& kernels, bool relu, Draw& draw, Distance& distance) {
  const std::int64_t in = draw.between(1, 40);
  const std::int64_t out = draw.between(1, 20);
  const CodeTensor x = draw.tensor({draw.between(1, 5), in, 1, 1}, draw.coding(kernels, draw.real(0.01, 0.1)));
  const CodeWeights weights = draw.weights({out, in, 1, 1}, out, kernels.per_channel("linear") && draw.once_in(2), kernels.largest_weight);
  const Coding output = draw.coding(kernels, filling(draw, x, weights, in), relu);
  const IValue packed = called("linear_prepack", {quantized(weights, 0, 2), bias_tensor(weights)});
  const auto answer = called(relu ? "linear_relu" : "linear", {quantized(x, kernels, 2), packed, output.scale,
                                                                 static_cast<std::int64_t>(output.zero_point)}).toTensor();
  measure(answer, linear(x, weights, output, relu), distance);
}

void add_once(const Kernels& kernels, bool relu, Draw& draw, Distance& distance) {
  const Shape shape{draw.between(1, 2), draw.between(1, 9), draw.between(1, 9), draw.between(1, 9)};
  const CodeTensor a = draw.tensor(shape, draw.coding(kernels, draw.real(0.01, 0.1)));
  const CodeTensor b = draw.tensor(shape, draw.coding(kernels, draw.real(0.01, 0.1)));
  const Coding output = draw.coding(kernels, draw.real(0.01, 0.2), relu);
  const auto answer = called(relu ? "add_relu" : "add", {quantized(a, kernels, 4), quantized(b, kernels, 4), output.scale,
                                                           static_cast<std::int64_t>(output.zero_point)}).toTensor();
  measure(answer, add(a, b, output, relu), distance);
}

void concatenate_once(const Kernels& kernels, Draw& draw, Distance& distance) {
  std::vector<CodeTensor> inputs;
  c10::List<Tensor> tensors;
  Shape shape{draw.between(1, 2), 0, draw.between(1, 9), draw.between(1, 9)};
  for (std::int64_t i = draw.between(1, 3); i > 0; --i) {
    shape[1] = draw.between(1, 5);
    inputs.push_back(draw.tensor(shape, draw.coding(kernels, draw.real(0.01, 0.1))));
    tensors.push_back(quantized(inputs.back(), kernels, 4));
  }
  const Coding output = draw.coding(kernels, draw.real(0.01, 0.2));
  const auto answer = called("cat", {tensors, std::int64_t{1}, output.scale, static_cast<std::int64_t>(output.zero_point)}).toTensor();
  measure(answer, concatenate(inputs, output), distance);
}

void pool_once(const Kernels& kernels, bool largest, Draw& draw, Distance& distance) {
  const Shape shape{draw.between(1, 2), draw.between(1, 9), draw.between(4, 9), draw.between(4, 9)};
  const CodeTensor x = draw.tensor(shape, draw.coding(kernels, draw.real(0.01, 0.1)));
  const std::array<std::int64_t, 2> kernel{draw.between(1, 4), draw.between(2, 4)};  // of one code kernels refuse
  Placement placement;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    placement.stride[axis] = draw.between(1, 3);
    placement.padding[axis] = draw.between(0, kernel[axis] / 2);
  }
  const auto tensor = quantized(x, kernels, 4);
  const auto k = numbers(kernel, 2);
  const auto stride = numbers(placement.stride, 2);
  const auto padding = numbers(placement.padding, 2);
  if (largest) {
    measure(at::max_pool2d(tensor, k, stride, padding, {1, 1}), max_pool(x, kernel, placement), distance);
  } else {
    measure(at::avg_pool2d(tensor, k, stride, padding), average_pool(x, kernel, placement), distance);
  }
}

Distance distance_of(const Kernels& kernels, const std::string& operation) {
  constexpr int cases = 40;
  Distance distance;
  const bool relu = operation.ends_with("_relu");
  const std::string plain = relu ? operation.substr(0, operation.size() - 5) : operation;
  for (int i = 0; i < cases; ++i) {
    Draw draw(static_cast<unsigned>(1000 + i));
    if (plain.starts_with("conv")) {
      convolve_once(kernels, plain, plain.ends_with("1d") ? 1 : 2, plain.find("transpose") != std::string::npos, relu, draw, distance);
    } else if (plain == "linear") {
      multiply_once(kernels, relu, draw, distance);
    } else if (plain == "add") {
      add_once(kernels, relu, draw, distance);
    } else if (plain == "cat") {
      concatenate_once(kernels, draw, distance);
    } else {
      pool_once(kernels, plain == "max_pool2d", draw, distance);
    }
  }
  return distance;
}

class IntegerReference : public ::testing::TestWithParam<std::tuple<Kernels, std::string>> {};

INSTANTIATE_TEST_SUITE_P(
    Kernels, IntegerReference,
    ::testing::Combine(::testing::ValuesIn(all_kernels()),
                       ::testing::Values("conv1d", "conv1d_relu", "conv2d", "conv2d_relu", "conv_transpose1d", "conv_transpose2d",
                                         "linear", "linear_relu", "add", "add_relu", "cat", "max_pool2d", "avg_pool2d")),
    [](const auto& both) { return std::get<0>(both.param).name + "_" + std::get<1>(both.param); });

// In quantization steps, over random and adversarial cases: saturation, zero points at the ends, odd sizes, strides,
// dilation, groups, one channel.
TEST_P(IntegerReference, is_met_by_the_kernels) {
  const auto& [kernels, operation] = GetParam();
  if (!kernels.available()) GTEST_SKIP() << "this LibTorch has no " << kernels.name;
  const auto before = at::globalContext().qEngine();
  at::globalContext().setQEngine(kernels.engine);
  const torch::NoGradGuard no_gradient;
  Distance distance;
  std::string refused;
  try {
    distance = distance_of(kernels, operation);
  } catch (const std::exception& error) {
    refused = error.what();
  }
  at::globalContext().setQEngine(before);
  if (!refused.empty()) GTEST_FAIL() << refused.substr(0, 300);
  std::printf("%s %s: %lld of %lld codes differ, by %d steps at most\n", kernels.name.c_str(), operation.c_str(),
              static_cast<long long>(distance.different), static_cast<long long>(distance.codes), distance.steps);
  EXPECT_GT(distance.codes, 1000);
  const KnownFault* fault = find_fault(kernels, operation);
  if (fault != nullptr) std::printf("known fault, %d steps at most: %s\n", fault->steps, fault->about.c_str());
  EXPECT_LE(distance.steps, fault == nullptr ? 1 : fault->steps);
}

}  // namespace
}  // namespace outcrop::quantize::reference
