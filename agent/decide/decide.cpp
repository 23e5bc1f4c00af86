#include "agent/decide/decide.hpp"

#include <algorithm>
#include <iterator>
#include <map>

#include "protocol/base/number.hpp"
#include "protocol/messages/own_operators.hpp"

namespace outcrop::agent {
namespace {

using messages::ReportedVariant;
using messages::VariantOutcome;
using Verdict = Decision::Verdict;

constexpr double bytes_per_mb = 1e6;

double megabytes(const ReportedVariant& variant) {
  return static_cast<double>(variant.measurement->peak_memory.value()) / bytes_per_mb;
}

bool keeps(const messages::Budget& budget, const ReportedVariant& variant) {
  return variant.measurement->p90_ms <= budget.p90_ms && megabytes(variant) <= budget.memory_mb;
}

// Of each output in proportion to the largest among `all`; the worst output counts.
double error_of(const ReportedVariant& variant, const std::vector<const ReportedVariant*>& all) {
  std::map<std::string, double> largest;
  for (const ReportedVariant* other : all) {
    for (const messages::OutputDistance& distance : other->proof) {
      double& most = largest[distance.output];
      most = std::max(most, distance.mean_abs);
    }
  }
  double worst = 0;
  for (const messages::OutputDistance& distance : variant.proof) {
    const double most = largest[distance.output];
    worst = std::max(worst, most > 0 ? distance.mean_abs / most : 0.0);
  }
  return worst;
}

double cost(messages::Objective objective, const ReportedVariant& variant,
            const std::vector<const ReportedVariant*>& all) {
  switch (objective) {
    case messages::Objective::p50_ms:
      return variant.measurement->p50_ms;
    case messages::Objective::p90_ms:
      return variant.measurement->p90_ms;
    case messages::Objective::memory_mb:
      return megabytes(variant);
    case messages::Objective::error:
      break;
  }
  return error_of(variant, all);
}

std::string describe(const ReportedVariant& variant) {
  return variant.name + " p90 " + write_number(variant.measurement->p90_ms) + " ms, " +
         write_number(megabytes(variant)) + " MB";
}

std::string list(const std::vector<const ReportedVariant*>& variants) {
  std::string text;
  for (const ReportedVariant* variant : variants) {
    text += (text.empty() ? "" : "; ") + describe(*variant);
  }
  return text;
}

}  // namespace

Decision decide(const messages::Manifest& manifest, const std::string& device_class,
                const std::vector<ReportedVariant>& variants) {
  std::vector<const ReportedVariant*> measured;
  std::string disturbed;
  for (const ReportedVariant& variant : variants) {
    if (variant.outcome == VariantOutcome::refused || variant.outcome == VariantOutcome::failed) {
      return {Verdict::fail, {}, variant.name + ": " + variant.reason};
    }
    if (variant.outcome == VariantOutcome::measured) measured.push_back(&variant);
    if (variant.outcome == VariantOutcome::not_measurable && disturbed.empty()) {
      disturbed = variant.name + ": " + variant.reason;
    }
  }
  if (measured.empty()) {
    std::string why = "no variant was measured";
    for (const ReportedVariant& variant : variants) {
      if (!variant.reason.empty()) why += "; " + variant.name + " " + variant.reason;
    }
    return {Verdict::unmeasurable, {}, disturbed.empty() ? why : disturbed};
  }
  const auto budget =
      std::find_if(manifest.budgets.begin(), manifest.budgets.end(),
                   [&](const messages::Budget& b) { return b.device_class == device_class; });
  if (budget == manifest.budgets.end()) {
    return {Verdict::no_budget,
            {},
            "measured and not activated: the release has no budget for boards of the class " +
                device_class + " (" + list(measured) + ")"};
  }
  std::vector<const ReportedVariant*> within;
  std::copy_if(measured.begin(), measured.end(), std::back_inserter(within), [&](const ReportedVariant* variant) {
    const messages::Variant* described = manifest.variant(variant->name);
    return keeps(*budget, *variant) && (described == nullptr || messages::may_be_chosen(*described, manifest, variants));
  });
  const ReportedVariant* best = nullptr;
  for (const ReportedVariant* variant : within) {
    if (best == nullptr ||
        cost(manifest.objective, *variant, within) < cost(manifest.objective, *best, within)) {
      best = variant;
    }
  }
  if (best == nullptr) {
    return {Verdict::fail,
            {},
            "budget: no variant keeps that of " + device_class + " (p90 " + write_number(budget->p90_ms) +
                " ms, " + write_number(budget->memory_mb) + " MB): " + list(measured)};
  }
  return {Verdict::activate, best->name,
          describe(*best) + ": the least " + std::string(messages::to_string(manifest.objective)) +
              " within the budget"};
}

std::string first_proved(const messages::Manifest& manifest,
                         const std::vector<ReportedVariant>& variants) {
  for (const messages::Variant& described : manifest.variants) {
    for (const ReportedVariant& variant : variants) {
      if (variant.name == described.name && !variant.proof.empty() && !messages::has_own_operators(described) &&
          variant.outcome == VariantOutcome::not_measurable) {
        return variant.name;
      }
    }
  }
  return {};
}

}  // namespace outcrop::agent
