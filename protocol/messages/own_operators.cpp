#include "protocol/messages/own_operators.hpp"

#include <algorithm>
#include <optional>

namespace outcrop::messages {
namespace {

std::optional<double> p90_of(const ReportedVariant& reported) {
  if (reported.outcome != VariantOutcome::measured || !reported.measurement || !reported.measurement->void_because.empty()) {
    return std::nullopt;
  }
  return reported.measurement->p90_ms;
}

}  // namespace

bool has_own_operators(const Variant& variant) {
  return std::any_of(variant.operators.begin(), variant.operators.end(),
                     [](const std::string& name) { return name.starts_with(own_operators); });
}

bool may_be_chosen(const Variant& variant, const Manifest& manifest, const std::vector<ReportedVariant>& reported) {
  if (!has_own_operators(variant)) return true;
  std::optional<double> its;
  std::optional<double> fastest;
  for (const ReportedVariant& one : reported) {
    const auto p90 = p90_of(one);
    const Variant* described = manifest.variant(one.name);
    if (!p90 || described == nullptr) continue;
    if (one.name == variant.name) its = p90;
    if (!has_own_operators(*described)) fastest = std::min(fastest.value_or(*p90), *p90);
  }
  return its && fastest && worth_own_operators * *its <= *fastest;
}

}  // namespace outcrop::messages
