#include "trainer_host/trainer/analyze/analyzed_model.hpp"

#include <ATen/core/dynamic_type.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/mobile/import.h>
#include <torch/csrc/jit/passes/xnnpack_rewrite.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/runtime/print_handler.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "protocol/base/regular_file.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/models/module_tensors.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"

namespace outcrop::analyze {
namespace {

using torch::Tensor;
using torch::jit::Module;
using Lite = torch::jit::mobile::Module;

// The lite interpreter has types of its own, which stand for these.
c10::TypeKind kind_of(const c10::TypePtr& type) {
  const auto* dynamic = type->castRaw<c10::DynamicType>();
  return dynamic != nullptr ? dynamic->dynamicKind() : type->kind();
}

std::string name_of(const c10::TypePtr& type) {
  const std::string name = c10::typeKindToString(kind_of(type));  // TensorType
  return name.ends_with("Type") ? name.substr(0, name.size() - 4) : name;
}

// It writes "no default" as a default of None.
bool has_default(const c10::Argument& argument) {
  return argument.default_value() && !argument.default_value()->isNone();
}

// Nothing where it takes what no file of rows can hold.
std::optional<AnalyzedModel::Method> method_of(const std::string& name, const c10::FunctionSchema& schema) {
  AnalyzedModel::Method method{name, {}, ""};
  std::string taken;
  const auto& arguments = schema.arguments();
  for (std::size_t i = 1; i < arguments.size(); ++i) {  // behind self
    const bool tensor = kind_of(arguments[i].type()) == c10::TypeKind::TensorType;
    if (!tensor && !has_default(arguments[i])) return std::nullopt;
    if (!tensor) continue;
    method.tensors.push_back(arguments[i].name());
    taken += (taken.empty() ? "Tensor " : ", Tensor ") + arguments[i].name();
  }
  if (method.tensors.empty()) return std::nullopt;
  std::string given;
  for (const auto& result : schema.returns()) given += (given.empty() ? "" : ", ") + name_of(result.type());
  method.text = name + "(" + taken + ")" + (given.empty() ? "" : " -> " + given);
  return method;
}

// Not every file says what its methods take.
template <class Any>
void add_method(std::vector<AnalyzedModel::Method>& methods, const Any& found) {
  try {
    auto method = method_of(found.name(), found.function().getSchema());
    if (method) methods.push_back(std::move(*method));
  } catch (const std::exception&) {
  }
}

// The interpreter says where, then what.
std::string last_words(const std::exception& error) {
  std::string text = models::words_of(error);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.pop_back();
  return text.substr(text.find_last_of('\n') + 1).substr(0, 400);
}

}  // namespace

AnalyzedModel::AnalyzedModel(std::string name, Module module)
    : name_(std::move(name)), module_(std::move(module)) {
  if (const auto* script = std::get_if<torch::jit::Module>(&module_)) {
    for (const auto& found : script->get_methods()) add_method(methods_, found);
    for (const auto& [path, tensor] : models::tensors_of(*script)) tensors_[path] = tensor;
  } else {
    const auto& lite = std::get<Lite>(module_);
    for (const auto& found : lite.get_methods()) add_method(methods_, found);
    tensors_ = lite.named_parameters();
  }
  std::stable_partition(methods_.begin(), methods_.end(),
                        [](const Method& method) { return method.name == "forward"; });
}

Result<AnalyzedModel> AnalyzedModel::load(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  OUTCROP_TRY(checked, open_regular_file(file));  // the library waits for a pipe
  // What it prints, at load too, goes nowhere: a terminal takes orders.
  torch::jit::setPrintHandler([](const std::string&) {});
  try {
    models::prepare_engine();
    const bool lite = caffe2::serialize::PyTorchStreamReader(file.string()).hasRecord("bytecode.pkl");
    if (lite) return AnalyzedModel(name, torch::jit::_load_for_mobile(file.string()));
    auto script = torch::jit::load(file.string(), torch::kCPU);
    script.eval();
    return AnalyzedModel(name, std::move(script));
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data,
                file.string() + " is no model: " + models::first_line_of(error) +
                    " (a TorchScript file, .pt or .ptl, is wanted, as outcrop quantize or "
                    "torch.jit.script(model.eval()).save writes it)");
  }
}

const AnalyzedModel::Method* AnalyzedModel::method(const std::string& name) const {
  const auto found = std::find_if(methods_.begin(), methods_.end(),
                                  [&](const Method& method) { return method.name == name; });
  return found == methods_.end() ? nullptr : &*found;
}

Result<std::vector<Tensor>> AnalyzedModel::call(const std::string& method,
                                                const std::vector<Tensor>& inputs) {
  try {
    const torch::NoGradGuard no_gradient;
    const torch::jit::GraphOptimizerEnabledGuard plain(false);  // each operator by itself, none fused
    std::vector<c10::IValue> arguments;
    for (const Tensor& input : inputs) arguments.emplace_back(input.clone());  // it may be changed in place
    c10::IValue told;
    if (auto* script = std::get_if<torch::jit::Module>(&module_)) {
      told = script->get_method(method)(std::move(arguments));
    } else {
      told = std::get<Lite>(module_).get_method(method)(std::move(arguments));
    }
    const auto plain_tensor = [](const Tensor& tensor) {
      return (tensor.is_quantized() ? tensor.dequantize() : tensor).contiguous();
    };
    if (!told.isTensor() && !told.isTuple()) {
      return fail(ErrorCode::unsupported, name_ + ": " + method + " gives a " + told.tagKind() +
                                              "; a tensor or a tuple of tensors can be compared");
    }
    std::vector<Tensor> outputs;
    for (const Tensor& tensor : models::tensors_in(told)) outputs.push_back(plain_tensor(tensor));
    return outputs;
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data, name_ + ", " + method + ": " + last_words(error));
  }
}

std::string AnalyzedModel::for_boards(bool optimized) const {
  torch::jit::Module script = std::get<torch::jit::Module>(module_).deepcopy();
  if (optimized) script = torch::jit::optimizeForMobile(script);
  std::stringstream twice;  // else weights are stored twice (as quantize/variants does)
  script.save(twice);
  std::ostringstream bytes;
  torch::jit::load(twice)._save_for_mobile(bytes);
  return bytes.str();
}

}  // namespace outcrop::analyze
