#include "trainer_host/fleet/view/changes.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <set>

namespace outcrop::fleet {
namespace {

struct Pairs {
  std::vector<double> log_ratios, before, after;
  std::size_t throttled_before = 0, throttled_after = 0, served = 0;
  std::vector<std::pair<std::string, double>> boards;
};

void add_pair(Pairs& pairs, const std::string& board, const Figure* before, const Figure* after) {
  if (before == nullptr || after == nullptr || !before->counts() || !after->counts()) return;
  if (before->p90_ms <= 0 || after->p90_ms <= 0) return;
  pairs.log_ratios.push_back(std::log(after->p90_ms / before->p90_ms));
  pairs.before.push_back(before->p90_ms);
  pairs.after.push_back(after->p90_ms);
  pairs.boards.emplace_back(board, after->p90_ms / before->p90_ms - 1);
}

}  // namespace

Across across(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    const auto last = static_cast<double>(values.size() - 1);
    return values[static_cast<std::size_t>(std::ceil(share * last))];
  };
  const std::size_t half = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, at(.9), values.back()};
}

std::optional<ReleasePair> newest_pair(const FleetView& view, const std::string& model) {
  std::set<trust::Sha256Digest> measured;
  const trust::Sha256Digest* last = nullptr;  // most boards measured the same
  for (const Glance& glance : view.glances()) {
    const BoardRow& row = *glance.row;
    if (row.device.model != model || row.device.revoked) continue;
    for (const Figure& figure : row.figures) {
      if (!figure.counts() || (last != nullptr && figure.manifest == *last)) continue;
      last = &*measured.insert(figure.manifest).first;
    }
  }
  std::optional<trust::Sha256Digest> after;
  for (const ReleaseRecord& release : view.releases()) {  // newest first
    if (release.model != model || !measured.contains(release.manifest)) continue;
    if (after) return ReleasePair{release.manifest, *after};
    after = release.manifest;
  }
  return std::nullopt;
}

std::vector<Change> changes_of(const FleetView& view, const std::string& model,
                               const ReleasePair& releases) {
  std::map<std::pair<std::string_view, std::string_view>, Pairs> of;  // class and variant
  for (const Glance& glance : view.glances()) {
    const BoardRow& row = *glance.row;
    if (row.device.model != model || row.device.revoked) continue;
    const std::string_view device_class = row.device.device_class;
    if (row.device.status) ++of[{device_class, row.device.status->active_variant}].served;
    for (const Figure& figure : row.figures) {
      const bool is_after = figure.manifest == releases.after;
      if (!is_after && figure.manifest != releases.before) continue;
      Pairs& pairs = of[{device_class, figure.variant}];
      if (figure.throttled()) ++(is_after ? pairs.throttled_after : pairs.throttled_before);
      if (is_after) add_pair(pairs, row.device.name, row.figure(releases.before, figure.variant), &figure);
    }
  }
  std::vector<Change> changes;
  for (auto& [key, pairs] : of) {
    if (pairs.log_ratios.empty()) continue;
    Change change{model, std::string(key.first), std::string(key.second), releases, judge(pairs.log_ratios)};
    change.before_ms = across(pairs.before).median;
    change.after_ms = across(pairs.after).median;
    change.throttled_before = pairs.throttled_before;
    change.throttled_after = pairs.throttled_after;
    change.served = pairs.served;
    change.boards = std::move(pairs.boards);
    changes.push_back(std::move(change));
  }
  std::stable_sort(changes.begin(), changes.end(), [](const Change& one, const Change& other) {
    if (one.p90.verdict != other.p90.verdict) return one.p90.verdict < other.p90.verdict;
    if ((one.served > 0) != (other.served > 0)) return one.served > 0;
    if (one.p90.evidence != other.p90.evidence) return one.p90.evidence > other.p90.evidence;
    return one.p90.median > other.p90.median;
  });
  return changes;
}

namespace {

std::vector<Change> work_out(const FleetView& view) {
  std::set<std::string> models;
  for (const Glance& glance : view.glances()) models.insert(glance.row->device.model);
  std::vector<Change> all;
  for (const std::string& model : models) {
    const auto pair = newest_pair(view, model);
    if (!pair) continue;
    for (Change& change : changes_of(view, model, *pair)) all.push_back(std::move(change));
  }
  std::stable_sort(all.begin(), all.end(), [](const Change& one, const Change& other) {
    return one.p90.verdict < other.p90.verdict;
  });
  return all;
}

}  // namespace

struct KeptChanges {
  std::vector<Change> changes;
  std::uint64_t revision = 0;
  std::chrono::steady_clock::time_point worked_out;
  std::chrono::nanoseconds took{0};
};

const std::vector<Change>& newest_changes(const FleetView& view) {
  constexpr int share = 20;
  std::shared_ptr<KeptChanges>& kept = view.kept_changes();
  const auto now = std::chrono::steady_clock::now();
  const bool is_new = kept && kept->revision == view.figures_revision();
  if (is_new || (kept && now - kept->worked_out < share * kept->took)) return kept->changes;
  auto fresh = std::make_shared<KeptChanges>();
  fresh->changes = work_out(view);
  fresh->revision = view.figures_revision();
  fresh->worked_out = std::chrono::steady_clock::now();
  fresh->took = fresh->worked_out - now;
  kept = std::move(fresh);
  return kept->changes;
}

}  // namespace outcrop::fleet
