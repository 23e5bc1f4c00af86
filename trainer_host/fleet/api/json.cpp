#include "trainer_host/fleet/api/json.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "protocol/base/json_text.hpp"

namespace outcrop::fleet {
namespace {

constexpr double most_evidence = 1e9;  // more is shown as this
constexpr std::array<std::string_view, 3> without_measurement{"hold", "fail", "activate"};

}  // namespace

Json number_or_null(const std::optional<double>& number) {
  return number ? Json(*number) : Json(nullptr);
}

Json time_or_null(const std::optional<Timestamp>& time) {
  return time ? Json(to_rfc3339(*time)) : Json(nullptr);
}

Json to_json(const Device& device) {
  return {
      {"name", device.name},
      {"model", device.model},
      {"device_class", device.device_class},
      {"enrolled", to_rfc3339(device.enrolled)},
      {"revoked", time_or_null(device.revoked)},
      {"revoked_reason", device.revoked_reason},
      {"last_seen", time_or_null(device.last_seen)},
      {"attention", device.attention},
      {"signs", device.signs},
      {"tags", device.tags},
      {"status", device.status ? Json::parse(messages::to_json(*device.status)) : Json(nullptr)}};
}

Json to_json(const ReleaseRecord& release) {
  const bool told = release.quality && !release.quality->empty();
  return {{"manifest", release.manifest.hex()},
          {"manifest_size", release.manifest_size.value()},
          {"model", release.model},
          {"stage", release.stage},
          {"epoch", release.epoch},
          {"state", to_string(release.state)},
          {"reason", release.reason},
          {"published", to_rfc3339(release.published)},
          {"total", release.total.value()},
          {"quality", told ? Json::parse(*release.quality, nullptr, false) : Json(nullptr)}};
}

Json to_json(const RolloutRecord& rollout) {
  return {{"name", rollout.name},
          {"model", rollout.model},
          {"manifest", rollout.manifest.hex()},
          {"state", to_string(rollout.state)},
          {"reason", rollout.reason},
          {"soak_seconds", rollout.soak.count()},
          {"on_unmeasurable", without_measurement[static_cast<std::size_t>(rollout.on_unmeasurable)]},
          {"byte_budget", rollout.byte_budget.value()},
          {"failed_share", rollout.limits.failed_share},
          {"slower_allowed", rollout.limits.slower_allowed},
          {"false_stops", rollout.limits.false_stops},
          {"first_ring", rollout.limits.first_ring},
          {"at_once", rollout.limits.at_once},
          {"a_minute", rollout.limits.a_minute},
          {"deadline_seconds", rollout.limits.deadline.count()},
          {"target",
           {{"device_class", rollout.target.device_class},
            {"tag", rollout.target.tag},
            {"part_of_name", rollout.target.part_of_name},
            {"share", rollout.target.share},
            {"group", rollout.target.group},
            {"words", in_words(rollout.target)}}},
          {"objective", rollout.aim ? Json(to_string(*rollout.aim)) : Json(nullptr)},
          {"starts", time_or_null(rollout.schedule.starts)},
          {"windows", to_string(rollout.schedule.windows)},
          {"rings_skipped", rollout.rings_skipped},
          {"started", to_rfc3339(rollout.started)},
          {"ended", time_or_null(rollout.ended)}};
}

Json to_json(const Judgement& judgement) {
  // What few boards leave open has no number in JSON.
  const auto bound = [](double ratio) { return ratio > 0 && std::isfinite(ratio) ? Json(ratio) : Json(nullptr); };
  Json classes = Json::array();
  for (const ClassEvidence& seen : judgement.classes) {
    const bool compared = seen.boards > 0;
    classes.push_back({{"device_class", seen.device_class},
                       {"boards", seen.boards},
                       {"ratio", compared ? Json(seen.ratio) : Json(nullptr)},
                       {"interval", compared ? Json{bound(seen.interval.low), bound(seen.interval.high)} : Json(nullptr)},
                       {"slower", std::min(seen.slower, most_evidence)},
                       {"not_slower", std::min(seen.not_slower, most_evidence)},
                       {"ended", seen.ended},
                       {"failures", seen.failures},
                       {"failed", std::min(seen.failed, most_evidence)},
                       {"too_few", seen.too_few}});
  }
  return {{"evidence", std::min(judgement.evidence, most_evidence)},
          {"line", judgement.line},
          {"words", in_words(judgement)},
          {"classes", std::move(classes)}};
}

Json state_or_null(const Assignment& assignment) {
  return assignment.state ? Json(messages::to_string(*assignment.state)) : Json(nullptr);
}

http::Response respond(const Json& json, int status) {
  return {status, "application/json", json_text(json)};
}

}  // namespace outcrop::fleet
