#include "protocol/messages/golden_call.hpp"

#include <algorithm>
#include <array>

#include "protocol/messages/fields.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::messages {
namespace {

constexpr std::size_t most_calls = 64;
constexpr double largest_argument = 1e30;
constexpr std::array<const char*, 4> argument_keys{"int", "float", "bool", "tensor"};

Json argument_to_json(const CallArgument& argument) {
  const char* const key = argument_keys[argument.index()];
  if (const auto* tensor = std::get_if<TensorReference>(&argument)) return {{key, tensor->tensor}};
  if (const auto* integer = std::get_if<std::int64_t>(&argument)) return {{key, *integer}};
  if (const auto* real = std::get_if<double>(&argument)) return {{key, *real}};
  return {{key, std::get<bool>(argument)}};
}

// Exactly the key that the input's type asks for.
CallArgument read_argument(ObjectReader& reader, const Input& input) {
  const auto* scalar = std::get_if<ScalarType>(&input.type);
  const std::size_t kind = scalar != nullptr ? static_cast<std::size_t>(scalar->kind) : 3;
  const char* const key = argument_keys[kind];
  CallArgument argument;
  if (kind == 0) argument = reader.signed_integer(key);
  if (kind == 1) argument = reader.number(key, -largest_argument, largest_argument);
  if (kind == 2) argument = reader.boolean(key);
  if (kind == 3) argument = TensorReference(reader.text(key));
  reader.done();
  return argument;
}

GoldenCall read_call(ObjectReader& reader, const Signature& signature) {
  GoldenCall call;
  call.method = reader.text("method");
  const Method* method = signature.method(call.method);
  if (method == nullptr) {
    reader.refuse("method", "'" + call.method + "' is no method of the signature");
    return call;
  }
  const std::size_t inputs = method->inputs.size();
  reader.objects("arguments", inputs, inputs, [&](ObjectReader& element) {
    call.arguments.push_back(read_argument(element, method->inputs[call.arguments.size()]));
  });
  for (std::string& name : reader.texts("outputs", method->outputs.size())) {
    call.outputs.emplace_back(std::move(name));
  }
  if (reader.ok() && call.outputs.size() != method->outputs.size()) {
    reader.refuse("outputs", "must name " + std::to_string(method->outputs.size()) +
                                 " tensors: the outputs of " + call.method);
  }
  reader.done();
  return call;
}

}  // namespace

std::vector<Output> proved_outputs(const Signature& signature,
                                   const std::vector<GoldenCall>& calls) {
  std::vector<Output> outputs;
  for (const GoldenCall& call : calls) {
    const Method* method = signature.method(call.method);
    if (method == nullptr) continue;
    for (const Output& output : method->outputs) {
      const auto same = [&](const Output& known) { return known.name == output.name; };
      if (std::none_of(outputs.begin(), outputs.end(), same)) outputs.push_back(output);
    }
  }
  return outputs;
}

Json calls_to_json(const std::vector<GoldenCall>& calls) {
  Json json = Json::array();
  for (const GoldenCall& call : calls) {
    Json arguments = Json::array();
    for (const CallArgument& argument : call.arguments) {
      arguments.push_back(argument_to_json(argument));
    }
    Json outputs = Json::array();
    for (const TensorReference& output : call.outputs) outputs.push_back(output.tensor);
    json.push_back({{"method", call.method}, {"arguments", arguments}, {"outputs", outputs}});
  }
  return json;
}

std::vector<GoldenCall> read_calls(ObjectReader& reader, const Signature& signature) {
  std::vector<GoldenCall> calls;
  reader.objects("calls", 1, most_calls, [&](ObjectReader& element) {
    calls.push_back(read_call(element, signature));
    if (element.ok() && calls.size() == 1 && calls[0].method != signature.served) {
      element.refuse("method", "must be '" + signature.served +
                                   "': the first call is of what boards serve, and is measured");
    }
  });
  return calls;
}

}  // namespace outcrop::messages
