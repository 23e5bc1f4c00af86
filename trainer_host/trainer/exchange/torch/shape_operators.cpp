#include <algorithm>
#include <cmath>
#include <numeric>

#include "trainer_host/trainer/exchange/torch/operators.hpp"

namespace outcrop::exchange {
namespace {

using torch::Tensor;

// Where codes come in, on what they mean, as LibTorch does it; and back.
Known in_meaning(Call& call, const Operator& op) {
  if (!call.answer().is_quantized()) return answered(call, call.emit(op, {call.input(0)}));
  const ValueId x = call.emit_float(call.tensor(0).sizes().vec(), Convert{}, {call.input(0)});
  return answered(call, call.emit(Convert{}, {call.emit_float(call.answer().sizes().vec(), op, {x})}));
}

Known reshape(Call& call) {
  if (call.tensor(0).sizes() == call.answer().sizes()) return {call.answers(), call.argument(0).id};
  return answered(call, call.emit(Reshape{}, {call.input(0)}));
}

ValueId transposed_value(Call& call, std::vector<std::int64_t> order) {
  return call.emit(Transpose{std::move(order)}, {call.input(0)});
}

Known permute(Call& call) {
  std::vector<std::int64_t> order = call.integers(1);
  for (std::int64_t& axis : order) axis += axis < 0 ? call.rank(0) : 0;
  return answered(call, transposed_value(call, std::move(order)));
}

Known swap_axes(Call& call, std::int64_t one, std::int64_t other) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(call.rank(0)));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order.at(static_cast<std::size_t>(one)), order.at(static_cast<std::size_t>(other)));
  return answered(call, transposed_value(call, std::move(order)));
}

Known transpose(Call& call) { return swap_axes(call, call.axis(1, call.rank(0)), call.axis(2, call.rank(0))); }

Known transpose_matrix(Call& call) {
  if (call.rank(0) < 2) return reshape(call);
  return swap_axes(call, 0, 1);
}

// A part of `x` along one axis.
ValueId part_of(Call& call, const Tensor& part, std::int64_t axis, std::int64_t begin) {
  std::vector<std::int64_t> first(static_cast<std::size_t>(call.rank(0)), 0);
  first.at(static_cast<std::size_t>(axis)) = begin;
  return call.emit_like(part, Slice{std::move(first)}, {call.input(0)});
}

std::int64_t begin_of(const Call& call, std::size_t at, std::int64_t size) {
  if (call.is_none(at)) return 0;
  const std::int64_t begin = call.integer(at);
  return std::clamp<std::int64_t>(begin < 0 ? begin + size : begin, 0, size);
}

Known slice(Call& call) {
  if (call.integer(4) != 1) throw NotExpressible("takes every " + std::to_string(call.integer(4)) + "th");
  if (call.tensor(0).sizes() == call.answer().sizes()) return {call.answers(), call.argument(0).id};
  const std::int64_t axis = call.axis(1, call.rank(0));
  return answered(call, part_of(call, call.answer(), axis, begin_of(call, 2, call.tensor(0).size(axis))));
}

Known narrow(Call& call) {
  const std::int64_t axis = call.axis(1, call.rank(0));
  return answered(call, part_of(call, call.answer(), axis, begin_of(call, 2, call.tensor(0).size(axis))));
}

Known select(Call& call) {
  const std::int64_t axis = call.axis(1, call.rank(0));
  const ValueId part = part_of(call, call.answer().unsqueeze(axis), axis, begin_of(call, 2, call.tensor(0).size(axis)));
  return answered(call, call.emit(Reshape{}, {part}));
}

Known split(Call& call, std::int64_t axis) {
  Known known{call.answers()};
  std::int64_t begin = 0;
  for (const auto& element : call.answers().toListRef()) {
    const Tensor part = element.toTensor();
    known.elements.push_back({part, part_of(call, part, axis, begin)});
    begin += part.size(axis);
  }
  return known;
}

Known split_along(Call& call) { return split(call, call.axis(2, call.rank(0))); }

Known unbind(Call& call) {
  const std::int64_t axis = call.axis(1, call.rank(0));
  Known known{call.answers()};
  std::int64_t begin = 0;
  for (const auto& element : call.answers().toListRef()) {
    const Tensor part = element.toTensor();
    const ValueId cut = part_of(call, part.unsqueeze(axis), axis, begin++);
    known.elements.push_back({part, call.emit_like(part, Reshape{}, {cut})});
  }
  return known;
}

// Of a list, constants among them.
std::vector<ValueId> inputs_in(Call& call, std::size_t at) {
  const Known& list = call.argument(at);
  if (list.elements.empty()) throw NotExpressible("takes a list that is computed");
  std::vector<ValueId> inputs;
  for (const Known& element : list.elements) {
    inputs.push_back(element.id ? *element.id : call.constant_value(element.value.toTensor(), element.path));
  }
  return inputs;
}

Known concatenate(Call& call) {
  return answered(call, call.emit(Concatenate{call.axis(1, call.answer().dim())}, inputs_in(call, 0)));
}

Known stack(Call& call) {
  const std::int64_t axis = call.axis(1, call.answer().dim());
  std::vector<ValueId> inputs = inputs_in(call, 0);
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    inputs[i] = call.emit_like(call.argument(0).elements[i].value.toTensor().unsqueeze(axis), Reshape{}, {inputs[i]});
  }
  return answered(call, call.emit(Concatenate{axis}, inputs));
}

Known expand(Call& call) {
  if (call.tensor(0).sizes() == call.answer().sizes()) return {call.answers(), call.argument(0).id};
  if (call.answer().scalar_type() != torch::kFloat) throw NotExpressible("repeats other numbers than float32");
  const ValueId zeros = call.constant_value(torch::zeros(call.answer().sizes()), "");
  return answered(call, call.emit(Arithmetic{Arithmetic::Function::add}, {call.input(0), zeros}));
}

Pair out_of(const Call& call) { return {call.answer().size(-2), call.answer().size(-1)}; }
Pair in_of(const Call& call) { return {call.tensor(0).size(-2), call.tensor(0).size(-1)}; }

void check_image(const Call& call) {
  if (call.rank(0) != 4) throw NotExpressible("takes other than [N, C, H, W]");
}

// Where sizes are rounded up the last place may hang over: only where that makes no difference.
Known pool(Call& call, const Pool& op, bool rounds_up) {
  check_image(call);
  for (std::size_t i = 0; rounds_up && i < 2; ++i) {
    const std::int64_t down = (in_of(call)[i] + 2 * op.padding[i] - op.kernel[i]) / op.stride[i] + 1;
    if (down != out_of(call)[i]) throw NotExpressible("rounds its size up (ceil_mode)");
  }
  return answered(call, call.emit(op, {call.input(0)}));
}

Pool pool_of(const Call& call, bool largest) {
  Pool op;
  op.largest = largest;
  op.kernel = call.pair(1);
  op.stride = call.integers(2).empty() ? op.kernel : call.pair(2);
  op.padding = call.pair(3);
  return op;
}

Known max_pool(Call& call) {
  if (call.pair(4) != Pair{1, 1}) throw NotExpressible("is dilated");
  return pool(call, pool_of(call, true), call.flag(5));
}

Known average_pool(Call& call) {
  Pool op = pool_of(call, false);
  op.counts_padding = call.flag(5);
  if (!call.is_none(6)) throw NotExpressible("divides by another number than it adds up");
  return pool(call, op, call.flag(4));
}

Known adaptive_pool(Call& call) {
  check_image(call);
  Pool op;
  op.largest = false;
  for (std::size_t i = 0; i < 2; ++i) {
    if (in_of(call)[i] % out_of(call)[i] != 0) throw NotExpressible("has windows of different sizes");
    op.kernel[i] = op.stride[i] = in_of(call)[i] / out_of(call)[i];
  }
  return answered(call, call.emit(op, {call.input(0)}));
}

Known reduce(Call& call, bool mean) {
  const bool of_all = call.size() < 3 || call.is_none(1);
  std::vector<std::int64_t> axes(static_cast<std::size_t>(call.rank(0)));
  std::iota(axes.begin(), axes.end(), 0);
  if (!of_all && !call.integers(1).empty()) axes = call.integers(1);
  for (std::int64_t& axis : axes) axis += axis < 0 ? call.rank(0) : 0;
  std::sort(axes.begin(), axes.end());
  const bool keeps = call.size() > 2 && !call.is_none(1) && call.flag(2);
  if (call.answer().scalar_type() != call.tensor(0).scalar_type()) throw NotExpressible("changes the type of numbers");
  return in_meaning(call, Reduce{mean, axes, keeps});
}

// What it was told to multiply sizes by must be what these became.
void check_factors(const Call& call, std::size_t at) {
  if (call.size() <= at || call.is_none(at)) return;
  const c10::IValue& value = call.argument(at).value;
  const std::vector<double> factors = value.isDouble() ? std::vector<double>{value.toDouble(), value.toDouble()}
                                                       : value.toDoubleVector();
  for (std::size_t i = 0; i < factors.size() && i < 2; ++i) {
    const double exact = static_cast<double>(in_of(call)[i]) * factors[i];
    if (std::abs(exact - static_cast<double>(out_of(call)[i])) > 1e-6) {
      throw NotExpressible("enlarges by a factor that does not give whole sizes");
    }
  }
}

Known resize_nearest(Call& call) {
  check_image(call);
  check_factors(call, 2);
  return answered(call, call.emit(Resize{false, false}, {call.input(0)}));
}

Known resize_linear(Call& call) {
  check_image(call);
  check_factors(call, 3);
  return in_meaning(call, Resize{true, call.flag(2)});
}

Known pad_by(Call& call, double value, bool reflects) {
  const auto sides = call.integers(1);  // the last axis first
  const auto rank = static_cast<std::size_t>(call.rank(0));
  Pad op{std::vector<std::int64_t>(rank, 0), std::vector<std::int64_t>(rank, 0), reflects, value};
  for (std::size_t i = 0; i + 1 < sides.size(); i += 2) {
    op.before.at(rank - 1 - i / 2) = sides[i];
    op.after.at(rank - 1 - i / 2) = sides[i + 1];
  }
  for (const std::int64_t side : sides) {
    if (side < 0) throw NotExpressible("cuts (a padding below 0)");
  }
  return answered(call, call.emit(op, {call.input(0)}));
}

Known pad_constant(Call& call) { return pad_by(call, call.number(2), false); }
Known pad_reflection(Call& call) { return pad_by(call, 0.0, true); }

Known pad(Call& call) {
  const std::string mode = call.argument(2).value.toStringRef();
  if (mode == "constant") return pad_by(call, call.is_none(3) ? 0.0 : call.number(3), false);
  if (mode == "reflect") return pad_reflection(call);
  throw NotExpressible("pads by '" + mode + "'");
}

Known index_select(Call& call) {
  return answered(call, call.emit(Gather{call.axis(1, call.rank(0))}, {call.input(0), call.input(2)}));
}

}  // namespace

Operators shape_operators() {
  return {
      {"aten::reshape", reshape},
      {"aten::view", reshape},
      {"aten::flatten", reshape},
      {"aten::unflatten", reshape},
      {"aten::squeeze", reshape},
      {"aten::unsqueeze", reshape},
      {"aten::permute", permute},
      {"aten::transpose", transpose},
      {"aten::t", transpose_matrix},
      {"aten::slice", slice},
      {"aten::narrow", narrow},
      {"aten::select", select},
      {"aten::chunk", split_along},
      {"aten::split", split_along},
      {"aten::split_with_sizes", split_along},
      {"aten::unbind", unbind},
      {"aten::cat", concatenate},
      {"quantized::cat", concatenate},
      {"aten::stack", stack},
      {"aten::expand", expand},
      {"aten::expand_as", expand},
      {"aten::max_pool2d", max_pool},
      {"aten::avg_pool2d", average_pool},
      {"aten::adaptive_avg_pool2d", adaptive_pool},
      {"aten::mean", [](Call& call) { return reduce(call, true); }},
      {"aten::sum", [](Call& call) { return reduce(call, false); }},
      {"aten::upsample_nearest2d", resize_nearest},
      {"aten::upsample_bilinear2d", resize_linear},
      {"aten::constant_pad_nd", pad_constant},
      {"aten::reflection_pad2d", pad_reflection},
      {"aten::pad", pad},
      {"aten::index_select", index_select},
  };
}

const Operators& known_operators() {
  static const Operators all = [] {
    Operators operators = layer_operators();
    operators.merge(elementwise_operators());
    operators.merge(shape_operators());
    return operators;
  }();
  return all;
}

}  // namespace outcrop::exchange
