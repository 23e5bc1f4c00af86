#include "trainer_host/trainer/quantize/methods/stored_weights.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "runtime/engine/torch/int4/int4_operator.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/models/torch_error.hpp"
#include "trainer_host/trainer/quantize/calibrated_inputs.hpp"
#include "trainer_host/trainer/quantize/codes/awq.hpp"
#include "trainer_host/trainer/quantize/codes/gptq.hpp"
#include "trainer_host/trainer/quantize/codes/round_groups.hpp"
#include "trainer_host/trainer/quantize/part_layers.hpp"
#include "trainer_host/trainer/quantize/storage/with_stored.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;
using torch::jit::Module;
using Inputs = std::map<std::string, LayerInputs>;

constexpr std::int64_t fewest_weights = 512;  // below, a record in the file takes more than it saves
constexpr std::int64_t smallest_group = 8;
constexpr const char* by_int8 = "-int8";
constexpr const char* by_int4 = "-native";
// Below, a product takes a few microseconds whatever its weights are in.
constexpr std::int64_t fewest_native = 1 << 18;
constexpr std::int64_t largest_native_group = 65536;  // as of outcrop::linear_int4

struct Naming {
  const char* method;
  const char* format;
};

Naming naming_of(WeightCodes codes) {
  switch (codes) {
    case WeightCodes::half: return {"fp16", "fp16"};
    case WeightCodes::brain: return {"bf16", "bf16"};
    case WeightCodes::rows: return {"int8-weights", "8-bit"};
    case WeightCodes::rounding: return {"rtn", "4-bit"};
    case WeightCodes::gptq: return {"gptq", "4-bit"};
    case WeightCodes::awq: return {"awq", "4-bit"};
    case WeightCodes::normal: return {"nf4", "nf4"};
    case WeightCodes::native: return {"int4-native", "4-bit"};
  }
  return {};
}

// Columns that share a scale: the most that divide a row and are not more than was asked for.
std::int64_t group_for(std::int64_t columns, std::int64_t wanted) {
  if (wanted < 0 || wanted >= columns) return columns;
  for (std::int64_t group = wanted; group >= smallest_group; --group) {
    if (columns % group == 0) return group;
  }
  return columns;
}

// The same for outcrop::linear_int4, which wants an even number; more than was asked for where no less divides a row. 0:
// nothing does.
std::int64_t native_group_for(std::int64_t columns, std::int64_t wanted) {
  const std::int64_t most = std::min(columns, largest_native_group);
  for (const std::int64_t from : {wanted < 0 ? most : std::min(wanted, most), most}) {
    for (std::int64_t group = from; group >= smallest_group; --group) {
      if (group % 2 == 0 && columns % group == 0) return group;
    }
  }
  return 0;
}

std::int64_t columns_of(const Module& layer) {
  const bool has_weight = layer.hasattr("weight") && layer.attr("weight").isTensor();
  return has_weight && layer.attr("weight").toTensor().dim() == 2 ? layer.attr("weight").toTensor().size(1) : 0;
}

// Output channels of a transposed convolution lie along the second extent of its weight.
bool has_rows_second(const PlannedLayer& layer) {
  return layer.operation == "conv_transpose2d";
}

class StoredWeights final : public Method {
 public:
  explicit StoredWeights(WeightCodes codes) : codes_(codes) {}

  [[nodiscard]] std::string_view name() const override { return naming_of(codes_).method; }

  [[nodiscard]] Result<Plan> plan(const kinds::Export& model) const override {
    Plan plan{.variant = "", .method = naming_of(codes_).method, .observer = "", .weights = {}, .layers = {}};
    if (codes_ >= WeightCodes::rounding) plan.weights = WeightOptions();
    if (is_fitted()) {
      OUTCROP_CHECK(check_nothing_in_place(model, "inputs of layers that are looked at"));
    }
    OUTCROP_TRY(layers, decide_each(model, [&](const PlannedLayer& layer, const Module& module) {
                  return choose(layer, module);
                }));
    if (codes_ == WeightCodes::native) OUTCROP_CHECK(check_any_native(layers));
    plan.layers = std::move(layers);
    return plan;
  }

  [[nodiscard]] Result<Applied> apply(const Plan& plan, const kinds::Export& model) const override {
    models::prepare_engine();
    Applied applied;
    const WeightOptions options = plan.weights.value_or(WeightOptions());
    OUTCROP_CHECK(check_order(plan, options));
    for (const kinds::ExportPart& part : model.parts) {
      OUTCROP_TRY(found, layered(part));
      Inputs inputs;
      if (is_fitted()) {
        OUTCROP_TRY(seen, inputs_of(found, part.calibration));
        inputs = std::move(seen);
      }
      std::map<std::string, std::string> notes;
      const Making making{inputs, options, notes};
      replace_each(plan, part.name, found, applied,
                   [&](const PlannedLayer& layer, const Module& module, const std::string& format) {
                     return made(layer, module, format, making);
                   });
      for (auto& [layer, note] : notes) applied.remarks.push_back({part.name + "." + layer, std::move(note)});
    }
    return applied;
  }

 private:
  // What layers of one part are made with.
  struct Making {
    const Inputs& inputs;
    const WeightOptions& options;
    std::map<std::string, std::string>& notes;  // of layers that became otherwise than was asked
  };

  // To what layers are given.
  [[nodiscard]] bool is_fitted() const {
    return codes_ == WeightCodes::gptq || codes_ == WeightCodes::awq || codes_ == WeightCodes::native;
  }
  // Codes that outcrop::linear_int4 multiplies by as they are.
  [[nodiscard]] bool runs_in_groups() const {
    return codes_ == WeightCodes::rounding || codes_ == WeightCodes::gptq || codes_ == WeightCodes::native;
  }

  static Status check_any_native(const std::vector<LayerDecision>& layers) {
    const auto is_native = [](const LayerDecision& layer) { return layer.format.ends_with(by_int4); };
    if (std::any_of(layers.begin(), layers.end(), is_native)) return {};
    std::string others;
    for (const LayerDecision& layer : layers) {
      if (layer.operation != "linear" || layer.weights < fewest_native || layer.reason.empty()) continue;
      others += "; '" + layer.layer + "': " + layer.reason;
    }
    return fail(ErrorCode::unsupported, "it has no linear layer of " + std::to_string(fewest_native) +
                                            " weights or more" + (others.empty() ? "" : " that it can run") +
                                            ": only there do products with weights in 4 bits spare time" + others);
  }

  // Codes of columns in another order than the weight's are none that outcrop::linear_int4 multiplies by.
  [[nodiscard]] Status check_order(const Plan& plan, const WeightOptions& options) const {
    if (!options.desc_act || !is_fitted()) return {};
    for (const LayerDecision& layer : plan.layers) {
      if (!layer.format.ends_with(by_int4)) continue;
      return fail(ErrorCode::refused, "layer '" + layer.layer + "' is " + layer.format +
                                          ", whose columns stay in their order, and desc_act = true gives them another: "
                                          "leave desc_act out, or make the layer 4-bit");
    }
    return {};
  }

  [[nodiscard]] Choice choose(const PlannedLayer& layer, const Module& module) const {
    if (layer.weights < fewest_weights) return {"float", "is too small to gain: a record takes more than it saves"};
    Choice choice{naming_of(codes_).format, ""};
    if (is_fitted() && !has_seen_inputs(layer, module)) {
      choice.reason = "rounded: its weights meet no matrix of inputs that is seen";
    }
    if (layer.operation != "linear") return choice;
    const std::string plain = choice.format;
    choice.others.push_back(plain + by_int8);
    if (!runs_in_groups()) return choice;
    const bool wants_native = codes_ == WeightCodes::native && layer.weights >= fewest_native;
    if (native_group_for(columns_of(module), -1) == 0) {
      if (wants_native) {
        choice.reason = "expanded to float: no even group of " + std::to_string(smallest_group) + " to " +
                        std::to_string(largest_native_group) + " weights divides its rows of " +
                        std::to_string(columns_of(module));
      }
      return choice;
    }
    choice.others.push_back(wants_native ? plain : plain + by_int4);
    if (wants_native) choice.format += by_int4;
    return choice;
  }

  [[nodiscard]] Result<GroupCodes> grouped(const PlannedLayer& layer, const Tensor& matrix, bool native,
                                           const Making& making) const {
    const auto& [inputs, options, notes] = making;
    GroupOptions groups;
    const std::int64_t usual = group_for(matrix.size(1), options.group_size);
    groups.group = native ? native_group_for(matrix.size(1), options.group_size) : usual;
    if (groups.group != usual) {
      notes[layer.name] = "groups of " + std::to_string(groups.group) + " weights: a kernel of ours runs it, which takes even "
                          "groups of at most " + std::to_string(largest_native_group) + ", and its rows are of " +
                          std::to_string(matrix.size(1));
    } else if (options.group_size > 0 && matrix.size(1) % options.group_size != 0 && matrix.size(1) > options.group_size) {
      notes[layer.name] = "groups of " + std::to_string(groups.group) + " weights: its rows of " +
                          std::to_string(matrix.size(1)) + " do not divide by " + std::to_string(options.group_size);
    }
    groups.symmetric = options.sym;
    const auto seen = inputs.find(layer.name);
    if (seen == inputs.end()) return round_groups(matrix, groups);
    if (codes_ != WeightCodes::awq) {
      GptqOptions gptq_options{.groups = groups, .damping = options.damp_percent};
      gptq_options.activation_order = options.desc_act;
      OUTCROP_TRY(chosen, gptq(matrix, seen->second.hessian(), gptq_options));
      return std::move(chosen.codes);
    }
    groups.symmetric = false;
    OUTCROP_TRY(chosen, awq(matrix, seen->second.hessian(), seen->second.mean_abs(), groups));
    return std::move(chosen.codes);
  }

  [[nodiscard]] Result<StoredTensor> stored(const PlannedLayer& layer, const Tensor& parameter, bool native,
                                            const Making& making) const {
    if (codes_ == WeightCodes::half) return store_fp16(parameter);
    if (codes_ == WeightCodes::brain) return store_bf16(parameter);
    const ParameterShape shape{parameter.sizes().vec(), has_rows_second(layer)};
    const Tensor matrix = rows_of(parameter, shape.rows_second);
    if (codes_ == WeightCodes::rows) {
      OUTCROP_TRY(codes, round_rows_int8(matrix));
      return store_rows(codes, shape);
    }
    if (codes_ == WeightCodes::normal) {
      OUTCROP_TRY(codes, nf4(matrix, {.double_quantization = making.options.double_quant}));
      return store_nf4(codes, shape);
    }
    OUTCROP_TRY(codes, grouped(layer, matrix, native, making));
    return store_groups(codes, shape);
  }

  [[nodiscard]] Replacement made(const PlannedLayer& layer, const Module& module, const std::string& format,
                                 const Making& making) const {
    try {
      return replacement(layer, module, format, making);
    } catch (const std::exception& error) {
      TORCH_CHECK(false, "layer '", layer.name, "': ", models::words_of(error));
    }
  }

  // Matrices of a layer; its biases stay as they are.
  [[nodiscard]] Replacement replacement(const PlannedLayer& layer, const Module& module, const std::string& format,
                                        const Making& making) const {
    std::map<std::string, StoredTensor> kept;
    for (const auto& parameter : module.named_parameters(/*recurse=*/false)) {
      if (parameter.value.dim() < 2) continue;
      auto one = stored(layer, parameter.value.detach(), format.ends_with(by_int4), making);
      TORCH_CHECK(one, one.error().message());
      kept.emplace(parameter.name, std::move(*one));
    }
    if (format.ends_with(by_int8)) {
      return {with_stored_as_int8_dynamic(module, kept.at("weight")), "quantized::linear_dynamic", true};
    }
    if (format.ends_with(by_int4)) {
      return {with_stored_as_int4(module, kept.at("weight")), runtime::int4_operator, true};
    }
    return {with_stored(module, kept), "aten::" + layer.operation, false};
  }

  WeightCodes codes_;
};

}  // namespace

std::shared_ptr<const Method> make_stored_weights(WeightCodes codes) {
  return std::make_shared<StoredWeights>(codes);
}

}  // namespace outcrop::quantize
