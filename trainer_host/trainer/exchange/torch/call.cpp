#include "trainer_host/trainer/exchange/torch/call.hpp"

#include <algorithm>
#include <cstring>

namespace outcrop::exchange {
namespace {

ElementType type_of(const torch::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case torch::kFloat: return ElementType::float32;
    case torch::kLong: return ElementType::int64;
    case torch::kInt: return ElementType::int32;
    case torch::kBool: return ElementType::boolean;
    case torch::kQInt8: return ElementType::int8;
    case torch::kByte:
    case torch::kQUInt8: return ElementType::uint8;
    default: throw NotExpressible("computes in " + std::string(c10::toString(tensor.scalar_type())));
  }
}

Codes codes_of(const torch::Tensor& tensor) {
  Codes codes;
  if (tensor.qscheme() == torch::kPerTensorAffine) {
    codes.scales = {static_cast<float>(tensor.q_scale())};
    codes.zero_points = {tensor.q_zero_point()};
    return codes;
  }
  const auto scales = tensor.q_per_channel_scales().to(torch::kFloat).contiguous();
  const auto zero_points = tensor.q_per_channel_zero_points().to(torch::kLong).contiguous();
  codes.scales.assign(scales.data_ptr<float>(), scales.data_ptr<float>() + scales.numel());
  codes.zero_points.assign(zero_points.data_ptr<std::int64_t>(), zero_points.data_ptr<std::int64_t>() + zero_points.numel());
  codes.axis = tensor.q_per_channel_axis();
  return codes;
}

std::string next_name(const Graph& graph) {
  return c10::str("v", graph.values.size());
}

}  // namespace

bool Known::depends() const {
  return id.has_value() || std::any_of(elements.begin(), elements.end(), [](const Known& one) { return one.depends(); });
}

std::string Known::why_refused() const {
  if (!refused.empty()) return refused;
  for (const Known& element : elements) {
    if (std::string why = element.why_refused(); !why.empty()) return why;
  }
  return "";
}

Known answered(const Call& call, ValueId id) { return {call.answers(), id}; }

Value value_of(const torch::Tensor& tensor, std::string name) {
  Value value{std::move(name), type_of(tensor), tensor.sizes().vec()};
  if (tensor.is_quantized()) value.codes = codes_of(tensor);
  return value;
}

Value constant_of(const torch::Tensor& tensor, std::string name) {
  torch::Tensor dense = tensor.detach();
  if (dense.scalar_type() == torch::kDouble) dense = dense.to(torch::kFloat);
  Value value = value_of(dense, std::move(name));
  // The usual order of axes: packed weights come back channels last.
  dense = (dense.is_quantized() ? dense.int_repr() : dense).contiguous();
  value.data.emplace(dense.nbytes());
  if (dense.nbytes() > 0) std::memcpy(value.data->data(), dense.data_ptr(), dense.nbytes());
  return value;
}

std::int64_t Call::integer(std::size_t at) const {
  if (depends(at)) throw NotExpressible("takes a number that depends on the input");
  return argument(at).value.toInt();
}

double Call::number(std::size_t at) const {
  if (depends(at)) throw NotExpressible("takes a number that depends on the input");
  const c10::IValue& value = argument(at).value;
  return value.isTensor() ? value.toTensor().item<double>() : value.toScalar().to<double>();
}

bool Call::flag(std::size_t at) const {
  if (depends(at)) throw NotExpressible("takes a choice that depends on the input");
  return argument(at).value.toBool();
}

std::vector<std::int64_t> Call::integers(std::size_t at) const {
  if (depends(at)) throw NotExpressible("takes sizes that depend on the input");
  const c10::IValue& value = argument(at).value;
  if (value.isInt()) return {value.toInt()};
  return value.toIntVector();
}

Pair Call::pair(std::size_t at) const {
  const auto both = integers(at);
  if (both.size() == 1) return {both[0], both[0]};
  if (both.size() != 2) throw NotExpressible("has " + std::to_string(both.size()) + " axes");
  return {both[0], both[1]};
}

torch::Tensor Call::constant(std::size_t at) const {
  if (depends(at)) throw NotExpressible("has weights that are computed from the input");
  return argument(at).value.toTensor();
}

std::optional<torch::Tensor> Call::optional_constant(std::size_t at) const {
  if (is_none(at)) return std::nullopt;
  return constant(at);
}

torch::Tensor Call::tensor(std::size_t at) const { return argument(at).value.toTensor(); }

std::int64_t Call::axis(std::size_t at, std::int64_t rank) const {
  const std::int64_t axis = integer(at);
  return axis < 0 ? axis + rank : axis;
}

ValueId Call::constant_value(const torch::Tensor& tensor, const std::string& name) {
  const std::string unnamed = c10::str("constant_", graph_.values.size());
  return graph_.add(constant_of(tensor, name.empty() ? unnamed : name));
}

ValueId Call::scalar(double value) {
  return constant_value(torch::scalar_tensor(value, torch::kFloat), "");
}

ValueId Call::input(std::size_t at) {
  const Known& known = argument(at);
  if (known.id) return *known.id;
  if (known.value.isTensor()) return constant_value(known.value.toTensor(), known.path);
  return scalar(known.value.toScalar().to<double>());
}

ValueId Call::emit_like(const torch::Tensor& like, Operator op, std::vector<ValueId> inputs) {
  Value value = value_of(like, next_name(graph_));
  const ValueId output = graph_.add(std::move(value));
  graph_.operations.push_back({std::move(op), std::move(inputs), output});
  return output;
}

ValueId Call::emit(Operator op, std::vector<ValueId> inputs) { return emit_like(answer(), std::move(op), std::move(inputs)); }

ValueId Call::emit_float(Shape shape, Operator op, std::vector<ValueId> inputs) {
  const ValueId output = graph_.add({next_name(graph_), ElementType::float32, std::move(shape)});
  graph_.operations.push_back({std::move(op), std::move(inputs), output});
  return output;
}

}  // namespace outcrop::exchange
