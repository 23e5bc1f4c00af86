#include "trainer_host/trainer/exchange/onnx/onnx_file.hpp"

#include <onnx/checker.h>

#include <limits>

#include "trainer_host/trainer/exchange/onnx/onnx_model.hpp"

namespace outcrop::exchange {
namespace {

constexpr int ir_version = 7;  // of the years of operator set 13

void describe_value(const Value& value, onnx::ValueInfoProto& info) {
  info.set_name(value.name);
  auto* type = info.mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx_type(value.type));
  auto* shape = type->mutable_shape();
  for (const std::int64_t size : value.shape) shape->add_dim()->set_dim_value(size);
}

onnx::AttributeProto& attribute(onnx::NodeProto& node, const std::string& name, onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto& one = *node.add_attribute();
  one.set_name(name);
  one.set_type(type);
  return one;
}

}  // namespace

int onnx_type(ElementType type) {
  switch (type) {
    case ElementType::float32: return onnx::TensorProto::FLOAT;
    case ElementType::int64: return onnx::TensorProto::INT64;
    case ElementType::int32: return onnx::TensorProto::INT32;
    case ElementType::int8: return onnx::TensorProto::INT8;
    case ElementType::uint8: return onnx::TensorProto::UINT8;
    case ElementType::boolean: return onnx::TensorProto::BOOL;
  }
  return onnx::TensorProto::UNDEFINED;
}

void set_integer(onnx::NodeProto& node, const std::string& name, std::int64_t value) {
  attribute(node, name, onnx::AttributeProto::INT).set_i(value);
}
void set_integers(onnx::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& values) {
  onnx::AttributeProto& one = attribute(node, name, onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) one.add_ints(value);
}
void set_number(onnx::NodeProto& node, const std::string& name, double value) {
  attribute(node, name, onnx::AttributeProto::FLOAT).set_f(static_cast<float>(value));
}
void set_word(onnx::NodeProto& node, const std::string& name, const std::string& value) {
  attribute(node, name, onnx::AttributeProto::STRING).set_s(value);
}

onnx::NodeProto& OnnxModel::node(const std::string& type, const std::vector<std::string>& inputs, const std::string& output) {
  onnx::NodeProto& node = *onnx_.add_node();
  node.set_op_type(type);
  node.set_name(fresh(type));
  for (const std::string& input : inputs) node.add_input(input);
  node.add_output(output);
  return node;
}

std::string OnnxModel::apply(const std::string& type, const std::vector<std::string>& inputs) {
  const std::string output = fresh("t");
  node(type, inputs, output);
  return output;
}

std::string OnnxModel::initializer(const Value& constant) {
  if (!initializers_.insert(constant.name).second) return constant.name;
  onnx::TensorProto& tensor = *onnx_.add_initializer();
  tensor.set_name(constant.name);
  tensor.set_data_type(onnx_type(constant.type));
  for (const std::int64_t size : constant.shape) tensor.add_dims(size);
  tensor.set_raw_data(constant.data->data(), constant.data->size());
  return constant.name;
}

std::string OnnxModel::integers(const std::vector<std::int64_t>& values) {
  return initializer({fresh("integers"), ElementType::int64, {static_cast<std::int64_t>(values.size())}, {}, bytes_of(values)});
}

std::string OnnxModel::number(double value) {
  return initializer({fresh("number"), ElementType::float32, {}, {}, bytes_of(std::vector<float>{static_cast<float>(value)})});
}

std::vector<std::string> OnnxModel::scale_and_zero_point(const Value& value) {
  const Codes& codes = *value.codes;
  Shape shape;
  if (codes.scales.size() > 1) shape = {static_cast<std::int64_t>(codes.scales.size())};
  const std::string scale = initializer({value.name + ".scale", ElementType::float32, shape, {}, bytes_of(codes.scales)});
  if (value.type == ElementType::int32) return {scale};  // zero points of biases are 0, and not said
  Bytes points;
  for (const std::int64_t point : codes.zero_points) points.push_back(static_cast<std::byte>(point));
  return {scale, initializer({value.name + ".zero_point", value.type, shape, {}, std::move(points)})};
}

void OnnxModel::quantize(const std::string& meaning, const Value& output) {
  std::vector<std::string> inputs{meaning};
  for (std::string& one : scale_and_zero_point(output)) inputs.push_back(std::move(one));
  node("QuantizeLinear", inputs, output.name);
}

void OnnxModel::dequantize(const Value& value, const std::string& output) {
  std::vector<std::string> inputs{value.name};
  for (std::string& one : scale_and_zero_point(value)) inputs.push_back(std::move(one));
  onnx::NodeProto& made = node("DequantizeLinear", inputs, output);
  if (value.codes->scales.size() > 1) set_integer(made, "axis", value.codes->axis);
}

std::string OnnxModel::read(const Value& constant) {
  initializer(constant);
  if (!constant.codes) return constant.name;
  const std::string meaning = constant.name + ".value";
  if (meanings_.insert(meaning).second) dequantize(constant, meaning);
  return meaning;
}

std::string OnnxModel::read(ValueId id) {
  const Value& value = graph_.values[id];
  if (value.data) return read(value);
  if (!value.codes) return value.name;
  const std::string meaning = value.name + ".value";
  if (meanings_.insert(meaning).second) dequantize(value, meaning);
  return meaning;
}

Result<Bytes> to_onnx(const Graph& graph) {
  onnx::ModelProto model;
  model.set_ir_version(ir_version);
  model.set_producer_name("outcrop");
  auto* opset = model.add_opset_import();
  opset->set_domain("");
  opset->set_version(onnx_opset);
  onnx::GraphProto& onnx_graph = *model.mutable_graph();
  onnx_graph.set_name(graph.name);
  for (const ValueId id : graph.inputs) describe_value(graph.values[id], *onnx_graph.add_input());
  for (const ValueId id : graph.outputs) describe_value(graph.values[id], *onnx_graph.add_output());
  OnnxModel writing(graph, onnx_graph);
  for (const Operation& operation : graph.operations) write_operation(writing, operation);
  if (model.ByteSizeLong() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    return fail(ErrorCode::unsupported, "ONNX files hold 2 GiB at most, and this model takes more");
  }
  try {
    onnx::checker::check_model(model);
  } catch (const std::exception& error) {
    return fail(ErrorCode::internal, std::string("ONNX's checker: ") + error.what());
  }
  Bytes bytes(model.ByteSizeLong());
  model.SerializeToArray(bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

}  // namespace outcrop::exchange
