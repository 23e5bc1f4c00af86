#include "trainer_host/fleet/registry/sqlite_registry.hpp"

#include <algorithm>

namespace outcrop::fleet {

Status SqliteRegistry::save(const Device& device) {
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

Result<bool> SqliteRegistry::save_word(const Device& device) {
  Database::Value status = nullptr;
  if (device.status) status = messages::to_json(*device.status);
  return changes_of(
      device.name,
      "UPDATE device SET status = ?, last_seen = ?, highest_session = max(highest_session, ?), "
      "attention = ?, signs = max(signs, ?) WHERE name = ? AND key = ? AND revoked IS NULL",
      {status, to_column(device.last_seen), to_column(device.highest_session), device.attention,
       std::int64_t{device.signs}, device.name, device.key.hex()});
}

Result<bool> SqliteRegistry::revoke(const std::string& device, Timestamp when, const std::string& reason,
                                    const std::string& instead_of) {
  return changes_of(
      device,
      "UPDATE device SET revoked = coalesce(revoked, ?), revoked_reason = ? WHERE name = ? AND "
      "(revoked IS NULL OR (?4 <> '' AND revoked_reason = ?4))",
      {to_column(when), reason, device, instead_of});
}

Result<std::optional<Device>> SqliteRegistry::device(const std::string& name) {
  if (const auto kept = devices_.find(name); kept != devices_.end()) return std::optional(kept->second);
  return one<Device>(select(device_columns, "device WHERE name = ?"), {name}, as_kept());
}

Result<std::vector<Device>> SqliteRegistry::devices() {
  return all<Device>(select(device_columns, "device ORDER BY name"), {}, as_kept());
}

Result<std::vector<Device>> SqliteRegistry::devices_of(const std::string& model) {
  return all<Device>(select(device_columns, "device WHERE model = ? ORDER BY name"), {model}, as_kept());
}

Result<std::vector<Device>> SqliteRegistry::devices_without_word() {
  return all<Device>(
      select(device_columns, "device WHERE revoked IS NULL AND name IN (SELECT device FROM assignment WHERE "
                             "state IS NULL AND generation > 0) ORDER BY name"),
      {}, as_kept());
}

Result<bool> SqliteRegistry::save_tags(const std::string& device, const std::set<std::string>& tags) {
  return changes_of(device, "UPDATE device SET tags = ? WHERE name = ?", {names_to_json({tags.begin(), tags.end()}), device});
}

Result<std::size_t> SqliteRegistry::count_enrolled() {
  std::size_t count = 0;
  OUTCROP_CHECK(database_.query(
      "SELECT count(*) FROM device INDEXED BY device_enrolled WHERE revoked IS NULL", {},
      [&](const Database::Row& row) {
        count = static_cast<std::size_t>(row.integer(0));
        return Status();
      }));
  return count;
}

Result<ReportTaken> SqliteRegistry::add_report(const messages::Report& report, const trust::KeyId& key,
                                               std::string_view envelope, Timestamp received) {
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

Result<std::vector<StoredReport>> SqliteRegistry::reports(const std::string& device,
                                                          const std::optional<trust::Sha256Digest>& manifest,
                                                          std::size_t limit, std::uint64_t below) {
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

Status SqliteRegistry::ask_picture(const std::string& device, Timestamp asked) {
  OUTCROP_CHECK(write_of(device, Written::board,
                         "INSERT INTO picture (device, asked, waits) VALUES (?,?,1) "
                         "ON CONFLICT (device) DO UPDATE SET asked = excluded.asked, waits = 1",
                         {device, to_column(asked)}));
  return write("DELETE FROM picture WHERE device IN (SELECT device FROM picture ORDER BY asked DESC, device LIMIT -1 OFFSET ?)",
               {static_cast<std::int64_t>(pictures_kept)});
}

Result<bool> SqliteRegistry::save(const messages::Picture& picture, Timestamp received) {
  const std::string& device = picture.header.device;
  const std::string text = messages::to_json(picture);
  OUTCROP_TRY(before, one<std::string>("SELECT coalesce(picture, '') FROM picture WHERE device = ?", {device},
                                       [](const Database::Row& row) -> Result<std::string> { return row.text(0); }));
  if (!before || *before == text) return before.has_value();
  return changes_of(device, "UPDATE picture SET waits = 0, received = ?, manifest = ?, picture = ? WHERE device = ?",
                    {to_column(received), picture.manifest.hex(), text, device});
}

Result<std::optional<KeptPicture>> SqliteRegistry::picture(const std::string& device) {
  return one<KeptPicture>(select(picture_columns, "picture WHERE device = ?"), {device}, read_picture);
}

Result<std::vector<KeptPicture>> SqliteRegistry::pictures_of(const trust::Sha256Digest& manifest, std::size_t limit) {
  return all<KeptPicture>(select(picture_columns, "picture WHERE manifest = ? ORDER BY device LIMIT ?"),
                          {manifest.hex(), static_cast<std::int64_t>(limit)}, read_picture);
}

Status SqliteRegistry::make_room_for_long(const std::string& device) {
  return write(
      "DELETE FROM report WHERE place IN (SELECT place FROM (SELECT place, SUM(size) OVER (ORDER BY place DESC) AS size FROM "
      "(SELECT place, length(report) AS size FROM report WHERE device = ?1) WHERE size > ?2) WHERE size > ?3)",
      {device, static_cast<std::int64_t>(long_report.value()), static_cast<std::int64_t>(long_reports_kept.value())});
}

Status SqliteRegistry::make_room(const std::string& device, const trust::Sha256Digest& manifest, bool known) {
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

std::function<Result<Device>(const Database::Row&)> SqliteRegistry::as_kept() {
  return [this](const Database::Row& row) -> Result<Device> {
    const std::string name = row.text(0);
    if (const auto kept = devices_.find(name); kept != devices_.end()) return kept->second;
    OUTCROP_TRY(device, read_device(row));
    if (!keeps_devices_) return device;
    return devices_.emplace(name, std::move(device)).first->second;
  };
}

}  // namespace outcrop::fleet
