#include "runtime/runner/messages.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace outcrop::runtime {
namespace {

using Json = nlohmann::json;

constexpr std::size_t longest_list = 10'000;

constexpr std::array all_codes{ErrorCode::untrusted,    ErrorCode::invalid_argument,
                               ErrorCode::invalid_data, ErrorCode::not_found,
                               ErrorCode::io,           ErrorCode::refused,
                               ErrorCode::unsupported,  ErrorCode::out_of_memory,
                               ErrorCode::internal,     ErrorCode::timeout};

tl::unexpected<Error> malformed(const std::string& what) {
  return fail(ErrorCode::invalid_data, "malformed message: " + what);
}

Json describe_tensor(const Tensor& tensor) {
  return {{"dtype", to_string(tensor.dtype)}, {"shape", tensor.shape}};
}

void append_bytes(Bytes& payload, const Tensor& tensor) {
  payload.insert(payload.end(), tensor.data.begin(), tensor.data.end());
}

// Takes the bytes of one described tensor off the front of `payload`.
Result<Tensor> take_tensor(const Json& description, BytesView& payload) {
  Tensor tensor;
  OUTCROP_TRY(dtype, get_string(description, "dtype"));
  if (dtype != "float32" && dtype != "int64") return malformed("dtype " + printable(dtype, 40));
  tensor.dtype = dtype == "float32" ? DType::float32 : DType::int64;
  const auto shape = description.find("shape");
  if (shape == description.end() || !shape->is_array()) return malformed("a tensor without shape");
  for (const Json& dimension : *shape) {
    if (!dimension.is_number_integer()) return malformed("a shape that is not of integers");
    tensor.shape.push_back(dimension.get<std::int64_t>());
  }
  OUTCROP_TRY(size, size_of(tensor.dtype, tensor.shape));
  if (size.value() > payload.size()) return malformed("a tensor without all its bytes");
  const BytesView bytes = payload.first(size.value());
  tensor.data.assign(bytes.begin(), bytes.end());
  payload = payload.subspan(size.value());
  return tensor;
}

Result<Value> take_argument(const Json& entry, BytesView& payload) {
  if (!entry.is_object() || entry.size() != 1) return malformed("an argument of no known kind");
  const Json& value = entry.begin().value();
  const std::string& kind = entry.begin().key();
  if (kind == "tensor") {
    OUTCROP_TRY(tensor, take_tensor(value, payload));
    return Value(std::move(tensor));
  }
  if (kind == "int" && value.is_number_integer()) return Value(value.get<std::int64_t>());
  if (kind == "float" && value.is_number()) return Value(value.get<double>());
  if (kind == "bool" && value.is_boolean()) return Value(value.get<bool>());
  return malformed("an argument of no known kind");
}

template <class T, class Take>
Result<std::vector<T>> take_all(const Json& list, BytesView payload, Take take) {
  if (!list.is_array() || list.size() > longest_list) return malformed("no list of tensors");
  std::vector<T> values;
  for (const Json& entry : list) {
    OUTCROP_TRY(value, take(entry, payload));
    values.push_back(std::move(value));
  }
  if (!payload.empty()) return malformed("bytes that belong to no tensor");
  return values;
}

std::string code_name(ErrorCode code) {
  std::string name(to_string(code));
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

}  // namespace

Json encode_tensors(std::span<const Tensor> tensors, Bytes& payload) {
  Json list = Json::array();
  for (const Tensor& tensor : tensors) {
    list.push_back(describe_tensor(tensor));
    append_bytes(payload, tensor);
  }
  return list;
}

Json encode_arguments(std::span<const Value> arguments, Bytes& payload) {
  Json list = Json::array();
  for (const Value& argument : arguments) {
    if (const auto* tensor = std::get_if<Tensor>(&argument)) {
      list.push_back({{"tensor", describe_tensor(*tensor)}});
      append_bytes(payload, *tensor);
    } else if (const auto* integer = std::get_if<std::int64_t>(&argument)) {
      list.push_back({{"int", *integer}});
    } else if (const auto* number = std::get_if<double>(&argument)) {
      list.push_back({{"float", *number}});
    } else {
      list.push_back({{"bool", std::get<bool>(argument)}});
    }
  }
  return list;
}

Result<std::vector<Tensor>> decode_tensors(const Json& list, BytesView payload) {
  return take_all<Tensor>(list, payload, take_tensor);
}

Result<std::vector<Value>> decode_arguments(const Json& list, BytesView payload) {
  return take_all<Value>(list, payload, take_argument);
}

Json encode_inspection(const Inspection& inspection) {
  return {{"operators", inspection.operators},
          {"bytecode_version", inspection.bytecode_version},
          {"memory_estimate", inspection.memory_estimate.value()}};
}

Result<Inspection> decode_inspection(const Json& json) {
  Inspection inspection;
  OUTCROP_TRY(operators, get_strings(json, "operators"));
  OUTCROP_TRY(version, get_integer(json, "bytecode_version", 1, 1000));
  OUTCROP_TRY(memory,
              get_integer(json, "memory_estimate", 0, std::numeric_limits<std::int64_t>::max()));
  inspection.operators = std::move(operators);
  inspection.bytecode_version = static_cast<int>(version);
  inspection.memory_estimate = ByteCount(static_cast<std::uint64_t>(memory));
  return inspection;
}

Json encode_backends(std::span<const Backend> backends) {
  Json list = Json::array();
  for (const Backend& backend : backends) {
    list.push_back(
        {{"name", backend.name}, {"failed", backend.failed}, {"unsupported", backend.unsupported}});
  }
  return list;
}

Result<std::vector<Backend>> decode_backends(const Json& json) {
  if (!json.is_array() || json.size() > 16) return malformed("no list of backends");
  std::vector<Backend> backends;
  for (const Json& entry : json) {
    OUTCROP_TRY(name, get_string(entry, "name"));
    OUTCROP_TRY(failed, get_strings(entry, "failed"));
    OUTCROP_TRY(unsupported, get_strings(entry, "unsupported"));
    backends.push_back({std::move(name), std::move(failed), std::move(unsupported)});
  }
  return backends;
}

Json encode_error(const Error& error) {
  return {{"type", "error"},
          {"code", code_name(error.code())},
          {"message", printable(error.message())}};
}

Error decode_error(const Json& header) {
  const auto code = get_string(header, "code");
  const auto message = get_string(header, "message");
  if (code && message) {
    for (const ErrorCode known : all_codes) {
      if (code_name(known) == *code) return {known, *message};
    }
  }
  return {ErrorCode::internal, "the runner reported an error that cannot be read"};
}

Result<std::string> get_string(const Json& json, const char* key) {
  if (!json.is_object() || !json.contains(key) || !json[key].is_string()) {
    return malformed(std::string("'") + key + "' is no text");
  }
  return printable(json[key].get_ref<const std::string&>());
}

Result<std::int64_t> get_integer(const Json& json, const char* key, std::int64_t minimum,
                                 std::int64_t maximum) {
  if (json.is_object() && json.contains(key) && json[key].is_number_integer()) {
    const auto value = json[key].get<std::int64_t>();
    if (value >= minimum && value <= maximum) return value;
  }
  return malformed(std::string("'") + key + "' is no integer from " + std::to_string(minimum) +
                   " to " + std::to_string(maximum));
}

Result<bool> get_bool(const Json& json, const char* key) {
  if (!json.is_object() || !json.contains(key) || !json[key].is_boolean()) {
    return malformed(std::string("'") + key + "' is neither true nor false");
  }
  return json[key].get<bool>();
}

Result<std::vector<std::string>> get_strings(const Json& json, const char* key) {
  if (!json.is_object() || !json.contains(key) || !json[key].is_array() ||
      json[key].size() > longest_list) {
    return malformed(std::string("'") + key + "' is no list");
  }
  std::vector<std::string> list;
  for (const Json& entry : json[key]) {
    if (!entry.is_string()) return malformed(std::string("'") + key + "' is no list of texts");
    list.push_back(printable(entry.get_ref<const std::string&>()));
  }
  return list;
}

std::string printable(std::string_view text, std::size_t longest) {
  std::string clean(text.substr(0, longest));
  std::replace_if(
      clean.begin(), clean.end(),
      [](unsigned char c) { return c != '\n' && (c < 0x20 || c > 0x7e); }, '?');
  return clean;
}

}  // namespace outcrop::runtime
