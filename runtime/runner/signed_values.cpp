#include "runtime/runner/signed_values.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

namespace outcrop::runtime {
namespace {

template <class T>
void find_bounds(std::span<const T> values, messages::GivenTensor& tensor) {
  if (values.empty()) return;
  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  bool finite = true;
  for (const T value : values) {
    const auto number = static_cast<double>(value);
    finite = finite && std::isfinite(number);
    least = std::min(least, number);
    most = std::max(most, number);
  }
  const double nothing = std::numeric_limits<double>::quiet_NaN();
  tensor.least = finite ? least : nothing;
  tensor.most = finite ? most : nothing;
}

messages::Given given_tensor(const Tensor& tensor) {
  messages::GivenTensor given{std::string(to_string(tensor.dtype)), tensor.shape, 0, 0};
  if (tensor.dtype == DType::float32) {
    find_bounds(tensor.floats(), given);
  } else {
    find_bounds(tensor.integers(), given);
  }
  return given;
}

// "int batch_size, int seed=0" at commas that no bracket holds.
std::vector<std::string_view> parts_of(std::string_view list) {
  std::vector<std::string_view> parts;
  std::size_t from = 0;
  int depth = 0;
  for (std::size_t i = 0; i <= list.size(); ++i) {
    if (i < list.size() && (list[i] == '[' || list[i] == '(')) ++depth;
    if (i < list.size() && (list[i] == ']' || list[i] == ')')) --depth;
    if (i < list.size() && (list[i] != ',' || depth > 0)) continue;
    std::string_view part = list.substr(from, i - from);
    while (part.starts_with(' ')) part.remove_prefix(1);
    if (!part.empty()) parts.push_back(part);
    from = i + 1;
  }
  return parts;
}

std::string_view type_name(const messages::Input& input) {
  const auto* scalar = std::get_if<messages::ScalarType>(&input.type);
  if (scalar == nullptr) return "Tensor";
  switch (scalar->kind) {
    case messages::ScalarKind::integer:
      return "int";
    case messages::ScalarKind::real:
      return "float";
    case messages::ScalarKind::boolean:
      break;
  }
  return "bool";
}

bool takes(std::string_view argument, const messages::Input& input) {
  argument = argument.substr(0, argument.find('='));
  return argument == std::string(type_name(input)) + " " + input.name;
}

// As many tensors as a tuple holds; a list may hold any number.
bool gives(std::string_view results, std::size_t outputs) {
  for (const std::string_view open : {"Tuple[", "("}) {
    if (!results.starts_with(open)) continue;
    results.remove_prefix(open.size());
    results.remove_suffix(1);
    break;
  }
  if (results.starts_with("List[Tensor")) return true;
  const auto parts = parts_of(results);
  return parts.size() == outputs && std::all_of(parts.begin(), parts.end(), [](auto part) {
           return part == "Tensor";
         });
}

bool fits(const messages::Method& method, std::string_view schema) {
  constexpr std::string_view arrow = ") -> ";
  const std::size_t open = schema.find('(');
  const std::size_t close = schema.find(arrow);
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
    return false;
  }
  const auto arguments = parts_of(schema.substr(open + 1, close - open - 1));
  if (arguments.size() != method.inputs.size()) return false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (!takes(arguments[i], method.inputs[i])) return false;
  }
  return gives(schema.substr(close + arrow.size()), method.outputs.size());
}

}  // namespace

std::vector<messages::Given> given(std::span<const Value> arguments) {
  std::vector<messages::Given> all;
  for (const Value& value : arguments) {
    all.push_back(std::visit(
        [](const auto& plain) -> messages::Given {
          if constexpr (std::is_same_v<std::decay_t<decltype(plain)>, Tensor>) {
            return given_tensor(plain);
          } else {
            return plain;
          }
        },
        value));
  }
  return all;
}

Status name_outputs(const messages::Method& method, const messages::FreeSizes& sizes,
                    std::vector<Tensor>& outputs) {
  if (outputs.size() != method.outputs.size()) {
    return fail(ErrorCode::invalid_data, method.name + " gave " + std::to_string(outputs.size()) +
                                             " outputs; its signature says " +
                                             std::to_string(method.outputs.size()));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const messages::Output& output = method.outputs[i];
    OUTCROP_TRY(shape, messages::shape_of(output.type, sizes));
    if (outputs[i].shape != shape || to_string(outputs[i].dtype) != output.type.dtype) {
      return fail(ErrorCode::invalid_data, method.name + " gave " + describe(outputs[i]) +
                                               " for '" + output.name + "'; its signature says " +
                                               messages::describe(output.type));
    }
    outputs[i].name = output.name;
  }
  return {};
}

Status check_schemas(const messages::Signature& signature,
                     const std::map<std::string, std::string>& schemas) {
  for (const messages::Method& method : signature.methods) {
    const auto schema = schemas.find(method.name);
    if (schema == schemas.end()) {
      std::string known;
      for (const auto& [name, text] : schemas) known += (known.empty() ? "" : ", ") + name;
      return fail(ErrorCode::invalid_data, "the file has no method '" + method.name +
                                               "', which its signature names; it has " +
                                               (known.empty() ? "none" : known));
    }
    if (fits(method, schema->second)) continue;
    return fail(ErrorCode::invalid_data, "the file's " + schema->second +
                                             " is not what its signature says: " +
                                             messages::describe(method));
  }
  return {};
}

}  // namespace outcrop::runtime
