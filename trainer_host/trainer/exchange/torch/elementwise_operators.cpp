#include <limits>

#include "trainer_host/trainer/exchange/torch/operators.hpp"

namespace outcrop::exchange {
namespace {

using torch::Tensor;
using Function = Elementwise::Function;
using Arithmetics = Arithmetic::Function;

Known same(Call& call) { return {call.answers(), call.argument(0).id}; }

// Those that are the same of codes as of what they mean, or that kernels for int8 have in every runtime.
bool keeps_to_codes(Function function) {
  switch (function) {
    case Function::relu:
    case Function::relu6:
    case Function::clamp:
    case Function::sigmoid:
    case Function::tanh: return true;
    default: return false;
  }
}

// Others of codes as they are defined: on what the codes mean, and back.
Known apply(Call& call, Elementwise op) {
  if (!call.answer().is_quantized() || keeps_to_codes(op.function)) {
    if (!call.answer().is_floating_point() && !call.answer().is_quantized()) throw NotExpressible("takes whole numbers");
    return answered(call, call.emit(op, {call.input(0)}));
  }
  const Shape shape = call.answer().sizes().vec();
  const ValueId x = call.emit_float(shape, Convert{}, {call.input(0)});
  return answered(call, call.emit(Convert{}, {call.emit_float(shape, op, {x})}));
}

Translate elementwise(Function function) {
  return [function](Call& call) { return apply(call, {function}); };
}

Known clamp(Call& call) {
  constexpr double most = std::numeric_limits<float>::max();
  const double low = call.is_none(1) ? -most : call.number(1);
  const double high = call.size() < 3 || call.is_none(2) ? most : call.number(2);
  return apply(call, {Function::clamp, low, high});
}

// x · sigmoid(x)
Known silu(Call& call) {
  const ValueId x = call.input(0);
  const ValueId gate = call.emit_float(call.answer().sizes().vec(), Elementwise{Function::sigmoid}, {x});
  return answered(call, call.emit(Arithmetic{Arithmetics::multiply}, {x, gate}));
}

// x/6 + 1/2, within 0 and 1
Known hard_sigmoid(Call& call) {
  constexpr double sixth = 1.0 / 6.0;
  const bool codes = call.answer().is_quantized();
  const Shape shape = call.answer().sizes().vec();
  const ValueId x = codes ? call.emit_float(shape, Convert{}, {call.input(0)}) : call.input(0);
  const ValueId scaled = call.emit_float(shape, Arithmetic{Arithmetics::multiply}, {x, call.scalar(sixth)});
  const ValueId moved = call.emit_float(shape, Arithmetic{Arithmetics::add}, {scaled, call.scalar(0.5)});
  const ValueId held = call.emit_float(shape, Elementwise{Function::clamp, 0.0, 1.0}, {moved});
  return answered(call, codes ? call.emit(Convert{}, {held}) : held);
}

// Constants are what they mean in float32.
ValueId float_input(Call& call, std::size_t at) {
  if (call.answer().scalar_type() != torch::kFloat) throw NotExpressible("computes in other numbers than float32");
  const c10::IValue& value = call.argument(at).value;
  if (!value.isTensor() || value.toTensor().scalar_type() == torch::kFloat) return call.input(at);
  if (call.depends(at)) throw NotExpressible("mixes types of numbers");
  return call.constant_value(value.toTensor().to(torch::kFloat), call.argument(at).path);
}

// b · alpha, where it says so.
ValueId scaled_input(Call& call, std::size_t at, std::size_t alpha) {
  const ValueId value = float_input(call, at);
  if (call.size() <= alpha || call.number(alpha) == 1.0) return value;
  const Shape shape = call.graph().values[value].shape;
  return call.emit_float(shape, Arithmetic{Arithmetics::multiply}, {value, call.scalar(call.number(alpha))});
}

Known compute(Call& call, Arithmetics function) {
  const bool added = function == Arithmetics::add || function == Arithmetics::subtract;
  const ValueId first = float_input(call, 0);
  const ValueId second = added ? scaled_input(call, 1, 2) : float_input(call, 1);
  return answered(call, call.emit(Arithmetic{function}, {first, second}));
}

Translate arithmetic(Arithmetics function) {
  return [function](Call& call) { return compute(call, function); };
}

bool is_nought(const Call& call, std::size_t at) {
  if (call.depends(at)) return false;
  const c10::IValue& value = call.argument(at).value;
  return value.isTensor() ? value.toTensor().numel() == 1 && value.toTensor().item<double>() == 0.0
                          : value.toScalar().to<double>() == 0.0;
}

// Whatever is finite, times nought: so that a model's look for NaN in its input decides nothing here.
Known multiply(Call& call) {
  if (is_nought(call, 1)) return {torch::zeros_like(call.answer())};
  return compute(call, Arithmetics::multiply);
}

Known divide(Call& call) {
  if (call.size() > 2 && !call.is_none(2)) throw NotExpressible("rounds");
  return compute(call, Arithmetics::divide);
}

Known subtract_from(Call& call) {
  const ValueId second = scaled_input(call, 0, 2);
  return answered(call, call.emit(Arithmetic{Arithmetics::subtract}, {float_input(call, 1), second}));
}

Known square(Call& call) {
  const ValueId x = float_input(call, 0);
  return answered(call, call.emit(Arithmetic{Arithmetics::multiply}, {x, x}));
}

Known power(Call& call) {
  const double exponent = call.depends(1) ? 0.0 : call.number(1);
  if (exponent == 2.0) return square(call);
  if (exponent == 0.5) return apply(call, {Function::sqrt});
  throw NotExpressible("raises to another power than 2 and .5");
}

Known inverse(Call& call, ValueId x) {
  return answered(call, call.emit(Arithmetic{Arithmetics::divide}, {call.scalar(1.0), x}));
}

Known inverse_root(Call& call) {
  const ValueId x = float_input(call, 0);
  return inverse(call, call.emit_float(call.answer().sizes().vec(), Elementwise{Function::sqrt}, {x}));
}

Known combine_codes(Call& call, Arithmetics function, bool relu) {
  if (!call.tensor(0).is_quantized() || !call.tensor(1).is_quantized()) throw NotExpressible("mixes codes and floats");
  return answered(call, call.emit(Arithmetic{function, relu}, {call.input(0), call.input(1)}));
}

Translate of_codes(Arithmetics function, bool relu) {
  return [function, relu](Call& call) { return combine_codes(call, function, relu); };
}

// exp(x) - 1
Known exp_minus_one(Call& call) {
  const ValueId power = call.emit_float(call.answer().sizes().vec(), Elementwise{Function::exp}, {float_input(call, 0)});
  return answered(call, call.emit(Arithmetic{Arithmetics::subtract}, {power, call.scalar(1.0)}));
}

// Of codes and a number, as it is defined: what they mean, and back to the codes that LibTorch chooses.
Translate with_number(Arithmetics function) {
  return [function](Call& call) {
    const Shape shape = call.answer().sizes().vec();
    const ValueId x = call.emit_float(shape, Convert{}, {call.input(0)});
    const ValueId meaning = call.emit_float(shape, Arithmetic{function}, {x, call.scalar(call.number(1))});
    return answered(call, call.emit(Convert{}, {meaning}));
  };
}

Known elu_of_codes(Call& call) {
  if (call.number(3) != 1.0 || call.number(4) != 1.0 || call.number(5) != 1.0) throw NotExpressible("has other factors than 1");
  return apply(call, {Function::elu, 1.0});
}

Known gelu(Call& call) {
  if (call.size() > 1 && call.argument(1).value.isString() && call.argument(1).value.toStringRef() != "none") {
    throw NotExpressible("approximates by tanh");
  }
  return apply(call, {Function::gelu});
}

Known elu(Call& call) {
  if (call.number(2) != 1.0 || call.number(3) != 1.0 || call.number(1) != 1.0) throw NotExpressible("has other factors than 1");
  return apply(call, {Function::elu, 1.0});
}

Known convert(Call& call) {
  if (call.tensor(0).scalar_type() == call.answer().scalar_type()) return same(call);
  return answered(call, call.emit(Convert{}, {call.input(0)}));
}

Known dequantize(Call& call) {
  if (!call.answers().isTensor()) throw NotExpressible("takes a list");
  if (!call.tensor(0).is_quantized()) return same(call);
  return answered(call, call.emit(Convert{}, {call.input(0)}));
}

Known dropout(Call& call) {
  if (call.flag(2)) throw NotExpressible("is in training mode");
  return same(call);
}

Known softmax(Call& call, bool logarithm) {
  if (call.answer().scalar_type() != torch::kFloat) throw NotExpressible("computes in other numbers than float32");
  return answered(call, call.emit(Softmax{call.axis(1, call.rank(0)), logarithm}, {call.input(0)}));
}

}  // namespace

Operators elementwise_operators() {
  return {
      {"aten::relu", elementwise(Function::relu)},
      {"aten::relu6", elementwise(Function::relu6)},
      {"aten::hardtanh", clamp},
      {"aten::clamp", clamp},
      {"aten::clamp_min", clamp},
      {"aten::leaky_relu", [](Call& call) { return apply(call, {Function::leaky_relu, call.number(1)}); }},
      {"quantized::leaky_relu", [](Call& call) { return apply(call, {Function::leaky_relu, call.number(1)}); }},
      {"aten::elu", elu},
      {"aten::gelu", gelu},
      {"aten::silu", silu},
      {"aten::sigmoid", elementwise(Function::sigmoid)},
      {"quantized::sigmoid", [](Call& call) { return apply(call, {Function::sigmoid}); }},
      {"aten::tanh", elementwise(Function::tanh)},
      {"aten::hardswish", elementwise(Function::hard_swish)},
      {"quantized::hardswish", [](Call& call) { return apply(call, {Function::hard_swish}); }},
      {"aten::hardsigmoid", hard_sigmoid},
      {"aten::exp", elementwise(Function::exp)},
      {"aten::expm1", exp_minus_one},
      {"aten::sign", elementwise(Function::sign)},
      {"aten::log", elementwise(Function::log)},
      {"aten::sqrt", elementwise(Function::sqrt)},
      {"aten::rsqrt", inverse_root},
      {"aten::reciprocal", [](Call& call) { return inverse(call, float_input(call, 0)); }},
      {"aten::neg", elementwise(Function::negate)},
      {"aten::abs", elementwise(Function::absolute)},
      {"aten::square", square},
      {"aten::pow", power},
      {"aten::add", arithmetic(Arithmetics::add)},
      {"aten::sub", arithmetic(Arithmetics::subtract)},
      {"aten::rsub", subtract_from},
      {"aten::mul", multiply},
      {"aten::div", divide},
      {"aten::maximum", arithmetic(Arithmetics::largest)},
      {"aten::minimum", arithmetic(Arithmetics::least)},
      {"quantized::add", of_codes(Arithmetics::add, false)},
      {"quantized::add_relu", of_codes(Arithmetics::add, true)},
      {"quantized::mul", of_codes(Arithmetics::multiply, false)},
      {"quantized::mul_relu", of_codes(Arithmetics::multiply, true)},
      {"quantized::mul_scalar", with_number(Arithmetics::multiply)},
      {"quantized::add_scalar", with_number(Arithmetics::add)},
      {"quantized::elu", elu_of_codes},
      {"aten::softmax", [](Call& call) { return softmax(call, false); }},
      {"aten::log_softmax", [](Call& call) { return softmax(call, true); }},
      {"aten::quantize_per_tensor", [](Call& call) { return answered(call, call.emit(Convert{}, {call.input(0)})); }},
      {"aten::dequantize", dequantize},
      {"aten::to", convert},
      {"aten::type_as", convert},
      {"aten::contiguous", same},
      {"aten::clone", same},
      {"aten::detach", same},
      {"aten::alias", same},
      {"aten::dropout", dropout},
      {"aten::feature_dropout", dropout},
      {"prim::unchecked_cast", same},
  };
}

}  // namespace outcrop::exchange
