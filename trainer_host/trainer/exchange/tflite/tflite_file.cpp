#include "trainer_host/trainer/exchange/tflite/tflite_file.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>

#include "trainer_host/trainer/exchange/tflite/tflite_model.hpp"

namespace outcrop::exchange {
namespace {

constexpr unsigned format_version = 3;
constexpr std::size_t image_axes = 4;
// Offsets in a file are 32 bits with a sign; tables and names take a little of it.
constexpr std::size_t largest_file = std::numeric_limits<std::int32_t>::max() - (1U << 24);

tflite::TensorType tflite_type(ElementType type) {
  switch (type) {
    case ElementType::float32: return tflite::TensorType::FLOAT32;
    case ElementType::int64: return tflite::TensorType::INT64;
    case ElementType::int32: return tflite::TensorType::INT32;
    case ElementType::int8: return tflite::TensorType::INT8;
    case ElementType::uint8: return tflite::TensorType::UINT8;
    case ElementType::boolean: return tflite::TensorType::BOOL;
  }
  return tflite::TensorType::FLOAT32;
}

std::vector<int> as_ints(const std::vector<std::int64_t>& values) { return {values.begin(), values.end()}; }

using NamedEnd = std::pair<std::string, int>;

std::vector<std::unique_ptr<tflite::TensorMapT>> ends_map(const std::vector<NamedEnd>& ends) {
  std::vector<std::unique_ptr<tflite::TensorMapT>> map;
  for (const auto& [name, tensor] : ends) {
    map.push_back(std::make_unique<tflite::TensorMapT>());
    map.back()->name = name;
    map.back()->tensor_index = static_cast<unsigned>(tensor);
  }
  return map;
}

Result<Bytes> write_graph(const Graph& graph, const TfliteOptions& options) {
  TfliteModel model(graph.name);
  TfliteLayout layout(graph, model);
  const auto as_image = [&](ValueId id) { return options.channels_last && graph.values[id].shape.size() == image_axes; };
  std::vector<NamedEnd> inputs;
  for (const ValueId id : graph.inputs) inputs.emplace_back(graph.values[id].name, layout.answer(id, as_image(id)));
  for (const Operation& operation : graph.operations) {
    try {
      write_tflite_operation(graph, model, layout, operation, options.weights_in_int8);
    } catch (const NotInTflite& why) {
      return fail(ErrorCode::unsupported, "TensorFlow Lite has no " + name_of(operation.op) + " as '" +
                                              graph.output_of(operation).name + "' needs it: it " + why.what());
    }
  }
  std::vector<NamedEnd> outputs;
  for (const ValueId id : graph.outputs) outputs.emplace_back(graph.values[id].name, layout.as(id, as_image(id)));
  model.set_ends(inputs, outputs);
  auto packed = model.packed();
  if (!packed) return fail(ErrorCode::unsupported, ".tflite files hold 2 GiB at most, and this model takes more");
  return std::move(*packed);
}

}  // namespace

TfliteModel::TfliteModel(const std::string& name) {
  model_.version = format_version;
  model_.description = "outcrop";
  model_.buffers.push_back(std::make_unique<tflite::BufferT>());  // the first is what has no data
  model_.subgraphs.push_back(std::make_unique<tflite::SubGraphT>());
  model_.subgraphs[0]->name = name;
}

int TfliteModel::tensor(const Value& value) {
  auto tensor = std::make_unique<tflite::TensorT>();
  tensor->shape = as_ints(value.shape);
  tensor->type = tflite_type(value.type);
  tensor->name = value.name;
  if (value.data) {
    tensor->buffer = static_cast<unsigned>(model_.buffers.size());
    model_.buffers.push_back(std::make_unique<tflite::BufferT>());
    bytes_ += value.data->size();
    if (bytes_ < largest_file) {
      model_.buffers.back()->data.resize(value.data->size());
      std::memcpy(model_.buffers.back()->data.data(), value.data->data(), value.data->size());
    }
  }
  if (value.codes) {
    tensor->quantization = std::make_unique<tflite::QuantizationT>();
    tensor->quantization->scale = value.codes->scales;
    tensor->quantization->zero_point = value.codes->zero_points;
    tensor->quantization->quantized_dimension = value.codes->scales.size() > 1 ? static_cast<int>(value.codes->axis) : 0;
  }
  auto& tensors = model_.subgraphs[0]->tensors;
  tensors.push_back(std::move(tensor));
  return static_cast<int>(tensors.size()) - 1;
}

int TfliteModel::integers(const std::vector<std::int64_t>& values) {
  const std::string name = "integers." + std::to_string(model_.buffers.size());
  std::vector<std::int32_t> narrow(values.begin(), values.end());
  return tensor({name, ElementType::int32, {static_cast<std::int64_t>(values.size())}, {}, bytes_of(narrow)});
}

unsigned TfliteModel::operator_code(tflite::BuiltinOperator op, int version) {
  const auto [found, fresh] = codes_.try_emplace({op, version}, static_cast<unsigned>(model_.operator_codes.size()));
  if (!fresh) return found->second;
  auto code = std::make_unique<tflite::OperatorCodeT>();
  code->builtin_code = op;
  code->deprecated_builtin_code =
      static_cast<std::int8_t>(std::min(static_cast<int>(op), static_cast<int>(std::numeric_limits<std::int8_t>::max())));
  code->version = version;
  model_.operator_codes.push_back(std::move(code));
  return found->second;
}

void TfliteModel::add(tflite::BuiltinOperator op, int version, std::vector<int> inputs, int output) {
  auto made = std::make_unique<tflite::OperatorT>();
  made->opcode_index = operator_code(op, version);
  made->inputs = std::move(inputs);
  made->outputs = {output};
  model_.subgraphs[0]->operators.push_back(std::move(made));
}

void TfliteModel::set_ends(const std::vector<NamedEnd>& inputs, const std::vector<NamedEnd>& outputs) {
  for (const auto& [name, tensor] : inputs) model_.subgraphs[0]->inputs.push_back(tensor);
  for (const auto& [name, tensor] : outputs) model_.subgraphs[0]->outputs.push_back(tensor);
  auto signature = std::make_unique<tflite::SignatureDefT>();
  signature->signature_key = "serving_default";
  signature->inputs = ends_map(inputs);
  signature->outputs = ends_map(outputs);
  model_.signature_defs.push_back(std::move(signature));
}

std::optional<Bytes> TfliteModel::packed() const {
  if (bytes_ >= largest_file) return std::nullopt;
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(tflite::Model::Pack(builder, &model_), tflite::ModelIdentifier());
  Bytes bytes(builder.GetSize());
  std::memcpy(bytes.data(), builder.GetBufferPointer(), bytes.size());
  return bytes;
}

Result<Bytes> to_tflite(const Graph& graph, const TfliteOptions& options) {
  for (const Operation& operation : graph.operations) {
    const Value& answer = graph.output_of(operation);
    if (answer.type != ElementType::uint8 || !answer.codes) continue;
    return fail(ErrorCode::unsupported, "its codes are unsigned, and TensorFlow Lite's int8 has a sign: name the variant int8-qint8");
  }
  return write_graph(graph, options);
}

}  // namespace outcrop::exchange
