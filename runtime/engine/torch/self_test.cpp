#include "runtime/engine/torch/self_test.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include "runtime/engine/torch/int4/int4_operator.hpp"
#include "runtime/engine/torch/torch_error.hpp"

namespace outcrop::runtime {
namespace {

constexpr double largest_relative_error = 0.02;
constexpr double input_scale = 0.03;
constexpr double weight_range = 127;  // symmetric weights in [-127, 127], as XNNPACK asks for

// How a case quantizes: the activations' type decides which kernels run.
struct Scheme {
  at::ScalarType activations;
  bool per_channel;

  [[nodiscard]] std::int64_t zero_point() const { return activations == at::kQUInt8 ? 128 : 0; }
  [[nodiscard]] std::string to_string() const {
    return std::string(activations == at::kQUInt8 ? "quint8" : "qint8") +
           (per_channel ? " per channel" : "");
  }
};

// Fixed numbers in [-1, 1) that need no random generator (whose values differ between CPUs):
// a 32-bit linear congruential sequence (Numerical Recipes, 3rd ed., 7.1.4).
at::Tensor numbers(at::IntArrayRef shape, double amplitude, std::uint32_t seed) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  std::uint32_t state = seed;
  float* values = tensor.data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    state = state * 1664525U + 1013904223U;
    values[i] = static_cast<float>(amplitude * (static_cast<double>(state >> 8) / 8388608.0 - 1.0));
  }
  return tensor;
}

at::Tensor quantized_input(at::IntArrayRef shape, const Scheme& scheme, std::uint32_t seed) {
  return at::quantize_per_tensor(numbers(shape, 3.0, seed), input_scale, scheme.zero_point(),
                                 scheme.activations);
}

at::Tensor quantized_weight(at::IntArrayRef shape, const Scheme& scheme, std::int64_t axis) {
  const at::Tensor weight = numbers(shape, 0.2, 77);
  if (!scheme.per_channel) {
    return at::quantize_per_tensor(weight, weight.abs().max().item<double>() / weight_range, 0,
                                   at::kQInt8);
  }
  std::vector<std::int64_t> others;
  for (std::int64_t i = 0; i < weight.dim(); ++i) {
    if (i != axis) others.push_back(i);
  }
  const at::Tensor scales = weight.abs().amax(others).to(at::kDouble) / weight_range;
  return at::quantize_per_channel(weight, scales, at::zeros({weight.size(axis)}, at::kLong), axis,
                                  at::kQInt8);
}

c10::IValue call(const char* name, const char* overload, std::vector<c10::IValue> stack) {
  c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).callBoxed(&stack);
  return stack.at(0);
}

c10::IValue pair_of(std::int64_t value, std::size_t count) {
  return c10::List<std::int64_t>(std::vector<std::int64_t>(count, value));
}

double scale_for(const at::Tensor& expected) {
  return expected.abs().max().item<double>() / 127;
}

// What an operator should give, and the operator itself at a scale that fits the result.
struct Case {
  at::Tensor expected;
  std::function<at::Tensor(double scale)> run;
};

using MakeCase = std::function<Case(const Scheme&)>;

Case convolution(const Scheme& scheme, std::size_t dimensions, std::int64_t groups, bool relu) {
  const auto shape = dimensions == 1 ? std::vector<std::int64_t>{1, 16, 23}
                                     : std::vector<std::int64_t>{1, 16, 9, 11};
  auto weight_shape = std::vector<std::int64_t>{groups == 1 ? 24 : 16, 16 / groups};
  weight_shape.insert(weight_shape.end(), dimensions, 3);
  const at::Tensor x = quantized_input(shape, scheme, 1);
  const at::Tensor w = quantized_weight(weight_shape, scheme, 0);
  const at::Tensor bias = numbers({weight_shape[0]}, 1.0, 3);
  at::Tensor expected = dimensions == 1
                            ? at::conv1d(x.dequantize(), w.dequantize(), bias, 1, 1, 1, groups)
                            : at::conv2d(x.dequantize(), w.dequantize(), bias, 1, 1, 1, groups);
  if (relu) expected = expected.relu();
  const bool one = dimensions == 1;
  const c10::IValue packed = call(
      one ? "quantized::conv1d_prepack" : "quantized::conv2d_prepack", "",
      {w, bias, pair_of(1, dimensions), pair_of(1, dimensions), pair_of(1, dimensions), groups});
  const char* name = one ? (relu ? "quantized::conv1d_relu" : "quantized::conv1d")
                         : (relu ? "quantized::conv2d_relu" : "quantized::conv2d");
  return {expected, [=](double scale) {
            return call(name, one ? "" : "new", {x, packed, scale, scheme.zero_point()}).toTensor();
          }};
}

// Stride 2 with padding 1 as a decoder doubles its map, and stride (8, 2) as one leaves it.
Case transposed_convolution(const Scheme& scheme, std::int64_t row_stride) {
  const std::vector<std::int64_t> stride{row_stride, 2};
  const at::Tensor x = quantized_input({1, 16, 5, 6}, scheme, 2);
  const at::Tensor w = quantized_weight({16, 8, row_stride == 2 ? 4 : 8, 4}, scheme, 1);
  const at::Tensor bias = numbers({8}, 1.0, 3);
  const std::vector<std::int64_t> padding{row_stride == 2 ? 1 : 0, 1};
  const at::Tensor expected =
      at::conv_transpose2d(x.dequantize(), w.dequantize(), bias, stride, padding);
  const c10::IValue packed =
      call("quantized::conv_transpose2d_prepack", "",
           {w, bias, c10::List<std::int64_t>(stride), c10::List<std::int64_t>(padding),
            pair_of(0, 2), pair_of(1, 2), std::int64_t{1}});
  return {expected, [=](double scale) {
            return call("quantized::conv_transpose2d", "", {x, packed, scale, scheme.zero_point()})
                .toTensor();
          }};
}

Case linear(const Scheme& scheme, bool relu) {
  const at::Tensor x = quantized_input({3, 64}, scheme, 4);
  const at::Tensor w = quantized_weight({40, 64}, scheme, 0);
  const at::Tensor bias = numbers({40}, 1.0, 3);
  at::Tensor expected = at::linear(x.dequantize(), w.dequantize(), bias);
  if (relu) expected = expected.relu();
  const c10::IValue packed = call("quantized::linear_prepack", "", {w, bias});
  const char* name = relu ? "quantized::linear_relu" : "quantized::linear";
  return {expected, [=](double scale) {
            return call(name, "", {x, packed, scale, scheme.zero_point()}).toTensor();
          }};
}

Case addition(const Scheme& scheme, bool relu) {
  const at::Tensor a = quantized_input({1, 16, 6, 7}, scheme, 5);
  const at::Tensor b = quantized_input({1, 16, 6, 7}, scheme, 6);
  at::Tensor expected = a.dequantize() + b.dequantize();
  if (relu) expected = expected.relu();
  const char* name = relu ? "quantized::add_relu" : "quantized::add";
  return {expected, [=](double scale) {
            return call(name, "", {a, b, scale, scheme.zero_point()}).toTensor();
          }};
}

Case leaky_relu(const Scheme& scheme) {
  const at::Tensor x = quantized_input({1, 16, 6, 7}, scheme, 7);
  return {at::leaky_relu(x.dequantize(), 0.2), [=](double scale) {
            return call("quantized::leaky_relu", "", {x, 0.2, false, scale, scheme.zero_point()})
                .toTensor();
          }};
}

// Operators that choose their output's scale themselves.
Case unary(const Scheme& scheme, at::Tensor (*apply)(const at::Tensor&)) {
  const at::Tensor x = quantized_input({1, 16, 6, 7}, scheme, 8);
  return {apply(x.dequantize()), [=](double) { return apply(x); }};
}

struct NamedCase {
  const char* name;  // as a model's bytecode names it, without overload
  bool per_channel;  // tested per channel as well
  MakeCase make;
};

const std::vector<NamedCase>& cases() {
  static const std::vector<NamedCase> list{
      {"quantized::conv1d", true, [](const Scheme& s) { return convolution(s, 1, 1, false); }},
      {"quantized::conv2d", true, [](const Scheme& s) { return convolution(s, 2, 1, false); }},
      {"quantized::conv2d", true, [](const Scheme& s) { return convolution(s, 2, 16, false); }},
      {"quantized::conv2d_relu", true, [](const Scheme& s) { return convolution(s, 2, 1, true); }},
      {"quantized::conv_transpose2d", true,
       [](const Scheme& s) { return transposed_convolution(s, 2); }},
      {"quantized::conv_transpose2d", false,
       [](const Scheme& s) { return transposed_convolution(s, 8); }},
      {"quantized::linear", true, [](const Scheme& s) { return linear(s, false); }},
      {"quantized::linear_relu", false, [](const Scheme& s) { return linear(s, true); }},
      {"quantized::add", false, [](const Scheme& s) { return addition(s, false); }},
      {"quantized::add_relu", false, [](const Scheme& s) { return addition(s, true); }},
      {"quantized::leaky_relu", false, [](const Scheme& s) { return leaky_relu(s); }},
      {"aten::relu", false, [](const Scheme& s) { return unary(s, &at::relu); }},
      {"aten::sigmoid", false, [](const Scheme& s) { return unary(s, &at::sigmoid); }},
      {"aten::tanh", false, [](const Scheme& s) { return unary(s, &at::tanh); }},
  };
  return list;
}

// tanh and sigmoid have fixed output scales of 1/128 and 1/256; everything else is run at the
// scale that its float result asks for.
bool is_right(const Case& test) {
  const double largest = test.expected.abs().max().item<double>();
  const at::Tensor first = test.run(scale_for(test.expected));
  const double error = (first.dequantize() - test.expected).abs().max().item<double>();
  if (!(error <= largest_relative_error * largest)) return false;
  return at::equal(test.run(scale_for(test.expected)).int_repr(), first.int_repr());
}

// Weights of code · .01 - .08 in groups of 64: what the operator should answer but for its input in int8.
bool int4_is_right() {
  constexpr std::int64_t rows = 5;
  constexpr std::int64_t columns = 192;
  constexpr std::int64_t group = 64;
  const at::Tensor codes = (numbers({rows * columns / group, group}, 8.0, 9) + 8).floor().clamp(0, 15);
  const at::Tensor pairs = codes.view({-1, group / 2, 2});
  const at::Tensor bytes = (pairs.select(2, 0) + pairs.select(2, 1) * 16).to(at::kByte);
  at::Tensor halves = at::empty({bytes.size(0), 2}, at::kHalf);
  halves.select(1, 0).fill_(0.01);
  halves.select(1, 1).fill_(-0.08);
  const at::Tensor groups = at::cat({bytes, halves.view(at::kByte)}, 1);
  const at::Tensor x = numbers({2, columns}, 3.0, 10);
  const at::Tensor expected = at::linear(x, (codes * 0.01 - 0.08).view({rows, columns}));
  const at::Tensor answered = call(int4_operator, "", {x, groups, columns, group, 1.0}).toTensor();
  return (answered - expected).abs().max().item<double>() <= largest_relative_error * expected.abs().max().item<double>();
}

void note_once(std::vector<std::string>& list, std::string entry) {
  if (std::find(list.begin(), list.end(), entry) == list.end()) list.push_back(std::move(entry));
}

}  // namespace

Backend test_quantized_operators(std::string backend_name) {
  Backend backend{std::move(backend_name), {}, {}};
  for (const NamedCase& named : cases()) {
    for (const at::ScalarType activations : {at::kQUInt8, at::kQInt8}) {
      for (const bool per_channel : {false, true}) {
        if (per_channel && !named.per_channel) continue;
        const Scheme scheme{activations, per_channel};
        try {
          if (!is_right(named.make(scheme))) note_once(backend.failed, named.name);
        } catch (const std::exception& error) {
          note_once(backend.unsupported,
                    torch_error(error, std::string(named.name) + " " + scheme.to_string(),
                                ErrorCode::unsupported)
                        .message());
        }
      }
    }
  }
  try {
    if (!int4_is_right()) note_once(backend.failed, int4_operator);
  } catch (const std::exception& error) {
    note_once(backend.unsupported, torch_error(error, int4_operator, ErrorCode::unsupported).message());
  }
  return backend;
}

}  // namespace outcrop::runtime
