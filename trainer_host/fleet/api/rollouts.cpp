#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/api/on_worker.hpp"
#include "trainer_host/fleet/api/paged.hpp"

namespace outcrop::fleet {
namespace {

using messages::ObjectReader;

constexpr ByteCount rollout_body_limit = ByteCount::mib(1);
constexpr std::size_t most_canaries = 1024;
constexpr std::uint64_t longest_soak = 30ULL * 24 * 3600;
constexpr std::uint64_t most_boards = 1'000'000;
constexpr std::size_t longest_windows = 24 * 12;
constexpr std::size_t longest_objective = 32;

// Which boards it is for, and when they are offered it.
Status read_target(ObjectReader& reader, const std::function<bool(const char*)>& given, RolloutRequest& request) {
  if (given("device_class")) request.target.device_class = reader.name("device_class");
  if (given("tag")) request.target.tag = reader.name("tag");
  if (given("share")) request.target.share = reader.number("share", 1e-6, 1);
  if (given("starts")) request.schedule.starts = reader.time("starts");
  if (given("windows")) {
    OUTCROP_TRY(windows, windows_from(reader.text("windows", longest_windows)));
    request.schedule.windows = std::move(windows);
  }
  return {};
}

void read_limits(ObjectReader& reader, const std::function<bool(const char*)>& given, RolloutLimits& limits) {
  if (given("failed_share")) limits.failed_share = reader.number("failed_share", 0, 1);
  if (given("slower_allowed")) limits.slower_allowed = reader.number("slower_allowed", 0, 100);
  if (given("false_stops")) limits.false_stops = reader.number("false_stops", 1e-6, 0.5);
  if (given("first_ring")) limits.first_ring = reader.integer("first_ring", 1, most_boards);
  if (given("at_once")) limits.at_once = reader.integer("at_once", 0, most_boards);
  if (given("a_minute")) limits.a_minute = reader.integer("a_minute", 0, most_boards);
  if (given("deadline_seconds")) limits.deadline = std::chrono::seconds(reader.integer("deadline_seconds", 0, longest_soak));
}

Json describe(const std::vector<Assignment>& assignments, const Presence& presence, const RolloutRecord& rollout) {
  Json json = to_json(rollout);
  json["devices"] = Json::array();
  for (const Assignment& assignment : assignments) {
    json["devices"].push_back({{"name", assignment.device},
                               {"canary", assignment.canary},
                               {"excluded", assignment.excluded},
                               {"online", presence.online(assignment.device)},
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
Result<Json> describe_whole(Registry& registry, const Presence& presence, Timestamp now, const RolloutRecord& rollout) {
  OUTCROP_TRY(assignments, registry.assignments(rollout.name));
  OUTCROP_TRY(devices, registry.devices_of(rollout.model));
  std::map<std::string_view, const Assignment*> assigned;
  for (const Assignment& one : assignments) assigned.emplace(one.device, &one);
  RolloutEvidence evidence(rollout, now);
  for (const Device& device : devices) {
    const auto found = assigned.find(device.name);
    evidence.add(device, found == assigned.end() ? nullptr : found->second, presence.online(device.name));
  }
  Json json = describe(assignments, presence, rollout);
  json["evidence"] = to_json(evidence.judge(/*with_intervals=*/true));
  return json;
}

}  // namespace

// A fleet's worth of rows for each rollout, so it is counted by a worker, from a connection of its own.
boost::asio::awaitable<http::Response> Api::rollouts(http::Request request) {
  std::function<Result<http::Response>()> work = [file = parts_.database, request = std::move(request)]() -> Result<http::Response> {
    OUTCROP_TRY(registry, read_sqlite_registry(file));
    OUTCROP_TRY(all, registry->rollouts());
    if (const auto model = request.query.find("model"); model != request.query.end()) {
      std::erase_if(all, [&](const RolloutRecord& one) { return one.model != model->second; });
    }
    OUTCROP_TRY(page, page_of(std::move(all), request, [](const RolloutRecord& one) { return one.name; }));
    Json rollouts = Json::array();
    for (const RolloutRecord& rollout : page.rows) {
      OUTCROP_TRY(boards, registry->count_boards(rollout.name));
      Json json = to_json(rollout);
      json["boards"] = {{"all", boards.all}, {"updated", boards.updated}};
      rollouts.push_back(std::move(json));
    }
    return respond({{"rollouts", std::move(rollouts)}, {"after", page.after.empty() ? Json(nullptr) : Json(page.after)}});
  };
  auto answer = co_await on_worker<Result<http::Response>>(parts_.worker, std::move(work));
  co_return answer ? std::move(*answer) : http::error_response(answer.error());
}

boost::asio::awaitable<Result<Api::ShownRollout>> Api::read_rollout(std::string name) {
  std::function<Result<ShownRollout>()> work = [this, name = std::move(name)]() -> Result<ShownRollout> {
    OUTCROP_TRY(registry, read_sqlite_registry(parts_.database));
    ShownRollout shown;
    OUTCROP_CHECK(registry->at_one_moment([&]() -> Status {
      OUTCROP_TRY(found, registry->rollout(name));
      if (!found) return fail(ErrorCode::not_found, "there is no rollout '" + name + "'");
      OUTCROP_TRY(json, describe_whole(*registry, parts_.ingest.presence(), parts_.clock.now(), *found));
      shown = {respond(json), json_text(to_json(*found))};
      return {};
    }));
    return shown;
  };
  co_return co_await on_worker<Result<ShownRollout>>(parts_.worker, std::move(work));
}

boost::asio::awaitable<http::Response> Api::rollout(std::string name) {
  auto shown = co_await read_rollout(std::move(name));
  co_return shown ? std::move(shown->response) : http::error_response(shown.error());
}

// As lists show it: whoever wants its boards asks for them, and keeps nobody from deciding.
Result<http::Response> Api::changed_rollout(const RolloutRecord& rollout, int status) {
  OUTCROP_TRY(boards, parts_.registry.count_boards(rollout.name));
  Json json = to_json(rollout);
  json["boards"] = {{"all", boards.all}, {"updated", boards.updated}};
  return respond(json, status);
}

// Beside the group its own words may narrow it.
Status Api::target_group(const std::string& group, RolloutRequest& request) {
  OUTCROP_TRY(release, parts_.driver.find_release(request.manifest));
  OUTCROP_TRY(target, target_of_group(group, release.model));
  const auto narrowed = [&](std::string& of_group, const std::string& own, const char* what) -> Status {
    if (!own.empty() && !of_group.empty() && own != of_group) {
      return fail(ErrorCode::invalid_argument, "the group '" + group + "' is of another " + what + ": " + of_group);
    }
    if (!own.empty()) of_group = own;
    return {};
  };
  OUTCROP_CHECK(narrowed(target.device_class, request.target.device_class, "class"));
  OUTCROP_CHECK(narrowed(target.tag, request.target.tag, "tag"));
  target.share = request.target.share;
  request.target = target;
  return {};
}

Result<http::Response> Api::start_rollout(const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, rollout_body_limit, "rollout"));
  ObjectReader reader(json, "rollout");
  RolloutRequest request;
  const auto given = [&](const char* key) { return json.contains(key) && !reader.null(key); };
  request.soak = parts_.rollout_defaults.soak;
  request.on_unmeasurable = parts_.rollout_defaults.on_unmeasurable;
  request.limits = parts_.rollout_defaults.limits;
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
  read_limits(reader, given, request.limits);
  OUTCROP_CHECK(read_target(reader, given, request));
  if (given("objective")) {
    OUTCROP_TRY(aim, aim_from(reader.text("objective", longest_objective)));
    request.aim = aim;
  }
  const std::string group = given("group") ? reader.name("group") : "";
  reader.done();
  OUTCROP_CHECK(reader.status());
  if (!group.empty()) OUTCROP_CHECK(target_group(group, request));
  OUTCROP_TRY(started, parts_.driver.start(request));
  return changed_rollout(started, 201);
}

Result<http::Response> Api::steer_rollout(const std::string& name, const std::string& verb) {
  Result<RolloutRecord> after =
      verb == "pause"    ? parts_.driver.pause(name)
      : verb == "resume" ? parts_.driver.resume(name)
      : verb == "abort"  ? parts_.driver.abort(name)
      : verb == "skip-ring"
          ? parts_.driver.skip_ring(name)
          : fail(ErrorCode::not_found, "a rollout can be told to pause, resume, abort or skip-ring, not to '" + verb + "'");
  if (!after) return fail(after.error());
  return changed_rollout(*after, 200);
}

}  // namespace outcrop::fleet
