#include "trainer_host/trainer/exchange/model_example.hpp"

#include <map>
#include <optional>
#include <sstream>

#include "protocol/base/join.hpp"
#include "protocol/base/number.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/trainer/models/plain_tensor.hpp"

namespace outcrop::exchange {
namespace fs = std::filesystem;
namespace {

using torch::Tensor;
using torch::jit::Module;

Result<Module> part_of(Module module, const std::string& path) {
  std::istringstream names(path);
  for (std::string name; std::getline(names, name, '.');) {
    std::vector<std::string> children;
    for (const auto& child : module.named_children()) children.push_back(child.name);
    if (std::find(children.begin(), children.end(), name) == children.end()) {
      return fail(ErrorCode::invalid_argument, "--part " + path + ": there is no '" + name + "'; there is " + join(children));
    }
    module = module.attr(name).toModule();
  }
  return module;
}

Status check_method(const Module& module, const std::string& name) {
  if (module.find_method(name)) return {};
  std::vector<std::string> names;
  for (const auto& method : module.get_methods()) names.push_back(method.name());
  return fail(ErrorCode::invalid_argument, "--method " + name + ": it has " + join(names));
}

tl::unexpected<Error> no_shape(const std::string& text) {
  return fail(ErrorCode::invalid_argument,
              "--shape " + text + ": sizes from 1 with commas are wanted, as in 1,3,32,32 or ids=1,128:int64");
}

// What a shape says, and of which argument; "" of the next one.
Result<std::pair<std::string, Tensor>> example_of_shape(const std::string& text) {
  constexpr std::int64_t largest = 1 << 28;  // elements
  std::string rest = text;
  std::string name;
  if (const auto equals = rest.find('='); equals != std::string::npos) {
    name = rest.substr(0, equals);
    rest = rest.substr(equals + 1);
  }
  bool integers = false;
  if (const auto colon = rest.find(':'); colon != std::string::npos) {
    const std::string type = rest.substr(colon + 1);
    if (type != "int64" && type != "float32") return no_shape(text);
    integers = type == "int64";
    rest = rest.substr(0, colon);
  }
  Shape shape;
  std::int64_t elements = 1;
  std::istringstream sizes(rest);
  for (std::string size; std::getline(sizes, size, ',');) {
    const auto number = read_number<std::int64_t>(size);
    if (!number || *number < 1 || *number > largest / elements) return no_shape(text);
    elements *= *number;
    shape.push_back(*number);
  }
  if (shape.empty() || rest.ends_with(',')) return no_shape(text);
  return std::pair{name, integers ? torch::zeros(shape, torch::kLong) : torch::full(shape, 0.5)};
}

Result<std::vector<std::pair<std::string, Tensor>>> examples_of_shapes(const std::vector<std::string>& shapes) {
  std::vector<std::pair<std::string, Tensor>> examples;
  for (const std::string& text : shapes) {
    OUTCROP_TRY(one, example_of_shape(text));
    examples.push_back(std::move(one));
  }
  return examples;
}

// "images" of "images_1", the first call that has one: its first row.
std::optional<Tensor> golden_of(const std::vector<runtime::Tensor>& goldens, const std::string& argument) {
  constexpr int most_calls = 8;
  for (int call = 1; call <= most_calls; ++call) {
    for (const runtime::Tensor& golden : goldens) {
      if (golden.name != argument + "_" + std::to_string(call)) continue;
      return models::torch_tensor(golden.shape.empty() ? golden : golden.row(0));
    }
  }
  return std::nullopt;
}

class Arguments {
 public:
  Arguments(std::vector<std::pair<std::string, Tensor>> shaped, std::vector<runtime::Tensor> goldens)
      : shaped_(std::move(shaped)), goldens_(std::move(goldens)) {}

  std::optional<Tensor> take(const std::string& name) {
    for (auto one = shaped_.begin(); one != shaped_.end(); ++one) {
      if (!one->first.empty() && one->first != name) continue;
      Tensor tensor = one->second;
      shaped_.erase(one);
      return tensor;
    }
    return golden_of(goldens_, name);
  }
  [[nodiscard]] Status check_all_taken(const std::string& method) const {
    if (shaped_.empty()) return {};
    return fail(ErrorCode::invalid_argument,
                "--shape: " + method + " has no argument '" + shaped_.front().first + "' that is a tensor and left");
  }

 private:
  std::vector<std::pair<std::string, Tensor>> shaped_;
  std::vector<runtime::Tensor> goldens_;
};

// A trace calls an argument "input.1".
std::string plain_name(std::string name) {
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

Status add_argument(const c10::Argument& argument, Arguments& given, const fs::path& file, TorchCall& call) {
  const std::string name = plain_name(argument.name());
  call.arguments.push_back(name);
  if (argument.type()->kind() != c10::TypeKind::TensorType) {
    if (!argument.default_value()) {
      return fail(ErrorCode::unsupported, call.method + " takes '" + name + "', a " + argument.type()->annotation_str() +
                                              "; other runtimes take tensors (--method and --part choose what is exported)");
    }
    call.example.push_back(*argument.default_value());
    return {};
  }
  const auto tensor = given.take(name);
  if (!tensor) {
    return fail(ErrorCode::invalid_argument, "nothing says which size '" + name + "' has: --shape " + name +
                                                 "=1,… does, or a golden input beside " + file.filename().string());
  }
  call.example.emplace_back(*tensor);
  return {};
}

}  // namespace

fs::path golden_input_beside(const fs::path& file) { return file.parent_path() / "golden_input.safetensors"; }

Result<ExampleOf> example_call(const Module& whole, const fs::path& file, const WantedCall& wanted) {
  OUTCROP_TRY(module, part_of(whole, wanted.part));
  OUTCROP_CHECK(check_method(module, wanted.method));
  OUTCROP_TRY(shaped, examples_of_shapes(wanted.shapes));
  std::vector<runtime::Tensor> goldens;
  std::error_code error;
  if (fs::exists(golden_input_beside(file), error)) {
    OUTCROP_TRY(read, runtime::read_tensor_file(golden_input_beside(file)));
    goldens = std::move(read);
  }
  Arguments given(std::move(shaped), std::move(goldens));
  TorchCall call;
  call.method = wanted.method;
  call.wanted = wanted.outputs;
  const auto& arguments = module.get_method(wanted.method).function().getSchema().arguments();
  for (std::size_t i = 1; i < arguments.size(); ++i) OUTCROP_CHECK(add_argument(arguments[i], given, file, call));
  OUTCROP_CHECK(given.check_all_taken(wanted.method));
  return ExampleOf{std::move(module), std::move(call)};
}

}  // namespace outcrop::exchange
