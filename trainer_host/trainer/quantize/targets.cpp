#include "trainer_host/trainer/quantize/targets.hpp"

#include <ATen/Context.h>

#include <algorithm>
#include <map>

#include "protocol/base/join.hpp"

namespace outcrop::quantize {
namespace {

constexpr const char* qnnpack = "qnnpack";
constexpr const char* xnnpack = "xnnpack";
constexpr const char* onednn = "onednn";

bool has_engine(at::QEngine engine) {
  const auto& engines = at::globalContext().supportedQEngines();
  return std::find(engines.begin(), engines.end(), engine) != engines.end();
}

// Why a layer in codes cannot be run by the target, from "has" on; "" where it can.
std::string why_not(const Target& target, const VariantKind& kind, const LayerDecision& layer) {
  const bool is_static = layer.format == "int8" && kind.kernels == xnnpack;
  const bool by_call = layer.format.ends_with("-int8") || (layer.format == "int8" && kind.method->name() == "dynamic");
  const bool in_integers = layer.format == "int8" || by_call;
  if (layer.format.ends_with("-native")) {
    return "has weights that stay in 4 bits, which a kernel of ours runs: neither QNNPACK nor XNNPACK has one";
  }
  if (!in_integers) return {};  // expanded to float when it is loaded
  const bool trained = kind.method->name() == "qat";
  if (target.name == qnnpack) {
    if (!is_static) return {};
    return std::string("has qint8 activations, which XNNPACK's kernels run; QNNPACK's are ") +
           (trained ? "int8-qat-quint8" : "int8-quint8");
  }
  if (target.name == xnnpack) {
    if (is_static) return {};
    if (by_call) return "has ranges looked at in each call, which QNNPACK's kernels alone do";
    return std::string("has quint8 activations, which QNNPACK's kernels run; XNNPACK's are ") +
           (trained ? "int8-qat" : "int8-qint8");
  }
  if (is_static) return "has qint8 activations; ONEDNN takes quint8 alone";
  if (layer.operation == "conv_transpose2d") {
    return "has no kernel there: of transposed convolutions ONEDNN has none with a scale for each channel, and LibTorch "
           "from 2 on computes them wrongly";
  }
  return {};
}

}  // namespace

const std::vector<Target>& targets() {
  static const std::vector<Target> all{
      {qnnpack, "quint8 activations (int8-quint8), and ranges looked at in each call (int8-dynamic)", ""},
      {xnnpack, "qint8 activations (int8-qint8, int8-mixed), and float-mobile; in LibTorch's engine qnnpack", ""},
      {onednn, "quint8 activations on x86",
       "boards' LibTorch has no ONEDNN, and its relu behind a zero point is off by a tenth: what runs there would not be "
       "what was proved here"}};
  return all;
}

Result<const Target*> find_target(std::string_view name) {
  std::vector<std::string> names;
  for (const Target& target : targets()) {
    if (target.name == name) return &target;
    names.push_back(target.name);
  }
  return fail(ErrorCode::invalid_argument,
              "there is no target '" + std::string(name) + "'; there are: " + join(names, ", "));
}

std::string why_not_here(const Target& target) {
  const bool is_onednn = target.name == onednn;
  if (has_engine(is_onednn ? at::QEngine::ONEDNN : at::QEngine::QNNPACK)) return {};
  return is_onednn ? "this LibTorch has no ONEDNN" : "this LibTorch has no QNNPACK";
}

Status check_target(const Target& target, const VariantKind& kind, const Plan& plan) {
  std::map<std::string, std::vector<std::string>> layers;  // by what is wrong with them
  for (const LayerDecision& layer : plan.layers) {
    std::string why = why_not(target, kind, layer);
    if (!why.empty()) layers[std::move(why)].push_back("'" + layer.layer + "' (" + layer.operation + ")");
  }
  std::vector<std::string> words;
  for (const auto& [why, names] : layers) {
    const std::string has = names.size() > 1 ? " have" : " has";
    words.push_back(join(names, ", ") + has + why.substr(std::string_view("has").size()));
  }
  if (!target.why_not.empty()) words.push_back("no variant is made for it: " + target.why_not);
  if (words.empty()) return {};
  return fail(ErrorCode::refused, "target " + target.name + " cannot run it: " + join(words, "; "));
}

}  // namespace outcrop::quantize
