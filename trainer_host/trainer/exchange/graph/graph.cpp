#include "trainer_host/trainer/exchange/graph/graph.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

namespace outcrop::exchange {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

template <class T>
Bytes bytes_of_values(const std::vector<T>& values) {
  Bytes bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::string name_of_function(Elementwise::Function function) {
  using Function = Elementwise::Function;
  switch (function) {
    case Function::relu: return "relu";
    case Function::relu6: return "relu6";
    case Function::clamp: return "clamp";
    case Function::leaky_relu: return "leaky relu";
    case Function::elu: return "elu";
    case Function::gelu: return "gelu";
    case Function::sigmoid: return "sigmoid";
    case Function::tanh: return "tanh";
    case Function::hard_swish: return "hard swish";
    case Function::exp: return "exp";
    case Function::log: return "log";
    case Function::sqrt: return "sqrt";
    case Function::negate: return "negate";
    case Function::absolute: return "absolute";
    case Function::sign: return "sign";
  }
  return "";
}

std::string name_of_function(Arithmetic::Function function) {
  using Function = Arithmetic::Function;
  switch (function) {
    case Function::add: return "add";
    case Function::subtract: return "subtract";
    case Function::multiply: return "multiply";
    case Function::divide: return "divide";
    case Function::largest: return "maximum";
    case Function::least: return "minimum";
  }
  return "";
}

}  // namespace

std::string_view to_string(ElementType type) {
  switch (type) {
    case ElementType::float32: return "float32";
    case ElementType::int64: return "int64";
    case ElementType::int32: return "int32";
    case ElementType::int8: return "int8";
    case ElementType::uint8: return "uint8";
    case ElementType::boolean: return "bool";
  }
  return "";
}

std::size_t size_of(ElementType type) {
  switch (type) {
    case ElementType::int64: return 8;
    case ElementType::float32:
    case ElementType::int32: return 4;
    case ElementType::int8:
    case ElementType::uint8:
    case ElementType::boolean: return 1;
  }
  return 0;
}

std::int64_t elements_of(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

std::string describe(const Shape& shape) {
  std::string text;
  for (const std::int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

std::string name_of(const Operator& op) {
  return std::visit(
      Overloaded{[](const Convolution& one) { return std::string(one.transposed ? "transposed convolution" : "convolution"); },
                 [](const Linear&) { return std::string("linear"); },
                 [](const MatrixProduct&) { return std::string("matrix product"); },
                 [](const Elementwise& one) { return name_of_function(one.function); },
                 [](const Arithmetic& one) { return name_of_function(one.function); },
                 [](const Softmax& one) { return std::string(one.logarithm ? "log softmax" : "softmax"); },
                 [](const Pool& one) { return std::string(one.largest ? "max pool" : "average pool"); },
                 [](const Reduce& one) { return std::string(one.mean ? "mean" : "sum"); },
                 [](const Resize& one) { return std::string(one.linear ? "resize bilinear" : "resize nearest"); },
                 [](const Pad& one) { return std::string(one.reflects ? "pad by reflection" : "pad"); },
                 [](const Concatenate&) { return std::string("concatenate"); },
                 [](const Reshape&) { return std::string("reshape"); },
                 [](const Transpose&) { return std::string("transpose"); },
                 [](const Slice&) { return std::string("slice"); },
                 [](const Gather&) { return std::string("gather"); },
                 [](const Convert&) { return std::string("convert"); }},
      op);
}

ValueId Graph::add(Value value) {
  values.push_back(std::move(value));
  return values.size() - 1;
}

void drop_unused(Graph& graph) {
  std::vector<bool> needed(graph.values.size(), false);
  for (const ValueId output : graph.outputs) needed[output] = true;
  std::vector<Operation> kept;
  for (auto operation = graph.operations.rbegin(); operation != graph.operations.rend(); ++operation) {
    if (!needed[operation->output]) continue;
    for (const ValueId input : operation->inputs) needed[input] = true;
    kept.push_back(std::move(*operation));
  }
  std::reverse(kept.begin(), kept.end());
  graph.operations = std::move(kept);
}

Bytes bytes_of(const std::vector<float>& values) { return bytes_of_values(values); }
Bytes bytes_of(const std::vector<std::int32_t>& values) { return bytes_of_values(values); }
Bytes bytes_of(const std::vector<std::int64_t>& values) { return bytes_of_values(values); }

std::vector<float> floats_in(const Value& value) {
  std::vector<float> values(value.data->size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), value.data->data(), value.data->size());
  return values;
}

Value permuted(const Value& value, const std::vector<std::int64_t>& order) {
  const std::size_t rank = value.shape.size();
  std::vector<std::int64_t> strides(rank, 1);
  for (std::size_t i = rank; i-- > 1;) strides[i - 1] = strides[i] * value.shape[i];
  Value result = value;
  std::vector<std::int64_t> steps(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const auto from = static_cast<std::size_t>(order[i]);
    result.shape[i] = value.shape[from];
    steps[i] = strides[from];
    if (value.codes && value.codes->axis == order[i]) result.codes->axis = static_cast<std::int64_t>(i);
  }
  const std::size_t width = size_of(value.type);
  std::vector<std::int64_t> at(rank, 0);
  for (std::size_t out = 0; out < static_cast<std::size_t>(elements_of(value.shape)); ++out) {
    std::int64_t from = 0;
    for (std::size_t i = 0; i < rank; ++i) from += at[i] * steps[i];
    std::memcpy(result.data->data() + out * width, value.data->data() + static_cast<std::size_t>(from) * width, width);
    for (std::size_t i = rank; i-- > 0;) {
      if (++at[i] < result.shape[i]) break;
      at[i] = 0;
    }
  }
  return result;
}

Value bias_in_codes(const Value& bias, const Value& x, const Value& weight) {
  const std::vector<float> values = floats_in(bias);
  const double input_scale = x.codes->scales.at(0);
  std::vector<std::int32_t> codes;
  Value result{bias.name, ElementType::int32, bias.shape, Codes{}, {}};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double scale = input_scale * weight.codes->scales.at(weight.codes->scales.size() == 1 ? 0 : i);
    if (i < weight.codes->scales.size()) {
      result.codes->scales.push_back(static_cast<float>(scale));
      result.codes->zero_points.push_back(0);
    }
    const double code = std::nearbyint(values[i] / scale);
    codes.push_back(static_cast<std::int32_t>(std::clamp(code, static_cast<double>(std::numeric_limits<std::int32_t>::min()),
                                                         static_cast<double>(std::numeric_limits<std::int32_t>::max()))));
  }
  result.data = bytes_of(codes);
  return result;
}

}  // namespace outcrop::exchange
