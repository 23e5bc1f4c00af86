#include "trainer_host/trainer/quantize/methods/dynamic_int8.hpp"

#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/models/operator_scope.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"
#include "trainer_host/trainer/quantize/byte_rows.hpp"
#include "trainer_host/trainer/quantize/corrections/layer_calls.hpp"
#include "trainer_host/trainer/quantize/observers.hpp"
#include "trainer_host/trainer/quantize/part_layers.hpp"
#include "trainer_host/trainer/quantize/static_quantization.hpp"

namespace outcrop::quantize {
namespace {

using models::call_operator;
using torch::Tensor;
using torch::jit::Module;

constexpr const char* as_linear = "quantized::linear_dynamic";

// Symmetric codes of a matrix, a scale for each row: by the least squared error, but where that is below what static
// kernels take. Answers are floats here, and no requantization limits how small it may be.
Tensor codes_by_row(const Tensor& matrix) {
  constexpr double most_code = 127;
  const Tensor widest = (std::get<0>(matrix.abs().max(1)) / most_code).clamp_min(1e-30);
  const Tensor searched = choose_weight_scales(matrix, 0).to(torch::kFloat);
  const Tensor scales = torch::where(widest < 2 * smallest_scale, widest, searched).to(torch::kDouble);
  return torch::quantize_per_channel(matrix, scales, torch::zeros_like(scales).to(torch::kLong), 0, torch::kQInt8);
}

c10::IValue packed_linear(const Tensor& matrix, const c10::IValue& bias) {
  return call_operator("quantized::linear_prepack", {codes_by_row(matrix.contiguous()), bias});
}

c10::IValue bias_of(const Module& layer) {
  return layer.hasattr("bias") ? c10::IValue(layer.attr("bias").toTensor()) : c10::IValue();
}

Module child(const char* name) {
  Module module(std::string("__torch__.outcrop.") + name, std::make_shared<torch::jit::CompilationUnit>(),
                /*shouldMangle=*/true);
  module.register_attribute("training", c10::BoolType::get(), false);
  return module;
}

void keep(Module& module, const char* name, const c10::IValue& value) {
  module.register_attribute(name, value.type(), value);
}

Module dynamic_linear(const Module& layer) {
  Module module = child("DynamicLinear");
  keep(module, "packed", packed_linear(layer.attr("weight").toTensor(), bias_of(layer)));
  models::define_with_operators(module, R"(
def forward(self, x):
    return ops.quantized.linear_dynamic(x, self.packed, False)
)");
  return module;
}

// The constants of the one call in a layer's forward, behind its tensors.
std::vector<c10::IValue> numbers_of_call(const Module& layer, const char* operation) {
  for (const auto* node : layer.get_method("forward").graph()->nodes()) {
    if (node->kind().toQualString() != std::string("aten::") + operation) continue;
    std::vector<c10::IValue> numbers;
    for (std::size_t i = 3; i < node->inputs().size(); ++i) {
      const auto* value = node->input(i);
      if (const auto constant = torch::jit::toIValue(value)) {
        numbers.push_back(*constant);
        continue;
      }
      std::vector<std::int64_t> list;
      for (const auto* element : value->node()->inputs()) list.push_back(torch::jit::toIValue(element)->toInt());
      numbers.emplace_back(list);
    }
    return numbers;
  }
  TORCH_CHECK(false, "a layer does not call ", operation);
}

Module dynamic_convolution(const Module& layer) {
  const Tensor weight = layer.attr("weight").toTensor();
  const auto numbers = numbers_of_call(layer, "conv2d");
  Module module = child("DynamicConvolution");
  keep(module, "packed", packed_linear(weight.flatten(1), bias_of(layer)));
  keep(module, "kernel", std::vector<std::int64_t>{weight.size(2), weight.size(3)});
  keep(module, "stride", numbers.at(0));
  keep(module, "padding", numbers.at(1));
  keep(module, "dilation", numbers.at(2));
  models::define_with_operators(module, R"(
def length(self, size: int, axis: int) -> int:
    reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1
    return (size + 2 * self.padding[axis] - reach) // self.stride[axis] + 1

def forward(self, x):
    patches = torch.im2col(x, self.kernel, self.dilation, self.padding, self.stride)
    y = ops.quantized.linear_dynamic(patches.transpose(1, 2).contiguous(), self.packed, False)
    return y.transpose(1, 2).reshape(x.size(0), -1, self.length(x.size(2), 0), self.length(x.size(3), 1))
)");
  return module;
}

Module byte_embedding(const Module& layer) {
  const Tensor weight = layer.attr("weight").toTensor();
  Module module = child("ByteEmbedding");
  keep(module, "packed", packed_byte_rows(weight));
  keep(module, "width", weight.size(1));
  models::define_with_operators(module, R"(
def forward(self, x):
    rows = ops.quantized.embedding_byte(self.packed, x.reshape(-1), False)
    return rows.reshape(x.size() + [self.width])
)");
  return module;
}

// Its parameters, in the order of its call.
std::vector<Tensor> recurrent_tensors(const Module& layer) {
  std::vector<Tensor> tensors;
  for (const auto& parameter : layer.named_parameters(/*recurse=*/false)) tensors.push_back(parameter.value);
  return tensors;
}

Module dynamic_recurrent(const Module& layer, const std::string& operation) {
  std::vector<c10::IValue> numbers = numbers_of_call(layer, operation.c_str());  // from "has biases" on
  const bool biases = numbers.at(0).toBool();
  const auto tensors = recurrent_tensors(layer);
  const c10::TypePtr type = torch::getCustomClass("__torch__.torch.classes.rnn.CellParamsBase");
  c10::impl::GenericList cells(type);
  const std::size_t of_one = biases ? 4 : 2;
  for (std::size_t i = 0; i < tensors.size(); i += of_one) {
    const Tensor none = torch::zeros({tensors[i].size(0)});
    const Tensor input_bias = biases ? tensors[i + 2] : none;
    const Tensor state_bias = biases ? tensors[i + 3] : none;
    cells.push_back(call_operator("quantized::make_quantized_cell_params_dynamic",
                                  {packed_linear(tensors[i], input_bias), packed_linear(tensors[i + 1], state_bias),
                                   input_bias, state_bias, false}));
  }
  Module module = child("DynamicRecurrent");
  module.register_attribute("cells", c10::ListType::create(type), c10::IValue(cells));
  const auto flag = [&](std::size_t i) { return std::string(numbers.at(i).toBool() ? "True" : "False"); };
  const std::string rest = ", self.cells, True, " + std::to_string(numbers.at(1).toInt()) + ", 0.0, False, " + flag(4) +
                           ", " + flag(5);
  models::define_with_operators(
      module, operation == "lstm"
                  ? "def forward(self, x, state: List[Tensor]):\n    return torch.quantized_lstm(x, state" + rest +
                        ", dtype=12, use_dynamic=True)\n"
                  : "def forward(self, x, state):\n    return torch.quantized_gru(x, state" + rest + ")\n");
  return module;
}

Choice choose(const PlannedLayer& layer, const Module& module) {
  const std::string& operation = layer.operation;
  if (operation == "linear" || operation == "embedding" || operation == "lstm" || operation == "gru") return {"int8", ""};
  if (operation != "conv2d") return {"float", "has no dynamic kernel here"};
  if (groups_of(module) == 1) return {"int8", ""};
  return {"float", "its channels are in groups: unfolded it would be a matrix of zeros"};
}

Replacement made(const PlannedLayer& layer, const Module& module) {
  if (layer.operation == "linear") return {dynamic_linear(module), as_linear, true};
  if (layer.operation == "conv2d") return {dynamic_convolution(module), as_linear, true};
  if (layer.operation == "embedding") return {byte_embedding(module), "quantized::embedding_byte", false};
  return {dynamic_recurrent(module, layer.operation), "aten::quantized_" + layer.operation, true};
}

class DynamicInt8 final : public Method {
 public:
  [[nodiscard]] std::string_view name() const override { return "dynamic"; }

  [[nodiscard]] Result<Plan> plan(const kinds::Export& model) const override {
    OUTCROP_TRY(layers, decide_each(model, choose));
    return Plan{.variant = "", .method = "dynamic", .observer = "", .layers = std::move(layers)};
  }

  [[nodiscard]] Result<Applied> apply(const Plan& plan, const kinds::Export& model) const override {
    models::prepare_engine();
    Applied applied;
    for (const kinds::ExportPart& part : model.parts) {
      OUTCROP_TRY(found, layered(part));
      replace_each(plan, part.name, found, applied,
                   [](const PlannedLayer& layer, const Module& module, const std::string&) {
                     return made(layer, module);
                   });
      // As it was made LibTorch's passes would take memory that doubles with each few layers, over the shortcuts of a deep network; as
      // it is loaded they do not.
      applied.forms.back().module = reload(applied.forms.back().module);
    }
    return applied;
  }
};

}  // namespace

std::shared_ptr<const Method> make_dynamic_int8() {
  return std::make_shared<DynamicInt8>();
}

}  // namespace outcrop::quantize
