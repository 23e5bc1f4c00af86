#include "agent/prove/named_arguments.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "protocol/base/number.hpp"
#include "runtime/runner/signed_values.hpp"

namespace outcrop::agent {
namespace {

using messages::Input;
using messages::Method;
using messages::ScalarKind;
using messages::ScalarType;
using messages::TensorType;

constexpr const char* count_alias = "count";

tl::unexpected<Error> wrong(const Method& method, const std::string& why) {
  return fail(ErrorCode::invalid_argument, why + "; the release serves " + describe(method));
}

const Input* input_named(const Method& method, const std::string& name) {
  const auto found = std::find_if(method.inputs.begin(), method.inputs.end(),
                                  [&](const Input& input) { return input.name == name; });
  return found == method.inputs.end() ? nullptr : &*found;
}

// The scalar that "count" is another name of; null where there is none.
const Input* counting_input(const Method& method) {
  for (const Input& input : method.inputs) {
    const auto* scalar = std::get_if<ScalarType>(&input.type);
    if (scalar != nullptr && !scalar->gives.empty()) return &input;
  }
  return nullptr;
}

// Under the inputs' own names.
Result<std::map<std::string, std::string>> own_names(const Method& method,
                                                     std::map<std::string, std::string> scalars) {
  std::map<std::string, std::string> named;
  for (auto& [name, text] : scalars) {
    const Input* input = input_named(method, name);
    if (input == nullptr && name == count_alias) input = counting_input(method);
    if (input == nullptr) return wrong(method, "there is no input '" + name + "'");
    if (std::holds_alternative<TensorType>(input->type)) {
      return wrong(method, "'" + name + "' is a tensor, and comes from a file");
    }
    if (!named.emplace(input->name, std::move(text)).second) {
      return wrong(method, "'" + input->name + "' was given twice");
    }
  }
  return named;
}

Result<std::map<std::string, runtime::Tensor>> own_names(const Method& method,
                                                         std::vector<runtime::Tensor> tensors) {
  std::map<std::string, runtime::Tensor> named;
  for (runtime::Tensor& tensor : tensors) {
    if (tensor.name.empty()) {
      for (const Input& input : method.inputs) {
        if (!std::holds_alternative<TensorType>(input.type)) continue;
        if (!tensor.name.empty()) {
          return wrong(method, "an array without a name may be any of its tensors: name them in a "
                               ".safetensors file");
        }
        tensor.name = input.name;
      }
    }
    const Input* input = input_named(method, tensor.name);
    if (input == nullptr || !std::holds_alternative<TensorType>(input->type)) {
      return wrong(method, tensor.name.empty() ? "it takes no tensor"
                                               : "there is no tensor '" + tensor.name + "'");
    }
    const std::string name = tensor.name;
    if (!named.emplace(name, std::move(tensor)).second) {
      return wrong(method, "'" + name + "' was given twice");
    }
  }
  return named;
}

Result<runtime::Value> value_of(const Method& method, const std::string& name, ScalarKind kind,
                                const std::string& text) {
  if (kind == ScalarKind::integer) {
    if (const auto value = read_number<std::int64_t>(text)) return runtime::Value(*value);
    return wrong(method, "'" + name + "' must be a whole number, not '" + text + "'");
  }
  if (kind == ScalarKind::real) {
    if (const auto value = read_number<double>(text)) return runtime::Value(*value);
    return wrong(method, "'" + name + "' must be a number, not '" + text + "'");
  }
  if (text == "true" || text == "false") return runtime::Value(text == "true");
  return wrong(method, "'" + name + "' must be true or false, not '" + text + "'");
}

// Of a scalar that nobody gave.
Result<runtime::Value> value_without_text(const Method& method, const Input& input,
                                          const messages::FreeSizes& of_tensors) {
  const auto& scalar = std::get<ScalarType>(input.type);
  if (const auto size = of_tensors.find(scalar.gives); size != of_tensors.end()) {
    return runtime::Value(size->second);
  }
  if (scalar.otherwise) {
    return std::visit([](auto value) { return runtime::Value(value); }, *scalar.otherwise);
  }
  if (!scalar.gives.empty()) return runtime::Value(std::int64_t{1});
  return wrong(method, "'" + input.name + "' is missing");
}

messages::FreeSizes sizes_of(const Method& method,
                             const std::map<std::string, runtime::Tensor>& tensors) {
  messages::FreeSizes sizes;
  for (const auto& [name, tensor] : tensors) {
    const auto& shape = std::get<TensorType>(input_named(method, name)->type).shape;
    for (std::size_t i = 0; i < std::min(shape.size(), tensor.shape.size()); ++i) {
      if (!shape[i].name.empty()) sizes.emplace(shape[i].name, tensor.shape[i]);
    }
  }
  return sizes;
}

}  // namespace

Result<NamedCall> call_of(const Method& method, NamedArguments named, ByteCount largest_answer) {
  OUTCROP_TRY(scalars, own_names(method, std::move(named.scalars)));
  OUTCROP_TRY(tensors, own_names(method, std::move(named.tensors)));
  const messages::FreeSizes of_tensors = sizes_of(method, tensors);
  NamedCall call;
  for (const Input& input : method.inputs) {
    if (std::holds_alternative<TensorType>(input.type)) {
      const auto found = tensors.find(input.name);
      if (found == tensors.end()) {
        return wrong(method, "the tensor '" + input.name + "' is missing");
      }
      call.arguments.emplace_back(std::move(found->second));
      continue;
    }
    const auto text = scalars.find(input.name);
    OUTCROP_TRY(value, text == scalars.end()
                           ? value_without_text(method, input, of_tensors)
                           : value_of(method, input.name, std::get<ScalarType>(input.type).kind,
                                      text->second));
    call.arguments.push_back(std::move(value));
  }
  OUTCROP_TRY(sizes, messages::check_arguments(method, runtime::given(call.arguments)));
  OUTCROP_TRY(bytes, messages::answer_size(method, sizes));
  if (bytes > largest_answer) {
    return fail(ErrorCode::invalid_argument, "the answer would take " + bytes.human() +
                                                 ", and at most " + largest_answer.human() +
                                                 " are given at once: ask for fewer samples");
  }
  call.sizes = std::move(sizes);
  return call;
}

}  // namespace outcrop::agent
