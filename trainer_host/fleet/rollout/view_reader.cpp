#include "trainer_host/fleet/rollout/view_reader.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "trainer_host/fleet/registry/rows_by_name.hpp"

namespace outcrop::fleet {
namespace {

const std::string& name_of_device(const Device& device) { return device.name; }
const std::string& device_of(const Assignment& assignment) { return assignment.device; }

// Reading reports is the costly part of a decision: only where boards may be offered a variant. Not
// where a board that needs one is left without: it would stay out for good.
bool needs_choices(const RolloutView& view) {
  const RolloutRecord& rollout = view.rollout;
  const RolloutState phase =
      rollout.state == RolloutState::paused ? rollout.resume_to : rollout.state;
  if (phase == RolloutState::widening) return true;
  if (phase == RolloutState::canary) {
    std::set<std::string_view> revoked;  // they are left out by this very decision
    for (const Device& device : view.devices) {
      if (device.revoked) revoked.insert(device.name);
    }
    return std::all_of(view.assignments.begin(), view.assignments.end(), [&](const Assignment& a) {
      return a.confirmed || a.excluded || !a.canary || revoked.contains(a.device);
    });
  }
  std::set<std::string_view> assigned;
  for (const Assignment& assignment : view.assignments) assigned.insert(assignment.device);
  return view.serves_newcomers &&
         std::any_of(view.devices.begin(), view.devices.end(), [&](const Device& device) {
           return !device.revoked && !assigned.contains(device.name);
         });
}

// Whether `one` was started after `other`: `all` has the newest first.
bool is_newer(const RolloutRecord& one, const RolloutRecord& other,
              const std::vector<RolloutRecord>& all) {
  for (const RolloutRecord& rollout : all) {
    if (rollout.name == one.name) return true;
    if (rollout.name == other.name) return false;
  }
  return false;
}

bool is_for(const RolloutRecord& rollout, const std::vector<RolloutTarget>& claims, const BoardLabels& board) {
  const auto holds = [&](const RolloutTarget& target) { return target.holds(board.name, board.device_class, board.tags); };
  return holds(rollout.target) && std::none_of(claims.begin(), claims.end(), holds);
}

// While it says something to boards.
bool is_kept(const RolloutRecord& rollout) {
  return !has_ended(rollout.state) || rollout.takes_back != TakeBack::nothing;
}

}  // namespace

bool is_at_rest(const RolloutView& view) {
  return has_ended(view.rollout.state) && view.rollout.takes_back == TakeBack::nothing && !view.serves_newcomers &&
         view.release.state != ReleaseState::revoked;
}

ViewReader::ViewReader(Registry& registry, const Clock& clock, Surroundings surroundings)
    : registry_(&registry),
      clock_(&clock),
      surroundings_(std::move(surroundings)),
      listening_(registry.listen([this](const std::string& device, Written what) { changed(device, what); })) {}

void ViewReader::changed(const std::string& device, Written what) {
  for (auto& [name, kept] : kept_) {
    kept.changed.insert(device);
    if (what != Written::report || kept.choices_are_old) continue;
    const Assignment* const assignment = find(kept.view.assignments, device, device_of);
    kept.choices_are_old = assignment != nullptr && assignment->canary;
  }
}

void ViewReader::everybody_went() {
  for (auto& [name, kept] : kept_) kept.view.online.clear();
}

// Whose newcomers are another rollout's: of newer ones that are done, and of one that widens, where boards may be offered
// its release.
Result<std::vector<RolloutTarget>> ViewReader::claims_before(const RolloutRecord& rollout) {
  std::vector<RolloutTarget> claims;
  OUTCROP_TRY(all, registry_->rollouts());
  for (const RolloutRecord& other : all) {
    if (other.model != rollout.model || other.name == rollout.name || other.past) continue;
    const bool newer_done = other.state == RolloutState::done && is_newer(other, rollout, all);
    if (other.state != RolloutState::widening && !newer_done) continue;
    OUTCROP_TRY(release, registry_->release(other.manifest));
    if (release && release->state == ReleaseState::published) claims.push_back(other.target);
  }
  return claims;
}

Status ViewReader::read_head(RolloutView& view, const RolloutRecord& rollout) {
  view.rollout = rollout;
  view.now = clock_->now();
  view.patience = surroundings_.patience;
  view.most_steps = surroundings_.most_steps;
  OUTCROP_TRY(release, registry_->release(rollout.manifest));
  if (!release) return fail(ErrorCode::internal, "rollout " + rollout.name + " has no release");
  view.release = *release;
  return {};
}

Result<const RolloutView*> ViewReader::read(const RolloutRecord& rollout) {
  if (is_kept(rollout)) {
    const auto [place, first] = kept_.try_emplace(rollout.name);
    Kept& kept = place->second;
    const Status done = [&]() -> Status {
      OUTCROP_CHECK(read_head(kept.view, rollout));
      if (first) {
        OUTCROP_CHECK(read_whole(kept.view, {}));
      } else {
        OUTCROP_CHECK(read_changed(kept));
      }
      if (!needs_choices(kept.view)) {
        kept.view.choices.reset();
      } else if (kept.choices_are_old || !kept.view.choices) {
        OUTCROP_CHECK(choose(kept.view));
        kept.choices_are_old = false;
      }
      return {};
    }();
    if (done) return &kept.view;
    kept_.erase(place);  // half of it may be of before
    return fail(done.error());
  }
  kept_.erase(rollout.name);
  other_ = {};
  OUTCROP_CHECK(read_head(other_, rollout));
  std::vector<RolloutTarget> claims;
  if (rollout.state == RolloutState::done && !rollout.past) {
    OUTCROP_TRY(before, claims_before(rollout));
    claims = std::move(before);
    OUTCROP_TRY(newcomers, registry_->newcomers(rollout));
    other_.serves_newcomers = std::any_of(newcomers.begin(), newcomers.end(), [&](const BoardLabels& board) {
      return is_for(rollout, claims, board);
    });
  }
  if (is_at_rest(other_)) return &other_;
  OUTCROP_CHECK(read_whole(other_, claims));
  if (needs_choices(other_)) OUTCROP_CHECK(choose(other_));
  return &other_;
}

Status ViewReader::read_whole(RolloutView& view, const std::vector<RolloutTarget>& claims) {
  OUTCROP_TRY(assignments, registry_->assignments(view.rollout.name));
  view.assignments = std::move(assignments);
  OUTCROP_TRY(devices, registry_->devices_of(view.rollout.model));
  view.devices = std::move(devices);
  std::erase_if(view.devices, [&](const Device& device) {
    return find(view.assignments, device.name, device_of) == nullptr &&
           !is_for(view.rollout, claims, {device.name, device.device_class, device.tags});
  });
  for (const Device& device : view.devices) {
    if (surroundings_.online(device.name)) view.online.insert(device.name);
  }
  for (const Assignment& assignment : view.assignments) {
    OUTCROP_CHECK(look_for_later(view, assignment, find(view.devices, assignment.device, name_of_device)));
  }
  return {};
}

// Whether a later rollout has taken the board over; of a state that was older than the fleet, what that told the board is not
// known here.
Status ViewReader::look_for_later(RolloutView& view, const Assignment& assignment, const Device* device) {
  OUTCROP_TRY(desired, registry_->desired(assignment.device));
  const bool has_seen_more = view.rollout.past && device != nullptr && device->status &&
                             device->status->generation > assignment.generation;
  if ((desired && desired->rollout != view.rollout.name) || has_seen_more) {
    view.superseded.insert(assignment.device);
  } else {
    view.superseded.erase(assignment.device);
  }
  return {};
}

Status ViewReader::read_changed(Kept& kept) {
  RolloutView& view = kept.view;
  std::vector<Device> new_devices;
  std::vector<Assignment> new_assignments;
  const auto changed = std::exchange(kept.changed, {});
  for (const std::string& name : changed) {
    OUTCROP_TRY(device, registry_->device(name));
    OUTCROP_TRY(assignment, registry_->assignment(view.rollout.name, name));
    const bool is_here = device && device->model == view.rollout.model &&
                         (assignment || is_for(view.rollout, {}, {name, device->device_class, device->tags}));
    if (!is_here) device.reset();
    const bool online = device && surroundings_.online(name);
    online ? (void)view.online.insert(name) : (void)view.online.erase(name);
    view.superseded.erase(name);
    if (assignment) OUTCROP_CHECK(look_for_later(view, *assignment, device ? &*device : nullptr));
    const bool may_be_chosen_by = assignment && assignment->canary;
    const bool new_class = device && view.choices && !view.choices->contains(device->device_class);
    kept.choices_are_old = kept.choices_are_old || may_be_chosen_by || new_class;
    put(view.devices, new_devices, name, std::move(device), name_of_device);
    put(view.assignments, new_assignments, name, std::move(assignment), device_of);
  }
  merge(view.devices, std::move(new_devices), name_of_device);
  merge(view.assignments, std::move(new_assignments), device_of);
  return {};
}

Status ViewReader::choose(RolloutView& view) {
  OUTCROP_TRY(found, surroundings_.manifest(view.rollout.manifest));
  std::map<std::string, std::vector<messages::Report>> by_class;
  for (const Device& device : view.devices) by_class[device.device_class];
  for (const Assignment& assignment : view.assignments) {
    if (!assignment.canary) continue;
    const Device* const device = find(view.devices, assignment.device, name_of_device);
    if (device == nullptr) continue;
    OUTCROP_TRY(reports, registry_->reports(device->name, view.rollout.manifest, reports_kept));
    for (StoredReport& stored : reports) {
      by_class[device->device_class].push_back(std::move(stored.report));
    }
  }
  view.choices.emplace();
  for (const auto& [device_class, reports] : by_class) {
    const bool unmeasured_too = view.rollout.on_unmeasurable == messages::OnUnmeasurable::activate;
    view.choices->emplace(device_class, choose_variant(*found, device_class, reports, unmeasured_too, view.rollout.aim));
  }
  return {};
}

}  // namespace outcrop::fleet
