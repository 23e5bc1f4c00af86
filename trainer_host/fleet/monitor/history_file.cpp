#include "trainer_host/fleet/monitor/history_file.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <sstream>

#include "protocol/base/number.hpp"

namespace outcrop::fleet::monitor {
namespace {

namespace fs = std::filesystem;
using std::chrono::days;

constexpr std::int64_t history_version = 2;
constexpr std::int64_t history_application = 0x4f756348;  // "OucH"

constexpr const char* key_table = R"(
CREATE TABLE key (
  id INTEGER PRIMARY KEY,
  device TEXT NOT NULL,
  class TEXT NOT NULL,
  release TEXT NOT NULL,
  variant TEXT NOT NULL,
  UNIQUE (device, class, release, variant)
) STRICT;
)";

constexpr const char* raw_tables = R"(
CREATE TABLE raw (
  key INTEGER NOT NULL REFERENCES key (id),
  at INTEGER NOT NULL,               -- seconds since 1970
  session INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  received INTEGER NOT NULL,
  time INTEGER NOT NULL,             -- by the board's clock
  interval INTEGER NOT NULL,
  calls INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  served TEXT NOT NULL,              -- histograms: history_file.hpp
  temperature REAL, frequency REAL,
  throttled_now INTEGER, throttled_since INTEGER,
  free_memory INTEGER, free_disk INTEGER, uptime INTEGER,
  restarts INTEGER NOT NULL,
  disk_written INTEGER, disk_worn REAL,
  UNIQUE (key, session, sequence)
) STRICT;
CREATE INDEX raw_of_key ON raw (key, at);
CREATE INDEX raw_at ON raw (at);
-- Hours in which something came that their rows do not have yet.
CREATE TABLE pending (hour INTEGER PRIMARY KEY) STRICT;
)";

constexpr const char* merged_tables = R"(
CREATE TABLE merged (
  key INTEGER NOT NULL REFERENCES key (id),
  at INTEGER NOT NULL,
  samples INTEGER NOT NULL,
  boards INTEGER NOT NULL,
  calls INTEGER NOT NULL,
  errors INTEGER NOT NULL,
  t0 INTEGER NOT NULL, t1 INTEGER NOT NULL, t2 INTEGER NOT NULL, t3 INTEGER NOT NULL,
  h0 TEXT NOT NULL, h1 TEXT NOT NULL, h2 TEXT NOT NULL, h3 TEXT NOT NULL, h4 TEXT NOT NULL, h5 TEXT NOT NULL, h6 TEXT NOT NULL DEFAULT '', h7 TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (key, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX merged_at ON merged (at);
)";

constexpr const char* pending_days = R"(
CREATE TABLE pending (day INTEGER PRIMARY KEY) STRICT;
)";

constexpr const char* measured_table = R"(
CREATE TABLE measured (
  key INTEGER NOT NULL REFERENCES key (id),
  at INTEGER NOT NULL,
  figures TEXT NOT NULL,             -- digest of the figures: reports repeat what was measured before
  p50 REAL NOT NULL, p90 REAL NOT NULL, load REAL NOT NULL, first REAL NOT NULL,
  memory INTEGER NOT NULL,
  error REAL,                        -- of the golden outputs
  void INTEGER NOT NULL,
  UNIQUE (key, figures)
) STRICT;
CREATE INDEX measured_of_key ON measured (key, at);
CREATE INDEX measured_at ON measured (at);
)";

std::string tables_of(FileKind kind) {
  switch (kind) {
    case FileKind::raw:
      return std::string(key_table) + raw_tables;
    case FileKind::hour:
      return std::string(key_table) + merged_tables + pending_days;
    case FileKind::day:
      return std::string(key_table) + merged_tables + measured_table;
  }
  return "";
}

// From version 1, which knew no wear of disks.
constexpr const char* raw_since_1 = "ALTER TABLE raw ADD COLUMN disk_written INTEGER;ALTER TABLE raw ADD COLUMN disk_worn REAL;";
constexpr const char* merged_since_1 =
    "ALTER TABLE merged ADD COLUMN h6 TEXT NOT NULL DEFAULT '';ALTER TABLE merged ADD COLUMN h7 TEXT NOT NULL DEFAULT '';";

constexpr std::array<const char*, 3> prefixes{"raw-", "hour-", "day-"};

Result<std::int64_t> pragma_of(Database& database, const std::string& name) {
  std::int64_t value = 0;
  OUTCROP_CHECK(database.query("PRAGMA " + name, {}, [&](const Database::Row& row) {
    value = row.integer(0);
    return Status();
  }));
  return value;
}

// Of what is in it; none where nothing is.
Result<std::optional<std::int64_t>> check_version(Database& database, const fs::path& file) {
  OUTCROP_TRY(version, pragma_of(database, "user_version"));
  OUTCROP_TRY(owner, pragma_of(database, "application_id"));
  OUTCROP_TRY(schema, pragma_of(database, "schema_version"));
  if (schema == 0) return std::optional<std::int64_t>();
  if (owner != history_application) {
    return fail(ErrorCode::invalid_data, file.string() + " is a database of another program");
  }
  if (version > history_version) {
    return fail(ErrorCode::unsupported,
                file.string() + " was written by a newer outcropd (history " + std::to_string(version) +
                    ", this one reads up to " + std::to_string(history_version) +
                    "): install that one, or move the file away");
  }
  return std::optional(version);
}

// Another thread may be at it, too: the first does it, and the other finds it done.
Status bring_up_to_date(Database& database, const fs::path& file, FileKind kind) {
  const Status done = [&]() -> Status {
    OUTCROP_CHECK(database.script("BEGIN IMMEDIATE"));
    OUTCROP_TRY(version, check_version(database, file));
    const std::string since = version && *version < history_version ? kind == FileKind::raw ? raw_since_1 : merged_since_1 : "";
    return database.script(since + "PRAGMA user_version=" + std::to_string(history_version) + ";COMMIT");
  }();
  if (!done) (void)database.script("ROLLBACK");
  return done;
}

std::chrono::year_month_day date_of(Timestamp at) {
  return std::chrono::year_month_day(std::chrono::floor<days>(at));
}

Timestamp start_of(std::chrono::year_month_day date) {
  return Timestamp(std::chrono::sys_days(date).time_since_epoch());
}

}  // namespace

std::chrono::hours kept_for(FileKind kind) {
  return kind == FileKind::raw ? raw_kept : kind == FileKind::hour ? hours_kept : days_kept;
}

FileSpan span_of(FileKind kind, Timestamp at) {
  const auto date = date_of(at);
  if (kind != FileKind::day) return {kind, start_of(date), start_of(date) + days(1)};
  const auto month = date.year() / date.month();
  return {kind, start_of(month / 1), start_of((month + std::chrono::months(1)) / 1)};
}

std::string file_name(const FileSpan& span) {
  const auto date = date_of(span.from);
  std::array<char, 64> text{};
  const auto year = static_cast<int>(date.year());
  const auto month = static_cast<unsigned>(date.month());
  const char* prefix = prefixes[static_cast<std::size_t>(span.kind)];
  if (span.kind == FileKind::day) {
    std::snprintf(text.data(), text.size(), "%s%04d-%02u.sqlite", prefix, year, month);
  } else {
    std::snprintf(text.data(), text.size(), "%s%04d-%02u-%02u.sqlite", prefix, year, month,
                  static_cast<unsigned>(date.day()));
  }
  return text.data();
}

std::optional<FileSpan> span_of(const std::string& name) {
  for (const FileKind kind : {FileKind::raw, FileKind::hour, FileKind::day}) {
    std::string_view rest = name;
    const std::string_view prefix = prefixes[static_cast<std::size_t>(kind)];
    if (!rest.starts_with(prefix) || !rest.ends_with(".sqlite")) continue;
    rest.remove_prefix(prefix.size());
    rest.remove_suffix(7);
    const auto year = read_number<int>(rest.substr(0, 4));
    const auto month = rest.size() >= 7 ? read_number<unsigned>(rest.substr(5, 2)) : std::nullopt;
    const auto day = rest.size() == 10 ? read_number<unsigned>(rest.substr(8, 2)) : std::optional(1U);
    if (!year || !month || !day) continue;
    const auto date = std::chrono::year(*year) / std::chrono::month(*month) / std::chrono::day(*day);
    if (!date.ok()) continue;
    const FileSpan span = span_of(kind, start_of(date));
    if (file_name(span) == name) return span;
  }
  return std::nullopt;
}

std::vector<FileSpan> list_files(const fs::path& folder) {
  std::vector<FileSpan> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (const auto span = span_of(entry->path().filename().string())) found.push_back(*span);
  }
  std::sort(found.begin(), found.end());
  return found;
}

Result<Database> open_history_file(const fs::path& folder, const FileSpan& span) {
  const fs::path file = folder / file_name(span);
  OUTCROP_TRY(database, Database::open(file));
  OUTCROP_TRY(version, check_version(database, file));
  if (version && *version < history_version) OUTCROP_CHECK(bring_up_to_date(database, file, span.kind));
  if (!version) {
    OUTCROP_CHECK(database.script("BEGIN IMMEDIATE;" + tables_of(span.kind) +
                                  "PRAGMA application_id=" + std::to_string(history_application) +
                                  ";PRAGMA user_version=" + std::to_string(history_version) + ";COMMIT"));
  }
  return database;
}

Result<std::optional<Database>> read_history_file(const fs::path& folder, const FileSpan& span) {
  const fs::path file = folder / file_name(span);
  std::error_code error;
  if (!fs::exists(file, error)) return std::optional<Database>();
  OUTCROP_TRY(database, Database::open_for_reading(file));
  OUTCROP_TRY(version, check_version(database, file));
  if (!version) return std::optional<Database>();
  if (*version < history_version) {
    OUTCROP_TRY(written, Database::open(file));
    OUTCROP_CHECK(bring_up_to_date(written, file, span.kind));
  }
  return std::optional(std::move(database));
}

std::string histogram_text(const LogHistogram& histogram) {
  if (histogram.empty()) return "";
  std::array<char, 96> head{};
  std::snprintf(head.data(), head.size(), "%.17g %.17g %.17g", *histogram.min(), *histogram.max(),
                histogram.sum());
  std::string text = head.data();
  for (const auto& [bucket, times] : histogram.buckets()) {
    text += " " + std::to_string(bucket) + ":" + std::to_string(times);
  }
  return text;
}

Result<LogHistogram> histogram_from(const std::string& text) {
  if (text.empty()) return LogHistogram();
  std::istringstream words(text);
  std::array<double, 3> head{};
  std::string word;
  bool right = true;
  for (double& value : head) {
    const auto number = words >> word ? read_number<double>(word) : std::nullopt;
    right = right && number;
    value = number.value_or(0);
  }
  std::map<int, std::uint64_t> buckets;
  while (right && words >> word) {
    const std::size_t colon = word.find(':');
    const auto bucket = read_number<int>(std::string_view(word).substr(0, colon));
    const auto times = colon == std::string::npos
                           ? std::nullopt
                           : read_number<std::uint64_t>(std::string_view(word).substr(colon + 1));
    right = bucket && times && buckets.emplace(*bucket, *times).second;
  }
  if (!right) return fail(ErrorCode::invalid_data, "a histogram of the history does not read as written");
  return LogHistogram::from_parts(std::move(buckets), head[0], head[1], head[2]);
}

Result<std::int64_t> key_number(Tables& tables, const RowKey& key) {
  std::optional<std::int64_t> number;
  const auto find = [&] {
    return tables.query(
        "SELECT id FROM key WHERE device = ? AND class = ? AND release = ? AND variant = ?",
        {key.device, key.device_class, key.release, key.variant}, [&](const Tables::Row& row) {
          number = row.integer(0);
          return Status();
        });
  };
  OUTCROP_CHECK(find());
  if (number) return *number;
  OUTCROP_TRY(rows, tables.run("INSERT INTO key (device, class, release, variant) VALUES (?,?,?,?)",
                                 {key.device, key.device_class, key.release, key.variant}));
  (void)rows;
  OUTCROP_CHECK(find());
  if (!number) return fail(ErrorCode::internal, "a key that was written is not there");
  return *number;
}

std::optional<std::size_t> column_of(Measure measure) {
  const auto found = std::find(telemetry_measures.begin(), telemetry_measures.end(), measure);
  if (found == telemetry_measures.end()) return std::nullopt;
  return static_cast<std::size_t>(found - telemetry_measures.begin());
}

}  // namespace outcrop::fleet::monitor
