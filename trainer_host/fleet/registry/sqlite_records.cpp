#include "trainer_host/fleet/registry/sqlite_registry.hpp"

#include <algorithm>

namespace outcrop::fleet {

Status SqliteRegistry::save_metadata(const std::string& role, const std::string& envelope) {
  return write(
      "INSERT INTO metadata VALUES (?,?) "
      "ON CONFLICT (role) DO UPDATE SET envelope = excluded.envelope",
      {role, envelope});
}

Status SqliteRegistry::remove_metadata(const std::string& role) {
  return write("DELETE FROM metadata WHERE role = ?", {role});
}

Result<std::vector<std::pair<std::string, std::string>>> SqliteRegistry::metadata() {
  using Role = std::pair<std::string, std::string>;
  return all<Role>("SELECT role, envelope FROM metadata ORDER BY role", {},
                   [](const Database::Row& row) -> Result<Role> {
                     return Role{row.text(0), row.text(1)};
                   });
}

Status SqliteRegistry::save(const DeviceAuthority& authority) {
  return write(
      "INSERT INTO authority VALUES (?,?) ON CONFLICT (certificate) DO UPDATE SET crl = "
      "excluded.crl",
      {authority.certificate, authority.crl});
}

Result<std::vector<DeviceAuthority>> SqliteRegistry::authorities() {
  return all<DeviceAuthority>("SELECT certificate, crl FROM authority ORDER BY certificate", {},
                              [](const Database::Row& row) -> Result<DeviceAuthority> {
                                return DeviceAuthority{row.text(0), row.text(1)};
                              });
}

Status SqliteRegistry::remove(const DeviceAuthority& authority) {
  return write("DELETE FROM authority WHERE certificate = ?", {authority.certificate});
}

Status SqliteRegistry::save(const Group& group) {
  return write("INSERT INTO saved_group VALUES (?,?) ON CONFLICT (name) DO UPDATE SET filter = excluded.filter",
               {group.name, group.filter});
}

Result<bool> SqliteRegistry::remove_group(const std::string& name) {
  return changes("DELETE FROM saved_group WHERE name = ?", {name});
}

Result<std::vector<Group>> SqliteRegistry::groups() {
  return all<Group>("SELECT name, filter FROM saved_group ORDER BY name", {},
                    [](const Database::Row& row) -> Result<Group> { return Group{row.text(0), row.text(1)}; });
}

Status SqliteRegistry::save(const GivenAnswer& answer) {
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

Result<std::optional<GivenAnswer>> SqliteRegistry::answer(const std::string& caller, const std::string& key, Timestamp now) {
  return one<GivenAnswer>(
      "SELECT caller, key, request, given, status, body FROM given_answer WHERE caller = ? AND key = ? AND given > ?",
      {caller, key, to_column(now - answers_kept_for)}, [](const Database::Row& row) -> Result<GivenAnswer> {
        OUTCROP_TRY(request, trust::Sha256Digest::from_hex(row.text(2)));
        return GivenAnswer{row.text(0), row.text(1), request, to_time(row.integer(3)),
                           static_cast<int>(row.integer(4)), row.text(5)};
      });
}

Status SqliteRegistry::save_note(const std::string& name, const std::string& value) {
  return write(
      "INSERT INTO note VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      {name, value});
}

Status SqliteRegistry::remove_note(const std::string& name) {
  return write("DELETE FROM note WHERE name = ?", {name});
}

Result<std::optional<std::string>> SqliteRegistry::note(const std::string& name) {
  return one<std::string>(
      "SELECT value FROM note WHERE name = ?", {name},
      [](const Database::Row& row) -> Result<std::string> { return row.text(0); });
}

Status SqliteRegistry::append(const monitor::AuditEntry& entry) {
  return write("INSERT INTO audit (number, time, who, action, subject, detail, before, hash) "
               "VALUES (?,?,?,?,?,?,?,?)",
               {to_column(entry.number), to_column(entry.time), entry.who, entry.action,
                entry.subject, entry.detail, entry.before.hex(), entry.hash.hex()});
}

Result<std::vector<monitor::AuditEntry>> SqliteRegistry::audit_below(std::uint64_t number, std::size_t limit,
                                                                     const std::string& subject,
                                                                     const std::string& action) {
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

Result<std::vector<monitor::AuditEntry>> SqliteRegistry::audit_after(std::uint64_t number,
                                                                     std::size_t limit) {
  return all<monitor::AuditEntry>(
      select(audit_columns, "audit WHERE number > ? ORDER BY number LIMIT ?"),
      {to_column(std::min<std::uint64_t>(number, INT64_MAX)), static_cast<std::int64_t>(limit)},
      read_audit_entry);
}

}  // namespace outcrop::fleet
