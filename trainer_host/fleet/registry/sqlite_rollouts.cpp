#include "trainer_host/fleet/registry/sqlite_registry.hpp"

namespace outcrop::fleet {

Result<std::vector<BoardLabels>> SqliteRegistry::newcomers(const RolloutRecord& rollout) {
  return all<BoardLabels>(
      "SELECT name, device_class, tags FROM device WHERE model = ? AND revoked IS NULL AND NOT EXISTS (SELECT 1 FROM "
      "assignment WHERE rollout = ? AND assignment.device = device.name)",
      {rollout.model, rollout.name}, read_board_labels);
}

Result<std::set<trust::Sha256Digest>> SqliteRegistry::wanted() {
  std::set<trust::Sha256Digest> all;
  const auto take = [&](const Database::Row& row) -> Status {
    if (row.is_null(0) || row.text(0).empty()) return {};
    OUTCROP_TRY(digest, trust::Sha256Digest::from_hex(row.text(0)));
    all.insert(digest);
    return {};
  };
  // What a board is to be at; of one that is to go back, what it is to go back to.
  const std::string now =
      " FROM assignment a WHERE generation > 0 AND generation = (SELECT max(generation) FROM assignment WHERE "
      "device = a.device) AND EXISTS (SELECT 1 FROM device WHERE name = a.device AND revoked IS NULL)";
  OUTCROP_CHECK(database_.query("SELECT DISTINCT manifest" + now + " AND NOT cancelled", {}, take));
  OUTCROP_CHECK(database_.query("SELECT DISTINCT return_to" + now, {}, take));
  OUTCROP_CHECK(database_.query(
      "SELECT DISTINCT json_extract(status, '$.active.manifest') FROM device WHERE revoked IS NULL AND status IS "
      "NOT NULL",
      {}, take));
  return all;
}

Status SqliteRegistry::save(const ReleaseRecord& release) {
  Database::Value quality = nullptr;
  if (release.quality) quality = *release.quality;
  return write(
      "INSERT INTO release (manifest, manifest_size, model, stage, epoch, state, reason, "
      "published, total, quality, place) VALUES (?,?,?,?,?,?,?,?,?,?, "
      "(SELECT coalesce(max(place), 0) + 1 FROM release)) "
      "ON CONFLICT (manifest) DO UPDATE SET state = excluded.state, reason = excluded.reason, "
      "quality = coalesce(excluded.quality, quality)",
      {release.manifest.hex(), to_column(release.manifest_size), release.model,
       to_column(release.stage), to_column(release.epoch), std::string(to_string(release.state)),
       release.reason, to_column(release.published), to_column(release.total),
       quality});
}

Result<std::optional<ReleaseRecord>> SqliteRegistry::release(const trust::Sha256Digest& manifest) {
  return one<ReleaseRecord>(select(release_columns, "release WHERE manifest = ?"),
                            {manifest.hex()}, read_release);
}

Result<std::vector<ReleaseRecord>> SqliteRegistry::releases() {
  return all<ReleaseRecord>(select(release_columns, "release ORDER BY place DESC"), {},
                            read_release);
}

Status SqliteRegistry::save(const RolloutRecord& rollout) {
  const RolloutLimits& limits = rollout.limits;
  const RolloutTarget& target = rollout.target;
  return write(
      "INSERT INTO rollout (name, model, manifest, state, resume_to, reason, on_unmeasurable, soak, byte_budget, "
      "failed_share, started, ended, past, slower_allowed, false_stops, first_ring, at_once, a_minute, deadline, "
      "target_class, target_tag, target_name, target_share, target_group, starts, windows, rings_skipped, minute, "
      "in_minute, takes_back, takes_back_because, aim, place) VALUES "
      "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?, (SELECT "
      "coalesce(max(place), 0) + 1 FROM rollout)) "
      "ON CONFLICT (name) DO UPDATE SET state = excluded.state, resume_to = excluded.resume_to, "
      "reason = excluded.reason, ended = excluded.ended, past = excluded.past, rings_skipped = excluded.rings_skipped, "
      "minute = excluded.minute, in_minute = excluded.in_minute, takes_back = excluded.takes_back, "
      "takes_back_because = excluded.takes_back_because",
      {rollout.name, rollout.model, rollout.manifest.hex(), std::string(to_string(rollout.state)),
       std::string(to_string(rollout.resume_to)), rollout.reason,
       static_cast<std::int64_t>(rollout.on_unmeasurable), std::int64_t{rollout.soak.count()},
       to_column(rollout.byte_budget), limits.failed_share, to_column(rollout.started), to_column(rollout.ended),
       std::int64_t{rollout.past}, limits.slower_allowed, limits.false_stops, to_column(limits.first_ring),
       to_column(limits.at_once), to_column(limits.a_minute), std::int64_t{limits.deadline.count()},
       target.device_class, target.tag, target.part_of_name, target.share, target.group,
       to_column(rollout.schedule.starts), to_string(rollout.schedule.windows), to_column(rollout.rings_skipped),
       to_column(rollout.minute), to_column(rollout.in_minute), std::string(to_string(rollout.takes_back)),
       rollout.takes_back_because, rollout.aim ? std::string(to_string(*rollout.aim)) : std::string()});
}

Result<std::optional<RolloutRecord>> SqliteRegistry::rollout(const std::string& name) {
  return one<RolloutRecord>(select(rollout_columns, "rollout WHERE name = ?"), {name},
                            read_rollout);
}

Result<std::vector<RolloutRecord>> SqliteRegistry::rollouts() {
  return all<RolloutRecord>(select(rollout_columns, "rollout ORDER BY place DESC"), {},
                            read_rollout);
}

Result<std::vector<RolloutRecord>> SqliteRegistry::rollouts_under_way() {
  return all<RolloutRecord>(
      select(rollout_columns, "rollout WHERE ended IS NULL ORDER BY place DESC"), {},
      read_rollout);
}

Result<bool> SqliteRegistry::remove(const RolloutRecord& rollout) {
  bool removed = false;
  OUTCROP_CHECK(transaction([&]() -> Status {
    bool counts = false;
    OUTCROP_CHECK(database_.query(
        "SELECT 1 FROM assignment a WHERE rollout = ? AND generation > 0 AND generation = (SELECT "
        "max(generation) FROM assignment WHERE device = a.device) LIMIT 1",
        {rollout.name}, [&](const Database::Row&) {
          counts = true;
          return Status();
        }));
    if (counts) return {};
    OUTCROP_TRY(now, this->rollout(rollout.name));
    if (!now || !has_ended(now->state)) return {};
    OUTCROP_CHECK(write("DELETE FROM assignment WHERE rollout = ?", {rollout.name}));
    OUTCROP_CHECK(write("DELETE FROM rollout WHERE name = ?", {rollout.name}));
    removed = true;
    return {};
  }));
  return removed;
}

Status SqliteRegistry::save(const Assignment& a) {
  Database::Value state = nullptr;
  if (a.state) state = std::string(messages::to_string(*a.state));
  Database::Value slowdown = nullptr, slowdown_p50 = nullptr;
  if (a.slowdown) slowdown = a.slowdown->p90, slowdown_p50 = a.slowdown->p50;
  return write_of(
      a.device, Written::board,
      "INSERT INTO assignment (rollout, device, canary, excluded, generation, cancelled, "
      "manifest, return_to, variants, state, reason, confirmed, session, sequence, updated, slowdown, slowdown_p50) "
      "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
      "ON CONFLICT (rollout, device) DO UPDATE SET canary = excluded.canary, "
      "excluded = excluded.excluded, generation = excluded.generation, "
      "cancelled = excluded.cancelled, manifest = excluded.manifest, "
      "return_to = excluded.return_to, variants = excluded.variants, state = excluded.state, "
      "reason = excluded.reason, confirmed = excluded.confirmed, session = excluded.session, "
      "sequence = excluded.sequence, updated = excluded.updated, slowdown = excluded.slowdown, "
      "slowdown_p50 = excluded.slowdown_p50",
      {a.rollout, a.device, std::int64_t{a.canary}, std::int64_t{a.excluded},
       to_column(a.generation), std::int64_t{a.cancelled}, a.manifest.hex(),
       to_column(a.return_to), names_to_json(a.variants), state, a.reason,
       std::int64_t{a.confirmed}, to_column(a.message.session), to_column(a.message.sequence),
       to_column(a.updated), slowdown, slowdown_p50});
}

Status SqliteRegistry::remove(const Assignment& assignment) {
  return write_of(assignment.device, Written::board, "DELETE FROM assignment WHERE rollout = ? AND device = ?",
                  {assignment.rollout, assignment.device});
}

Result<std::optional<Assignment>> SqliteRegistry::assignment(const std::string& rollout,
                                                             const std::string& device) {
  return one<Assignment>(
      select(assignment_columns, "assignment WHERE rollout = ? AND device = ?"),
      {rollout, device}, read_assignment);
}

Result<std::vector<Assignment>> SqliteRegistry::assignments(const std::string& rollout) {
  return all<Assignment>(
      select(assignment_columns, "assignment WHERE rollout = ? ORDER BY device"), {rollout},
      read_assignment);
}

Result<RolloutBoards> SqliteRegistry::count_boards(const std::string& rollout) {
  RolloutBoards boards;
  OUTCROP_CHECK(database_.query(
      "SELECT count(*), count(*) FILTER (WHERE state = 'UPDATED' AND NOT cancelled) FROM assignment WHERE rollout = ?", {rollout},
      [&](const Database::Row& row) {
        boards = {static_cast<std::size_t>(row.integer(0)), static_cast<std::size_t>(row.integer(1))};
        return Status();
      }));
  return boards;
}

Result<std::optional<Assignment>> SqliteRegistry::desired(const std::string& device) {
  return one<Assignment>(select(assignment_columns,
                                "assignment WHERE device = ? AND generation > 0 "
                                "ORDER BY generation DESC LIMIT 1"),
                         {device}, read_assignment);
}

}  // namespace outcrop::fleet
