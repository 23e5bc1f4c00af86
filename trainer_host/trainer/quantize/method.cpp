#include "trainer_host/trainer/quantize/method.hpp"

#include <algorithm>

#include "protocol/base/join.hpp"
#include "trainer_host/trainer/quantize/methods/float_plain.hpp"
#include "trainer_host/trainer/quantize/methods/float_mobile.hpp"
#include "trainer_host/trainer/quantize/methods/static_int8.hpp"

namespace outcrop::quantize {

const std::vector<VariantKind>& variant_kinds() {
  static const std::vector<VariantKind> kinds{
      {"float", "as it was trained; what others are compared with", "qnnpack",
       make_float_plain()},
      {"float-mobile", "float by XNNPACK's kernels: the fastest float", "qnnpack",
       make_float_mobile()},
      {"int8-quint8", "int8 by QNNPACK's kernels", "qnnpack",
       make_static_int8(ActivationType::quint8)},
      {"int8-qint8", "int8 by XNNPACK's kernels: the fastest where they are there", "qnnpack",
       make_static_int8(ActivationType::qint8)}};
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

Status check_decisions(const Plan& wanted, const Plan& possible,
                       const std::vector<std::string>& formats) {
  for (const LayerDecision& layer : wanted.layers) {
    const LayerDecision* there = possible.layer(layer.layer);
    if (there == nullptr) {
      std::vector<std::string> names;
      for (const LayerDecision& one : possible.layers) names.push_back(one.layer);
      return fail(ErrorCode::invalid_argument, "the plan decides on '" + layer.layer +
                                                   "', and the model has no such layer; it has: " +
                                                   join(names, ", "));
    }
    if (std::find(formats.begin(), formats.end(), layer.format) == formats.end()) {
      return fail(ErrorCode::invalid_argument,
                  "the plan wants layer '" + layer.layer + "' as '" + layer.format +
                      "'; variant " + possible.variant + " has: " + join(formats, ", "));
    }
  }
  return {};
}

}  // namespace outcrop::quantize
