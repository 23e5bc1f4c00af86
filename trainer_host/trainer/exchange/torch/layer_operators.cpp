#include <ATen/native/quantized/PackedParams.h>

#include <algorithm>
#include <numeric>

#include "trainer_host/trainer/exchange/torch/operators.hpp"
#include "trainer_host/trainer/models/operator_scope.hpp"

namespace outcrop::exchange {
namespace {

using torch::Tensor;

struct Layer {
  Tensor weight;
  std::optional<Tensor> bias;
  std::string path;  // of the weight
};

std::string beside(const std::string& path, const char* name) {
  if (path.empty()) return "";
  const auto dot = path.rfind('.');
  return (dot == std::string::npos ? "" : path.substr(0, dot + 1)) + name;
}

std::vector<ValueId> inputs_of(Call& call, ValueId x, const Layer& layer) {
  std::vector<ValueId> inputs{x, call.constant_value(layer.weight, layer.path)};
  if (layer.bias) inputs.push_back(call.constant_value(layer.bias->to(torch::kFloat), beside(layer.path, "bias")));
  return inputs;
}

// "same" and "valid" stand for numbers.
Pair padding_of(const Call& call, std::size_t at, const Tensor& weight, const Pair& dilation) {
  if (!call.argument(at).value.isString()) return call.pair(at);
  if (call.argument(at).value.toStringRef() == "valid") return {0, 0};
  Pair padding{};
  for (std::size_t i = 0; i < 2; ++i) {
    const auto axis = std::min<std::int64_t>(static_cast<std::int64_t>(i) + 2, weight.dim() - 1);
    const std::int64_t both = dilation[i] * (weight.size(axis) - 1);
    if (both % 2 != 0) throw NotExpressible("pads one side more than the other");
    padding[i] = both / 2;
  }
  return padding;
}

// A convolution along one axis is one along two, of which the first has one element.
Pair lifted(Pair pair, std::int64_t first) { return {first, pair[1]}; }

Known convolve(Call& call, Layer layer, Convolution op) {
  const Tensor x = call.tensor(0);
  ValueId input = call.input(0);
  if (layer.weight.dim() == 4 && x.dim() == 4) return answered(call, call.emit(op, inputs_of(call, input, layer)));
  if (layer.weight.dim() != 3 || x.dim() != 3) {
    throw NotExpressible("runs along other than one or two axes, or takes a sample without its batch");
  }
  layer.weight = layer.weight.unsqueeze(2);
  op.stride = lifted(op.stride, 1);
  op.padding = lifted(op.padding, 0);
  op.dilation = lifted(op.dilation, 1);
  op.output_padding = lifted(op.output_padding, 0);
  input = call.emit_like(x.unsqueeze(2), Reshape{}, {input});
  const ValueId output = call.emit_like(call.answer().unsqueeze(2), op, inputs_of(call, input, layer));
  return answered(call, call.emit(Reshape{}, {output}));
}

Known convolution(Call& call) {
  const Tensor weight = call.constant(1);
  Convolution op;
  op.stride = call.pair(3);
  op.dilation = call.pair(5);
  op.padding = padding_of(call, 4, weight, op.dilation);
  op.groups = call.integer(6);
  return convolve(call, {weight, call.optional_constant(2), call.argument(1).path}, op);
}

Known transposed_convolution(Call& call) {
  Convolution op;
  op.transposed = true;
  op.stride = call.pair(3);
  op.padding = call.pair(4);
  op.output_padding = call.pair(5);
  op.groups = call.integer(6);
  op.dilation = call.pair(7);
  return convolve(call, {call.constant(1), call.optional_constant(2), call.argument(1).path}, op);
}

Known any_convolution(Call& call) {
  Convolution op;
  op.stride = call.pair(3);
  op.padding = call.pair(4);
  op.dilation = call.pair(5);
  op.transposed = call.flag(6);
  op.output_padding = call.pair(7);
  op.groups = call.integer(8);
  return convolve(call, {call.constant(1), call.optional_constant(2), call.argument(1).path}, op);
}

// LibTorch 1.13 has an optional of its own.
template <class Unpacked>
Layer unpacked_layer(const Unpacked& both, const std::string& path) {
  Layer layer{std::get<0>(both), std::nullopt, beside(path, "weight")};
  if (std::get<1>(both)) layer.bias = *std::get<1>(both);
  return layer;
}

Pair pair_of(const torch::List<std::int64_t>& list) {
  return {list.get(0), list.get(list.size() - 1)};
}

Known packed_convolution(Call& call, bool relu) {
  const auto packed = call.argument(1).value.toCustomClass<ConvPackedParamsBase<2>>();
  Convolution op;
  op.stride = pair_of(packed->stride());
  op.padding = pair_of(packed->padding());
  op.dilation = pair_of(packed->dilation());
  op.output_padding = pair_of(packed->output_padding());
  op.groups = packed->groups();
  op.transposed = packed->transpose();
  op.relu = relu;
  return convolve(call, unpacked_layer(packed->unpack(), call.argument(1).path), op);
}

Known apply_linear(Call& call, std::size_t x, const Layer& layer, bool relu) {
  return answered(call, call.emit(Linear{relu}, inputs_of(call, call.input(x), layer)));
}

Known packed_linear(Call& call, bool relu) {
  const auto packed = call.argument(1).value.toCustomClass<LinearPackedParamsBase>();
  return apply_linear(call, 0, unpacked_layer(packed->unpack(), call.argument(1).path), relu);
}

Known matrix_product(Call& call) {
  const bool layer = !call.depends(1) && call.tensor(1).dim() == 2 && call.rank(0) >= 2;
  if (layer) return apply_linear(call, 0, {call.constant(1).t(), std::nullopt, call.argument(1).path}, false);
  if (call.rank(0) < 2 || call.rank(0) != call.rank(1)) throw NotExpressible("multiplies tensors of different ranks");
  return answered(call, call.emit(MatrixProduct{}, {call.input(0), call.input(1)}));
}

Known added_product(Call& call) {
  if (call.number(3) != 1.0 || call.number(4) != 1.0) throw NotExpressible("scales what it adds");
  return apply_linear(call, 1, {call.constant(2).t(), call.constant(0), call.argument(2).path}, false);
}

// What the codes of the first argument mean; itself where it has none.
ValueId meaning_of_input(Call& call) {
  if (!call.tensor(0).is_quantized()) return call.input(0);
  return call.emit_float(call.tensor(0).sizes().vec(), Convert{}, {call.input(0)});
}

// The answer, in codes where the call answers such.
Known in_its_codes(Call& call, ValueId meaning) {
  if (!call.answer().is_quantized()) return answered(call, meaning);
  return answered(call, call.emit(Convert{}, {meaning}));
}

// x · factor + shift for each channel, the second axis.
ValueId scale_channels(Call& call, ValueId x, const Tensor& factor, const Tensor& shift) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(call.answer().dim()), 1);
  shape.at(1) = factor.numel();
  const Shape full = call.answer().sizes().vec();
  const ValueId scaled = call.emit_float(full, Arithmetic{Arithmetic::Function::multiply},
                                         {x, call.constant_value(factor.reshape(shape), "")});
  return call.emit_float(full, Arithmetic{Arithmetic::Function::add}, {scaled, call.constant_value(shift.reshape(shape), "")});
}

// The convolution before, where nothing else reads what it answers: its weights take the norm in.
bool fold_into_convolution(Call& call, const Tensor& factor, const Tensor& shift) {
  Graph& graph = call.graph();
  const auto* answer = call.node().input(0);
  const std::string before = answer->node()->kind().toQualString();
  if (graph.operations.empty() || answer->uses().size() != 1 || before.find("conv") == std::string::npos) return false;
  Operation& last = graph.operations.back();
  auto* op = std::get_if<Convolution>(&last.op);
  if (op == nullptr || !call.argument(0).id || last.output != *call.argument(0).id) return false;
  Value& weight = graph.values[last.inputs[1]];
  if (op->relu || op->groups != 1 || weight.type != ElementType::float32) return false;
  auto values = torch::from_blob(weight.data->data(), weight.shape, torch::kFloat);
  std::vector<std::int64_t> shape(weight.shape.size(), 1);
  shape[op->transposed ? 1 : 0] = factor.numel();
  values.mul_(factor.reshape(shape));
  Tensor bias = shift;
  if (last.inputs.size() > 2) {
    Value& own = graph.values[last.inputs[2]];
    bias = shift + torch::from_blob(own.data->data(), own.shape, torch::kFloat) * factor;
    last.inputs.pop_back();
  }
  last.inputs.push_back(call.constant_value(bias, beside(weight.name, "bias")));
  return true;
}

struct ChannelScale {
  Tensor factor;
  Tensor shift;
};

// Of a batch norm's arguments, of which the weight is the second.
ChannelScale channel_scale(const Call& call, double epsilon) {
  const Tensor mean = call.constant(3);
  Tensor factor = torch::rsqrt(call.constant(4).to(torch::kDouble) + epsilon);
  if (const auto weight = call.optional_constant(1)) factor = factor * *weight;
  Tensor shift = -mean * factor;
  if (const auto bias = call.optional_constant(2)) shift = shift + *bias;
  return {factor.to(torch::kFloat), shift.to(torch::kFloat)};
}

Known batch_norm(Call& call) {
  if (call.flag(5)) throw NotExpressible("is in training mode");
  const auto [factor, shift] = channel_scale(call, call.number(7));
  if (fold_into_convolution(call, factor, shift)) return {call.answers(), call.argument(0).id};
  return answered(call, scale_channels(call, call.input(0), factor, shift));
}

Known batch_norm_of_codes(Call& call) {
  const auto [factor, shift] = channel_scale(call, call.number(5));
  return in_its_codes(call, scale_channels(call, meaning_of_input(call), factor, shift));
}

// (x - mean) / sqrt(variance + epsilon) over the last axes of `shape`.
ValueId standardized(Call& call, ValueId x, const Shape& shape, std::size_t axes, double epsilon) {
  Shape means = shape;
  std::vector<std::int64_t> last;
  for (std::size_t i = shape.size() - axes; i < shape.size(); ++i) {
    means[i] = 1;
    last.push_back(static_cast<std::int64_t>(i));
  }
  using Function = Arithmetic::Function;
  const ValueId mean = call.emit_float(means, Reduce{true, last, true}, {x});
  const ValueId centred = call.emit_float(shape, Arithmetic{Function::subtract}, {x, mean});
  const ValueId square = call.emit_float(shape, Arithmetic{Function::multiply}, {centred, centred});
  const ValueId variance = call.emit_float(means, Reduce{true, last, true}, {square});
  const ValueId held = call.emit_float(means, Arithmetic{Function::add}, {variance, call.scalar(epsilon)});
  const ValueId spread = call.emit_float(means, Elementwise{Elementwise::Function::sqrt}, {held});
  return call.emit_float(shape, Arithmetic{Function::divide}, {centred, spread});
}

ValueId layer_norm_of(Call& call, ValueId x, std::size_t weight, double epsilon) {
  const Shape shape = call.answer().sizes().vec();
  using Function = Arithmetic::Function;
  ValueId result = standardized(call, x, shape, call.integers(1).size(), epsilon);
  if (!call.is_none(weight)) {
    result = call.emit_float(shape, Arithmetic{Function::multiply}, {result, call.input(weight)});
  }
  if (!call.is_none(weight + 1)) result = call.emit_float(shape, Arithmetic{Function::add}, {result, call.input(weight + 1)});
  return result;
}

Known layer_norm(Call& call) { return in_its_codes(call, layer_norm_of(call, meaning_of_input(call), 2, call.number(4))); }

Known norm_of_groups(Call& call, std::int64_t groups, std::size_t weight, double epsilon) {
  const Tensor x = call.tensor(0);
  const Shape grouped{x.size(0), groups, x.numel() / (x.size(0) * groups)};
  ValueId result = call.emit_float(grouped, Reshape{}, {meaning_of_input(call)});
  result = standardized(call, result, grouped, 1, epsilon);
  result = call.emit_float(x.sizes().vec(), Reshape{}, {result});
  const Tensor ones = torch::ones({x.size(1)});
  return in_its_codes(call, scale_channels(call, result, call.optional_constant(weight).value_or(ones),
                                           call.optional_constant(weight + 1).value_or(torch::zeros({x.size(1)}))));
}

Known group_norm(Call& call) { return norm_of_groups(call, call.integer(1), 2, call.number(4)); }

Known instance_norm(Call& call) {
  if (!call.flag(5)) throw NotExpressible("uses running statistics");
  return norm_of_groups(call, call.tensor(0).size(1), 1, call.number(7));
}

Known instance_norm_of_codes(Call& call) { return norm_of_groups(call, call.tensor(0).size(1), 1, call.number(3)); }

Known embedding(Call& call) {
  return answered(call, call.emit(Gather{0}, {call.constant_value(call.constant(0), call.argument(0).path), call.input(1)}));
}

// Rows of bytes, each with a scale and what 0 stands for: looked up as bytes, which is what they are stored for.
Known embedding_of_bytes(Call& call) {
  const Tensor table = models::call_operator("quantized::embedding_bag_unpack", {call.argument(0).value}).toTensor();
  const Tensor scales = table.q_per_channel_scales().to(torch::kFloat).unsqueeze(1);
  const Tensor least = -table.q_per_channel_zero_points().to(torch::kFloat).unsqueeze(1) * scales;
  const ValueId ids = call.input(1);
  const Shape shape = call.answer().sizes().vec();
  const auto of_rows = [&](const Tensor& column) {
    return call.emit_float({shape[0], 1}, Gather{0}, {call.constant_value(column, ""), ids});
  };
  const ValueId bytes = call.emit_like(torch::empty(shape, torch::kByte), Gather{0}, {call.constant_value(table.int_repr(), ""), ids});
  using Function = Arithmetic::Function;
  const ValueId scaled = call.emit_float(shape, Arithmetic{Function::multiply}, {call.emit_float(shape, Convert{}, {bytes}), of_rows(scales)});
  return answered(call, call.emit_float(shape, Arithmetic{Function::add}, {scaled, of_rows(least)}));
}

}  // namespace

Operators layer_operators() {
  return {
      {"aten::conv1d", convolution},
      {"aten::conv2d", convolution},
      {"aten::conv_transpose1d", transposed_convolution},
      {"aten::conv_transpose2d", transposed_convolution},
      {"aten::_convolution", any_convolution},
      {"aten::convolution", any_convolution},
      {"quantized::conv2d", [](Call& call) { return packed_convolution(call, false); }},
      {"quantized::conv2d_relu", [](Call& call) { return packed_convolution(call, true); }},
      {"quantized::conv_transpose2d", [](Call& call) { return packed_convolution(call, false); }},
      {"aten::linear",
       [](Call& call) {
         return apply_linear(call, 0, {call.constant(1), call.optional_constant(2), call.argument(1).path}, false);
       }},
      {"aten::addmm", added_product},
      {"aten::matmul", matrix_product},
      {"aten::mm", matrix_product},
      {"aten::bmm", matrix_product},
      {"quantized::linear", [](Call& call) { return packed_linear(call, false); }},
      {"quantized::linear_relu", [](Call& call) { return packed_linear(call, true); }},
      {"aten::batch_norm", batch_norm},
      {"aten::layer_norm", layer_norm},
      {"quantized::layer_norm", layer_norm},
      {"quantized::batch_norm", batch_norm_of_codes},
      {"quantized::batch_norm2d", batch_norm_of_codes},
      {"aten::group_norm", group_norm},
      {"quantized::group_norm", group_norm},
      {"aten::instance_norm", instance_norm},
      {"quantized::instance_norm", instance_norm_of_codes},
      {"aten::embedding", embedding},
      {"quantized::embedding_byte", embedding_of_bytes},
  };
}

}  // namespace outcrop::exchange
