#include "protocol/messages/json_reader.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"

namespace outcrop::fleet {
namespace {

using messages::ObjectReader;

constexpr ByteCount rollout_body_limit = ByteCount::mib(1);
constexpr std::size_t most_canaries = 1024;
constexpr std::uint64_t longest_soak = 30ULL * 24 * 3600;

Json describe(const std::vector<Assignment>& assignments, const Ingest& ingest, const RolloutRecord& rollout) {
  Json json = to_json(rollout);
  json["devices"] = Json::array();
  for (const Assignment& assignment : assignments) {
    json["devices"].push_back({{"name", assignment.device},
                               {"canary", assignment.canary},
                               {"excluded", assignment.excluded},
                               {"online", ingest.online(assignment.device)},
                               {"state", state_or_null(assignment)},
                               {"reason", assignment.reason},
                               {"generation", assignment.generation},
                               {"cancelled", assignment.cancelled},
                               {"variants", assignment.variants},
                               {"slowdown", assignment.slowdown ? Json(assignment.slowdown->p90) : Json(nullptr)},
                               {"updated", to_rfc3339(assignment.updated)}});
  }
  return json;
}

// With what its boards have shown so far; of one rollout, since all boards of the model are looked at.
Result<Json> describe_whole(Registry& registry, const Ingest& ingest, const RolloutRecord& rollout) {
  OUTCROP_TRY(assignments, registry.assignments(rollout.name));
  OUTCROP_TRY(devices, registry.devices_of(rollout.model));
  std::map<std::string_view, const Assignment*> assigned;
  for (const Assignment& one : assignments) assigned.emplace(one.device, &one);
  RolloutEvidence evidence;
  for (const Device& device : devices) {
    const auto found = assigned.find(device.name);
    evidence.add(device, found == assigned.end() ? nullptr : found->second);
  }
  Json json = describe(assignments, ingest, rollout);
  json["evidence"] = to_json(evidence.judge(rollout, /*with_intervals=*/true));
  return json;
}

}  // namespace

Result<http::Response> Api::rollouts() {
  OUTCROP_TRY(all, parts_.registry.rollouts());
  Json json = Json::array();
  for (const RolloutRecord& rollout : all) {
    OUTCROP_TRY(assignments, parts_.registry.assignments(rollout.name));
    json.push_back(describe(assignments, parts_.ingest, rollout));
  }
  return respond({{"rollouts", std::move(json)}});
}

Result<http::Response> Api::rollout(const std::string& name) {
  OUTCROP_TRY(found, parts_.registry.rollout(name));
  if (!found) return fail(ErrorCode::not_found, "there is no rollout '" + name + "'");
  OUTCROP_TRY(json, describe_whole(parts_.registry, parts_.ingest, *found));
  return respond(json);
}

Result<http::Response> Api::start_rollout(const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, rollout_body_limit, "rollout"));
  ObjectReader reader(json, "rollout");
  RolloutRequest request;
  const auto given = [&](const char* key) { return json.contains(key) && !reader.null(key); };
  request.soak = parts_.rollout_defaults.soak;
  request.on_unmeasurable = parts_.rollout_defaults.on_unmeasurable;
  request.failed_share = parts_.rollout_defaults.failed_share;
  request.slower_allowed = parts_.rollout_defaults.slower_allowed;
  request.false_stops = parts_.rollout_defaults.false_stops;
  request.first_ring = parts_.rollout_defaults.first_ring;
  if (given("name")) request.name = reader.name_or_empty("name");
  request.manifest = reader.text("manifest", 64);
  if (given("canaries")) request.canaries = reader.texts("canaries", most_canaries, 63);
  if (given("canary_count"))
    request.canary_count = reader.integer("canary_count", 0, most_canaries);
  if (given("soak_seconds")) {
    request.soak = std::chrono::seconds(reader.integer("soak_seconds", 0, longest_soak));
  }
  if (given("on_unmeasurable")) {
    request.on_unmeasurable = static_cast<messages::OnUnmeasurable>(
        reader.choice("on_unmeasurable", {"hold", "fail", "activate"}));
  }
  if (given("byte_budget")) request.byte_budget = reader.size("byte_budget");
  if (given("failed_share")) request.failed_share = reader.number("failed_share", 0, 1);
  if (given("slower_allowed")) request.slower_allowed = reader.number("slower_allowed", 0, 100);
  if (given("false_stops")) request.false_stops = reader.number("false_stops", 1e-6, 0.5);
  if (given("first_ring")) request.first_ring = reader.integer("first_ring", 1, 1'000'000);
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(started, parts_.driver.start(request));
  OUTCROP_TRY(described, describe_whole(parts_.registry, parts_.ingest, started));
  return respond(described, 201);
}

Result<http::Response> Api::steer_rollout(const std::string& name, const std::string& verb) {
  Result<RolloutRecord> after =
      verb == "pause"    ? parts_.driver.pause(name)
      : verb == "resume" ? parts_.driver.resume(name)
      : verb == "abort"  ? parts_.driver.abort(name)
                         : fail(ErrorCode::not_found,
                                "a rollout can be paused, resumed or aborted, not '" + verb + "'");
  if (!after) return fail(after.error());
  OUTCROP_TRY(described, describe_whole(parts_.registry, parts_.ingest, *after));
  return respond(described);
}

}  // namespace outcrop::fleet
