#include "trainer_host/trainer/analyze/layer_match.hpp"

#include <ATen/native/quantized/PackedParams.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "protocol/base/join.hpp"

namespace outcrop::analyze {
namespace {

using c10::IValue;
using torch::Tensor;

// What an operator's name begins with behind its namespace, the longer first.
constexpr std::array<std::string_view, 17> operations{
    "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "conv2d_transpose", "conv1d", "conv2d",
    "conv3d", "linear", "lstm_cell", "lstm", "gru_cell", "gru", "rnn_tanh", "rnn_relu", "embedding_bag",
    "embedding", "quantized_lstm"};
constexpr std::array<std::string_view, 7> activations{"aten::relu",      "aten::relu_",  "aten::relu6",
                                                      "aten::hardtanh",  "aten::hardtanh_", "aten::clamp",
                                                      "aten::clamp_min"};

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string behind_namespace(const std::string& name) {
  const auto colons = name.find("::");
  return colons == std::string::npos ? name : name.substr(colons + 2);
}

// Whatever asks for weights, or makes them ready, is no layer.
bool is_run(const std::string& word) {
  for (const char* other : {"prepack", "unpack", "backward", "_update", "renorm"}) {
    if (word.find(other) != std::string::npos) return false;
  }
  return true;
}

std::string named_operation(const std::string& name) {
  const std::string word = behind_namespace(name);
  if (!is_run(word)) return {};
  if (word == "quantized_gru") return "gru";
  for (const std::string_view operation : operations) {
    if (!word.starts_with(operation)) continue;
    if (operation == "conv2d_transpose") return "conv_transpose2d";  // XNNPACK's word for it
    if (operation == "quantized_lstm") return "lstm";
    // Not of something else that begins alike: linear_dynamic, but not linearize.
    if (word.size() > operation.size() && word[operation.size()] != '_') continue;
    return std::string(operation);
  }
  return {};
}

// The first call behind `from` that takes what that gave.
std::optional<std::size_t> consumer(const std::vector<quantize::TracedCall>& calls, std::size_t from) {
  if (calls[from].outputs.empty() || !calls[from].outputs[0].isTensor()) return std::nullopt;
  const auto* given = calls[from].outputs[0].toTensor().unsafeGetTensorImpl();
  for (std::size_t i = from + 1; i < calls.size(); ++i) {
    for (const IValue& input : calls[i].inputs) {
      if (input.isTensor() && input.toTensor().unsafeGetTensorImpl() == given) return i;
    }
  }
  return std::nullopt;
}

// What takes a layer's values, as floats where they become such at once; "" for nothing.
std::string follower(const std::vector<quantize::TracedCall>& calls, std::size_t layer) {
  auto next = consumer(calls, layer);
  if (next && calls[*next].name == "aten::dequantize") next = consumer(calls, *next);
  return next ? calls[*next].name : std::string();
}

// Where in the float run the values stand that the quantized layer gives: behind what is part of it there. An
// activation need not stand in its name: a range of codes that begins at 0 is a relu, too.
void find_compared(LayerPair& pair, const std::vector<quantize::TracedCall>& before,
                   const std::vector<quantize::TracedCall>& after) {
  const std::string follows = follower(after, pair.after);
  const bool named_relu = after[pair.after].name.find("_relu") != std::string::npos;
  pair.compared = pair.before;
  std::vector<std::string> behind;
  bool activated = false;
  for (auto next = consumer(before, pair.compared); next; next = consumer(before, pair.compared)) {
    const std::string& name = before[*next].name;
    const bool norm = name == "aten::batch_norm" && follows != name;
    activated = is_one_of(activations, name) && (named_relu || !is_one_of(activations, follows));
    if (!norm && !activated) break;
    pair.compared = *next;
    std::string word = behind_namespace(name);
    if (word.ends_with('_')) word.pop_back();
    behind.push_back(std::move(word));
    if (activated) break;
  }
  pair.clamped = named_relu && !activated;
  if (pair.clamped) behind.emplace_back("relu");
  pair.compared_after = join(behind);
}

std::vector<std::size_t> layer_places(const std::vector<quantize::TracedCall>& calls) {
  std::vector<std::size_t> layers;
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (!layer_operation(calls[i]).empty()) layers.push_back(i);
  }
  return layers;
}

std::string counted(const std::vector<quantize::TracedCall>& calls, const std::vector<std::size_t>& layers) {
  std::map<std::string, int> counts;
  for (const std::size_t at : layers) ++counts[layer_operation(calls[at])];
  std::vector<std::string> words;
  for (const auto& [operation, count] : counts) words.push_back(std::to_string(count) + " " + operation);
  return words.empty() ? "none" : join(words);
}

// A convolution may run along one axis more, or as a product with its unfolded input.
bool may_become(const std::string& before, const std::string& after) {
  if (before == after) return true;
  const bool convolution = before.starts_with("conv");
  return convolution && (after == "linear" || after.starts_with("conv"));
}

std::optional<Tensor> unpacked(const IValue& packed, bool bias) {
  const auto part = [bias](const auto& both) -> std::optional<Tensor> {
    if (!bias) return std::get<0>(both).dequantize().to(torch::kFloat);
    const auto& tensor = std::get<1>(both);
    return tensor ? std::optional<Tensor>(*tensor) : std::nullopt;
  };
  // A packed object is of one of these classes; which, only trying tells.
  try {
    return part(packed.toCustomClass<LinearPackedParamsBase>()->unpack());
  } catch (const std::exception&) {
  }
  try {
    return part(packed.toCustomClass<ConvPackedParamsBase<2>>()->unpack());
  } catch (const std::exception&) {
  }
  try {
    return part(packed.toCustomClass<ConvPackedParamsBase<3>>()->unpack());
  } catch (const std::exception&) {
  }
  return std::nullopt;
}

Tensor tensor_of(const quantize::TracedCall& call, bool bias) {
  if (call.name.starts_with("aten::")) {
    std::size_t at = bias ? 2 : 1;
    if (layer_operation(call).starts_with("embedding")) at = bias ? call.inputs.size() : 0;
    if (at >= call.inputs.size() || !call.inputs[at].isTensor()) return {};
    return call.inputs[at].toTensor();
  }
  for (const IValue& input : call.inputs) {
    if (!input.isObject()) continue;
    if (auto tensor = unpacked(input, bias)) return *tensor;
  }
  return {};
}

}  // namespace

std::string layer_operation(const quantize::TracedCall& call) {
  if (call.name != "aten::_convolution" && call.name != "aten::convolution") return named_operation(call.name);
  const Tensor weight = call.inputs.size() > 6 && call.inputs[1].isTensor() ? call.inputs[1].toTensor() : Tensor();
  if (!weight.defined()) return {};
  const bool transposed = call.inputs[6].isBool() && call.inputs[6].toBool();
  return (transposed ? "conv_transpose" : "conv") + std::to_string(weight.dim() - 2) + "d";
}

bool is_border(const std::string& name) {
  return name.starts_with("aten::quantize_per_") || name == "aten::dequantize";
}

bool works_on_codes(const quantize::TracedCall& call) {
  if (is_border(call.name)) return false;
  if (call.name.starts_with("quantized::") || call.name.starts_with("aten::quantized_")) return true;
  const auto codes = [](const IValue& value) { return value.isTensor() && value.toTensor().is_quantized(); };
  return std::any_of(call.inputs.begin(), call.inputs.end(), codes) ||
         std::any_of(call.outputs.begin(), call.outputs.end(), codes);
}

bool is_compared(const std::string& name) {
  return name == "aten::batch_norm" || name == "aten::_convolution" || name == "aten::convolution" ||
         is_one_of(activations, name) || !named_operation(name).empty();
}

Tensor weight_of(const quantize::TracedCall& call) {
  const Tensor weight = tensor_of(call, false);
  return weight.defined() && weight.is_quantized() ? weight.dequantize() : weight;
}

Tensor bias_of(const quantize::TracedCall& call) {
  return tensor_of(call, true);
}

Result<std::vector<LayerPair>> match_layers(const std::vector<quantize::TracedCall>& before,
                                            const std::vector<quantize::TracedCall>& after) {
  const auto first = layer_places(before);
  const auto second = layer_places(after);
  std::vector<LayerPair> pairs;
  for (std::size_t i = 0; i < std::min(first.size(), second.size()); ++i) {
    LayerPair pair;
    pair.before = first[i];
    pair.after = second[i];
    pair.operation = layer_operation(before[first[i]]);
    const std::string ran = layer_operation(after[second[i]]);
    if (!may_become(pair.operation, ran)) {
      return fail(ErrorCode::unsupported, "layer " + std::to_string(i + 1) + " is a " + pair.operation +
                                              " in the float model and a " + ran + " (" +
                                              after[second[i]].name + ") in the quantized one");
    }
    find_compared(pair, before, after);
    pairs.push_back(pair);
  }
  if (first.size() == second.size()) return pairs;
  return fail(ErrorCode::unsupported,
              std::to_string(first.size()) + " layers ran in the float model (" + counted(before, first) +
                  ") and " + std::to_string(second.size()) + " in the quantized one (" +
                  counted(after, second) + ")");
}

}  // namespace outcrop::analyze
