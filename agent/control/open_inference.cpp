#include "agent/control/open_inference.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>

#include <nlohmann/json.hpp>

#include "agent/control/inference_json.hpp"
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
constexpr ByteCount longest_json_answer = ByteCount::mib(32);

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

// An input as it came, with its bytes where it came so.
struct Given : GivenInput {
  BytesView bytes;
};

Result<Tensor> tensor_of(const Given& given, const TensorType& type) {
  if (given.datatype != datatype_of(type)) {
    return wrong("input '" + given.name + "' is " + *given.datatype + "; it must be " + datatype_of(type));
  }
  Tensor tensor;
  tensor.name = given.name;
  tensor.dtype = type.dtype == "float32" ? DType::float32 : DType::int64;
  tensor.shape = *given.shape;
  const auto size = runtime::size_of(tensor.dtype, tensor.shape);
  if (!size) return wrong("input '" + given.name + "': " + size.error().message());
  const bool floats = tensor.dtype == DType::float32;
  const std::uint64_t bytes = given.binary_size ? given.bytes.size() : given.values.count() * runtime::element_size(tensor.dtype).value();
  if (bytes != size->value()) {
    return wrong("input '" + given.name + "' has " + std::to_string(bytes) + " bytes; " + runtime::describe(tensor) + " has " +
                 std::to_string(size->value()));
  }
  if (given.truth || (!floats && !given.values.real().empty())) {
    return wrong("input '" + given.name + "': not all of its data are values of " + *given.datatype);
  }
  tensor.data.assign(given.bytes.begin(), given.bytes.end());
  tensor.data.reserve(bytes);
  const auto put = [&](auto number) {
    const auto* raw = reinterpret_cast<const std::byte*>(&number);
    tensor.data.insert(tensor.data.end(), raw, raw + sizeof number);
  };
  for (const std::int64_t value : given.values.whole()) floats ? put(static_cast<float>(value)) : put(value);
  for (const double value : given.values.real()) put(static_cast<float>(value));
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
  if (given.binary_size) {
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
  } else if (given.truth) {
    text = *given.truth ? "true" : "false";
  } else if (given.values.count() == 1) {
    text = given.values.real().empty() ? as_text(given.values.whole().front()) : as_text(given.values.real().front());
  }
  if (!text) {
    return wrong("input '" + given.name + "' must be one value of " + datatype_of(type) + ", shape [1]");
  }
  return *text;
}

// Takes its bytes off the front of `rest`.
Result<Given> given_input(GivenInput input, BytesView& rest) {
  Given given{std::move(input), {}};
  if (given.name.empty()) return wrong("an input has no text 'name'");
  if (!given.datatype) return wrong("input '" + given.name + "' has no text 'datatype'");
  if (!given.shape) return wrong("input '" + given.name + "' has no shape of at most 8 dimensions");
  if (!given.binary_size) {
    if (!given.has_data) return wrong("input '" + given.name + "' has neither data nor binary_data_size");
    return given;
  }
  if (given.has_data) return wrong("input '" + given.name + "' has both data and binary_data_size");
  if (*given.binary_size > rest.size()) {
    return wrong("input '" + given.name + "': binary_data_size is more than the " + std::to_string(rest.size()) + " bytes that are left");
  }
  given.bytes = rest.first(*given.binary_size);
  rest = rest.subspan(given.bytes.size());
  return given;
}

Status add_input(GivenInput entry, BytesView& rest, const messages::Method& method, NamedArguments& arguments) {
  OUTCROP_TRY(given, given_input(std::move(entry), rest));
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

Json shape_json(const TensorType& type) {
  Json shape = Json::array();
  for (const messages::Dimension& dimension : type.shape) {
    shape.push_back(dimension.name.empty() ? dimension.size : -1);
  }
  return shape;
}

Status too_much_json(const Tensor& tensor) {
  return wrong("output '" + tensor.name + "' would make the JSON longer than the " + longest_json_answer.human() +
               " that are given: ask for binary_data, or for fewer samples");
}

// ",\"data\":[1.5,2]}", in place of the end of its entry.
Status add_values(const Tensor& tensor, auto values, std::string& text) {
  if (text.size() + 2 * values.size() > longest_json_answer.value()) return too_much_json(tensor);
  text.back() = ',';
  text += "\"data\":[";
  for (const auto value : values) {
    if constexpr (std::is_floating_point_v<decltype(value)>) {
      if (!std::isfinite(value)) {
        return wrong("output '" + tensor.name + "' has values that are not finite, for which JSON has no word: ask for binary_data");
      }
    }
    std::array<char, 32> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    text.append(digits.data(), end);
    text += ',';
    if (text.size() > longest_json_answer.value()) return too_much_json(tensor);
  }
  if (!values.empty()) text.pop_back();
  text += "]}";
  return {};
}

Status add_values(const Tensor& tensor, std::string& text) {
  return tensor.dtype == DType::int64 ? add_values(tensor, tensor.integers(), text) : add_values(tensor, tensor.floats(), text);
}

// Whether it is wanted, and then whether as bytes.
std::optional<bool> wanted(const InferenceRequest& request, const std::string& output) {
  if (request.outputs.empty()) return request.as_bytes;
  const auto found = request.outputs.find(output);
  return found == request.outputs.end() ? std::nullopt : std::optional(found->second);
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
  OUTCROP_TRY(given, read_inference_json(text, method));
  InferenceRequest request;
  request.id = std::move(given.id);
  request.as_bytes = given.as_bytes;
  BytesView rest = outcrop::as_bytes(body.substr(length));
  for (GivenInput& entry : given.inputs) OUTCROP_CHECK(add_input(std::move(entry), rest, method, request.arguments));
  if (!rest.empty()) return wrong(std::to_string(rest.size()) + " bytes follow that belong to no input");
  for (auto& [name, as_bytes] : given.outputs) {
    if (name.empty()) return wrong("an output has no text 'name'");
    request.outputs[name] = as_bytes.value_or(request.as_bytes);
  }
  return request;
}

std::uint64_t values_in_json(const InferenceRequest& request, const std::vector<Tensor>& outputs) {
  std::uint64_t values = 0;
  for (const Tensor& tensor : outputs) {
    if (wanted(request, tensor.name) == false) values += tensor.elements();
  }
  return values;
}

Result<http::Response> inference_answer(const InferenceRequest& request, const messages::Manifest& manifest,
                                        std::vector<Tensor> outputs) {
  for (const auto& [name, bytes] : request.outputs) {
    const bool there = std::any_of(outputs.begin(), outputs.end(), [&](const Tensor& tensor) { return tensor.name == name; });
    if (!there) return wrong("there is no output '" + name + "'; the release serves " + describe(manifest.signature.serves()));
  }
  Json head{{"model_name", manifest.model}, {"model_version", version_of(manifest)}};
  if (!request.id.empty()) head["id"] = request.id;
  http::Response response;
  std::string& text = response.body;
  text = json_text(head);
  text.back() = ',';
  text += "\"outputs\":[";
  for (Tensor& tensor : outputs) {
    const auto as_bytes = wanted(request, tensor.name);
    if (!as_bytes) continue;
    if (text.back() != '[') text += ',';
    Json entry{{"name", tensor.name}, {"datatype", datatype_of(tensor.dtype)}, {"shape", tensor.shape}};
    if (*as_bytes) entry["parameters"] = {{"binary_data_size", tensor.data.size()}};
    text += json_text(entry);
    if (!*as_bytes) OUTCROP_CHECK(add_values(tensor, text));
    if (*as_bytes) response.parts.push_back(std::move(tensor.data));
  }
  text += "]}";
  if (!response.parts.empty()) {
    response.headers.emplace_back(json_length_header, std::to_string(text.size()));
    response.content_type = "application/octet-stream";
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
