#include "trainer_host/trainer/kinds/module/foreign_module.hpp"

#include <caffe2/serialize/in_memory_adapter.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/runtime/print_handler.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <sstream>

#include "protocol/base/join.hpp"
#include "trainer_host/trainer/models/graph_layers.hpp"
#include "trainer_host/trainer/models/module_tensors.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"

namespace outcrop::user_module {
namespace {

using torch::Tensor;
using torch::jit::Module;

// Names in files, in a signature and of golden tensors: a trace calls an argument "input.1".
std::string plain_name(const std::string& name) {
  std::string plain;
  for (const char c : name) {
    const bool kept = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    plain += kept ? c : '_';
  }
  return plain;
}

bool is_number(const c10::Type& type) {
  return type.kind() == c10::TypeKind::IntType || type.kind() == c10::TypeKind::FloatType ||
         type.kind() == c10::TypeKind::BoolType;
}

constexpr const char* wrap =
    "; wrap it in a module whose forward takes and gives tensors, and script that";

Status read_arguments(const c10::FunctionSchema& schema, ForeignModule& foreign) {
  const auto& arguments = schema.arguments();
  for (std::size_t i = 1; i < arguments.size(); ++i) {  // behind self
    const auto& argument = arguments[i];
    if (argument.type()->kind() == c10::TypeKind::TensorType) {
      foreign.arguments.push_back(plain_name(argument.name()));
    } else if (!argument.default_value() || !is_number(*argument.type())) {
      return fail(ErrorCode::unsupported, "forward's argument '" + argument.name() + "' is a " +
                                              argument.type()->annotation_str() + wrap);
    }
  }
  if (foreign.arguments.empty()) {
    return fail(ErrorCode::unsupported, std::string("forward takes no tensor") + wrap);
  }
  for (std::size_t i = 0; i < foreign.arguments.size(); ++i) {
    const auto& name = foreign.arguments[i];
    const auto same = std::count(foreign.arguments.begin(), foreign.arguments.end(), name);
    if (name != "target" && same == 1) continue;
    return fail(ErrorCode::unsupported,
                "forward's argument '" + name + "' " +
                    (same > 1 ? "has the name of another one" : "has the name of what is learned") +
                    "; give it another name");
  }
  return {};
}

Status read_outputs(const c10::FunctionSchema& schema, ForeignModule& foreign) {
  const auto& returns = schema.returns();
  const c10::TypePtr type = returns.size() == 1 ? returns[0].type() : nullptr;
  if (type && type->kind() == c10::TypeKind::TensorType) {
    foreign.outputs = {"output"};
    return {};
  }
  if (const auto tuple = type ? type->cast<c10::TupleType>() : nullptr) {
    const auto& elements = tuple->elements();
    const bool tensors = std::all_of(elements.begin(), elements.end(), [](const c10::TypePtr& one) {
      return one->kind() == c10::TypeKind::TensorType;
    });
    if (tensors && !elements.empty()) {
      for (std::size_t i = 1; i <= elements.size(); ++i) {
        foreign.outputs.push_back("output_" + std::to_string(i));
      }
      return {};
    }
  }
  return fail(ErrorCode::unsupported,
              "forward gives " + (type ? type->annotation_str() : std::string("nothing")) +
                  "; a tensor or a tuple of tensors can be served" + wrap);
}

Status check_types(const Module& module) {
  for (const auto& [name, tensor] : models::tensors_of(module)) {
    const auto type = tensor.scalar_type();
    if (tensor.is_sparse() || tensor.is_quantized()) {
      return fail(ErrorCode::unsupported, "'" + name + "' is sparse or quantized; bring a float model");
    }
    if (type == torch::kFloat || type == torch::kLong) continue;
    return fail(ErrorCode::unsupported, "'" + name + "' is " + std::string(c10::toString(type)) +
                                            "; parameters and buffers are float32 or int64 "
                                            "(model.float() converts)");
  }
  return {};
}

// By another program, or by this one.
Status check_float(const Module& module) {
  for (const Module& one : module.modules()) {
    bool quantized = one.hasattr("keeps_codes");
    std::string by = "weights in codes";
    for (const auto& method : one.get_methods()) {
      for (const auto* node : method.graph()->nodes()) {
        const std::string kind = node->kind().toQualString();
        if (!kind.starts_with("quantized::") && !kind.starts_with("aten::quantize_per_")) continue;
        quantized = true;
        by = kind;
      }
    }
    if (!quantized) continue;
    return fail(ErrorCode::unsupported, "it is quantized already (" + by + "): bring the float model that it was made of");
  }
  return {};
}

// Whether a value of this type stands anywhere in it.
bool has_type(const torch::jit::Block* block, const std::string& part_of_name) {
  for (const auto* node : block->nodes()) {
    for (const auto* output : node->outputs()) {
      if (output->type()->annotation_str().find(part_of_name) != std::string::npos) return true;
    }
    for (const auto* inner : node->blocks()) {
      if (has_type(inner, part_of_name)) return true;
    }
  }
  return false;
}

// Boards' interpreter does not load their type. Every LSTM of Python's has a method for them: what counts is whether
// `forward` comes to it.
Status check_not_packed(const Module& module) {
  if (!module.find_method("forward")) return {};
  if (!has_type(models::inlined_graph(module, "forward")->block(), "PackedSequence")) return {};
  return fail(ErrorCode::unsupported,
              "it packs sequences (pack_padded_sequence), which boards' interpreter cannot load: give its layers rows of one "
              "length, padded, and take the step that counts by its index");
}

// A small file may say that one value is a tensor of any size.
Status check_no_repeats(const Module& module) {
  for (const auto& [name, tensor] : models::tensors_of(module)) {
    if (tensor.nbytes() <= tensor.storage().nbytes()) continue;
    return fail(ErrorCode::unsupported,
                "'" + name + "' is a view that repeats its values; tensor.contiguous() makes a tensor of it");
  }
  return {};
}

Result<Module> load(BytesView file) {
  // What it prints, at load too, goes nowhere: a terminal takes orders.
  torch::jit::setPrintHandler([](const std::string&) {});
  try {
    std::istringstream stream(std::string(reinterpret_cast<const char*>(file.data()), file.size()));
    return torch::jit::load(stream, torch::kCPU);
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data,
                "it is no TorchScript module: " + models::first_line_of(error) +
                    " (in Python: torch.jit.script(model.eval()).save(\"model.pt\"); a state_dict "
                    "goes beside it, as weights)");
  }
}

// LibTorch loads a board's file whole as well, but its layers are those of a variant: folded, rounded or packed.
Status check_not_for_boards(BytesView file) {
  caffe2::serialize::PyTorchStreamReader archive(
      std::make_shared<caffe2::serialize::MemoryReadAdapter>(file.data(), static_cast<off_t>(file.size())));
  if (!archive.hasRecord("bytecode.pkl")) return {};
  return fail(ErrorCode::unsupported, "it is a file for boards (.ptl, it holds bytecode): bring the .pt that it was made of");
}

// A view of memory: two names for one view are one parameter.
std::string view_of(const Tensor& tensor) {
  std::ostringstream text;
  text << tensor.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl() << ' '
       << tensor.storage_offset() << ' ' << tensor.sizes() << ' ' << tensor.strides();
  return text.str();
}

// Every tensor of a module and of those in it, replaced by what `make` says. Names that share one go
// on sharing it.
template <class Make>
void replace_tensors(const Module& module, const Make& make) {
  std::map<std::string, Tensor> made;
  for (Module one : module.modules()) {
    const auto type = one.type();
    for (std::size_t slot = 0; slot < type->numAttributes(); ++slot) {
      if (!type->is_parameter(slot) && !type->is_buffer(slot)) continue;
      const c10::IValue value = one._ivalue()->getSlot(slot);
      if (!value.isTensor() || !value.toTensor().defined()) continue;
      const Tensor& tensor = value.toTensor();
      const auto [found, fresh] = made.try_emplace(view_of(tensor));
      if (fresh) found->second = make(tensor).set_requires_grad(tensor.requires_grad());
      one._ivalue()->setSlot(slot, found->second);
    }
  }
}

Result<ForeignModule> look_at(Module module) {
  const auto forward = module.find_method("forward");
  if (!forward) {
    return fail(ErrorCode::unsupported, "it has no method forward, which boards would serve");
  }
  ForeignModule foreign{std::move(module), {}, {}};
  OUTCROP_CHECK(read_arguments(forward->function().getSchema(), foreign));
  OUTCROP_CHECK(read_outputs(forward->function().getSchema(), foreign));
  OUTCROP_CHECK(check_float(foreign.module));
  OUTCROP_CHECK(check_not_packed(foreign.module));
  OUTCROP_CHECK(check_types(foreign.module));
  return foreign;
}

Result<ForeignModule> load_and_look(BytesView file) {
  OUTCROP_TRY(module, load(file));
  return look_at(std::move(module));
}

bool same(const std::vector<Tensor>& one, const std::vector<Tensor>& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const Tensor& a, const Tensor& b) { return torch::equal(a, b); });
}

Status check_answer(const Tensor& output, const std::string& name, std::int64_t rows) {
  const auto type = output.scalar_type();
  if (type != torch::kFloat && type != torch::kLong) {
    return fail(ErrorCode::unsupported, "its " + name + " is " + std::string(c10::toString(type)) +
                                            "; float32 and int64 can be served");
  }
  if (output.dim() == 0 || output.size(0) != rows) {
    return fail(ErrorCode::unsupported,
                "asked " + std::to_string(rows) + " rows, it answers " +
                    (output.dim() == 0 ? "one number" : std::to_string(output.size(0)) + " rows") +
                    " as its " + name +
                    "; the first dimension of every input and output must be rows (a trace keeps the "
                    "size that it was made with: script it, or trace with a batch that is not reshaped)");
  }
  if (type == torch::kFloat && !torch::isfinite(output).all().item<bool>()) {
    return fail(ErrorCode::diverged, "its " + name + " is not finite for rows of these data");
  }
  return {};
}

// An interpreter's error shows where, then says what.
std::string last_line(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) text.pop_back();
  return text.substr(text.find_last_of('\n') + 1).substr(0, 600);
}

}  // namespace

Result<ForeignModule> load_foreign(BytesView file, const std::string& name) {
  try {
    auto foreign = load_and_look(file);
    if (!foreign) return fail(foreign.error().context(name));
    if (const Status whole = check_not_for_boards(file); !whole) return fail(whole.error().context(name));
    if (const Status plain = check_no_repeats(foreign->module); !plain) {
      return fail(plain.error().context(name));
    }
    return foreign;
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data, name + ": " + models::words_of(error));
  }
}

std::optional<std::string> in_training_mode(const Module& module) {
  for (const auto& one : module.named_modules()) {
    if (one.value.hasattr("training") && one.value.is_training()) return one.name;
  }
  return std::nullopt;
}

std::string without_values(const Module& module) {
  const torch::NoGradGuard no_gradient;
  Module copy = module.deepcopy();
  // One zero that stands for all: a file holds each storage once, whatever its shape.
  replace_tensors(copy, [](const Tensor& tensor) {
    return torch::zeros({1}, tensor.options().requires_grad(false))
        .as_strided(tensor.sizes(), std::vector<std::int64_t>(static_cast<std::size_t>(tensor.dim()), 0));
  });
  std::ostringstream out;
  copy.save(out);
  return out.str();
}

Result<ForeignModule> with_room_for_values(BytesView file) {
  OUTCROP_TRY(foreign, load_and_look(file));
  const torch::NoGradGuard no_gradient;
  replace_tensors(foreign.module,
                  [](const Tensor& tensor) { return torch::zeros(tensor.sizes(), tensor.options().requires_grad(false)); });
  return foreign;
}

std::vector<Tensor> answer(Module& module, const std::vector<Tensor>& inputs) {
  // Fused graphs are compiled for each shape, and differentiated by rules of their own.
  const torch::jit::GraphOptimizerEnabledGuard plain(false);
  return models::tensors_in(module.forward(std::vector<c10::IValue>(inputs.begin(), inputs.end())));
}

Result<std::vector<Tensor>> answer_checked(ForeignModule& foreign,
                                           const std::vector<Tensor>& inputs) {
  const torch::NoGradGuard no_gradient;
  try {
    std::vector<Tensor> given;
    for (const Tensor& input : inputs) given.push_back(input.clone());
    const auto outputs = answer(foreign.module, given);
    if (!same(given, inputs)) {
      return fail(ErrorCode::unsupported,
                  "forward changes its input, which its caller still holds; clone it first");
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      OUTCROP_CHECK(check_answer(outputs[i], foreign.outputs[i], inputs.front().size(0)));
    }
    if (!same(outputs, answer(foreign.module, given))) {
      return fail(ErrorCode::unsupported,
                  "it does not answer the same twice: what draws at random, or keeps count of calls, "
                  "cannot be proved on a board; take a seed or the noise as an input");
    }
    return outputs;
  } catch (const std::exception& error) {
    return fail(ErrorCode::invalid_data,
                "it raises for rows of these data: " + last_line(models::words_of(error)));
  }
}

}  // namespace outcrop::user_module
