#include "protocol/messages/signature.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "protocol/base/json_text.hpp"
#include "protocol/messages/fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {
namespace {

constexpr std::size_t most_methods = 16;
constexpr std::size_t most_values = 16;  // inputs or outputs of a method
constexpr std::size_t longest_identifier = 63;
constexpr std::size_t longest_unit = 64;
constexpr double largest_value = 1e30;

std::string_view kind_name(ScalarKind kind) {
  switch (kind) {
    case ScalarKind::integer:
      return "int";
    case ScalarKind::real:
      return "float";
    case ScalarKind::boolean:
      break;
  }
  return "bool";
}

// As TorchScript and Python name things.
bool is_identifier(std::string_view text) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && text.size() <= longest_identifier && letter(text[0]) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::string read_identifier(ObjectReader& reader, std::string_view key) {
  std::string name = reader.text(key);
  if (reader.ok() && !is_identifier(name)) {
    reader.refuse(key, "'" + name + "' is not a name like batch_size: 1 to 63 letters, digits and _");
  }
  return name;
}

Json shape_to_json(const std::vector<Dimension>& shape) {
  Json json = Json::array();
  for (const Dimension& dimension : shape) {
    json.push_back(dimension.name.empty() ? Json(dimension.size) : Json(dimension.name));
  }
  return json;
}

// Of whole numbers as such.
void add_range(Json& json, const std::optional<Range>& range, bool whole) {
  if (!range) return;
  const auto number = [&](double value) {
    return whole ? Json(static_cast<std::int64_t>(value)) : Json(value);
  };
  json["range"] = Json::array({number(range->least), number(range->most)});
}

std::optional<Range> read_range(ObjectReader& reader) {
  if (!reader.has("range")) return std::nullopt;
  const std::vector<double> numbers = reader.numbers("range", 2, 2, largest_value);
  if (numbers.size() != 2) return std::nullopt;
  if (numbers[0] > numbers[1]) reader.refuse("range", "its least is above its most");
  return Range{numbers[0], numbers[1]};
}

Json tensor_type_to_json(const TensorType& type) {
  Json json{{"dtype", type.dtype}, {"shape", shape_to_json(type.shape)}, {"unit", type.unit}};
  add_range(json, type.range, type.dtype == "int64");
  return json;
}

TensorType read_tensor_type(ObjectReader& reader) {
  TensorType type;
  type.dtype = reader.choice("dtype", {"float32", "int64"}) == 0 ? "float32" : "int64";
  for (auto& size : reader.sizes("shape")) {
    if (const auto* name = std::get_if<std::string>(&size)) {
      if (reader.ok() && !is_identifier(*name)) {
        reader.refuse("shape", "'" + *name + "' is not a name of a free dimension");
      }
      type.shape.emplace_back(*name);
    } else {
      type.shape.emplace_back(std::get<std::int64_t>(size));
    }
  }
  type.unit = reader.text("unit", longest_unit);
  type.range = read_range(reader);
  return type;
}

Json scalar_to_json(const ScalarValue& value) {
  return std::visit([](auto plain) { return Json(plain); }, value);
}

ScalarValue read_scalar(ObjectReader& reader, std::string_view key, ScalarKind kind) {
  if (kind == ScalarKind::integer) return reader.signed_integer(key);
  if (kind == ScalarKind::real) return reader.number(key, -largest_value, largest_value);
  return reader.boolean(key);
}

double as_number(const ScalarValue& value) {
  return std::visit([](auto plain) { return static_cast<double>(plain); }, value);
}

ScalarType read_scalar_type(ObjectReader& reader, ScalarKind kind) {
  ScalarType type;
  type.kind = kind;
  if (kind != ScalarKind::boolean) type.range = read_range(reader);
  if (kind == ScalarKind::integer && type.range &&
      (std::trunc(type.range->least) != type.range->least ||
       std::trunc(type.range->most) != type.range->most)) {
    reader.refuse("range", "must be of whole numbers, as the input is");
  }
  if (reader.has("default")) type.otherwise = read_scalar(reader, "default", kind);
  if (reader.ok() && type.otherwise && type.range &&
      (as_number(*type.otherwise) < type.range->least ||
       as_number(*type.otherwise) > type.range->most)) {
    reader.refuse("default", "lies outside its own range");
  }
  if (kind == ScalarKind::integer && reader.has("gives")) {
    type.gives = read_identifier(reader, "gives");
  }
  return type;
}

Json input_to_json(const Input& input) {
  if (const auto* tensor = std::get_if<TensorType>(&input.type)) {
    Json json = tensor_type_to_json(*tensor);
    json["name"] = input.name;
    json["type"] = "tensor";
    return json;
  }
  const auto& scalar = std::get<ScalarType>(input.type);
  Json json{{"name", input.name}, {"type", kind_name(scalar.kind)}};
  if (scalar.otherwise) json["default"] = scalar_to_json(*scalar.otherwise);
  add_range(json, scalar.range, scalar.kind == ScalarKind::integer);
  if (!scalar.gives.empty()) json["gives"] = scalar.gives;
  return json;
}

Input read_input(ObjectReader& reader) {
  Input input;
  input.name = read_identifier(reader, "name");
  const std::size_t type = reader.choice("type", {"int", "float", "bool", "tensor"});
  if (type == 3) {
    input.type = read_tensor_type(reader);
  } else {
    input.type = read_scalar_type(reader, static_cast<ScalarKind>(type));
  }
  reader.done();
  return input;
}

Json output_to_json(const Output& output) {
  Json json = tensor_type_to_json(output.type);
  json["name"] = output.name;
  json["score"] = to_string(output.score);
  return json;
}

Output read_output(ObjectReader& reader) {
  Output output;
  output.name = read_identifier(reader, "name");
  output.type = read_tensor_type(reader);
  output.score = static_cast<Score>(reader.choice("score", {"absolute", "class"}));
  reader.done();
  return output;
}

// The free dimensions that arguments of the method say.
std::set<std::string> given_dimensions(const Method& method) {
  std::set<std::string> given;
  for (const Input& input : method.inputs) {
    if (const auto* scalar = std::get_if<ScalarType>(&input.type)) {
      if (!scalar->gives.empty()) given.insert(scalar->gives);
    } else {
      for (const Dimension& dimension : std::get<TensorType>(input.type).shape) {
        if (!dimension.name.empty()) given.insert(dimension.name);
      }
    }
  }
  return given;
}

Method read_method(ObjectReader& reader) {
  Method method;
  method.name = read_identifier(reader, "name");
  std::set<std::string> inputs;
  reader.objects("inputs", 0, most_values, [&](ObjectReader& element) {
    method.inputs.push_back(read_input(element));
    if (element.ok() && !inputs.insert(method.inputs.back().name).second) {
      element.refuse("name", "stands twice among the inputs");
    }
  });
  const std::set<std::string> given = given_dimensions(method);
  std::set<std::string> outputs;
  reader.objects("outputs", 1, most_values, [&](ObjectReader& element) {
    method.outputs.push_back(read_output(element));
    const Output& output = method.outputs.back();
    if (element.ok() && !outputs.insert(output.name).second) {
      element.refuse("name", "stands twice among the outputs");
    }
    for (const Dimension& dimension : output.type.shape) {
      if (!element.ok() || dimension.name.empty() || given.contains(dimension.name)) continue;
      element.refuse("shape", "no input says how large '" + dimension.name + "' is");
    }
  });
  reader.done();
  return method;
}

std::string in_words(const Given& given) {
  if (const auto* tensor = std::get_if<GivenTensor>(&given)) {
    std::string text = tensor->dtype + " [";
    for (std::size_t i = 0; i < tensor->shape.size(); ++i) {
      text += (i > 0 ? ", " : "") + std::to_string(tensor->shape[i]);
    }
    return text + "]";
  }
  return json_text(std::visit(
      [](const auto& plain) {
        if constexpr (std::is_same_v<std::decay_t<decltype(plain)>, GivenTensor>) {
          return Json();
        } else {
          return Json(plain);
        }
      },
      given));
}

std::string number_text(double value, bool whole) {
  return whole ? std::to_string(static_cast<std::int64_t>(value)) : json_text(Json(value));
}

// Says the size of a free dimension, or that it was another before.
bool agree(FreeSizes& sizes, const std::string& name, std::int64_t size) {
  return sizes.emplace(name, size).first->second == size;
}

bool fits(const TensorType& type, const GivenTensor& tensor, FreeSizes& sizes) {
  bool good = tensor.dtype == type.dtype && tensor.shape.size() == type.shape.size();
  for (std::size_t i = 0; good && i < type.shape.size(); ++i) {
    const Dimension& dimension = type.shape[i];
    good = dimension.name.empty() ? tensor.shape[i] == dimension.size
                                  : agree(sizes, dimension.name, tensor.shape[i]);
  }
  return good;
}

std::string sizes_in_words(const FreeSizes& sizes) {
  std::string text;
  for (const auto& [name, size] : sizes) {
    text += (text.empty() ? "" : ", ") + name + " = " + std::to_string(size);
  }
  return text.empty() ? "" : ", with " + text;
}

tl::unexpected<Error> wrong(const Method& method, const Input& input, const std::string& why) {
  return fail(ErrorCode::invalid_argument, method.name + ": '" + input.name + "' " + why +
                                               "; it takes " + describe(input));
}

Status check_range(const Method& method, const Input& input, const std::optional<Range>& range,
                   double least, double most) {
  if (!std::isfinite(least) || !std::isfinite(most)) {
    return wrong(method, input, "has a value that is not finite");
  }
  if (!range || (least >= range->least && most <= range->most)) return {};
  const auto* scalar = std::get_if<ScalarType>(&input.type);
  const bool whole = scalar != nullptr && scalar->kind == ScalarKind::integer;
  return wrong(method, input,
               "is " + number_text(least < range->least ? least : most, whole) +
                   ", outside its range");
}

Status check_argument(const Method& method, const Input& input, const Given& given,
                      FreeSizes& sizes) {
  if (const auto* type = std::get_if<TensorType>(&input.type)) {
    const auto* tensor = std::get_if<GivenTensor>(&given);
    const FreeSizes before = sizes;
    if (tensor == nullptr || !fits(*type, *tensor, sizes)) {
      return wrong(method, input, "is " + in_words(given) + sizes_in_words(before));
    }
    return check_range(method, input, type->range, tensor->least, tensor->most);
  }
  const auto& type = std::get<ScalarType>(input.type);
  if (given.index() != static_cast<std::size_t>(type.kind)) {
    return wrong(method, input, "is " + in_words(given));
  }
  const double value = std::visit(
      [](const auto& plain) {
        if constexpr (std::is_same_v<std::decay_t<decltype(plain)>, GivenTensor>) {
          return 0.0;
        } else {
          return static_cast<double>(plain);
        }
      },
      given);
  OUTCROP_CHECK(check_range(method, input, type.range, value, value));
  if (type.gives.empty()) return {};
  const std::int64_t size = std::get<std::int64_t>(given);
  if (size < 0) return wrong(method, input, "is " + std::to_string(size) + ", and a size is not");
  const FreeSizes before = sizes;
  if (agree(sizes, type.gives, size)) return {};
  return wrong(method, input, "is " + in_words(given) + sizes_in_words(before));
}

}  // namespace

std::string_view to_string(Score score) {
  return score == Score::absolute ? "absolute" : "class";
}

const Method* Signature::method(std::string_view name) const {
  const auto found = std::find_if(methods.begin(), methods.end(),
                                  [&](const Method& method) { return method.name == name; });
  return found == methods.end() ? nullptr : &*found;
}

Result<FreeSizes> check_arguments(const Method& method, std::span<const Given> arguments) {
  if (arguments.size() != method.inputs.size()) {
    return fail(ErrorCode::invalid_argument, std::to_string(arguments.size()) +
                                                 " arguments do not fit " + describe(method));
  }
  FreeSizes sizes;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    OUTCROP_CHECK(check_argument(method, method.inputs[i], arguments[i], sizes));
  }
  return sizes;
}

Result<std::vector<std::int64_t>> shape_of(const TensorType& type, const FreeSizes& sizes) {
  std::vector<std::int64_t> shape;
  for (const Dimension& dimension : type.shape) {
    if (dimension.name.empty()) {
      shape.push_back(dimension.size);
      continue;
    }
    const auto found = sizes.find(dimension.name);
    if (found == sizes.end()) {
      return fail(ErrorCode::internal, "nothing says how large '" + dimension.name + "' is");
    }
    shape.push_back(found->second);
  }
  return shape;
}

Result<ByteCount> answer_size(const Method& method, const FreeSizes& sizes) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t total = 0;
  for (const Output& output : method.outputs) {
    OUTCROP_TRY(shape, shape_of(output.type, sizes));
    std::uint64_t bytes = output.type.dtype == "int64" ? 8 : 4;
    for (const std::int64_t size : shape) {
      const auto count = static_cast<std::uint64_t>(size);
      if (count != 0 && bytes > most / count) {
        return fail(ErrorCode::invalid_argument,
                    method.name + ": '" + output.name + "' would fit in no memory");
      }
      bytes *= count;
    }
    if (bytes > most - total) {
      return fail(ErrorCode::invalid_argument, method.name + ": its answer fits in no memory");
    }
    total += bytes;
  }
  return ByteCount(total);
}

std::string describe(const TensorType& type) {
  std::string text = type.dtype + " [";
  for (std::size_t i = 0; i < type.shape.size(); ++i) {
    const Dimension& dimension = type.shape[i];
    text += (i > 0 ? ", " : "") +
            (dimension.name.empty() ? std::to_string(dimension.size) : dimension.name);
  }
  text += "]";
  if (!type.unit.empty()) text += " " + type.unit;
  if (type.range) text += " " + json_text(Json(type.range->least)) + " to " + json_text(Json(type.range->most));
  return text;
}

std::string describe(const Input& input) {
  if (const auto* tensor = std::get_if<TensorType>(&input.type)) {
    return input.name + ": " + describe(*tensor);
  }
  const auto& scalar = std::get<ScalarType>(input.type);
  std::string text = input.name + ": " + std::string(kind_name(scalar.kind));
  const bool whole = scalar.kind == ScalarKind::integer;
  if (scalar.range) {
    text += " " + number_text(scalar.range->least, whole) + " to " +
            number_text(scalar.range->most, whole);
  }
  if (scalar.otherwise) text += " = " + json_text(scalar_to_json(*scalar.otherwise));
  return text;
}

std::string describe(const Method& method) {
  std::string text = method.name + "(";
  for (std::size_t i = 0; i < method.inputs.size(); ++i) {
    text += (i > 0 ? ", " : "") + describe(method.inputs[i]);
  }
  text += ") -> ";
  for (std::size_t i = 0; i < method.outputs.size(); ++i) {
    text += (i > 0 ? ", " : "") + method.outputs[i].name + " " + describe(method.outputs[i].type);
  }
  return text;
}

Json signature_to_json(const Signature& signature) {
  Json methods = Json::array();
  for (const Method& method : signature.methods) {
    Json inputs = Json::array();
    for (const Input& input : method.inputs) inputs.push_back(input_to_json(input));
    Json outputs = Json::array();
    for (const Output& output : method.outputs) outputs.push_back(output_to_json(output));
    methods.push_back({{"name", method.name}, {"inputs", inputs}, {"outputs", outputs}});
  }
  return {{"served", signature.served}, {"methods", methods}};
}

Signature read_signature(ObjectReader reader) {
  Signature signature;
  signature.served = reader.text("served");
  std::map<std::string, Output> outputs;
  reader.objects("methods", 1, most_methods, [&](ObjectReader& element) {
    const Method method = read_method(element);
    if (element.ok() && signature.method(method.name) != nullptr) {
      element.refuse("name", "stands twice among the methods");
    }
    for (const Output& output : method.outputs) {
      if (outputs.emplace(output.name, output).first->second != output) {
        element.refuse("outputs",
                       "'" + output.name + "' is another output than that of a method before");
      }
    }
    signature.methods.push_back(method);
  });
  reader.done();
  if (reader.ok() && signature.method(signature.served) == nullptr) {
    reader.refuse("served", "'" + signature.served + "' is none of its methods");
  }
  return signature;
}

}  // namespace outcrop::messages
