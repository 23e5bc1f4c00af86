#include "trainer_host/fleet/registry/rows.hpp"

#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"
#include "trainer_host/fleet/registry/names.hpp"

namespace outcrop::fleet {
namespace {

tl::unexpected<Error> damaged(const std::string& table, const std::string& key,
                              const std::string& what) {
  return fail(ErrorCode::invalid_data,
              "database: " + table + " '" + key + "': " + what + " does not read as written");
}

std::optional<Timestamp> time_or_none(const Database::Row& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return to_time(row.integer(column));
}

std::uint64_t count(const Database::Row& row, int column) {
  return static_cast<std::uint64_t>(row.integer(column));
}

std::optional<std::vector<std::string>> names_from_json(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_array()) return std::nullopt;
  std::vector<std::string> names;
  for (const auto& name : json) {
    if (!name.is_string()) return std::nullopt;
    names.push_back(name.get<std::string>());
  }
  return names;
}

}  // namespace

Database::Value to_column(const std::optional<Timestamp>& time) {
  if (!time) return nullptr;
  return to_column(*time);
}

Database::Value to_column(const std::optional<trust::Sha256Digest>& digest) {
  if (!digest) return nullptr;
  return digest->hex();
}

std::string names_to_json(const std::vector<std::string>& names) {
  return json_text(nlohmann::json(names));
}

Result<Device> read_device(const Database::Row& row) {
  Device device;
  device.name = row.text(0);
  device.model = row.text(1);
  device.device_class = row.text(2);
  const auto key = trust::PublicKey::from_hex(row.text(3));
  if (!key) return damaged("device", device.name, "key");
  device.key = *key;
  device.certificate = row.text(4);
  device.enrolled = to_time(row.integer(5));
  device.revoked = time_or_none(row, 6);
  device.revoked_reason = row.text(7);
  if (!row.is_null(8)) {
    auto status = messages::parse_status(row.text(8));
    if (!status) return damaged("device", device.name, "status");
    device.status = std::move(*status);
  }
  device.last_seen = time_or_none(row, 9);
  device.highest_session = count(row, 10);
  device.attention = row.text(11);
  device.signs = row.integer(12) != 0;
  const auto tags = names_from_json(row.text(13));
  if (!tags) return damaged("device", device.name, "tags");
  device.tags = {tags->begin(), tags->end()};
  return device;
}

Result<BoardLabels> read_board_labels(const Database::Row& row) {
  BoardLabels labels{row.text(0), row.text(1), {}};
  const auto tags = names_from_json(row.text(2));
  if (!tags) return damaged("device", labels.name, "tags");
  labels.tags = {tags->begin(), tags->end()};
  return labels;
}

Result<ReleaseRecord> read_release(const Database::Row& row) {
  ReleaseRecord release;
  const auto manifest = trust::Sha256Digest::from_hex(row.text(0));
  const auto state = release_state_from(row.text(5));
  if (!manifest || !state) return damaged("release", row.text(0), "manifest or state");
  release.manifest = *manifest;
  release.manifest_size = ByteCount(count(row, 1));
  release.model = row.text(2);
  release.stage = count(row, 3);
  release.epoch = count(row, 4);
  release.state = *state;
  release.reason = row.text(6);
  release.published = to_time(row.integer(7));
  release.total = ByteCount(count(row, 8));
  if (!row.is_null(9)) release.quality = row.text(9);
  return release;
}

Result<RolloutRecord> read_rollout(const Database::Row& row) {
  RolloutRecord rollout;
  rollout.name = row.text(0);
  rollout.model = row.text(1);
  const auto manifest = trust::Sha256Digest::from_hex(row.text(2));
  const auto state = rollout_state_from(row.text(3));
  const auto resume_to = rollout_state_from(row.text(4));
  const std::int64_t unmeasurable = row.integer(6);
  if (!manifest || !state || !resume_to || unmeasurable < 0 || unmeasurable > 2) {
    return damaged("rollout", rollout.name, "manifest or state");
  }
  rollout.manifest = *manifest;
  rollout.state = *state;
  rollout.resume_to = *resume_to;
  rollout.reason = row.text(5);
  rollout.on_unmeasurable = static_cast<messages::OnUnmeasurable>(unmeasurable);
  rollout.soak = std::chrono::seconds(row.integer(7));
  rollout.byte_budget = ByteCount(count(row, 8));
  rollout.limits.failed_share = row.number(9);
  rollout.started = to_time(row.integer(10));
  rollout.ended = time_or_none(row, 11);
  rollout.past = row.integer(12) != 0;
  rollout.limits.slower_allowed = row.number(13);
  rollout.limits.false_stops = row.number(14);
  rollout.limits.first_ring = count(row, 15);
  rollout.limits.at_once = count(row, 16);
  rollout.limits.a_minute = count(row, 17);
  rollout.limits.deadline = std::chrono::seconds(row.integer(18));
  rollout.target = {row.text(19), row.text(20), row.text(21), row.number(22), row.text(23)};
  rollout.schedule.starts = time_or_none(row, 24);
  auto windows = windows_from(row.text(25));
  if (!windows) return damaged("rollout", rollout.name, "windows");
  rollout.schedule.windows = std::move(*windows);
  rollout.rings_skipped = count(row, 26);
  rollout.minute = to_time(row.integer(27));
  rollout.in_minute = count(row, 28);
  const auto takes_back = take_back_from(row.text(29));
  if (!takes_back) return damaged("rollout", rollout.name, "takes_back");
  rollout.takes_back = *takes_back;
  rollout.takes_back_because = row.text(30);
  if (const std::string word = row.text(31); !word.empty()) {
    const auto aim = aim_from(word);
    if (!aim) return damaged("rollout", rollout.name, "aim");
    rollout.aim = *aim;
  }
  return rollout;
}

Result<Assignment> read_assignment(const Database::Row& row) {
  Assignment assignment;
  assignment.rollout = row.text(0);
  assignment.device = row.text(1);
  assignment.canary = row.integer(2) != 0;
  assignment.excluded = row.integer(3) != 0;
  assignment.generation = count(row, 4);
  assignment.cancelled = row.integer(5) != 0;
  const auto manifest = trust::Sha256Digest::from_hex(row.text(6));
  auto variants = names_from_json(row.text(8));
  const std::string key = assignment.rollout + "', '" + assignment.device;
  if (!manifest || !variants) return damaged("assignment", key, "manifest or variants");
  assignment.manifest = *manifest;
  assignment.variants = std::move(*variants);
  if (!row.is_null(7)) {
    const auto return_to = trust::Sha256Digest::from_hex(row.text(7));
    if (!return_to) return damaged("assignment", key, "return_to");
    assignment.return_to = *return_to;
  }
  if (!row.is_null(9)) {
    assignment.state = deployment_state_from(row.text(9));
    if (!assignment.state) return damaged("assignment", key, "state");
  }
  assignment.reason = row.text(10);
  assignment.confirmed = row.integer(11) != 0;
  assignment.message = {count(row, 12), count(row, 13)};
  assignment.updated = to_time(row.integer(14));
  if (!row.is_null(15) && !row.is_null(16)) assignment.slowdown = {row.number(15), row.number(16)};
  return assignment;
}

Result<KeptPicture> read_picture(const Database::Row& row) {
  KeptPicture kept;
  kept.device = row.text(0);
  kept.asked = to_time(row.integer(1));
  kept.waits = row.integer(2) != 0;
  kept.received = time_or_none(row, 3);
  if (row.is_null(4)) return kept;
  auto picture = messages::parse_picture(as_bytes(row.text(4)));
  if (!picture) return damaged("picture", kept.device, picture.error().message());
  kept.picture = std::move(*picture);
  return kept;
}

Result<monitor::AuditEntry> read_audit_entry(const Database::Row& row) {
  monitor::AuditEntry entry;
  entry.number = count(row, 0);
  entry.time = to_time(row.integer(1));
  entry.who = row.text(2);
  entry.action = row.text(3);
  entry.subject = row.text(4);
  entry.detail = row.text(5);
  const auto before = trust::Sha256Digest::from_hex(row.text(6));
  const auto hash = trust::Sha256Digest::from_hex(row.text(7));
  if (!before || !hash) return damaged("audit", row.text(0), "hash");
  entry.before = *before;
  entry.hash = *hash;
  return entry;
}

}  // namespace outcrop::fleet
