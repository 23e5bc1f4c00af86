#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "trainer_host/fleet/monitor/history.hpp"
#include "trainer_host/fleet/monitor/tables.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"

namespace outcrop::fleet::monitor {

// The files of the history, in a folder of their own: what is old goes by the removal of a file.
//
//   raw-2026-11-29.sqlite   samples as boards told them on that day (UTC)       kept 48 hours beyond it
//   hour-2026-11-29.sqlite  of each hour of the day, merged: a row for a board,
//                           release and variant, and one for each class          30 days
//   day-2026-11.sqlite      of each day of the month, likewise; and every
//                           measurement of the month as it was                   400 days
enum class FileKind { raw, hour, day };

inline constexpr std::chrono::hours raw_kept{48};
inline constexpr std::chrono::hours hours_kept = std::chrono::days(30);
inline constexpr std::chrono::hours days_kept = std::chrono::days(400);
[[nodiscard]] std::chrono::hours kept_for(FileKind kind);

// A file and the time that it is about: a day, or a month for FileKind::day.
struct FileSpan {
  FileKind kind = FileKind::raw;
  Timestamp from;
  Timestamp to;  // excluded
  auto operator<=>(const FileSpan&) const = default;
};
[[nodiscard]] FileSpan span_of(FileKind kind, Timestamp at);
[[nodiscard]] std::string file_name(const FileSpan& span);
// None for files that are not the history's.
[[nodiscard]] std::optional<FileSpan> span_of(const std::string& file_name);
// Those that are there, by kind and time.
[[nodiscard]] std::vector<FileSpan> list_files(const std::filesystem::path& folder);

// Opens a file to write, made where it is missing. unsupported, naming it, where a newer outcropd wrote it.
[[nodiscard]] Result<Database> open_history_file(const std::filesystem::path& folder,
                                                 const FileSpan& span);
// To read; none where it is not there. Errors as above.
[[nodiscard]] Result<std::optional<Database>> read_history_file(const std::filesystem::path& folder,
                                                                const FileSpan& span);

// A histogram as a column has it, "8.5 31 48.5 99:1 102:1 159:1": smallest, largest, sum, buckets. "" for none.
[[nodiscard]] std::string histogram_text(const LogHistogram& histogram);
[[nodiscard]] Result<LogHistogram> histogram_from(const std::string& text);

// As columns have it: since 1970.
[[nodiscard]] inline std::int64_t seconds_of(Timestamp at) {
  return at.time_since_epoch().count();
}

// Whom rows are about. A row of an hour or a day has an empty device where it is of a class.
struct RowKey {
  std::string device;
  std::string device_class;
  std::string release;  // hexadecimal, "" where nothing serves
  std::string variant;
  auto operator<=>(const RowKey&) const = default;
};
// The number that stands for it in this file.
[[nodiscard]] Result<std::int64_t> key_number(Tables& tables, const RowKey& key);

// Measures of which rows of hours and days have a histogram, in the order of their columns h0, h1, ...
inline constexpr std::array<Measure, 8> telemetry_measures{Measure::served_ms,    Measure::temperature, Measure::frequency,
                                                           Measure::free_memory,  Measure::free_disk,   Measure::uptime,
                                                           Measure::disk_written, Measure::disk_worn};
[[nodiscard]] std::optional<std::size_t> column_of(Measure measure);

}  // namespace outcrop::fleet::monitor
