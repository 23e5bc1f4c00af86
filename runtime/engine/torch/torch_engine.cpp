#include "runtime/engine/torch/torch_engine.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/dynamic_type.h>
#include <torch/csrc/jit/mobile/import.h>
#include <torch/csrc/jit/mobile/module.h>
#include <torch/csrc/jit/runtime/operator.h>
#if __has_include(<torch/version.h>)
#include <torch/version.h>
#endif

#include "runtime/engine/torch/conversion.hpp"
#include "runtime/engine/torch/int4/int4_operator.hpp"
#include "runtime/engine/torch/mapped_file.hpp"
#include "runtime/engine/torch/operator_times.hpp"
#include "runtime/engine/torch/self_test.hpp"
#include "runtime/engine/torch/torch_error.hpp"
#include "runtime/inspect/torch_inspection.hpp"

// Exported by every LibTorch that has the fuser, in no header that its mobile build installs;
// weak, so that a build without it links.
namespace torch::jit {
__attribute__((weak)) void setTensorExprFuserEnabled(bool enabled);
}

namespace outcrop::runtime {
namespace {

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// The lite interpreter describes types in a form of its own, of which LibTorch's mobile build
// exports the kind and what it contains, not its name.
c10::TypeKind kind_of(const c10::TypePtr& type) {
  const auto dynamic = type->cast<c10::DynamicType>();
  return dynamic ? dynamic->dynamicKind() : type->kind();
}

// As TorchScript writes it: Tuple[Tensor, int].
std::string name_of(const c10::TypePtr& type) {
  const auto of_contents = [&](std::string name) {
    std::string text = std::move(name) + "[";
    for (std::size_t i = 0; i < type->containedTypeSize(); ++i) {
      text += (i > 0 ? ", " : "") + name_of(type->containedType(i));
    }
    return text + "]";
  };
  switch (kind_of(type)) {
    case c10::TypeKind::IntType:
      return "int";
    case c10::TypeKind::FloatType:
      return "float";
    case c10::TypeKind::BoolType:
      return "bool";
    case c10::TypeKind::StringType:
      return "str";
    case c10::TypeKind::ListType:
      return of_contents("List");
    case c10::TypeKind::TupleType:
      return of_contents("Tuple");
    case c10::TypeKind::DictType:
      return of_contents("Dict");
    case c10::TypeKind::OptionalType:
      return of_contents("Optional");
    default: {
      const std::string name = c10::typeKindToString(kind_of(type));  // TensorType
      return name.ends_with("Type") ? name.substr(0, name.size() - 4) : name;
    }
  }
}

// Arguments without the module itself, which a method has first, whatever its author calls it.
std::vector<c10::Argument> arguments_of(const c10::FunctionSchema& schema) {
  std::vector<c10::Argument> arguments = schema.arguments();
  if (!arguments.empty()) arguments.erase(arguments.begin());
  return arguments;
}

// The lite interpreter writes "no default" as a default of None.
bool has_default(const c10::Argument& argument) {
  return argument.default_value() && !argument.default_value()->isNone();
}

std::string schema_of(const torch::jit::mobile::Method& method) {
  std::string text = method.name() + "(";
  if (!method.function().hasSchema()) return text + "...)";
  const c10::FunctionSchema& schema = method.function().getSchema();
  bool first = true;
  for (const c10::Argument& argument : arguments_of(schema)) {
    if (!first) text += ", ";
    first = false;
    text += name_of(argument.type()) + " " + argument.name();
    if (!has_default(argument)) continue;
    const c10::IValue& value = *argument.default_value();
    text += "=";
    text += value.isInt()      ? std::to_string(value.toInt())
            : value.isBool()   ? (value.toBool() ? "True" : "False")
            : value.isDouble() ? std::to_string(value.toDouble())
                               : "...";
  }
  text += ") -> ";
  for (std::size_t i = 0; i < schema.returns().size(); ++i) {
    text += (i > 0 ? ", " : "") + name_of(schema.returns()[i].type());
  }
  return text;
}

// The lite interpreter checks neither number nor types of arguments, and reads memory that is
// not there when they are wrong.
Status check_arguments(const torch::jit::mobile::Method& method,
                       const std::vector<c10::IValue>& values) {
  if (!method.function().hasSchema()) {
    return fail(ErrorCode::invalid_data, "method '" + method.name() + "' has no schema");
  }
  const auto arguments = arguments_of(method.function().getSchema());
  bool fits = values.size() <= arguments.size();
  for (std::size_t i = 0; fits && i < arguments.size(); ++i) {
    if (i >= values.size()) {
      fits = has_default(arguments[i]);
      continue;
    }
    const c10::TypeKind kind = kind_of(arguments[i].type());
    fits = (values[i].isTensor() && kind == c10::TypeKind::TensorType) ||
           (values[i].isInt() && kind == c10::TypeKind::IntType) ||
           (values[i].isDouble() && kind == c10::TypeKind::FloatType) ||
           (values[i].isBool() && kind == c10::TypeKind::BoolType);
  }
  if (fits) return {};
  return fail(ErrorCode::invalid_argument, "arguments that do not fit " + schema_of(method));
}

class TorchCall final : public Call {
 public:
  TorchCall(torch::jit::mobile::Method method, std::vector<c10::IValue> arguments)
      : method_(std::move(method)), arguments_(std::move(arguments)) {}

  Status run() override {
    try {
      const c10::InferenceMode no_autograd;
      result_ = method_(arguments_);
      return {};
    } catch (const std::exception& error) {
      return fail(torch_error(error, "running " + method_.name(), ErrorCode::invalid_data));
    }
  }

  Result<std::vector<OperatorTime>> run_watched() override {
    OperatorTimes watch;
    OUTCROP_CHECK(run());
    auto times = watch.take();
    if (times.empty()) return fail(ErrorCode::unsupported, "it told of no operator that it ran");
    if (times.size() > most_operator_times) {
      return fail(ErrorCode::unsupported, "a call runs " + std::to_string(times.size()) + " operators, more than the " +
                                              std::to_string(most_operator_times) + " whose times are told");
    }
    return times;
  }

  Result<std::vector<Tensor>> outputs() override {
    try {
      return from_ivalue(result_);
    } catch (const std::exception& error) {
      return fail(
          torch_error(error, "copying the outputs of " + method_.name(), ErrorCode::invalid_data));
    }
  }

 private:
  torch::jit::mobile::Method method_;
  std::vector<c10::IValue> arguments_;
  c10::IValue result_;
};

class TorchModel final : public Model {
 public:
  explicit TorchModel(torch::jit::mobile::Module module) : module_(std::move(module)) {}

  std::map<std::string, std::string> methods() const override {
    std::map<std::string, std::string> schemas;
    for (const auto& method : module_.get_methods()) schemas[method.name()] = schema_of(method);
    return schemas;
  }

  Result<std::unique_ptr<Call>> prepare(std::string_view method,
                                        std::span<const Value> arguments) override {
    try {
      const auto found = module_.find_method(std::string(method));
      if (!found) {
        std::string known;
        for (const auto& [name, schema] : methods()) known += (known.empty() ? "" : ", ") + name;
        return fail(ErrorCode::not_found,
                    "the model has no method '" + std::string(method) + "'; it has " + known);
      }
      std::vector<c10::IValue> values;
      for (const Value& argument : arguments) {
        OUTCROP_TRY(value, to_ivalue(argument));
        values.push_back(std::move(value));
      }
      OUTCROP_CHECK(check_arguments(*found, values));
      return std::make_unique<TorchCall>(*found, std::move(values));
    } catch (const std::exception& error) {
      return fail(torch_error(error, "preparing a call", ErrorCode::invalid_argument));
    }
  }

 private:
  torch::jit::mobile::Module module_;
};

class TorchEngine final : public Engine {
 public:
  TorchEngine() {
    for (const at::QEngine engine : at::globalContext().supportedQEngines()) {
      if (engine != at::QEngine::QNNPACK && engine != at::QEngine::ONEDNN) continue;
      at::globalContext().setQEngine(engine);
      backends_.push_back(test_quantized_operators(lower_case(c10::toString(engine))));
      engines_.push_back(engine);
    }
  }

  std::string name() const override { return "torch"; }
  std::string version() const override {
#if defined(OUTCROP_TORCH_VERSION)
    return OUTCROP_TORCH_VERSION;
#elif defined(TORCH_VERSION)
    return TORCH_VERSION;
#else
    return "unknown";
#endif
  }
  const std::vector<Backend>& backends() const override {
    return backends_;
  }
  // Where the lite interpreter looks when it loads a model.
  bool has_operator(std::string_view name) const override {
    const std::size_t dot = std::min(name.find('.'), name.size());
    const std::string_view overload = name.substr(std::min(dot + 1, name.size()));
    const c10::OperatorName wanted(std::string(name.substr(0, dot)), std::string(overload));
    return torch::jit::findOperatorFor(wanted) != nullptr ||
           c10::Dispatcher::singleton().findSchema(wanted).has_value();
  }

  Result<Inspection> inspect(BytesView file) override {
    return inspect_torch_model(file);
  }

  Result<std::unique_ptr<Model>> load(BytesView file, std::string_view backend,
                                      int threads) override {
    OUTCROP_TRY(index, find(backend));
    try {
      // Packed weights belong to the engine that is set when they are packed, at load.
      at::globalContext().setQEngine(engines_[index]);
      at::set_num_threads(threads);
      const c10::InferenceMode no_autograd;
      return std::make_unique<TorchModel>(
          torch::jit::_load_for_mobile(std::make_unique<MappedFile>(file)));
    } catch (const std::exception& error) {
      return fail(torch_error(error, "loading the model", ErrorCode::invalid_data));
    }
  }

 private:
  [[nodiscard]] Result<std::size_t> find(std::string_view backend) const {
    std::string known;
    for (std::size_t i = 0; i < backends_.size(); ++i) {
      if (backends_[i].name == backend) return i;
      known += (known.empty() ? "" : ", ") + backends_[i].name;
    }
    return fail(ErrorCode::unsupported, "this LibTorch has no backend '" + std::string(backend) +
                                            "'; it has " + (known.empty() ? "none" : known));
  }

  std::vector<at::QEngine> engines_;
  std::vector<Backend> backends_;
};

}  // namespace

Result<std::unique_ptr<Engine>> start_torch_engine() {
  try {
    // Later versions of LibTorch miscompute and hang with fused kernels; none is needed here.
    if (torch::jit::setTensorExprFuserEnabled != nullptr) {
      torch::jit::setTensorExprFuserEnabled(false);
    }
#if defined(__aarch64__)
    // oneDNN for ARM writes the code that it generates through a file in memory, which a confined
    // process may not: float is computed without it.
    at::globalContext().setUserEnabledMkldnn(false);
#endif
    // Threads cannot be confined once they exist: the first is enough until then.
    at::set_num_threads(1);
    at::globalContext().setReleaseWeightsWhenPrepacking(true);
    register_int4_operator();
    const c10::InferenceMode no_autograd;
    return std::make_unique<TorchEngine>();
  } catch (const std::exception& error) {
    return fail(torch_error(error, "starting LibTorch", ErrorCode::unsupported));
  }
}

}  // namespace outcrop::runtime
