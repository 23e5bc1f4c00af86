#pragma once

#include <optional>
#include <string>

#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"

namespace outcrop::fleet {

// Between records and rows of the tables in schema.cpp, columns in the order given here. A row that
// does not read as a record is invalid_data and names table and key.

inline constexpr const char* device_columns =
    "name, model, device_class, key, certificate, enrolled, revoked, revoked_reason, status, "
    "last_seen, highest_session, attention, signs, tags";
inline constexpr const char* release_columns =
    "manifest, manifest_size, model, stage, epoch, state, reason, published, total, quality";
inline constexpr const char* rollout_columns =
    "name, model, manifest, state, resume_to, reason, on_unmeasurable, soak, byte_budget, "
    "failed_share, started, ended, past, slower_allowed, false_stops, first_ring, at_once, a_minute, deadline, "
    "target_class, target_tag, target_name, target_share, target_group, starts, windows, rings_skipped, minute, in_minute, "
    "takes_back, takes_back_because, aim";
inline constexpr const char* assignment_columns =
    "rollout, device, canary, excluded, generation, cancelled, manifest, return_to, variants, "
    "state, reason, confirmed, session, sequence, updated, slowdown, slowdown_p50";
inline constexpr const char* audit_columns =
    "number, time, who, action, subject, detail, before, hash";

inline constexpr const char* picture_columns = "device, asked, waits, received, picture";

[[nodiscard]] Result<Device> read_device(const Database::Row& row);
[[nodiscard]] Result<BoardLabels> read_board_labels(const Database::Row& row);  // name, device_class, tags
[[nodiscard]] Result<ReleaseRecord> read_release(const Database::Row& row);
[[nodiscard]] Result<RolloutRecord> read_rollout(const Database::Row& row);
[[nodiscard]] Result<Assignment> read_assignment(const Database::Row& row);
[[nodiscard]] Result<KeptPicture> read_picture(const Database::Row& row);
[[nodiscard]] Result<monitor::AuditEntry> read_audit_entry(const Database::Row& row);

[[nodiscard]] inline std::int64_t to_column(Timestamp time) {
  return time.time_since_epoch().count();
}
[[nodiscard]] inline std::int64_t to_column(std::uint64_t number) {
  return static_cast<std::int64_t>(number);
}
[[nodiscard]] inline std::int64_t to_column(ByteCount size) {
  return static_cast<std::int64_t>(size.value());
}
[[nodiscard]] inline Timestamp to_time(std::int64_t seconds) {
  return Timestamp(std::chrono::seconds(seconds));
}
[[nodiscard]] Database::Value to_column(const std::optional<Timestamp>& time);
[[nodiscard]] Database::Value to_column(const std::optional<trust::Sha256Digest>& digest);
[[nodiscard]] std::string names_to_json(const std::vector<std::string>& names);

}  // namespace outcrop::fleet
