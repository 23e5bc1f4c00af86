#include "trainer_host/fleet/rollout/choose.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "protocol/messages/own_operators.hpp"

namespace outcrop::fleet {
namespace {

using messages::Report;
using messages::ReportedMeasurement;
using messages::ReportedVariant;
using messages::VariantOutcome;

// What the boards of a class found out about one variant: the newest word of each.
using OfBoards = std::map<std::string, const ReportedVariant*>;

double megabytes(const ReportedMeasurement& measurement) {
  return static_cast<double>(measurement.peak_memory.value()) / 1e6;
}

bool counts(const ReportedVariant& variant) {
  return variant.outcome == VariantOutcome::measured && variant.measurement &&
         variant.measurement->void_because.empty();
}

bool says_no(const ReportedVariant& variant) {
  return variant.outcome == VariantOutcome::failed || variant.outcome == VariantOutcome::refused;
}

std::map<std::string, OfBoards> newest_words(const std::vector<Report>& reports) {
  std::map<std::string, OfBoards> words;
  for (const Report& report : reports) {  // newest first: the first word is kept
    for (const ReportedVariant& variant : report.variants) {
      if (counts(variant) || says_no(variant)) {
        words[variant.name].emplace(report.header.device, &variant);
      }
    }
  }
  return words;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

bool measured_by(const Report& report, const std::string& variant) {
  return std::any_of(report.variants.begin(), report.variants.end(),
                     [&](const ReportedVariant& one) { return one.name == variant && counts(one); });
}

template <class Value>
double median_over(const OfBoards& boards, Value value) {
  std::vector<double> values;
  for (const auto& [board, variant] : boards) values.push_back(value(*variant));
  return median(std::move(values));
}

bool fits(const OfBoards& boards, const messages::Budget& budget) {
  return std::all_of(boards.begin(), boards.end(), [&](const auto& board) {
    const ReportedVariant& variant = *board.second;
    return counts(variant) && variant.measurement->p90_ms <= budget.p90_ms &&
           megabytes(*variant.measurement) <= budget.memory_mb;
  });
}

double mean_error(const ReportedVariant& variant, const std::string& output) {
  for (const messages::OutputDistance& distance : variant.proof) {
    if (distance.output == output) return distance.mean_abs;
  }
  return 0;
}

// Outputs have different units: each is taken in relation to the largest error among variants.
std::map<std::string, double> error_scores(const messages::Manifest& manifest,
                                           const std::map<std::string, OfBoards>& fitting) {
  std::map<std::string, double> scores;
  for (const messages::Output& output : manifest.outputs()) {
    std::map<std::string, double> errors;
    double largest = 0;
    for (const auto& [name, boards] : fitting) {
      errors[name] = median_over(
          boards, [&](const ReportedVariant& variant) { return mean_error(variant, output.name); });
      largest = std::max(largest, errors[name]);
    }
    for (const auto& [name, error] : errors) {
      scores[name] = std::max(scores[name], largest > 0 ? error / largest : 0.0);
    }
  }
  return scores;
}

double score(const OfBoards& boards, messages::Objective objective) {
  return median_over(boards, [&](const ReportedVariant& variant) {
    switch (objective) {
      case messages::Objective::p50_ms:
        return variant.measurement->p50_ms;
      case messages::Objective::memory_mb:
        return megabytes(*variant.measurement);
      default:
        return variant.measurement->p90_ms;
    }
  });
}

std::string in_words(const std::string& variant, const OfBoards& boards,
                     messages::Objective objective) {
  const double p90 = median_over(boards, [](const auto& v) { return v.measurement->p90_ms; });
  const double memory =
      median_over(boards, [](const auto& v) { return megabytes(*v.measurement); });
  char figures[96];
  std::snprintf(figures, sizeof figures, "p90 %.4g ms, %.4g MB on %zu %s", p90, memory,
                boards.size(), boards.size() == 1 ? "canary" : "canaries");
  return variant + " (least " + std::string(messages::to_string(objective)) +
         " within the budget: " + figures + ")";
}

// Variants that canaries tried without a measurement that counts: nobody knows that the chosen one
// is better than those.
std::string not_compared(const messages::Manifest& manifest, const std::vector<Report>& reports,
                         const std::map<std::string, OfBoards>& words) {
  std::map<std::string, std::string> why;  // by variant, as the newest report says
  for (const Report& report : reports) {
    for (const ReportedVariant& variant : report.variants) {
      if (variant.outcome == VariantOutcome::not_measured || words.contains(variant.name)) continue;
      const bool is_void = variant.measurement && !variant.measurement->void_because.empty();
      why.emplace(variant.name, is_void ? variant.measurement->void_because[0] : variant.reason);
    }
  }
  std::string text;
  for (const messages::Variant& variant : manifest.variants) {
    const auto found = why.find(variant.name);
    if (found == why.end()) continue;
    text += (text.empty() ? "; not compared with " : ", ") + variant.name;
    text += found->second.empty() ? "" : " (" + found->second + ")";
  }
  return text.empty() ? "" : text + ", which no canary could measure";
}

// What the newest canary that serves this release chose by itself, having measured nothing.
std::optional<std::string> served_unmeasured(const messages::Manifest& manifest,
                                             const std::vector<Report>& reports) {
  for (const Report& report : reports) {
    const bool serves = report.state == messages::DeploymentState::updated &&
                        report.active_manifest == report.deployment.manifest;
    if (serves && manifest.variant(report.active_variant) != nullptr) return report.active_variant;
  }
  return std::nullopt;
}

bool any_measured(const std::map<std::string, OfBoards>& words) {
  return std::any_of(words.begin(), words.end(), [](const auto& word) {
    return std::any_of(word.second.begin(), word.second.end(),
                       [](const auto& board) { return counts(*board.second); });
  });
}

}  // namespace

ClassChoice choose_variant(const messages::Manifest& manifest, const std::string& device_class,
                           const std::vector<Report>& reports, bool unmeasured_too) {
  const auto words = newest_words(reports);
  const bool measured = any_measured(words);
  // What nobody could measure no budget can judge.
  if (const auto served = served_unmeasured(manifest, reports);
      served && !measured && unmeasured_too) {
    return {*served, *served + " UNMEASURED (a canary serves it; none could measure)"};
  }
  const auto budget =
      std::find_if(manifest.budgets.begin(), manifest.budgets.end(),
                   [&](const auto& entry) { return entry.device_class == device_class; });
  if (budget == manifest.budgets.end()) {
    return {std::nullopt, "the release has no budget for the class " + device_class};
  }
  if (!measured) {
    return {std::nullopt, "no canary of the class " + device_class + " measured it"};
  }
  std::map<std::string, OfBoards> fitting;
  for (const auto& [name, boards] : words) {
    const messages::Variant* variant = manifest.variant(name);
    if (variant == nullptr || !fits(boards, *budget)) continue;
    const bool worth = std::all_of(reports.begin(), reports.end(), [&](const Report& report) {
      return !measured_by(report, name) || messages::may_be_chosen(*variant, manifest, report.variants);
    });
    if (worth) fitting.emplace(name, boards);
  }
  const auto errors = error_scores(manifest, fitting);
  const std::string* best = nullptr;
  double least = 0;
  for (const messages::Variant& variant : manifest.variants) {  // ties: the manifest's order
    const auto found = fitting.find(variant.name);
    if (found == fitting.end()) continue;
    const double value = manifest.objective == messages::Objective::error
                             ? errors.at(variant.name)
                             : score(found->second, manifest.objective);
    if (best != nullptr && value >= least) continue;
    best = &variant.name;
    least = value;
  }
  if (best == nullptr) {
    return {std::nullopt,
            "no variant is within the budget of the class " + device_class + " on every canary"};
  }
  return {*best, in_words(*best, fitting.at(*best), manifest.objective) +
                     not_compared(manifest, reports, words)};
}

}  // namespace outcrop::fleet
