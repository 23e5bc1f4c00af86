#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/base/bytes.hpp"

namespace outcrop::exchange {

// A model between the runtime that made it and the formats of others: operators on tensors of known sizes, in the order of
// execution, without branches or loops. Axes are PyTorch's: images are [N, C, H, W], weights of convolutions
// [out, in/groups, h, w], of transposed ones [in, out/groups, h, w], of linear layers [out, in].

enum class ElementType { float32, int64, int32, int8, uint8, boolean };
[[nodiscard]] std::string_view to_string(ElementType type);
[[nodiscard]] std::size_t size_of(ElementType type);  // bytes

using Shape = std::vector<std::int64_t>;
[[nodiscard]] std::int64_t elements_of(const Shape& shape);
[[nodiscard]] std::string describe(const Shape& shape);  // "[1, 3, 32, 32]"

// A value is (code - zero point) · scale; one of each for the whole, or for each index along `axis`.
struct Codes {
  std::vector<float> scales;
  std::vector<std::int64_t> zero_points;
  std::int64_t axis = 0;
  bool operator==(const Codes&) const = default;
};

struct Value {
  std::string name;
  ElementType type = ElementType::float32;
  Shape shape;
  std::optional<Codes> codes{};  // of int8 and uint8
  std::optional<Bytes> data{};   // of a constant: row-major, little-endian
};
using ValueId = std::size_t;

using Pair = std::array<std::int64_t, 2>;  // rows, columns

// ---- operators; inputs in the order of their comments. Input and output of one have the same type, but for Convert's and
// what Gather and products take; those in codes compute on what the codes mean.

struct Convolution {  // x, weight, bias (float32) where there is one
  Pair stride{1, 1};
  Pair padding{0, 0};
  Pair dilation{1, 1};
  Pair output_padding{0, 0};
  std::int64_t groups = 1;
  bool transposed = false;
  bool relu = false;
};
struct Linear {  // x [..., in], weight, bias where there is one
  bool relu = false;
};
struct MatrixProduct {};  // a [..., n, k], b [..., k, m]

struct Elementwise {  // x
  enum class Function { relu, relu6, clamp, leaky_relu, elu, gelu, sigmoid, tanh, hard_swish, exp, log, sqrt, negate, absolute, sign };
  Function function = Function::relu;
  double first = 0.0;   // of clamp the least; the slope, alpha
  double second = 0.0;  // of clamp the largest
};
struct Arithmetic {  // a, b, as they broadcast
  enum class Function { add, subtract, multiply, divide, largest, least };
  Function function = Function::add;
  bool relu = false;
};
struct Softmax {  // x
  std::int64_t axis = 0;
  bool logarithm = false;
};
struct Pool {  // x
  bool largest = true;  // or the mean
  Pair kernel{1, 1};
  Pair stride{1, 1};
  Pair padding{0, 0};
  bool counts_padding = false;  // of a mean: as zeros
};
struct Reduce {  // x; to the shape of the output
  bool mean = true;  // or the sum
  std::vector<std::int64_t> axes;
  bool keeps_axes = true;
};
struct Resize {  // x; to the size of the output
  bool linear = false;  // or the nearest, rounded down
  bool align_corners = false;
};
struct Pad {  // x
  std::vector<std::int64_t> before;  // of each axis
  std::vector<std::int64_t> after;
  bool reflects = false;
  double value = 0.0;
};
struct Concatenate {  // any number
  std::int64_t axis = 0;
};
struct Reshape {};  // x; to the shape of the output
struct Transpose {  // x; axis i of the output is axis order[i] of x
  std::vector<std::int64_t> order;
};
struct Slice {  // x; to the shape of the output
  std::vector<std::int64_t> begin;
};
struct Gather {  // x, whole numbers
  std::int64_t axis = 0;
};
struct Convert {};  // x; to type and codes of the output. Floats to whole numbers go towards zero

using Operator = std::variant<Convolution, Linear, MatrixProduct, Elementwise, Arithmetic, Softmax, Pool, Reduce, Resize, Pad,
                              Concatenate, Reshape, Transpose, Slice, Gather, Convert>;
// "convolution", "transposed convolution", "sigmoid".
[[nodiscard]] std::string name_of(const Operator& op);

struct Operation {
  Operator op;
  std::vector<ValueId> inputs;
  ValueId output = 0;
};

struct Graph {
  std::string name;
  std::vector<Value> values;
  std::vector<Operation> operations;
  std::vector<ValueId> inputs;   // by the names of the model's arguments
  std::vector<ValueId> outputs;  // by the names that they are to have

  ValueId add(Value value);
  [[nodiscard]] const Value& input_of(const Operation& operation, std::size_t at) const { return values[operation.inputs[at]]; }
  [[nodiscard]] const Value& output_of(const Operation& operation) const { return values[operation.output]; }
};

// Without operations that no output needs.
void drop_unused(Graph& graph);

// ---- constants
[[nodiscard]] Bytes bytes_of(const std::vector<float>& values);
[[nodiscard]] Bytes bytes_of(const std::vector<std::int32_t>& values);
[[nodiscard]] Bytes bytes_of(const std::vector<std::int64_t>& values);
[[nodiscard]] std::vector<float> floats_in(const Value& value);  // a float32 constant's
// The constant with its axes in that order; its codes' axis goes along.
[[nodiscard]] Value permuted(const Value& value, const std::vector<std::int64_t>& order);

// A float bias as kernels for int8 add it: 32-bit codes of scale x · weight.
[[nodiscard]] Value bias_in_codes(const Value& bias, const Value& x, const Value& weight);

}  // namespace outcrop::exchange
