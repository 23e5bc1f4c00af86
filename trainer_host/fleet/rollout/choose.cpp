#include "trainer_host/fleet/rollout/choose.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "protocol/base/median.hpp"
#include "protocol/messages/own_operators.hpp"
#include "trainer_host/fleet/rollout/worst_errors.hpp"

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

std::optional<double> mean_error(const ReportedVariant& variant, const std::string& output) {
  for (const messages::OutputDistance& distance : variant.proof) {
    if (distance.output == output) return distance.mean_abs;
  }
  return std::nullopt;
}

// By how much `one` errs more than `other`. Nothing where a proof lacks an output.
std::optional<double> gain_in_error(const messages::Manifest& manifest, const ReportedVariant& one, const ReportedVariant& other) {
  std::vector<double> of_one, of_other;
  for (const messages::Output& output : manifest.outputs()) {
    const auto error_of_one = mean_error(one, output.name);
    const auto error_of_other = mean_error(other, output.name);
    if (!error_of_one || !error_of_other) return std::nullopt;
    of_one.push_back(*error_of_one);
    of_other.push_back(*error_of_other);
  }
  const WorstErrors errors = worst_errors(of_one, of_other);
  return errors.one - errors.other;
}

double bytes_of(const messages::Manifest& manifest, const ReportedVariant& variant) {
  const messages::Variant* const known = manifest.variant(variant.name);
  return known == nullptr ? 0 : static_cast<double>(known->blob.size.value());
}

// How much better `other` is than `one` on a board that measured both: above 0 where it is.
// Times, memory and sizes by their ratio: boards of a class differ by factors.
std::optional<double> gain(const messages::Manifest& manifest, Aim aim, const ReportedVariant& one, const ReportedVariant& other) {
  switch (aim) {
    case Aim::p50_ms:
      return std::log(one.measurement->p50_ms / other.measurement->p50_ms);
    case Aim::memory_mb:
      return std::log(megabytes(*one.measurement) / megabytes(*other.measurement));
    case Aim::size:
      return bytes_of(manifest, one) - bytes_of(manifest, other);
    case Aim::error:
      return gain_in_error(manifest, one, other);
    case Aim::p90_ms:
      break;
  }
  return std::log(one.measurement->p90_ms / other.measurement->p90_ms);
}

// The median over boards that measured both; nothing without such a board. Medians of different boards would compare the
// boards: {20, 80} ms of one variant and {60} ms of another say nothing of the two.
std::optional<double> gain_on_boards(const messages::Manifest& manifest, Aim aim, const OfBoards& one, const OfBoards& other) {
  std::vector<double> gains;
  for (const auto& [board, variant] : one) {
    const auto found = other.find(board);
    if (found == other.end()) continue;
    if (const auto value = gain(manifest, aim, *variant, *found->second)) gains.push_back(*value);
  }
  if (gains.empty()) return std::nullopt;
  return median(std::move(gains));
}

std::string in_words(const std::string& variant, const OfBoards& boards,
                     Aim aim) {
  const double p90 = median_over(boards, [](const auto& v) { return v.measurement->p90_ms; });
  const double memory =
      median_over(boards, [](const auto& v) { return megabytes(*v.measurement); });
  char figures[96];
  std::snprintf(figures, sizeof figures, "p90 %.4g ms, %.4g MB on %zu %s", p90, memory,
                boards.size(), boards.size() == 1 ? "canary" : "canaries");
  return variant + " (least " + std::string(to_string(aim)) +
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
                           const std::vector<Report>& reports, bool unmeasured_too, std::optional<Aim> wanted) {
  const Aim aim = wanted.value_or(aim_of(manifest.objective));
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
  const std::string* best = nullptr;
  std::vector<std::string> apart;
  for (const messages::Variant& variant : manifest.variants) {  // ties: the manifest's order
    const auto found = fitting.find(variant.name);
    if (found == fitting.end()) continue;
    if (best == nullptr) {
      best = &variant.name;
      continue;
    }
    const auto better = gain_on_boards(manifest, aim, fitting.at(*best), found->second);
    if (!better) apart.push_back(variant.name);
    if (better && *better > 0) best = &variant.name;
  }
  if (best == nullptr) {
    return {std::nullopt,
            "no variant is within the budget of the class " + device_class + " on every canary"};
  }
  std::string not_on_one_board;
  for (const std::string& name : apart) {
    if (gain_on_boards(manifest, aim, fitting.at(*best), fitting.at(name))) continue;
    not_on_one_board += "; no canary measured both it and " + name;
  }
  return {*best, in_words(*best, fitting.at(*best), aim) + not_on_one_board +
                     not_compared(manifest, reports, words)};
}

}  // namespace outcrop::fleet
