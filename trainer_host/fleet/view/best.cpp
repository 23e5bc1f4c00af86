#include "trainer_host/fleet/view/best.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "protocol/base/counted.hpp"
#include "trainer_host/fleet/rollout/figures_in_words.hpp"
#include "trainer_host/fleet/rollout/worst_errors.hpp"
#include "trainer_host/fleet/view/paired_change.hpp"

namespace outcrop::fleet {
namespace {

using Candidate = std::pair<trust::Sha256Digest, std::string>;  // release and variant

std::optional<double> log_ratio(Aim aim, const Figure& figure, const Figure& incumbent, const SizeOf& size_of) {
  double one = 0, other = 0;
  switch (aim) {
    case Aim::p90_ms:
      one = figure.p90_ms, other = incumbent.p90_ms;
      break;
    case Aim::p50_ms:
      one = figure.p50_ms, other = incumbent.p50_ms;
      break;
    case Aim::memory_mb:
      one = static_cast<double>(figure.peak_memory), other = static_cast<double>(incumbent.peak_memory);
      break;
    case Aim::size:
      one = static_cast<double>(size_of(figure.manifest, figure.variant).value_or(0));
      other = static_cast<double>(size_of(incumbent.manifest, incumbent.variant).value_or(0));
      break;
    case Aim::error: {
      if (figure.errors.empty() || figure.errors.size() != incumbent.errors.size()) return std::nullopt;
      const WorstErrors errors = worst_errors(figure.errors, incumbent.errors);
      one = errors.one, other = errors.other;
      break;
    }
  }
  if (one <= 0 || other <= 0) return std::nullopt;
  return std::log(one / other);
}

std::string worth(const Contender& one, Aim aim) {
  const std::string line = " of " + rounded(stop_line);
  if (one.boards == 0) return "no board measured both";
  if (aim == Aim::size) return "by the manifest: no evidence is needed";
  if (one.better >= stop_line) return "less, evidence " + rounded(one.better) + line;
  if (one.worse >= stop_line) return "more, evidence " + rounded(one.worse) + line;
  if (one.boards < least_boards) return counted(one.boards, "board") + ": too few for evidence";
  return "no evidence of a difference of more than 2 % (" + rounded(std::max(one.better, one.worse)) + line + ")";
}

Contender judged(const Contest::Pairs& pairs, Aim aim) {
  Contender one;
  one.manifest = pairs.manifest;
  one.variant = pairs.variant;
  one.boards = pairs.logs.size();
  if (one.boards > 0 && aim == Aim::size) {
    one.ratio = one.low = one.high = std::exp(pairs.logs.front());
  } else if (one.boards > 0) {
    const PairedChange change = judge(pairs.logs);
    std::vector<double> turned;
    for (const double log : pairs.logs) turned.push_back(-log);
    one.ratio = 1 + change.median;
    if (change.low) one.low = 1 + *change.low;
    if (change.high) one.high = 1 + *change.high;
    one.worse = change.evidence;
    one.better = judge(turned).evidence;
  }
  one.words = worth(one, aim);
  return one;
}

bool is_better(const Contender& one, const Contender& other) {
  if (one.ratio.has_value() != other.ratio.has_value()) return one.ratio.has_value();
  return one.ratio && *one.ratio < *other.ratio;
}

// Of each release the variant that is best.
std::vector<Contender> best_of_releases(std::vector<Contender> all) {
  std::stable_sort(all.begin(), all.end(), is_better);
  std::vector<Contender> best;
  for (Contender& one : all) {
    const bool known = std::any_of(best.begin(), best.end(), [&](const Contender& other) { return other.manifest == one.manifest; });
    if (!known) best.push_back(std::move(one));
  }
  return best;
}

// What is said of a class: whether anything is shown to be better than what it has.
std::string summary(const BestOfClass& best, Aim aim) {
  if (!best.incumbent) return "no board serves anything yet";
  const auto shown = [&](const std::vector<Contender>& all) {
    const bool first_is_best = !all.empty() && all.front().ratio && *all.front().ratio < 1;
    return first_is_best && (aim == Aim::size || all.front().better >= stop_line) ? &all.front() : nullptr;
  };
  std::string text;
  if (const Contender* one = shown(best.variants)) {
    text = one->variant + " is better than " + best.incumbent->variant + ": " + percent(*one->ratio);
  } else {
    text = "no variant is shown to be better than " + best.incumbent->variant;
  }
  if (aim == Aim::error) return text + "; releases are not compared: an error is that beside the release's own float model";
  const Contender* other = shown(best.releases);
  if (other != nullptr && other->manifest != best.incumbent->manifest) {
    return text + "; release " + other->manifest.short_hex() + " is better: " + percent(*other->ratio) + " by " + other->variant;
  }
  return text + "; no release is shown to be better";
}

struct OfClass {
  std::vector<const BoardRow*> boards;
  std::map<Candidate, std::size_t> serving;
};

Contest contest_of(const FleetView& view, const std::string& model, const std::string& device_class, const OfClass& all, Aim aim, const SizeOf& size_of) {
  Contest contest;
  contest.of.model = model;
  contest.of.device_class = device_class;
  contest.of.boards = all.boards.size();
  const auto most = std::max_element(all.serving.begin(), all.serving.end(),
                                     [](const auto& one, const auto& other) { return one.second < other.second; });
  if (most == all.serving.end()) return contest;
  const auto& [manifest, variant] = most->first;
  contest.of.serving = most->second;
  contest.of.incumbent = Contender();
  contest.of.incumbent->manifest = manifest;
  contest.of.incumbent->variant = variant;
  std::map<Candidate, std::vector<double>> pairs;
  for (const BoardRow* board : all.boards) {
    const Figure* const incumbent = board->figure(manifest, variant);
    for (const Figure& figure : board->figures) {
      if (!figure.counts() || (figure.manifest == manifest && figure.variant == variant)) continue;
      std::vector<double>& logs = pairs[{figure.manifest, figure.variant}];
      if (incumbent == nullptr || !incumbent->counts()) continue;
      if (const auto log = log_ratio(aim, figure, *incumbent, size_of)) logs.push_back(*log);
    }
  }
  for (auto& [candidate, logs] : pairs) {
    const ReleaseRecord* const release = view.release(candidate.first);
    Contest::Pairs one{candidate.first, candidate.second, std::move(logs)};
    if (candidate.first == manifest) {
      contest.variants.push_back(std::move(one));
    } else if (aim != Aim::error && release != nullptr && release->state == ReleaseState::published) {
      contest.others.push_back(std::move(one));
    }
  }
  return contest;
}

}  // namespace

std::vector<Contest> contests(const FleetView& view, Aim aim, const SizeOf& size_of) {
  std::map<std::pair<std::string, std::string>, OfClass> classes;  // by model and class
  for (const auto& [name, row] : view.boards()) {
    if (row.device.revoked) continue;
    OfClass& of = classes[{row.device.model, row.device.device_class}];
    of.boards.push_back(&row);
    const auto& status = row.device.status;
    if (status && status->active_manifest) ++of.serving[{*status->active_manifest, status->active_variant}];
  }
  std::vector<Contest> all;
  for (const auto& [key, of] : classes) all.push_back(contest_of(view, key.first, key.second, of, aim, size_of));
  return all;
}

std::vector<BestOfClass> judge(std::vector<Contest> contests, Aim aim) {
  std::vector<BestOfClass> all;
  for (Contest& contest : contests) {
    BestOfClass& best = contest.of;
    if (best.incumbent) {
      Contender& incumbent = *best.incumbent;
      incumbent.ratio = 1;
      incumbent.boards = best.serving;
      incumbent.words = "what " + std::to_string(best.serving) + " of " + counted(best.boards, "board") + " serve";
      best.variants.push_back(incumbent);
      for (const auto& pairs : contest.variants) best.variants.push_back(judged(pairs, aim));
      std::stable_sort(best.variants.begin(), best.variants.end(), is_better);
      if (aim != Aim::error) {
        std::vector<Contender> releases{best.variants.front()};
        for (const auto& pairs : contest.others) releases.push_back(judged(pairs, aim));
        best.releases = best_of_releases(std::move(releases));
      }
    }
    best.words = summary(best, aim);
    all.push_back(std::move(best));
  }
  return all;
}

}  // namespace outcrop::fleet
