#include "agent/control/open_inference.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"
#include "protocol/base/number.hpp"
#include "protocol/base/version.hpp"

namespace outcrop::agent {
namespace {

using Json = nlohmann::json;
using messages::Input;
using messages::ScalarKind;
using messages::ScalarType;
using messages::TensorType;
using runtime::DType;
using runtime::Tensor;

constexpr ByteCount longest_json = ByteCount::mib(8);
constexpr std::size_t deepest = 16;

tl::unexpected<Error> wrong(const std::string& why) {
  return fail(ErrorCode::invalid_argument, why);
}

std::string datatype_of(DType dtype) {
  return dtype == DType::float32 ? "FP32" : "INT64";
}
std::string datatype_of(const TensorType& type) {
  return type.dtype == "float32" ? "FP32" : "INT64";
}
std::string datatype_of(const ScalarType& type) {
  switch (type.kind) {
    case ScalarKind::integer:
      return "INT64";
    case ScalarKind::real:
      return "FP64";
    case ScalarKind::boolean:
      break;
  }
  return "BOOL";
}
std::string datatype_of(const Input& input) {
  return std::visit([](const auto& type) { return datatype_of(type); }, input.type);
}

// An input as it came.
struct Given {
  std::string name;
  std::string datatype;
  std::vector<std::int64_t> shape;
  Json data;        // null where it came as bytes
  BytesView bytes;
};

// Lists in lists are one list.
Status flatten(const Json& data, std::vector<Json>& into) {
  if (!data.is_array()) {
    into.push_back(data);
    return {};
  }
  for (const Json& element : data) OUTCROP_CHECK(flatten(element, into));
  return {};
}

Result<Tensor> tensor_of(const Given& given, const TensorType& type) {
  if (given.datatype != datatype_of(type)) {
    return wrong("input '" + given.name + "' is " + given.datatype + "; it must be " + datatype_of(type));
  }
  Tensor tensor;
  tensor.name = given.name;
  tensor.dtype = type.dtype == "float32" ? DType::float32 : DType::int64;
  tensor.shape = given.shape;
  const auto size = runtime::size_of(tensor.dtype, tensor.shape);
  if (!size) return wrong("input '" + given.name + "': " + size.error().message());
  if (given.data.is_null()) {
    tensor.data.assign(given.bytes.begin(), given.bytes.end());
  } else {
    std::vector<Json> values;
    OUTCROP_CHECK(flatten(given.data, values));
    const bool floats = tensor.dtype == DType::float32;
    for (const Json& value : values) {
      if (floats ? !value.is_number() : !value.is_number_integer()) {
        return wrong("input '" + given.name + "': " + json_text(value) + " is no value of " + given.datatype);
      }
      const auto put = [&](auto number) {
        const auto* bytes = reinterpret_cast<const std::byte*>(&number);
        tensor.data.insert(tensor.data.end(), bytes, bytes + sizeof number);
      };
      floats ? put(value.get<float>()) : put(value.get<std::int64_t>());
    }
  }
  if (tensor.data.size() != size->value()) {
    return wrong("input '" + given.name + "' has " + std::to_string(tensor.data.size()) + " bytes; " +
                 runtime::describe(tensor) + " has " + std::to_string(size->value()));
  }
  return tensor;
}

template <class Number>
std::optional<Number> number_in(BytesView bytes) {
  Number number{};
  if (bytes.size() != sizeof number) return std::nullopt;
  std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

// As call_of() reads scalars.
Result<std::string> scalar_of(const Given& given, const ScalarType& type) {
  const auto as_text = [](auto number) {
    if constexpr (std::is_integral_v<decltype(number)>) {
      return std::to_string(number);
    } else {
      return json_text(Json(static_cast<double>(number)));
    }
  };
  std::optional<std::string> text;
  if (given.data.is_null()) {
    const auto take = [&](const auto& number) {
      if (number) text = as_text(*number);
    };
    if (given.datatype == "INT64") take(number_in<std::int64_t>(given.bytes));
    if (given.datatype == "INT32") take(number_in<std::int32_t>(given.bytes));
    if (given.datatype == "FP64") take(number_in<double>(given.bytes));
    if (given.datatype == "FP32") take(number_in<float>(given.bytes));
    if (given.datatype == "BOOL" && given.bytes.size() == 1) {
      text = given.bytes.front() == std::byte{0} ? "false" : "true";
    }
  } else {
    std::vector<Json> values;
    OUTCROP_CHECK(flatten(given.data, values));
    if (values.size() == 1 && (values[0].is_number() || values[0].is_boolean())) text = json_text(values[0]);
  }
  if (!text) {
    return wrong("input '" + given.name + "' must be one value of " + datatype_of(type) + ", shape [1]");
  }
  return *text;
}

Result<std::string> text_in(const Json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return wrong(where + " has no text '" + key + "'");
  return found->get<std::string>();
}

// A member of `parameters`; null where it is not there.
Json parameter(const Json& object, const char* key) {
  const auto parameters = object.find("parameters");
  if (parameters == object.end() || !parameters->is_object()) return nullptr;
  const auto found = parameters->find(key);
  return found == parameters->end() ? Json(nullptr) : *found;
}

// Takes its bytes off the front of `rest`.
Result<Given> given_input(const Json& entry, BytesView& rest) {
  if (!entry.is_object()) return wrong("an input must be an object");
  Given given;
  OUTCROP_TRY(name, text_in(entry, "name", "an input"));
  given.name = std::move(name);
  OUTCROP_TRY(datatype, text_in(entry, "datatype", "input '" + given.name + "'"));
  given.datatype = std::move(datatype);
  const auto shape = entry.find("shape");
  if (shape == entry.end() || !shape->is_array() || shape->size() > 8) {
    return wrong("input '" + given.name + "' has no shape of at most 8 dimensions");
  }
  for (const Json& size : *shape) {
    if (!size.is_number_integer()) return wrong("input '" + given.name + "': a dimension is no integer");
    given.shape.push_back(size.get<std::int64_t>());
  }
  const Json bytes = parameter(entry, "binary_data_size");
  const auto data = entry.find("data");
  if (bytes.is_null()) {
    if (data == entry.end() || !data->is_array()) return wrong("input '" + given.name + "' has neither data nor binary_data_size");
    given.data = *data;
    return given;
  }
  if (data != entry.end()) return wrong("input '" + given.name + "' has both data and binary_data_size");
  if (!bytes.is_number_unsigned() || bytes.get<std::uint64_t>() > rest.size()) {
    return wrong("input '" + given.name + "': binary_data_size is more than the " + std::to_string(rest.size()) + " bytes that are left");
  }
  given.bytes = rest.first(bytes.get<std::uint64_t>());
  rest = rest.subspan(given.bytes.size());
  return given;
}

Status add_input(const Json& entry, BytesView& rest, const messages::Method& method, NamedArguments& arguments) {
  OUTCROP_TRY(given, given_input(entry, rest));
  const auto input = std::find_if(method.inputs.begin(), method.inputs.end(),
                                  [&](const Input& one) { return one.name == given.name; });
  if (input == method.inputs.end()) {
    return wrong("there is no input '" + given.name + "'; the release serves " + describe(method));
  }
  if (const auto* tensor = std::get_if<TensorType>(&input->type)) {
    OUTCROP_TRY(value, tensor_of(given, *tensor));
    arguments.tensors.push_back(std::move(value));
    return {};
  }
  OUTCROP_TRY(value, scalar_of(given, std::get<ScalarType>(input->type)));
  if (!arguments.scalars.emplace(given.name, std::move(value)).second) return wrong("input '" + given.name + "' was given twice");
  return {};
}

Status add_output(const Json& entry, InferenceRequest& request) {
  if (!entry.is_object()) return wrong("an output must be an object");
  OUTCROP_TRY(name, text_in(entry, "name", "an output"));
  const Json bytes = parameter(entry, "binary_data");
  request.outputs[name] = bytes.is_boolean() ? bytes.get<bool>() : request.as_bytes;
  return {};
}

Json shape_json(const TensorType& type) {
  Json shape = Json::array();
  for (const messages::Dimension& dimension : type.shape) {
    shape.push_back(dimension.name.empty() ? dimension.size : -1);
  }
  return shape;
}

Result<Json> values_json(const Tensor& tensor) {
  if (tensor.dtype == DType::int64) return Json(tensor.integers());
  const auto values = tensor.floats();
  if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); })) {
    return wrong("output '" + tensor.name + "' has values that are not finite, for which JSON has no word: ask for binary_data");
  }
  return Json(values);
}

}  // namespace

Result<InferenceRequest> read_inference(std::string_view body, const std::string& json_length,
                                        const messages::Method& method) {
  std::size_t length = body.size();
  if (!json_length.empty()) {
    const auto said = read_number<std::uint64_t>(json_length);
    if (!said || *said > body.size()) {
      return wrong(std::string(json_length_header) + " is '" + json_length + "'; the body has " + std::to_string(body.size()) + " bytes");
    }
    length = *said;
  }
  const std::string_view text = body.substr(0, length);
  if (text.size() > longest_json.value()) return wrong("JSON of more than " + longest_json.human() + ": send tensors as bytes");
  if (nested_too_deeply(text, deepest)) return wrong("lists within lists, more than 16 deep");
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return wrong("the request is no JSON object");
  const auto inputs = json.find("inputs");
  if (inputs == json.end() || !inputs->is_array()) return wrong("the request has no list 'inputs'");
  InferenceRequest request;
  if (const auto id = json.find("id"); id != json.end() && id->is_string()) request.id = id->get<std::string>();
  const Json as_bytes = parameter(json, "binary_data_output");
  request.as_bytes = as_bytes.is_boolean() && as_bytes.get<bool>();
  BytesView rest = outcrop::as_bytes(body.substr(length));
  for (const Json& entry : *inputs) OUTCROP_CHECK(add_input(entry, rest, method, request.arguments));
  if (!rest.empty()) return wrong(std::to_string(rest.size()) + " bytes follow that belong to no input");
  if (const auto outputs = json.find("outputs"); outputs != json.end()) {
    if (!outputs->is_array()) return wrong("'outputs' is no list");
    for (const Json& entry : *outputs) OUTCROP_CHECK(add_output(entry, request));
  }
  return request;
}

Result<http::Response> inference_answer(const InferenceRequest& request, const messages::Manifest& manifest,
                                        const std::vector<Tensor>& outputs) {
  for (const auto& [name, bytes] : request.outputs) {
    const bool there = std::any_of(outputs.begin(), outputs.end(), [&](const Tensor& tensor) { return tensor.name == name; });
    if (!there) return wrong("there is no output '" + name + "'; the release serves " + describe(manifest.signature.serves()));
  }
  Json listed = Json::array();
  std::string bytes;
  for (const Tensor& tensor : outputs) {
    const auto wanted = request.outputs.find(tensor.name);
    if (!request.outputs.empty() && wanted == request.outputs.end()) continue;
    Json entry{{"name", tensor.name}, {"datatype", datatype_of(tensor.dtype)}, {"shape", tensor.shape}};
    if (wanted == request.outputs.end() ? request.as_bytes : wanted->second) {
      entry["parameters"] = {{"binary_data_size", tensor.data.size()}};
      bytes += as_text(tensor.data);
    } else {
      OUTCROP_TRY(values, values_json(tensor));
      entry["data"] = std::move(values);
    }
    listed.push_back(std::move(entry));
  }
  Json json{{"model_name", manifest.model}, {"model_version", version_of(manifest)}, {"outputs", std::move(listed)}};
  if (!request.id.empty()) json["id"] = request.id;
  http::Response response;
  response.body = json_text(json);
  if (!bytes.empty()) {
    response.headers.emplace_back(json_length_header, std::to_string(response.body.size()));
    response.content_type = "application/octet-stream";
    response.body += bytes;
  }
  return response;
}

std::string server_metadata() {
  return json_text(Json{{"name", "outcrop-agent"}, {"version", version()}, {"extensions", {"binary_tensor_data"}}});
}

std::string model_metadata(const messages::Manifest& manifest, const std::string& engine) {
  const messages::Method& method = manifest.signature.serves();
  Json inputs = Json::array();
  for (const Input& input : method.inputs) {
    const auto* tensor = std::get_if<TensorType>(&input.type);
    inputs.push_back({{"name", input.name},
                      {"datatype", datatype_of(input)},
                      {"shape", tensor == nullptr ? Json{1} : shape_json(*tensor)}});
  }
  Json outputs = Json::array();
  for (const messages::Output& output : method.outputs) {
    outputs.push_back({{"name", output.name}, {"datatype", datatype_of(output.type)}, {"shape", shape_json(output.type)}});
  }
  return json_text(Json{{"name", manifest.model},
                        {"versions", {version_of(manifest)}},
                        {"platform", "outcrop_" + engine},
                        {"inputs", std::move(inputs)},
                        {"outputs", std::move(outputs)}});
}

std::string version_of(const messages::Manifest& manifest) {
  return std::to_string(manifest.stage);
}

}  // namespace outcrop::agent
