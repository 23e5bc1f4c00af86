#include <algorithm>
#include <map>

#include "protocol/messages/names.hpp"
#include "trainer_host/fleet/rollout/driver.hpp"

namespace outcrop::fleet {
namespace {

// Of each class the first, then of each class the second, and so on: a few canaries speak for as
// many classes as they can.
std::vector<std::string> spread_over_classes(
    const std::map<std::string, std::vector<std::string>>& by_class, std::size_t count) {
  std::vector<std::string> chosen;
  for (std::size_t rank = 0;; ++rank) {
    bool any = false;
    for (const auto& [device_class, names] : by_class) {
      if (rank >= names.size()) continue;
      any = true;
      if (chosen.size() < count) chosen.push_back(names[rank]);
    }
    if (!any || chosen.size() >= count) return chosen;
  }
}

ByteCount default_budget(const ReleaseRecord& release) {
  return ByteCount(release.total.value() * 3 / 2 + 4'000'000);
}

}  // namespace

Result<ReleaseRecord> RolloutDriver::find_release(const std::string& prefix) {
  OUTCROP_TRY(releases, registry_->releases());
  std::vector<ReleaseRecord> found;
  for (const ReleaseRecord& release : releases) {
    if (!prefix.empty() && release.manifest.hex().starts_with(prefix)) found.push_back(release);
  }
  if (found.empty()) {
    return fail(ErrorCode::not_found, "no release has a manifest that starts with '" + prefix +
                                          "' (outcrop release publish brings one here)");
  }
  if (found.size() > 1) {
    return fail(ErrorCode::invalid_argument, std::to_string(found.size()) +
                                                 " releases have manifests that start with '" +
                                                 prefix + "': give more digits");
  }
  if (found.front().state != ReleaseState::published) {
    return fail(ErrorCode::refused,
                "the release is " + std::string(to_string(found.front().state)) +
                    (found.front().reason.empty() ? "" : ": " + found.front().reason));
  }
  return found.front();
}

Result<std::vector<std::string>> RolloutDriver::named_canaries(const RolloutRequest& request,
                                                               const std::string& model) {
  if (request.canaries->empty()) {
    return fail(ErrorCode::invalid_argument, "name at least one canary, or let them be chosen");
  }
  for (const std::string& name : *request.canaries) {
    OUTCROP_TRY(device, registry_->device(name));
    if (!device) return fail(ErrorCode::not_found, "no board '" + name + "' is enrolled");
    if (device->revoked) return fail(ErrorCode::refused, "the board '" + name + "' is revoked");
    if (device->model != model) {
      return fail(ErrorCode::invalid_argument, "the board '" + name + "' is for the model " +
                                                   device->model + ", the release is of " +
                                                   model);
    }
    if (!request.target.holds(name, device->device_class, device->tags)) {
      return fail(ErrorCode::invalid_argument,
                  "the canary '" + name + "' is none of those that the rollout is for: " + in_words(request.target));
    }
  }
  std::vector<std::string> named = *request.canaries;
  std::sort(named.begin(), named.end());
  named.erase(std::unique(named.begin(), named.end()), named.end());
  return named;
}

Result<std::vector<std::string>> RolloutDriver::choose_canaries(const RolloutRequest& request,
                                                                const std::string& model) {
  if (request.canaries) return named_canaries(request, model);
  OUTCROP_TRY(devices, registry_->devices_of(model));
  std::map<std::string, std::vector<std::string>> by_class;
  for (const bool online : {true, false}) {
    for (const Device& device : devices) {
      if (device.revoked || surroundings_.online(device.name) != online) continue;
      if (!request.target.holds(device.name, device.device_class, device.tags)) continue;
      by_class[device.device_class].push_back(device.name);
    }
  }
  if (by_class.empty()) {
    return fail(ErrorCode::refused, "no board is enrolled for the model " + model +
                                        (request.target.is_everybody() ? "" : " among " + in_words(request.target)));
  }
  const std::size_t count = request.canary_count == 0 ? by_class.size() : request.canary_count;
  return spread_over_classes(by_class, count);
}

Result<std::string> RolloutDriver::choose_name(const RolloutRequest& request,
                                               const ReleaseRecord& release) {
  if (!request.name.empty()) {
    if (!messages::is_name(request.name)) {
      return fail(ErrorCode::invalid_argument, "'" + request.name +
                                                   "' is no name for a rollout: 1 to 63 of a-z, "
                                                   "0-9 and -");
    }
    if (request.name == messages::by_hand) {
      return fail(ErrorCode::invalid_argument, "no rollout is called '" + request.name +
                                                   "': so boards name what their owners install; name it otherwise");
    }
    OUTCROP_TRY(taken, registry_->rollout(request.name));
    if (taken) {
      return fail(ErrorCode::already_exists, "there is a rollout '" + request.name + "' already");
    }
    return request.name;
  }
  const std::string base = release.model.substr(0, 40) + "-s" + std::to_string(release.stage) +
                           "-" + release.manifest.hex().substr(0, 8);
  for (std::size_t number = 1;; ++number) {
    const std::string name = number == 1 ? base : base + "-" + std::to_string(number);
    OUTCROP_TRY(taken, registry_->rollout(name));
    if (!taken) return name;
  }
}

Result<RolloutRecord> RolloutDriver::record_of(const std::string& name) {
  auto found = registry_->rollout(name);
  if (!found) return fail(found.error());
  if (found->has_value()) return std::move(**found);
  return fail(ErrorCode::not_found, "there is no rollout '" + name + "'");
}

Result<RolloutRecord> RolloutDriver::start(const RolloutRequest& request) {
  OUTCROP_CHECK(behind_.check());
  OUTCROP_TRY(release, find_release(request.manifest));
  OUTCROP_CHECK(surroundings_.check_fresh(release.model));
  OUTCROP_TRY(described, manifest(release.manifest));
  OUTCROP_TRY(rollouts, registry_->rollouts());
  for (const RolloutRecord& other : rollouts) {
    if (other.model == release.model && !has_ended(other.state)) {
      return fail(ErrorCode::refused, "rollout " + other.name + " of " + other.model + " is " +
                                          in_words(other.state) +
                                          ": one at a time for a model; wait for it or abort it");
    }
  }
  RolloutRecord rollout;
  OUTCROP_TRY(name, choose_name(request, release));
  rollout.name = name;
  rollout.model = described->model;
  rollout.manifest = release.manifest;
  rollout.on_unmeasurable = request.on_unmeasurable;
  rollout.soak = request.soak;
  rollout.byte_budget =
      request.byte_budget.value() == 0 ? default_budget(release) : request.byte_budget;
  rollout.limits = request.limits;
  rollout.target = request.target;
  rollout.schedule = request.schedule;
  rollout.aim = request.aim;
  rollout.started = clock_->now();
  OUTCROP_TRY(canaries, choose_canaries(request, rollout.model));
  OUTCROP_CHECK(registry_->transaction([&]() -> Status {
    OUTCROP_CHECK(registry_->save(rollout));
    for (const std::string& canary : canaries) {
      Assignment assignment;
      assignment.rollout = rollout.name;
      assignment.device = canary;
      assignment.canary = true;
      assignment.manifest = rollout.manifest;
      assignment.updated = rollout.started;
      OUTCROP_CHECK(registry_->save(assignment));
    }
    return {};
  }));
  decisions_.add(rollout.state, Because::started);
  tick();
  return record_of(rollout.name);
}

}  // namespace outcrop::fleet
