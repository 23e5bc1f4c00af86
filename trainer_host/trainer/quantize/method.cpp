#include "trainer_host/trainer/quantize/method.hpp"

#include <algorithm>

#include "protocol/base/join.hpp"
#include "trainer_host/trainer/quantize/methods/dynamic_int8.hpp"
#include "trainer_host/trainer/quantize/methods/float_mobile.hpp"
#include "trainer_host/trainer/quantize/methods/float_plain.hpp"
#include "trainer_host/trainer/quantize/methods/mixed_int8.hpp"
#include "trainer_host/trainer/quantize/methods/static_int8.hpp"
#include "trainer_host/trainer/quantize/methods/stored_weights.hpp"

namespace outcrop::quantize {

namespace {

constexpr const char* rows_to_calibrate = "rows to calibrate with";

// The usual one's variants need no name for it.
std::string ending_of(const ObserverKind& observer) {
  return &observer == &observer_kinds().front() ? "" : "-" + observer.name;
}

// Static int8 in both kernel sets, for each way to choose ranges.
void add_static(std::vector<VariantKind>& kinds) {
  for (const ObserverKind& kind : observer_kinds()) {
    const std::string& observer = kind.name;
    const std::string ending = ending_of(kind);
    const std::string about = ending.empty() ? "" : ", ranges by " + observer;
    kinds.push_back({"int8-quint8" + ending, "static int8 by QNNPACK's kernels" + about, rows_to_calibrate,
                     "conv1d, conv2d, their transposed forms and linear, outside loops; tensors in, a tensor or a tuple of them out", "qnnpack",
                     make_static_int8(ActivationType::quint8, observer)});
    kinds.push_back({"int8-qint8" + ending, "static int8 by XNNPACK's kernels, the fastest where they are there" + about,
                     rows_to_calibrate, "as int8-quint8" + ending, "qnnpack",
                     make_static_int8(ActivationType::qint8, observer), "xnnpack"});
  }
}

}  // namespace

const std::vector<VariantKind>& variant_kinds() {
  static const std::vector<VariantKind> kinds = [] {
    std::vector<VariantKind> all{
        {"float", "as it was trained; what others are compared with", "", "", "qnnpack", make_float_plain()},
        {"float-mobile", "float by XNNPACK's kernels: on boards the fastest float", "", "", "qnnpack", make_float_mobile()}};
    add_static(all);
    all.push_back({"int8-mixed", "static int8 or float by layer, as measured errors and times have it", rows_to_calibrate,
                   "as int8-qint8", "qnnpack",
                   make_mixed_int8(make_static_int8(ActivationType::qint8, observer_kinds().front().name)), "xnnpack"});
    const char* after_training = "weights of a stage that was trained for it (train.qat_from)";
    all.push_back({"int8-qat", "static int8 that the weights were trained for, by XNNPACK's kernels", after_training,
                   "as int8-quint8", "qnnpack", make_trained_int8(ActivationType::qint8), "xnnpack"});
    all.push_back({"int8-qat-quint8", "the same codes by QNNPACK's kernels", after_training, "as int8-quint8", "qnnpack",
                   make_trained_int8(ActivationType::quint8)});
    all.push_back({"int8-dynamic", "int8 weights, activations' ranges looked at in each call", "",
                   "linear, conv1d, conv2d, embedding, LSTM, GRU; convolutions are right, not fast", "qnnpack",
                   make_dynamic_int8()});
    const std::string any = "linear, convolutions, embedding, LSTM, GRU";
    const auto weights_only = [&](const char* name, const std::string& about, const char* needs, WeightCodes codes) {
      all.push_back({name, about, needs, any, "qnnpack", make_stored_weights(codes)});
    };
    weights_only("fp16", "weights in float16 in the file, float when they run", "", WeightCodes::half);
    weights_only("bf16", "weights in bfloat16 in the file, float when they run", "", WeightCodes::brain);
    weights_only("int8-weights", "weights in 8 bits in the file, a scale for each row", "", WeightCodes::rows);
    weights_only("rtn-4bit", "weights in 4 bits in the file, rounded in groups", "", WeightCodes::rounding);
    weights_only("gptq-4bit", "the same, what rounding loses made up for by the weights that follow (GPTQ)",
                 rows_to_calibrate, WeightCodes::gptq);
    weights_only("awq-4bit", "the same, columns with large inputs kept finer (AWQ)", rows_to_calibrate,
                 WeightCodes::awq);
    weights_only("int4-native",
                 "4 bits in memory as well: large linear layers run by a kernel of ours, for one row at a time", rows_to_calibrate,
                 WeightCodes::native);
    weights_only("nf4-4bit", "weights in NormalFloat4, scales in codes of their own (QLoRA)", "", WeightCodes::normal);
    return all;
  }();
  return kinds;
}

Result<const VariantKind*> find_variant(std::string_view name) {
  std::vector<std::string> names;
  for (const VariantKind& kind : variant_kinds()) {
    if (kind.name == name) return &kind;
    names.push_back(kind.name);
  }
  return fail(ErrorCode::invalid_argument, "there is no variant '" + std::string(name) +
                                               "'; there are: " + join(names, ", "));
}

std::vector<std::string> usual_variants() {
  return {"float", "float-mobile", "int8-quint8", "int8-qint8"};
}

std::vector<std::string> trained_variants() {
  return {"int8-qat-quint8", "int8-qat"};
}

const std::vector<MethodName>& method_names() {
  static const std::vector<MethodName> names = [] {
    std::vector<MethodName> all;
    for (const ObserverKind& observer : observer_kinds()) {
      const std::string ending = ending_of(observer);
      const std::vector<std::string> both{"int8-quint8" + ending, "int8-qint8" + ending};
      if (ending.empty()) all.push_back({"static", both});
      all.push_back({"static" + (ending.empty() ? "-mse" : ending), both});
    }
    all.push_back({"qat", trained_variants()});
    for (const auto& [name, variant] : std::initializer_list<std::pair<const char*, const char*>>{
             {"mixed", "int8-mixed"}, {"dynamic", "int8-dynamic"}, {"bnb-8bit", "int8-weights"}, {"bnb-4bit", "nf4-4bit"},
             {"nf4", "nf4-4bit"}, {"rtn4", "rtn-4bit"}, {"gptq", "gptq-4bit"}, {"awq", "awq-4bit"}}) {
      all.push_back({name, {variant}});
    }
    for (const VariantKind& kind : variant_kinds()) all.push_back({kind.name, {kind.name}});
    return all;
  }();
  return names;
}

Result<const MethodName*> find_method(std::string_view name) {
  std::vector<std::string> names;
  for (const MethodName& one : method_names()) {
    if (one.name == name) return &one;
    names.push_back(one.name);
  }
  return fail(ErrorCode::invalid_argument,
              "there is no method '" + std::string(name) + "'; there are: " + join(names, ", "));
}

Result<std::vector<std::string>> variants_of(const std::vector<std::string>& methods) {
  std::vector<std::string> variants;
  for (const std::string& method : methods) {
    OUTCROP_TRY(found, find_method(method));
    variants.insert(variants.end(), found->variants.begin(), found->variants.end());
  }
  return variants;
}

Status check_decisions(const Plan& wanted, const Plan& possible) {
  for (const LayerDecision& layer : wanted.layers) {
    const LayerDecision* there = possible.layer(layer.layer);
    if (there == nullptr) {
      std::vector<std::string> names;
      for (const LayerDecision& one : possible.layers) names.push_back(one.layer);
      return fail(ErrorCode::invalid_argument, "the plan decides on '" + layer.layer +
                                                   "', and the model has no such layer; it has: " +
                                                   join(names, ", "));
    }
    if (layer.operation != there->operation) {
      return fail(ErrorCode::invalid_argument, "the plan says that layer '" + layer.layer + "' is " + layer.operation +
                                                   ", and in the model it is " + there->operation +
                                                   ": it is of another model, or was changed by hand");
    }
    if (std::find(there->formats.begin(), there->formats.end(), layer.format) == there->formats.end()) {
      return fail(ErrorCode::invalid_argument,
                  "the plan wants layer '" + layer.layer + "' as '" + layer.format + "'; variant " +
                      possible.variant + " has for it: " + join(there->formats, ", ") +
                      (there->reason.empty() ? "" : " (" + there->reason + ")"));
    }
  }
  return {};
}

Status check_nothing_in_place(const kinds::Export& model, const std::string& what) {
  for (const kinds::ExportPart& part : model.parts) {
    if (part.changed_in_place.empty()) continue;
    return fail(ErrorCode::unsupported, "it changes a tensor in place (" + part.changed_in_place + "), and " + what +
                                            " could be moved past that: write it without, as in x = x.mul(2)");
  }
  return {};
}

Status check_operators(const std::map<std::string, int>& counts, const std::vector<MadeLayer>& layers) {
  struct Wanted {
    int count = 0;
    std::vector<std::string> names;
  };
  std::map<std::string, Wanted> wanted;
  for (const MadeLayer& layer : layers) {
    if (layer.runs_as.empty()) continue;
    wanted["aten::" + layer.layer.operation];  // where it is to be something else: not once
    Wanted& one = wanted[layer.runs_as];
    one.count += layer.layer.calls;
    one.names.push_back(layer.layer.name);
  }
  const bool varies = std::any_of(layers.begin(), layers.end(),
                                  [](const MadeLayer& layer) { return !layer.layer.inside.empty(); });
  std::map<std::string, int> ran;
  for (const auto& [name, count] : counts) {
    const bool fused = name.starts_with("quantized::") && name.ends_with("_relu");
    ran[fused ? name.substr(0, name.size() - std::string_view("_relu").size()) : name] += count;
  }
  for (const auto& [name, one] : wanted) {
    // In loops and branches as often as what came in decided.
    if (ran[name] == one.count || (varies && one.count > 0 && ran[name] > 0)) continue;
    return fail(ErrorCode::internal, name + " ran " + std::to_string(ran[name]) + " times where the plan has " +
                                         std::to_string(one.count) +
                                         (one.names.empty() ? "" : ": " + join(one.names, ", ")));
  }
  return {};
}

}  // namespace outcrop::quantize
