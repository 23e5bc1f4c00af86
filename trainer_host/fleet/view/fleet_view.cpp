#include "trainer_host/fleet/view/fleet_view.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "trainer_host/fleet/registry/rows_by_name.hpp"
#include "trainer_host/fleet/rollout/engine.hpp"
#include "trainer_host/fleet/rollout/observe.hpp"

namespace outcrop::fleet {
namespace {

constexpr std::size_t releases_looked_at = 6;
// The newest of them has every variant that the board tried; one before, what that one lacks.
constexpr std::size_t reports_looked_at = 2;
constexpr std::size_t rollouts_looked_at = 200;
constexpr std::size_t rollouts_watched = 2;
constexpr std::chrono::milliseconds longest_look{5};

Figure figure_of(const StoredReport& stored, const messages::ReportedVariant& variant) {
  const messages::ReportedMeasurement& measured = *variant.measurement;
  Figure figure;
  figure.manifest = stored.report.deployment.manifest;
  figure.variant = variant.name;
  figure.received = stored.received;
  figure.void_because = measured.void_because;
  figure.p50_ms = measured.p50_ms;
  figure.p90_ms = measured.p90_ms;
  figure.load_ms = measured.load_ms;
  figure.first_ms = measured.first_ms;
  figure.peak_memory = measured.peak_memory.value();
  return figure;
}

bool same(const Assignment& one, const Assignment& other) {
  return one.rollout == other.rollout && one.device == other.device && one.state == other.state &&
         one.generation == other.generation && one.cancelled == other.cancelled &&
         one.excluded == other.excluded && one.reason == other.reason;
}

bool same(const RolloutRecord& one, const RolloutRecord& other) {
  return one.state == other.state && one.reason == other.reason;
}

const std::string& device_of(const Assignment& assignment) {
  return assignment.device;
}

bool same_figures(const BoardRow& one, const BoardRow& other) {
  const auto serves = [](const BoardRow& row) { return row.device.status ? row.device.status->active_variant : ""; };
  return one.device.revoked == other.device.revoked && serves(one) == serves(other) &&
         std::equal(one.figures.begin(), one.figures.end(), other.figures.begin(), other.figures.end(),
                    [](const Figure& a, const Figure& b) {
                      return a.received == b.received && a.manifest == b.manifest && a.variant == b.variant && a.p90_ms == b.p90_ms;
                    });
}

Glance glance_of(const BoardRow& row) {
  Glance glance{&row, row.device.last_seen};
  const Figure* const serving = row.serving();
  if (serving == nullptr || !serving->counts()) return glance;
  glance.measured = true;
  glance.p50_ms = serving->p50_ms;
  glance.p90_ms = serving->p90_ms;
  glance.peak_memory = static_cast<double>(serving->peak_memory);
  return glance;
}

bool same(const BoardRow& one, const BoardRow& other) {
  return one.online == other.online && one.health == other.health && one.why == other.why &&
         one.device.last_seen == other.device.last_seen &&
         one.device.status == other.device.status &&
         one.figures.size() == other.figures.size() &&
         (one.figures.empty() || one.figures[0].received == other.figures[0].received);
}

}  // namespace

FleetView::FleetView(Registry& registry, Surroundings surroundings)
    : registry_(&registry),
      surroundings_(std::move(surroundings)),
      listening_(registry.listen([this](const std::string& device, Written what) { written(device, what); })) {}

bool Figure::throttled() const {
  return std::any_of(void_because.begin(), void_because.end(), [](const std::string& reason) {
    return reason.find("throttled") != std::string::npos;
  });
}

std::string_view to_string(Health health) {
  switch (health) {
    case Health::failed:
      return "failed";
    case Health::silent:
      return "silent";
    case Health::throttled:
      return "throttled";
    case Health::waiting:
      return "waiting";
    case Health::well:
      return "well";
    case Health::revoked:
      break;
  }
  return "revoked";
}

const Figure* BoardRow::figure(const trust::Sha256Digest& manifest,
                               const std::string& variant) const {
  for (const Figure& one : figures) {
    if (one.manifest == manifest && one.variant == variant) return &one;
  }
  return nullptr;
}

const Figure* BoardRow::serving() const {
  if (!device.status || !device.status->active_manifest) return nullptr;
  return figure(*device.status->active_manifest, device.status->active_variant);
}

const ReleaseRecord* FleetView::release(const trust::Sha256Digest& manifest) const {
  for (const ReleaseRecord& one : releases_) {
    if (one.manifest == manifest) return &one;
  }
  return nullptr;
}

std::optional<Judgement> FleetView::judgement_of(const RolloutRow& row, Timestamp now, bool with_intervals) const {
  const auto compared = [](const Assignment& one) { return one.slowdown.has_value(); };
  if (std::none_of(row.assignments.begin(), row.assignments.end(), compared)) return std::nullopt;
  RolloutEvidence evidence(row.record, now);
  each_board(row, [&](const BoardRow& board, const Assignment* assigned) {
    if (board.device.model == row.record.model) evidence.add(board.device, assigned, board.online);
  });
  return evidence.judge(with_intervals);
}

void FleetView::each_board(const RolloutRow& row, const std::function<void(const BoardRow&, const Assignment*)>& each) const {
  auto next = row.assignments.begin();
  const auto end = row.assignments.end();
  for (const Glance& glance : glances_) {
    const std::string& name = glance.row->device.name;
    while (next != end && next->device < name) ++next;
    each(*glance.row, next != end && next->device == name ? &*next : nullptr);
  }
}

std::string FleetView::name_of(const trust::Sha256Digest& manifest) const {
  const ReleaseRecord* known = release(manifest);
  if (known == nullptr) return manifest.short_hex();
  return known->model + " stage " + std::to_string(known->stage);
}

Status FleetView::refresh() {
  return registry_->at_one_moment([this] { return read_new(); });
}

Status FleetView::read_new() {
  OUTCROP_TRY(releases, registry_->releases());
  if (releases.size() != releases_.size()) ++figures_revision_;
  releases_ = std::move(releases);
  if (all_dirty_) {
    OUTCROP_TRY(all, registry_->devices());
    for (const Device& device : all) dirty_.insert(device.name);
    all_dirty_ = false;
  }
  if (rollouts_dirty_) OUTCROP_CHECK(read_rollouts());
  const auto end = std::chrono::steady_clock::now() + longest_look;
  for (std::size_t i = 0; i < most_at_once && !dirty_.empty(); ++i) {
    if (i >= least_at_once && std::chrono::steady_clock::now() > end) break;
    const std::string name = std::move(dirty_.extract(dirty_.begin()).value());
    if (const Status status = read(name); !status) {
      dirty_.insert(name);
      put_in_order();
      return status;
    }
  }
  put_in_order();
  return {};
}

void FleetView::look_around(std::size_t count) {
  auto next = boards_.upper_bound(looked_at_);
  for (std::size_t i = 0; i < count && i < boards_.size(); ++i) {
    if (next == boards_.end()) next = boards_.begin();
    looked_at_ = next->first;
    dirty_.insert(looked_at_);
    reported_.insert(looked_at_);
    ++next;
  }
}

// What this board is to do by a rollout that is followed.
Status FleetView::read_part(RolloutRow& row, const std::string& device) {
  const auto followed = followed_.find(row.record.name);
  if (followed == followed_.end()) return {};
  OUTCROP_TRY(now, registry_->assignment(row.record.name, device));
  const Assignment* const known = find(row.assignments, device, device_of);
  const bool is_same = known != nullptr && now ? same(*known, *now) : known == nullptr && !now;
  followed->second.changed = followed->second.changed || !is_same;
  put(row.assignments, followed->second.new_boards, device, std::move(now), device_of);
  return {};
}

void FleetView::glance_at(const BoardRow& row) {
  if (glances_lack_boards_) return;
  const auto place = std::lower_bound(glances_.begin(), glances_.end(), row.device.name, [](const Glance& one, const std::string& name) {
    return one.row->device.name < name;
  });
  if (place == glances_.end() || place->row != &row) {
    glances_lack_boards_ = true;
    return;
  }
  *place = glance_of(row);
}

void FleetView::put_in_order() {
  if (std::exchange(glances_lack_boards_, false)) {
    glances_.clear();
    for (const auto& [name, row] : boards_) glances_.push_back(glance_of(row));
  }
  for (RolloutRow& row : rollouts_) {
    const auto followed = followed_.find(row.record.name);
    if (followed == followed_.end()) continue;
    merge(row.assignments, std::exchange(followed->second.new_boards, {}), device_of);
    if (std::exchange(followed->second.changed, false)) on_rollout(row);
  }
}

Status FleetView::read(const std::string& name) {
  for (RolloutRow& row : rollouts_) OUTCROP_CHECK(read_part(row, name));
  OUTCROP_TRY(device, registry_->device(name));
  if (!device) {
    const std::size_t gone = boards_.erase(name);
    figures_revision_ += gone;
    glances_lack_boards_ = glances_lack_boards_ || gone > 0;
    return {};
  }
  BoardRow row;
  row.device = std::move(*device);
  row.online = surroundings_.online(name);
  OUTCROP_TRY(desired, registry_->desired(name));
  row.desired = std::move(desired);
  const auto before = boards_.find(name);
  // Which releases it has figures of depends on what it serves.
  const auto serves = [](const BoardRow& board) { return board.device.status ? board.device.status->active_manifest : std::nullopt; };
  if (before == boards_.end() || serves(before->second) != serves(row) || reported_.contains(name)) {
    OUTCROP_CHECK(read_figures(row));
    reported_.erase(name);
  } else {
    row.figures = before->second.figures;
  }
  judge_health(row);
  const bool changed = before == boards_.end() || !same(before->second, row);
  if (before == boards_.end() || !same_figures(before->second, row)) ++figures_revision_;
  BoardRow& kept = boards_[name];
  kept = std::move(row);
  glance_at(kept);
  if (changed) on_board(kept);
  return {};
}

Status FleetView::read_figures(BoardRow& row) {
  std::optional<trust::Sha256Digest> active;
  if (row.device.status) active = row.device.status->active_manifest;
  std::size_t looked_at = 0;
  for (const ReleaseRecord& release : releases_) {  // newest first
    if (release.model != row.device.model) continue;
    if (++looked_at > releases_looked_at && release.manifest != active) continue;
    OUTCROP_CHECK(read_figures(row, release.manifest));
  }
  std::stable_sort(row.figures.begin(), row.figures.end(), [](const Figure& one, const Figure& other) {
    return one.received > other.received;
  });
  return {};
}

Status FleetView::read_figures(BoardRow& row, const trust::Sha256Digest& manifest) {
  OUTCROP_TRY(reports, registry_->reports(row.device.name, manifest, reports_looked_at));
  for (const StoredReport& stored : reports) {  // newest first: the first figure of a variant is kept
    for (const messages::ReportedVariant& variant : stored.report.variants) {
      if (!variant.measurement || row.figure(manifest, variant.name) != nullptr) continue;
      Figure figure = figure_of(stored, variant);
      for (const messages::OutputDistance& proof : variant.proof) {
        figure.errors.push_back(proof.mean_abs);
        const auto allowed = surroundings_.allowed_error(manifest, variant.name, proof.output);
        if (!allowed || *allowed <= 0) continue;
        figure.error = std::max(figure.error.value_or(0), proof.mean_abs / *allowed);
      }
      row.figures.push_back(std::move(figure));
    }
  }
  return {};
}

void FleetView::judge_health(BoardRow& row) const {
  const auto say = [&](Health health, std::string why) {
    row.health = health;
    row.why = std::move(why);
  };
  const bool at_work = row.desired && row.desired->state && !row.desired->cancelled;
  if (row.device.revoked) return say(Health::revoked, row.device.revoked_reason);
  if (at_work && has_failed(*row.desired->state)) {
    return say(Health::failed, row.desired->rollout + ": " + row.desired->reason);
  }
  if (!row.device.status) return say(Health::waiting, "enrolled, never seen");
  if (!row.online) return say(Health::silent, "offline");
  if (auto why = surroundings_.held_back(row.device.name)) return say(Health::throttled, std::move(*why));
  if (const Figure* serving = row.serving(); serving != nullptr && serving->throttled()) {
    return say(Health::throttled, serving->void_because.front());
  }
  if (!row.device.attention.empty()) return say(Health::waiting, row.device.attention);
  if (row.device.status->held) return say(Health::waiting, "held by its owner");
  if (!row.device.status->active_manifest) return say(Health::waiting, "serves nothing yet");
  if (at_work && !is_final(*row.desired->state)) {
    return say(Health::waiting,
               row.desired->rollout + ": " + std::string(messages::to_string(*row.desired->state)));
  }
  say(Health::well, "");
}

Status FleetView::read_rollouts() {
  OUTCROP_TRY(records, registry_->rollouts());
  if (records.size() > rollouts_looked_at) records.resize(rollouts_looked_at);
  std::map<std::string, RolloutRow> before;
  for (RolloutRow& row : rollouts_) before.emplace(row.record.name, std::move(row));
  rollouts_.clear();
  const auto followed_before = std::exchange(followed_, {});
  for (RolloutRecord& record : records) {
    const std::string name = record.name;
    const auto known = before.find(name);
    // What ended long ago stays as it was; boards go on returning from what ended just now.
    const bool followed = !has_ended(record.state) || rollouts_.size() < rollouts_watched;
    if (followed) followed_[name];
    RolloutRow row{std::move(record), {}};
    // While it is followed each part of it comes with its board.
    const bool is_whole = known != before.end() && (!followed || followed_before.contains(name));
    if (is_whole) {
      row.assignments = std::move(known->second.assignments);
    } else {
      OUTCROP_TRY(assignments, registry_->assignments(name));
      row.assignments = std::move(assignments);
      for (const Assignment& one : row.assignments) dirty_.insert(one.device);
    }
    if (followed && (known == before.end() || !same(known->second.record, row.record))) followed_[name].changed = true;
    rollouts_.push_back(std::move(row));
  }
  rollouts_dirty_ = false;
  return {};
}

}  // namespace outcrop::fleet
