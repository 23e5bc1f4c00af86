#include "trainer_host/fleet/rollout/driver.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"
#include "protocol/base/version.hpp"

namespace outcrop::fleet {
namespace {

constexpr std::chrono::seconds resend_after{10};
constexpr std::chrono::seconds least_leap{30};
constexpr std::size_t longest_evidence = 12 * 1024;
constexpr std::uint64_t highest_generation = (std::uint64_t{1} << 53) - 1;

std::chrono::nanoseconds since_begin(Timestamp time) {
  return time.time_since_epoch();
}

// Neighbouring versions speak the lower one's protocol; of a board that never said what it speaks
// only the first is known.
int protocol_with(const Device& device) {
  return device.status ? std::min(protocol_version, device.status->speaks) : first_protocol;
}

// Whether boards that have not seen their offers get them when they come back. A cancel they get
// in any case.
bool still_offers(const RolloutRecord& rollout) {
  return !rollout.past &&
         (rollout.state == RolloutState::canary || rollout.state == RolloutState::widening ||
          rollout.state == RolloutState::done);
}

// What a decision was made by, for the audit log: boards in each state, and what was chosen for which class.
std::string evidence_of(const RolloutView& view, const RolloutRecord& after) {
  std::map<std::string, std::size_t> boards;
  for (const Assignment& assignment : view.assignments) {
    const std::string state = assignment.excluded ? "excluded"
                              : assignment.state  ? std::string(messages::to_string(*assignment.state))
                                                  : "no word yet";
    ++boards[state];
  }
  nlohmann::json chosen = nlohmann::json::object();
  if (view.choices) {
    for (const auto& [device_class, choice] : *view.choices) chosen[device_class] = choice.reason;
  }
  nlohmann::json evidence{{"before", to_string(view.rollout.state)},
                          {"after", to_string(after.state)},
                          {"reason", after.reason},
                          {"manifest", view.rollout.manifest.hex()},
                          {"boards", boards},
                          {"chosen", chosen}};
  // Of very many classes the reports tell: what is too long to be told must not keep it from being decided.
  if (std::string text = json_text(evidence); text.size() <= longest_evidence) return text;
  evidence["chosen"] = std::to_string(chosen.size()) + " classes";
  return json_text(evidence);
}

}  // namespace

RolloutDriver::RolloutDriver(Registry& registry, const Clock& clock, BlobStore blobs,
                             RolloutSurroundings surroundings, std::chrono::seconds patience)
    : registry_(&registry),
      clock_(&clock),
      manifests_(std::move(blobs)),
      surroundings_(std::move(surroundings)),
      behind_(registry, clock),
      views_(registry, clock,
             {[this](const std::string& device) { return surroundings_.online(device) && !is_held(device); }, [this](const trust::Sha256Digest& digest) { return manifest(digest); }, patience,
              surroundings_.lot}),
      ahead_(since_begin(clock.now()) - surroundings_.steady().time_since_epoch()) {}

// Above everything that we gave out and everything that this board has seen: its word raises its
// own generations only, so that no board can use them up for the others, and one that signs that it
// has seen what nobody gave out is left out, so that the others are told what was decided. Where
// nobody signs for such a number, it says nothing.
Result<bool> RolloutDriver::give_generation(Assignment& assignment) {
  OUTCROP_TRY(next, registry_->next_generation());
  OUTCROP_TRY(desired, registry_->desired(assignment.device));
  OUTCROP_TRY(device, registry_->device(assignment.device));
  if (desired) next = std::max(next, desired->generation + 1);
  const std::uint64_t seen = device && device->status ? device->status->generation : 0;
  const bool leapt = messages::leaps(seen, next);
  if (!leapt) next = std::max(next, seen + 1);
  if (next > highest_generation || (leapt && device->signs)) {
    assignment.excluded = true;
    assignment.reason = "cannot be told anything: it says it has seen generation " +
                        std::to_string(seen) + ", which nobody gave out; revoke it and enrol it anew";
    spdlog::warn("{} {}", assignment.device, assignment.reason);
    return false;
  }
  if (assignment.generation == 0 && device && device->status &&
      device->status->active_manifest != assignment.manifest) {
    assignment.return_to = device->status->active_manifest;
  }
  assignment.generation = next;
  return true;
}

Status RolloutDriver::write(const RolloutView& view, Decision& decision) {
  if (decision.rollout) OUTCROP_CHECK(registry_->save(*decision.rollout));
  if (decision.rollout && decision.rollout->state != view.rollout.state) {
    OUTCROP_CHECK(surroundings_.record(view.rollout.name, evidence_of(view, *decision.rollout)));
  }
  for (Step& step : decision.steps) {
    if (step.command) {
      OUTCROP_TRY(given, give_generation(step.assignment));
      step.command = given;
    }
    OUTCROP_CHECK(registry_->save(step.assignment));
  }
  return {};
}

Status RolloutDriver::tell(const RolloutView& view, const Decision& decision) {
  if (decision.rollout && decision.rollout->state != view.rollout.state) {
    spdlog::info("rollout {}: {} ({})", view.rollout.name, to_string(decision.rollout->state),
                 decision.rollout->reason);
    if (decision.because) decisions_.add(decision.rollout->state, *decision.because);
    changed_models_.insert(view.rollout.model);  // the next phase may have something to decide at once
    surroundings_.wake();
  }
  for (const Step& step : decision.steps) {
    if (!step.command || !view.online.contains(step.assignment.device)) continue;
    OUTCROP_TRY(device, registry_->device(step.assignment.device));
    if (device) OUTCROP_CHECK(send(*device, step.assignment));
  }
  return {};
}

// What is read is of one moment, and what is decided by it is written before anything else is.
Status RolloutDriver::decide_within(const std::string& name, const How& how) {
  const RolloutView* view = nullptr;
  Decision decision;
  OUTCROP_CHECK(registry_->transaction([&]() -> Status {
    OUTCROP_TRY(rollout, record_of(name));
    OUTCROP_TRY(read, views_.read(rollout));
    view = read;
    OUTCROP_TRY(made, how(*view));
    decision = std::move(made);
    return write(*view, decision);
  }));
  if (decision.more) {
    changed_.insert(name);
    surroundings_.wake();
  }
  return tell(*view, decision);
}

bool RolloutDriver::is_behind() const {
  const auto older = behind_.words();
  news_.report("the fleet", older ? Status() : Status(fail(older.error())));
  return !older || older->has_value();
}

bool RolloutDriver::is_held(const std::string& device) const {
  return behind_.holds(device).value_or(true);
}

Status RolloutDriver::adopt() {
  OUTCROP_CHECK(behind_.adopt());
  tick();
  return {};
}

// Deadlines are times of the clock: where that leaps, since it was set or the machine slept, boards have as long left as before.
Status RolloutDriver::look_at_clock() {
  const std::chrono::nanoseconds ahead = since_begin(clock_->now()) - surroundings_.steady().time_since_epoch();
  const auto leap = std::chrono::duration_cast<std::chrono::seconds>(ahead - std::exchange(ahead_, ahead));
  if (std::chrono::abs(leap) < least_leap) return {};
  spdlog::warn("the clock leapt by {} s: no board is waited for any longer or shorter for that", leap.count());
  OUTCROP_TRY(rollouts, registry_->rollouts_under_way());
  return registry_->transaction([&]() -> Status {
    for (const RolloutRecord& rollout : rollouts) {
      OUTCROP_TRY(assignments, registry_->assignments(rollout.name));
      for (Assignment& assignment : assignments) {
        if (assignment.generation == 0 || (assignment.state && is_final(*assignment.state))) continue;
        assignment.updated = std::min(assignment.updated + leap, clock_->now());
        OUTCROP_CHECK(registry_->save(assignment));
      }
    }
    return {};
  });
}

void RolloutDriver::tick() {
  changed_.clear();
  changed_models_.clear();
  decide_where([](const RolloutRecord&) { return true; });
}

void RolloutDriver::tick_changed() {
  const auto rollouts = std::exchange(changed_, {});
  const auto models = std::exchange(changed_models_, {});
  if (rollouts.empty() && models.empty()) return;
  decide_where([&](const RolloutRecord& rollout) {
    if (rollouts.contains(rollout.name)) return true;
    // Of those that have ended only one may have something for a board that came.
    return models.contains(rollout.model) &&
           (!has_ended(rollout.state) || rollout.state == RolloutState::done);
  });
}

void RolloutDriver::decide_where(const std::function<bool(const RolloutRecord&)>& chosen) {
  if (is_behind()) return;
  news_.report("the clock", look_at_clock());
  const auto rollouts = registry_->rollouts();
  news_.report("reading rollouts", rollouts ? Status() : fail(rollouts.error()));
  if (!rollouts) return;
  for (const RolloutRecord& rollout : *rollouts) {
    if (!chosen(rollout)) continue;
    news_.report("rollout " + rollout.name,
                 decide_within(rollout.name, [](const RolloutView& view) -> Result<Decision> {
                   return is_at_rest(view) ? Decision() : decide(view);
                 }));
  }
}

Result<RolloutRecord> RolloutDriver::act(const std::string& name,
                                         const std::function<Result<Decision>(const RolloutView&)>& how) {
  OUTCROP_CHECK(behind_.check());
  OUTCROP_CHECK(decide_within(name, how));
  return record_of(name);
}

Result<RolloutRecord> RolloutDriver::pause(const std::string& name) {
  return act(name, [](const RolloutView& view) { return fleet::pause(view); });
}

Result<RolloutRecord> RolloutDriver::resume(const std::string& name) {
  OUTCROP_TRY(resumed, act(name, [](const RolloutView& view) { return fleet::resume(view); }));
  reconcile();  // boards that came back meanwhile
  return resumed;
}

Result<RolloutRecord> RolloutDriver::skip_ring(const std::string& name) {
  return act(name, [](const RolloutView& view) { return fleet::skip_ring(view); });
}

Result<RolloutRecord> RolloutDriver::abort(const std::string& name) {
  return act(name, [](const RolloutView& view) {
    return fleet::abort(view, "rollout " + view.rollout.name + " aborted");
  });
}

void RolloutDriver::on_statement(const std::string& device, const Statement& statement) {
  auto assignment = registry_->assignment(statement.deployment.rollout, device);
  if (assignment && *assignment && observe(**assignment, statement, clock_->now())) {
    const Status saved = registry_->save(**assignment);
    news_.report("what " + device + " says", saved);
    if (saved) {
      changed_.insert(statement.deployment.rollout);
      surroundings_.wake();
    }
  } else if (!assignment) {
    news_.report("what " + device + " says", fail(assignment.error()));
  }
}

void RolloutDriver::on_status(const std::string& device, bool first) {
  auto record = registry_->device(device);
  Status status;
  if (!record) {
    status = fail(record.error());
  } else if (*record && (*record)->status && (*record)->status->online) {
    const KnownVersions known{surroundings_.root_version(), surroundings_.snapshot_version()};
    const bool counts = (*record)->signs || !surroundings_.directed();
    const auto ahead = counts ? behind_.look_at(**record, first, known) : Result<bool>(false);
    if (!ahead) status = fail(ahead.error());
    if (ahead && !*ahead && !is_behind()) status = reconcile_board(**record);
  }
  news_.report(device, status);
  // A board that came or went may be what a rollout waits for.
  views_.came_or_went(device);
  if (record && *record) changed_models_.insert((*record)->model);
  surroundings_.wake();
}

void RolloutDriver::reconcile() {
  if (is_behind()) return;
  const auto devices = registry_->devices_without_word();
  if (!devices) return news_.report("reading boards", fail(devices.error()));
  for (const Device& device : *devices) {
    if (!device.status || !surroundings_.online(device.name) || is_held(device.name)) continue;
    news_.report(device.name, reconcile_board(device));
  }
}

Status RolloutDriver::reconcile_board(const Device& device) {
  OUTCROP_TRY(desired, registry_->desired(device.name));
  if (!desired || desired->excluded) return {};
  const Need need = compare(*desired, *device.status);
  if (need == Need::nothing) return {};
  OUTCROP_TRY(rollout, registry_->rollout(desired->rollout));
  if (rollout && !desired->cancelled && !still_offers(*rollout)) return {};
  // What it was told since is not known here, and is not to be undone.
  if (rollout && rollout->past && need == Need::new_generation) return {};
  const auto sent = sent_.find(device.name);
  const bool lately = sent != sent_.end() && sent->second.generation == desired->generation &&
                      sent->second.session == device.status->session &&
                      clock_->now() - sent->second.when < resend_after;
  if (need == Need::send && lately) return {};
  const bool first_word = !desired->state && !desired->cancelled && !desired->return_to;
  if (need == Need::new_generation) {
    OUTCROP_TRY(given, give_generation(*desired));
    desired->state.reset();
    desired->confirmed = false;
    OUTCROP_CHECK(registry_->save(*desired));
    if (!given) return {};
  } else if (first_word && device.status->active_manifest &&
             device.status->active_manifest != desired->manifest) {
    // It was never online when the offer was made: now it says what it is to be returned to.
    desired->return_to = device.status->active_manifest;
    OUTCROP_CHECK(registry_->save(*desired));
  }
  return send(device, *desired);
}

Status RolloutDriver::send(const Device& device, const Assignment& assignment) {
  sent_[device.name] = {assignment.generation, device.status ? device.status->session : 0,
                        clock_->now()};
  if (assignment.cancelled) {
    messages::Cancel cancel{assignment.rollout, assignment.generation, assignment.manifest,
                            assignment.return_to, assignment.reason};
    cancel.protocol = protocol_with(device);
    surroundings_.send(device.name, cancel);
    return {};
  }
  OUTCROP_TRY(rollout, registry_->rollout(assignment.rollout));
  OUTCROP_TRY(release, registry_->release(assignment.manifest));
  if (!rollout || !release) return fail(ErrorCode::internal, "an assignment without a rollout");
  // What may no longer be installed is not offered again; the engine takes it back.
  if (release->state != ReleaseState::published) return {};
  messages::Offer offer;
  offer.rollout = assignment.rollout;
  offer.generation = assignment.generation;
  offer.model = device.model;
  offer.device_class = device.device_class;
  offer.manifest = assignment.manifest;
  offer.manifest_size = release->manifest_size;
  offer.snapshot_version = std::max<std::uint64_t>(1, surroundings_.snapshot_version());
  offer.variants = assignment.variants;
  offer.on_unmeasurable = rollout->on_unmeasurable;
  offer.soak = rollout->soak;
  offer.byte_budget = rollout->byte_budget;
  offer.protocol = protocol_with(device);
  surroundings_.send(device.name, offer);
  return {};
}

}  // namespace outcrop::fleet
