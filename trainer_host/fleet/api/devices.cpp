#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"
#include "protocol/trust/certificate.hpp"
#include "trainer_host/fleet/api/api.hpp"
#include "trainer_host/fleet/api/json.hpp"
#include "trainer_host/fleet/ingest/removed_authorities.hpp"
#include "trainer_host/fleet/ingest/revocations.hpp"
#include "trainer_host/fleet/ingest/vouching.hpp"
#include "trainer_host/fleet/view/filter.hpp"
#include "trainer_host/pki/revocation_list.hpp"

namespace outcrop::fleet {
namespace {

using messages::ObjectReader;

constexpr ByteCount device_body_limit = ByteCount::mib(4);
constexpr std::size_t longest_certificate = 64 * 1024;
constexpr std::size_t longest_crl = 2 * 1024 * 1024;
constexpr std::size_t longest_reason = 1024;
constexpr std::size_t most_shown = 2000;

Json desired_to_json(const Assignment& desired) {
  return {{"rollout", desired.rollout},         {"generation", desired.generation},
          {"manifest", desired.manifest.hex()}, {"cancelled", desired.cancelled},
          {"state", state_or_null(desired)},    {"reason", desired.reason}};
}

Json progress_to_json(const messages::Progress& progress) {
  return {{"state", messages::to_string(progress.state)},
          {"variant", progress.variant},
          {"bytes_done", progress.bytes_done.value()},
          {"bytes_total", progress.bytes_total.value()}};
}

// Another board by a name that was used before: nothing that the one before said is about it. What
// rollouts that were stopped or aborted want of it, a return perhaps, it does not need; to the
// others it is a newcomer, except where it is the canary that they wait for or choose by.
Status start_anew(Registry& registry, const Device& device) {
  OUTCROP_TRY(rollouts, registry.rollouts());
  for (const RolloutRecord& rollout : rollouts) {
    OUTCROP_TRY(found, registry.assignment(rollout.name, device.name));
    if (!found) continue;
    const bool counts = rollout.state != RolloutState::stopped &&
                        rollout.state != RolloutState::aborted && rollout.model == device.model;
    if (!counts) {
      found->generation = 0;  // what the one before did stays to be read
      OUTCROP_CHECK(registry.save(*found));
    } else if (found->canary && (found->generation > 0 || rollout.state == RolloutState::canary)) {
      Assignment fresh;
      fresh.rollout = rollout.name;
      fresh.device = device.name;
      fresh.canary = true;
      fresh.generation = found->generation;
      fresh.manifest = found->manifest;
      fresh.updated = device.enrolled;
      OUTCROP_CHECK(registry.save(fresh));
    } else {
      OUTCROP_CHECK(registry.remove(*found));
    }
  }
  return {};
}

}  // namespace

// Of a list most is as it was when it was asked for last: what a board says of itself is turned into text once.
const std::string& Api::shown(const Device& device) {
  if (shown_.size() >= most_shown) shown_.clear();
  Shown& kept = shown_[device.name];
  if (!kept.text.empty() && static_cast<const Device&>(kept) == device) return kept.text;
  static_cast<Device&>(kept) = device;
  kept.text = json_text(to_json(device));
  kept.text.pop_back();  // more of it follows
  return kept.text;
}

// As describe_device(), with health: `active` is JSON already, as most boards serve the same.
void Api::add_to_list(std::string& list, const BoardRow& row, const std::string& active) {
  Json more = describe_device(Json::object(), row.device, row.desired, nullptr);
  more.erase("active_release");
  more["health"] = to_string(row.health);
  more["why"] = row.why;
  std::string rest = json_text(more);
  rest.front() = ',';
  rest.pop_back();
  list += shown(row.device) + rest + ",\"active_release\":" + active + "}";
}

Json Api::describe_device(Json entry, const Device& device, const std::optional<Assignment>& desired, const Json& active) const {
  const Presence& presence = parts_.ingest.presence();
  entry["online"] = presence.online(device.name);
  // A root names a director, and this board's agent is from before.
  entry["unsigned"] = device.status && !device.signs && directed_.load();
  const auto limited = presence.limited(device.name);
  std::uint64_t too_many = 0;
  for (const auto& [kind, count] : limited) too_many += count;
  entry["limited"] = too_many;
  entry["limited_by_kind"] = limited;
  entry["refused_by_kind"] = presence.refused(device.name);
  entry["desired"] = desired ? desired_to_json(*desired) : Json(nullptr);
  const auto progress = presence.progress(device.name);
  entry["progress"] = progress ? progress_to_json(*progress) : Json(nullptr);
  entry["active_release"] = active;
  return entry;
}

// A page of those that are meant, from what is in memory.
Result<http::Response> Api::devices(const http::Request& request) {
  auto words = request.query;
  if (const auto group = words.find("group"); group != words.end()) {
    OUTCROP_TRY(of_group, words_of_group(parts_.reader, group->second));
    words.erase(group);
    words.merge(of_group);  // what is said beside it counts
  }
  OUTCROP_TRY(query, BoardQuery::read(words));
  OUTCROP_CHECK(view_.refresh());
  OUTCROP_TRY(page, select(view_, query));
  std::map<trust::Sha256Digest, std::string> releases;
  std::string list;
  for (const BoardRow* row : page.rows) {
    const auto serves = row->device.status ? row->device.status->active_manifest : std::nullopt;
    const ReleaseRecord* const active = serves ? view_.release(*serves) : nullptr;
    if (active != nullptr && !releases.contains(*serves)) releases.emplace(*serves, json_text(to_json(*active)));
    list += list.empty() ? "" : ",";
    add_to_list(list, *row, active != nullptr ? releases.at(*serves) : "null");
  }
  http::Response response = respond({{"matching", page.matching},
                                     {"unread", view_.unread()},
                                     {"after", page.after.empty() ? Json(nullptr) : Json(page.after)}});
  response.body.insert(1, "\"devices\":[" + list + "],");
  return response;
}

Result<http::Response> Api::add_authority(const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, device_body_limit, "device-authority"));
  ObjectReader reader(json, "device-authority");
  DeviceAuthority authority;
  authority.certificate = reader.lines("authority", longest_certificate);
  authority.crl = reader.lines("crl", longest_crl);
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_CHECK(take(authority));
  return respond(Json::object());
}

// Whether the list is that authority's is judged here: a broker that is not ours judges nothing. Ours
// refuses one that is older than the one it has.
Status Api::take(const DeviceAuthority& authority) {
  OUTCROP_TRY(list, pki::RevocationList::read(authority.certificate, authority.crl));
  OUTCROP_CHECK(check_not_removed(parts_.registry, authority));
  OUTCROP_CHECK(check_not_leaving(authority));
  OUTCROP_CHECK(parts_.broker.trust_devices(authority));
  OUTCROP_CHECK(parts_.registry.save(authority));
  OUTCROP_TRY(revoked, revoke_listed(parts_.registry, authority, parts_.clock.now()));
  for (const std::string& name : revoked) {
    parts_.ingest.forget(name);
    parts_.broker.disconnect(name);
  }
  for (const std::string& name : revoked) board_changed(name);
  if (!revoked.empty()) parts_.driver.tick();
  return {};
}

Result<http::Response> Api::add_device(const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, device_body_limit, "device"));
  ObjectReader reader(json, "device");
  Device device;
  device.name = reader.name("name");
  device.model = reader.name("model");
  device.device_class = reader.name("device_class");
  device.certificate = reader.lines("certificate", longest_certificate);
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(info, trust::read_certificate(device.certificate));
  if (info.common_name != device.name) {
    return fail(ErrorCode::invalid_argument, "the certificate is that of '" + info.common_name +
                                                 "', not of '" + device.name + "'");
  }
  OUTCROP_TRY(authorities, parts_.registry.authorities());
  OUTCROP_TRY(authority, vouches_for(authorities, device.certificate, info.serial));
  OUTCROP_CHECK(check_not_leaving(authority));
  device.key = info.key;
  device.enrolled = parts_.clock.now();
  OUTCROP_TRY(before, parts_.registry.device(device.name));
  if (before && before->key == device.key) {
    if (before->revoked) {
      return fail(ErrorCode::refused, "the key of '" + device.name + "' is revoked: " +
                                          before->revoked_reason + "; make a new one");
    }
    device.status = before->status;
    device.last_seen = before->last_seen;
    device.enrolled = before->enrolled;
    device.highest_session = before->highest_session;
    device.attention = before->attention;
    device.signs = before->signs;
  } else if (before && !before->revoked) {
    return fail(ErrorCode::already_exists,
                "'" + device.name +
                    "' is enrolled with another key: revoke that one first, or use another name");
  }
  // What it is enrolled with names a director: its agent signs from its first word on.
  const bool directed = parts_.keeper.roles().director_since().has_value();
  device.signs = device.signs || (directed && (!before || before->key != device.key));
  OUTCROP_CHECK(parts_.registry.transaction([&]() -> Status {
    OUTCROP_CHECK(parts_.registry.save(device));
    if (!before || before->key == device.key) return {};
    return start_anew(parts_.registry, device);
  }));
  // The same board again, told twice, may be online: it says so once only.
  if (!before || before->key != device.key) parts_.ingest.forget(device.name);
  // It may have said its own before it was known here.
  if (!parts_.ingest.online(device.name)) parts_.broker.ask_for_status();
  board_changed(device.name);
  parts_.driver.tick();
  return respond(to_json(device), 201);
}

Result<http::Response> Api::revoke_device(const std::string& name, const std::string& body) {
  OUTCROP_TRY(json, messages::parse_object(body, device_body_limit, "revocation"));
  ObjectReader reader(json, "revocation");
  const std::string reason = reader.text("reason", longest_reason);
  const std::string crl = reader.lines("crl", longest_crl);
  reader.done();
  OUTCROP_CHECK(reader.status());
  OUTCROP_TRY(device, parts_.registry.device(name));
  OUTCROP_TRY(changed, parts_.registry.revoke(name, parts_.clock.now(), reason, revoked_by_list));
  if (changed) {
    OUTCROP_TRY(after, parts_.registry.device(name));
    device = std::move(after);
  }
  parts_.ingest.forget(name);
  OUTCROP_TRY(authorities, parts_.registry.authorities());
  for (DeviceAuthority& authority : authorities) {
    if (!pki::RevocationList::read(authority.certificate, crl)) continue;
    authority.crl = crl;
    OUTCROP_CHECK(take(authority));
  }
  parts_.broker.disconnect(name);
  board_changed(name);
  parts_.driver.tick();
  // A board that was enrolled since a backup that came back is named by the list alone.
  Json answer = device ? to_json(*device) : Json{{"name", name}};
  answer["known"] = device.has_value();
  answer["disconnected"] = parts_.broker.ours;
  return respond(answer);
}

}  // namespace outcrop::fleet
