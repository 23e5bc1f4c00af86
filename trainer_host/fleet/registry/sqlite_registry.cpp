#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/registry/rows.hpp"
#include "trainer_host/fleet/registry/schema.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"

namespace outcrop::fleet {
namespace {

std::string select(const char* columns, const std::string& rest) {
  return "SELECT " + std::string(columns) + " FROM " + rest;
}

class SqliteRegistry final : public Registry {
 public:
  // Devices are kept in memory by whoever writes them; a reader would not hear that they changed.
  SqliteRegistry(Database database, bool writes) : database_(std::move(database)), keeps_devices_(writes) {}

  Status at_one_moment(const std::function<Status()>& work) override {
    if (depth_ > 0) return work();
    OUTCROP_CHECK(database_.run("BEGIN"));
    ++depth_;
    const Status status = work();
    --depth_;
    const auto ended = database_.run("COMMIT");
    if (!ended) (void)database_.run("ROLLBACK");
    return status ? (ended ? Status() : fail(ended.error())) : status;
  }

  Status transaction(const std::function<Status()>& work) override {
    // One within another is a savepoint of it: it fails by itself, and lasts with the other.
    const bool within = depth_ > 0;
    OUTCROP_CHECK(database_.run(within ? "SAVEPOINT part" : "BEGIN IMMEDIATE"));
    const std::size_t waiting = when_committed_.size();
    ++depth_;
    Status status = work();
    --depth_;
    if (status) {
      if (const auto committed = database_.run(within ? "RELEASE part" : "COMMIT"); !committed) {
        status = fail(committed.error());
      }
    }
    // SQLite itself has rolled back after some errors: then these say so, and no more.
    if (!status && within) {
      (void)database_.run("ROLLBACK TO part");
      (void)database_.run("RELEASE part");
    } else if (!status) {
      (void)database_.run("ROLLBACK");
    }
    if (!status) {
      for (const auto& [device, what] : std::map(written_)) unkeep(device, what);
      when_committed_.resize(waiting);
    }
    if (!within) {
      written_.clear();
      for (const auto& told : std::exchange(when_committed_, {})) told();
    }
    return status;
  }

  void when_committed(std::function<void()> work) override {
    if (depth_ == 0) return work();
    when_committed_.push_back(std::move(work));
  }

  Result<std::uint64_t> next_generation() override {
    std::uint64_t generation = 0;
    OUTCROP_CHECK(database_.query(
        "UPDATE counter SET value = value + 1 WHERE name = 'generation' RETURNING value", {},
        [&](const Database::Row& row) {
          generation = static_cast<std::uint64_t>(row.integer(0));
          return Status();
        }));
    if (generation == 0) return fail(ErrorCode::invalid_data, "database: it has no generation");
    return generation;
  }

  Result<std::uint64_t> last_generation() override {
    std::uint64_t generation = 0;
    OUTCROP_CHECK(database_.query("SELECT value FROM counter WHERE name = 'generation'", {},
                                  [&](const Database::Row& row) {
                                    generation = static_cast<std::uint64_t>(row.integer(0));
                                    return Status();
                                  }));
    return generation;
  }

  Status raise_generation(std::uint64_t to) override {
    return write("UPDATE counter SET value = max(value, ?) WHERE name = 'generation'",
                 {to_column(to)});
  }

  Status save(const Device& device) override {
    Database::Value status = nullptr;
    if (device.status) status = messages::to_json(*device.status);
    return write_of(
        device.name, Written::board,
        "INSERT INTO device (name, model, device_class, key, certificate, enrolled, revoked, "
        "revoked_reason, status, last_seen, highest_session, attention, signs) "
        "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) "
        "ON CONFLICT (name) DO UPDATE SET model = excluded.model, "
        "device_class = excluded.device_class, key = excluded.key, "
        "certificate = excluded.certificate, enrolled = excluded.enrolled, "
        "revoked = excluded.revoked, revoked_reason = excluded.revoked_reason, "
        "status = excluded.status, last_seen = excluded.last_seen, "
        "highest_session = excluded.highest_session, attention = excluded.attention, "
        "signs = excluded.signs",
        {device.name, device.model, device.device_class, device.key.hex(), device.certificate,
         to_column(device.enrolled), to_column(device.revoked), device.revoked_reason, status,
         to_column(device.last_seen), to_column(device.highest_session), device.attention,
         std::int64_t{device.signs}});
  }

  Result<bool> save_word(const Device& device) override {
    Database::Value status = nullptr;
    if (device.status) status = messages::to_json(*device.status);
    return changes_of(
        device.name,
        "UPDATE device SET status = ?, last_seen = ?, highest_session = max(highest_session, ?), "
        "attention = ?, signs = max(signs, ?) WHERE name = ? AND key = ? AND revoked IS NULL",
        {status, to_column(device.last_seen), to_column(device.highest_session), device.attention,
         std::int64_t{device.signs}, device.name, device.key.hex()});
  }

  Result<bool> revoke(const std::string& device, Timestamp when, const std::string& reason,
                      const std::string& instead_of) override {
    return changes_of(
        device,
        "UPDATE device SET revoked = coalesce(revoked, ?), revoked_reason = ? WHERE name = ? AND "
        "(revoked IS NULL OR (?4 <> '' AND revoked_reason = ?4))",
        {to_column(when), reason, device, instead_of});
  }

  Result<std::optional<Device>> device(const std::string& name) override {
    if (const auto kept = devices_.find(name); kept != devices_.end()) return std::optional(kept->second);
    return one<Device>(select(device_columns, "device WHERE name = ?"), {name}, as_kept());
  }

  Result<std::vector<Device>> devices() override {
    return all<Device>(select(device_columns, "device ORDER BY name"), {}, as_kept());
  }

  Result<std::vector<Device>> devices_of(const std::string& model) override {
    return all<Device>(select(device_columns, "device WHERE model = ? ORDER BY name"), {model}, as_kept());
  }

  Result<std::vector<Device>> devices_without_word() override {
    return all<Device>(
        select(device_columns, "device WHERE revoked IS NULL AND name IN (SELECT device FROM assignment WHERE "
                               "state IS NULL AND generation > 0) ORDER BY name"),
        {}, as_kept());
  }

  Result<std::vector<BoardLabels>> newcomers(const RolloutRecord& rollout) override {
    return all<BoardLabels>(
        "SELECT name, device_class, tags FROM device WHERE model = ? AND revoked IS NULL AND NOT EXISTS (SELECT 1 FROM "
        "assignment WHERE rollout = ? AND assignment.device = device.name)",
        {rollout.model, rollout.name}, read_board_labels);
  }

  Result<bool> save_tags(const std::string& device, const std::set<std::string>& tags) override {
    return changes_of(device, "UPDATE device SET tags = ? WHERE name = ?", {names_to_json({tags.begin(), tags.end()}), device});
  }

  Result<std::size_t> count_enrolled() override {
    std::size_t count = 0;
    OUTCROP_CHECK(database_.query(
        "SELECT count(*) FROM device INDEXED BY device_enrolled WHERE revoked IS NULL", {},
        [&](const Database::Row& row) {
          count = static_cast<std::size_t>(row.integer(0));
          return Status();
        }));
    return count;
  }

  Result<std::set<trust::Sha256Digest>> wanted() override {
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

  Status save(const ReleaseRecord& release) override {
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

  Result<std::optional<ReleaseRecord>> release(const trust::Sha256Digest& manifest) override {
    return one<ReleaseRecord>(select(release_columns, "release WHERE manifest = ?"),
                              {manifest.hex()}, read_release);
  }

  Result<std::vector<ReleaseRecord>> releases() override {
    return all<ReleaseRecord>(select(release_columns, "release ORDER BY place DESC"), {},
                              read_release);
  }

  Status save(const RolloutRecord& rollout) override {
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

  Result<std::optional<RolloutRecord>> rollout(const std::string& name) override {
    return one<RolloutRecord>(select(rollout_columns, "rollout WHERE name = ?"), {name},
                              read_rollout);
  }

  Result<std::vector<RolloutRecord>> rollouts() override {
    return all<RolloutRecord>(select(rollout_columns, "rollout ORDER BY place DESC"), {},
                              read_rollout);
  }

  Result<std::vector<RolloutRecord>> rollouts_under_way() override {
    return all<RolloutRecord>(
        select(rollout_columns, "rollout WHERE ended IS NULL ORDER BY place DESC"), {},
        read_rollout);
  }

  Result<bool> remove(const RolloutRecord& rollout) override {
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

  Status save(const Assignment& a) override {
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

  Status remove(const Assignment& assignment) override {
    return write_of(assignment.device, Written::board, "DELETE FROM assignment WHERE rollout = ? AND device = ?",
                    {assignment.rollout, assignment.device});
  }

  Result<std::optional<Assignment>> assignment(const std::string& rollout,
                                               const std::string& device) override {
    return one<Assignment>(
        select(assignment_columns, "assignment WHERE rollout = ? AND device = ?"),
        {rollout, device}, read_assignment);
  }

  Result<std::vector<Assignment>> assignments(const std::string& rollout) override {
    return all<Assignment>(
        select(assignment_columns, "assignment WHERE rollout = ? ORDER BY device"), {rollout},
        read_assignment);
  }

  Result<RolloutBoards> count_boards(const std::string& rollout) override {
    RolloutBoards boards;
    OUTCROP_CHECK(database_.query(
        "SELECT count(*), count(*) FILTER (WHERE state = 'UPDATED' AND NOT cancelled) FROM assignment WHERE rollout = ?", {rollout},
        [&](const Database::Row& row) {
          boards = {static_cast<std::size_t>(row.integer(0)), static_cast<std::size_t>(row.integer(1))};
          return Status();
        }));
    return boards;
  }

  Result<std::optional<Assignment>> desired(const std::string& device) override {
    return one<Assignment>(select(assignment_columns,
                                  "assignment WHERE device = ? AND generation > 0 "
                                  "ORDER BY generation DESC LIMIT 1"),
                           {device}, read_assignment);
  }

  Result<ReportTaken> add_report(const messages::Report& report, const trust::KeyId& key,
                                 std::string_view envelope, Timestamp received) override {
    ReportTaken taken = ReportTaken::added;
    OUTCROP_CHECK(transaction([&]() -> Status {
      const std::string text = messages::to_json(report);
      const messages::DeviceHeader& header = report.header;
      std::int64_t copy = 0;
      OUTCROP_CHECK(database_.query(
          "SELECT copy, report FROM report WHERE device = ? AND key = ? AND session = ? AND "
          "sequence = ? ORDER BY copy",
          {header.device, key.hex(), to_column(header.session), to_column(header.sequence)},
          [&](const Database::Row& row) {
            copy = row.integer(0) + 1;
            taken = row.text(1) == text || taken == ReportTaken::repeated
                        ? ReportTaken::repeated
                        : ReportTaken::number_used;
            return Status();
          }));
      if (taken == ReportTaken::repeated) return {};
      OUTCROP_TRY(known, release(report.deployment.manifest));
      OUTCROP_CHECK(
          write_of(header.device, Written::report,
                   "INSERT INTO report (device, key, session, sequence, copy, manifest, received, "
                   "report, envelope, known) VALUES (?,?,?,?,?,?,?,?,?,?)",
                   {header.device, key.hex(), to_column(header.session), to_column(header.sequence),
                    copy, report.deployment.manifest.hex(), to_column(received), text,
                    std::string(envelope), std::int64_t{known.has_value()}}));
      if (text.size() > long_report.value()) OUTCROP_CHECK(make_room_for_long(header.device));
      return make_room(header.device, report.deployment.manifest, known.has_value());
    }));
    return taken;
  }

  Result<std::vector<StoredReport>> reports(const std::string& device,
                                            const std::optional<trust::Sha256Digest>& manifest,
                                            std::size_t limit, std::uint64_t below) override {
    const auto read = [](const Database::Row& row) -> Result<StoredReport> {
      auto report = messages::parse_report(as_bytes(row.text(0)));
      if (!report) return fail(report.error().context("database: a stored report"));
      return StoredReport{std::move(*report), to_time(row.integer(1)), row.integer(2) > 0, static_cast<std::uint64_t>(row.integer(3))};
    };
    // A statement for each: one with (? = '' OR device = ?) reads the whole table.
    const std::string rest = "place < ? ORDER BY place DESC LIMIT ?";
    const std::string columns = "SELECT report, received, copy, place FROM report WHERE ";
    const auto most = static_cast<std::int64_t>(limit);
    const std::int64_t end = to_column(std::min<std::uint64_t>(below, INT64_MAX));
    if (!device.empty() && manifest) {
      return all<StoredReport>(columns + "device = ? AND manifest = ? AND " + rest,
                               {device, manifest->hex(), end, most}, +read);
    }
    if (!device.empty()) {
      return all<StoredReport>(columns + "device = ? AND " + rest, {device, end, most}, +read);
    }
    if (manifest) {
      return all<StoredReport>(columns + "manifest = ? AND " + rest, {manifest->hex(), end, most},
                               +read);
    }
    return all<StoredReport>(columns + rest, {end, most}, +read);
  }

  Status ask_picture(const std::string& device, Timestamp asked) override {
    OUTCROP_CHECK(write_of(device, Written::board,
                           "INSERT INTO picture (device, asked, waits) VALUES (?,?,1) "
                           "ON CONFLICT (device) DO UPDATE SET asked = excluded.asked, waits = 1",
                           {device, to_column(asked)}));
    return write("DELETE FROM picture WHERE device IN (SELECT device FROM picture ORDER BY asked DESC, device LIMIT -1 OFFSET ?)",
                 {static_cast<std::int64_t>(pictures_kept)});
  }

  Result<bool> save(const messages::Picture& picture, Timestamp received) override {
    const std::string& device = picture.header.device;
    const std::string text = messages::to_json(picture);
    OUTCROP_TRY(before, one<std::string>("SELECT coalesce(picture, '') FROM picture WHERE device = ?", {device},
                                         [](const Database::Row& row) -> Result<std::string> { return row.text(0); }));
    if (!before || *before == text) return before.has_value();
    return changes_of(device, "UPDATE picture SET waits = 0, received = ?, manifest = ?, picture = ? WHERE device = ?",
                      {to_column(received), picture.manifest.hex(), text, device});
  }

  Result<std::optional<KeptPicture>> picture(const std::string& device) override {
    return one<KeptPicture>(select(picture_columns, "picture WHERE device = ?"), {device}, read_picture);
  }

  Result<std::vector<KeptPicture>> pictures_of(const trust::Sha256Digest& manifest, std::size_t limit) override {
    return all<KeptPicture>(select(picture_columns, "picture WHERE manifest = ? ORDER BY device LIMIT ?"),
                            {manifest.hex(), static_cast<std::int64_t>(limit)}, read_picture);
  }

  Status save_metadata(const std::string& role, const std::string& envelope) override {
    return write(
        "INSERT INTO metadata VALUES (?,?) "
        "ON CONFLICT (role) DO UPDATE SET envelope = excluded.envelope",
        {role, envelope});
  }

  Status remove_metadata(const std::string& role) override {
    return write("DELETE FROM metadata WHERE role = ?", {role});
  }

  Result<std::vector<std::pair<std::string, std::string>>> metadata() override {
    using Role = std::pair<std::string, std::string>;
    return all<Role>("SELECT role, envelope FROM metadata ORDER BY role", {},
                     [](const Database::Row& row) -> Result<Role> {
                       return Role{row.text(0), row.text(1)};
                     });
  }

  Status save(const DeviceAuthority& authority) override {
    return write(
        "INSERT INTO authority VALUES (?,?) ON CONFLICT (certificate) DO UPDATE SET crl = "
        "excluded.crl",
        {authority.certificate, authority.crl});
  }

  Result<std::vector<DeviceAuthority>> authorities() override {
    return all<DeviceAuthority>("SELECT certificate, crl FROM authority ORDER BY certificate", {},
                                [](const Database::Row& row) -> Result<DeviceAuthority> {
                                  return DeviceAuthority{row.text(0), row.text(1)};
                                });
  }

  Status remove(const DeviceAuthority& authority) override {
    return write("DELETE FROM authority WHERE certificate = ?", {authority.certificate});
  }

  Status save(const Group& group) override {
    return write("INSERT INTO saved_group VALUES (?,?) ON CONFLICT (name) DO UPDATE SET filter = excluded.filter",
                 {group.name, group.filter});
  }

  Result<bool> remove_group(const std::string& name) override {
    return changes("DELETE FROM saved_group WHERE name = ?", {name});
  }

  Result<std::vector<Group>> groups() override {
    return all<Group>("SELECT name, filter FROM saved_group ORDER BY name", {},
                      [](const Database::Row& row) -> Result<Group> { return Group{row.text(0), row.text(1)}; });
  }

  Status save(const GivenAnswer& answer) override {
    return transaction([&]() -> Status {
      OUTCROP_CHECK(write("DELETE FROM given_answer WHERE given <= ?", {to_column(answer.given - answers_kept_for)}));
      OUTCROP_CHECK(write("INSERT INTO given_answer (caller, key, request, given, status, body) VALUES (?,?,?,?,?,?)",
                          {answer.caller, answer.key, answer.request.hex(), to_column(answer.given),
                           std::int64_t{answer.status}, answer.body}));
      // Of one caller alone: nobody can make another's go.
      return write(
          "DELETE FROM given_answer WHERE caller = ?1 AND place <= (SELECT place FROM (SELECT place, row_number() OVER "
          "newest AS number, sum(length(body)) OVER newest AS bytes FROM given_answer WHERE caller = ?1 WINDOW newest "
          "AS (ORDER BY place DESC)) WHERE number > ?2 OR (number > 1 AND bytes > ?3) ORDER BY place DESC LIMIT 1)",
          {answer.caller, static_cast<std::int64_t>(answers_kept), static_cast<std::int64_t>(answer_bytes_kept.value())});
    });
  }

  Result<std::optional<GivenAnswer>> answer(const std::string& caller, const std::string& key, Timestamp now) override {
    return one<GivenAnswer>(
        "SELECT caller, key, request, given, status, body FROM given_answer WHERE caller = ? AND key = ? AND given > ?",
        {caller, key, to_column(now - answers_kept_for)}, [](const Database::Row& row) -> Result<GivenAnswer> {
          OUTCROP_TRY(request, trust::Sha256Digest::from_hex(row.text(2)));
          return GivenAnswer{row.text(0), row.text(1), request, to_time(row.integer(3)),
                             static_cast<int>(row.integer(4)), row.text(5)};
        });
  }

  Status save_note(const std::string& name, const std::string& value) override {
    return write(
        "INSERT INTO note VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        {name, value});
  }

  Status remove_note(const std::string& name) override {
    return write("DELETE FROM note WHERE name = ?", {name});
  }

  Result<std::optional<std::string>> note(const std::string& name) override {
    return one<std::string>(
        "SELECT value FROM note WHERE name = ?", {name},
        [](const Database::Row& row) -> Result<std::string> { return row.text(0); });
  }

  Status append(const monitor::AuditEntry& entry) override {
    return write("INSERT INTO audit (number, time, who, action, subject, detail, before, hash) "
                 "VALUES (?,?,?,?,?,?,?,?)",
                 {to_column(entry.number), to_column(entry.time), entry.who, entry.action,
                  entry.subject, entry.detail, entry.before.hex(), entry.hash.hex()});
  }

  Result<std::vector<monitor::AuditEntry>> audit_below(std::uint64_t number, std::size_t limit,
                                                       const std::string& subject,
                                                       const std::string& action) override {
    const std::int64_t below = to_column(std::min<std::uint64_t>(number, INT64_MAX));
    const auto most = static_cast<std::int64_t>(limit);
    const std::string rest = "number < ? ORDER BY number DESC LIMIT ?";
    const auto of = [&](const std::string& where) { return select(audit_columns, "audit WHERE " + where + rest); };
    if (!subject.empty() && !action.empty()) {
      return all<monitor::AuditEntry>(of("subject = ? AND action = ? AND "),
                                      {subject, action, below, most}, read_audit_entry);
    }
    if (!subject.empty()) {
      return all<monitor::AuditEntry>(of("subject = ? AND "), {subject, below, most},
                                      read_audit_entry);
    }
    if (!action.empty()) {
      return all<monitor::AuditEntry>(of("action = ? AND "), {action, below, most},
                                      read_audit_entry);
    }
    return all<monitor::AuditEntry>(of(""), {below, most}, read_audit_entry);
  }

  Result<std::vector<monitor::AuditEntry>> audit_after(std::uint64_t number,
                                                       std::size_t limit) override {
    return all<monitor::AuditEntry>(
        select(audit_columns, "audit WHERE number > ? ORDER BY number LIMIT ?"),
        {to_column(std::min<std::uint64_t>(number, INT64_MAX)), static_cast<std::int64_t>(limit)},
        read_audit_entry);
  }

  Status back_up(const std::filesystem::path& file) override { return database_.back_up(file); }

 private:
  // Removes the board's reports about that release, or about none here, beyond those to be kept.
  Status make_room_for_long(const std::string& device) {
    return write(
        "DELETE FROM report WHERE place IN (SELECT place FROM (SELECT place, SUM(size) OVER (ORDER BY place DESC) AS size FROM "
        "(SELECT place, length(report) AS size FROM report WHERE device = ?1) WHERE size > ?2) WHERE size > ?3)",
        {device, static_cast<std::int64_t>(long_report.value()), static_cast<std::int64_t>(long_reports_kept.value())});
  }

  Status make_room(const std::string& device, const trust::Sha256Digest& manifest, bool known) {
    const auto kept = static_cast<std::int64_t>(reports_kept);
    if (!known) {
      return write(
          "DELETE FROM report WHERE device = ?1 AND known = 0 AND place <= (SELECT place FROM "
          "report WHERE device = ?1 AND known = 0 ORDER BY place DESC LIMIT 1 OFFSET ?2)",
          {device, kept});
    }
    return write(
        "DELETE FROM report WHERE device = ?1 AND manifest = ?2 AND place <= (SELECT place FROM "
        "report WHERE device = ?1 AND manifest = ?2 ORDER BY place DESC LIMIT 1 OFFSET ?3)",
        {device, manifest.hex(), kept});
  }

  void unkeep(const std::string& device, Written what) {
    devices_.erase(device);
    tell(device, what);
  }
  void wrote(const std::string& device, Written what) {
    if (depth_ > 0) {
      const auto [place, first] = written_.emplace(device, what);
      if (!first && what == Written::report) place->second = what;
    }
    unkeep(device, what);
  }
  Status write_of(const std::string& device, Written what, const std::string& sql,
                  std::initializer_list<Database::Value> values) {
    OUTCROP_CHECK(write(sql, values));
    wrote(device, what);
    return {};
  }
  Result<bool> changes_of(const std::string& device, const std::string& sql, std::initializer_list<Database::Value> values) {
    OUTCROP_TRY(changed, changes(sql, values));
    if (changed) wrote(device, Written::board);
    return changed;
  }
  // What a board says is a document that takes longer to read than all else here, and is read for each of its messages.
  std::function<Result<Device>(const Database::Row&)> as_kept() {
    return [this](const Database::Row& row) -> Result<Device> {
      const std::string name = row.text(0);
      if (const auto kept = devices_.find(name); kept != devices_.end()) return kept->second;
      OUTCROP_TRY(device, read_device(row));
      if (!keeps_devices_) return device;
      return devices_.emplace(name, std::move(device)).first->second;
    };
  }

  Result<bool> changes(const std::string& sql, std::initializer_list<Database::Value> values) {
    OUTCROP_TRY(rows, database_.run(sql, values));
    return rows > 0;
  }

  Status write(const std::string& sql, std::initializer_list<Database::Value> values) {
    const auto rows = database_.run(sql, values);
    if (!rows) return fail(rows.error());
    return {};
  }

  template <class T, class Read>
  Result<std::vector<T>> all(const std::string& sql, std::initializer_list<Database::Value> values, Read read) {
    std::vector<T> found;
    OUTCROP_CHECK(database_.query(sql, values, [&](const Database::Row& row) -> Status {
      OUTCROP_TRY(record, read(row));
      found.push_back(std::move(record));
      return {};
    }));
    return found;
  }

  template <class T, class Read>
  Result<std::optional<T>> one(const std::string& sql, std::initializer_list<Database::Value> values, Read read) {
    OUTCROP_TRY(found, all<T>(sql, values, read));
    if (found.empty()) return std::optional<T>();
    return std::optional<T>(std::move(found.front()));
  }

  Database database_;
  bool keeps_devices_;
  int depth_ = 0;  // of transactions in each other
  std::map<std::string, Written> written_;  // by the transaction that is open
  std::unordered_map<std::string, Device> devices_;  // as they are in the database
  std::vector<std::function<void()>> when_committed_;
};

}  // namespace

Result<std::unique_ptr<Registry>> open_sqlite_registry(
    const std::filesystem::path& file, std::function<void(const std::string& sql)> prepared) {
  OUTCROP_TRY(database, Database::open(file));
  if (const Status status = bring_to_schema(database); !status) {
    return fail(status.error().context(file.string()));
  }
  database.on_prepared(std::move(prepared));
  return std::make_unique<SqliteRegistry>(std::move(database), /*writes=*/true);
}

Result<std::unique_ptr<Registry>> read_sqlite_registry(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) {
    return fail(ErrorCode::not_found, "there is no database " + file.string());
  }
  OUTCROP_TRY(database, Database::open_for_reading(file));
  if (const auto version = check_schema(database); !version) {
    return fail(version.error().context(file.string()));
  }
  return std::make_unique<SqliteRegistry>(std::move(database), /*writes=*/false);
}

}  // namespace outcrop::fleet
