#include "trainer_host/fleet/monitor/merge.hpp"

#include <algorithm>
#include <map>
#include <set>

#include <spdlog/spdlog.h>

namespace outcrop::fleet::monitor {
namespace {

constexpr std::size_t few_keys = 64;

const char* const raw_columns =
    "r.at, r.calls, r.errors, r.throttled_now, r.served, r.temperature, r.frequency, r.free_memory, r.free_disk, "
    "r.uptime, r.disk_written, r.disk_worn";
const char* const merged_columns =
    "r.at, r.calls, r.errors, r.samples, r.boards, r.t0, r.t1, r.t2, r.t3, r.h0, r.h1, r.h2, r.h3, "
    "r.h4, r.h5, r.h6, r.h7";

Result<Merged> read_raw(const Tables::Row& row, int column) {
  Merged merged;
  merged.samples = 1;
  merged.boards = 1;
  merged.calls = static_cast<std::uint64_t>(row.integer(column + 1));
  merged.errors = static_cast<std::uint64_t>(row.integer(column + 2));
  const auto bits = static_cast<std::uint32_t>(row.integer(column + 3));
  OUTCROP_TRY(served, histogram_from(row.text(column + 4)));
  merged.values[0] = std::move(served);
  for (int i = 1; i < static_cast<int>(telemetry_measures.size()); ++i) {
    if (!row.is_null(column + 4 + i)) {
      merged.values[static_cast<std::size_t>(i)].add(row.number(column + 4 + i));
    }
  }
  for (std::size_t i = 0; i < throttling_count; ++i) merged.throttled[i] = bits >> i & 1U;
  return merged;
}

Result<Merged> read_merged(const Tables::Row& row, int column) {
  Merged merged;
  const auto number = [&](int i) { return static_cast<std::uint64_t>(row.integer(column + i)); };
  merged.calls = number(1);
  merged.errors = number(2);
  merged.samples = number(3);
  merged.boards = number(4);
  for (int i = 0; i < throttling_count; ++i) merged.throttled[static_cast<std::size_t>(i)] = number(5 + i);
  for (int i = 0; i < static_cast<int>(telemetry_measures.size()); ++i) {
    OUTCROP_TRY(values, histogram_from(row.text(column + 9 + i)));
    merged.values[static_cast<std::size_t>(i)] = std::move(values);
  }
  return merged;
}

Status write_rows(Tables& database, Timestamp at, const std::map<RowKey, Merged>& rows) {
  for (const auto& [key, merged] : rows) {
    OUTCROP_TRY(number, key_number(database, key));
    const auto integer = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
    const auto& t = merged.throttled;
    const auto& h = merged.values;
    const auto written = database.run(
        "INSERT INTO merged (key, at, samples, boards, calls, errors, t0, t1, t2, t3, h0, h1, h2, h3, h4, "
        "h5, h6, h7) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        {number, seconds_of(at), integer(merged.samples), integer(merged.boards), integer(merged.calls),
         integer(merged.errors), integer(t[0]), integer(t[1]), integer(t[2]), integer(t[3]),
         histogram_text(h[0]), histogram_text(h[1]), histogram_text(h[2]), histogram_text(h[3]),
         histogram_text(h[4]), histogram_text(h[5]), histogram_text(h[6]), histogram_text(h[7])});
    if (!written) return fail(written.error());
  }
  return {};
}

Status remove_rows(Tables& database, Timestamp at) {
  const auto removed = database.run("DELETE FROM merged WHERE at = ?", {seconds_of(at)});
  return removed ? Status() : fail(removed.error());
}

RowKey class_of(RowKey key) {
  key.device.clear();
  return key;
}

}  // namespace

void Merged::merge(const Merged& other) {
  samples += other.samples;
  boards = std::max(boards, other.boards);
  calls = std::min(calls + other.calls, LogHistogram::most_counted);
  errors = std::min(errors + other.errors, LogHistogram::most_counted);
  for (std::size_t i = 0; i < throttled.size(); ++i) throttled[i] += other.throttled[i];
  for (std::size_t i = 0; i < values.size(); ++i) values[i].merge(other.values[i]);
}

Result<std::vector<RowKey>> find_keys(Tables& database, const RowKey& like, bool of_classes) {
  std::vector<RowKey> keys;
  OUTCROP_CHECK(database.query(
      "SELECT device, class, release, variant FROM key WHERE (?1 = '' OR device = ?1) AND (?2 = '' OR class = "
      "?2) AND (?3 = '' OR release = ?3) AND (?4 = '' OR variant = ?4) AND CASE device WHEN '' THEN 1 ELSE 0 END = ?5",
      {like.device, like.device_class, like.release, like.variant, std::int64_t{of_classes}},
      [&](const Tables::Row& row) {
        keys.push_back({row.text(0), row.text(1), row.text(2), row.text(3)});
        return Status();
      }));
  return keys;
}

Result<bool> read_rows(Tables& database, FileKind kind, const std::optional<std::vector<RowKey>>& keys,
                       Timestamp from, Timestamp to, std::size_t most, const EachHistoryRow& each) {
  const bool raw = kind == FileKind::raw;
  const std::string what = std::string("SELECT k.device, k.class, k.release, k.variant, ") +
                           (raw ? raw_columns : merged_columns) + " FROM " +
                           (raw ? "raw" : "merged") + " r JOIN key k ON k.id = r.key WHERE ";
  const std::string rest = "r.at >= ? AND r.at < ? ORDER BY r.at DESC LIMIT ?";
  std::size_t read = 0;
  bool cut = false;
  const std::set<RowKey> wanted = keys ? std::set<RowKey>(keys->begin(), keys->end()) : std::set<RowKey>();
  const auto take = [&](const Tables::Row& row) -> Status {
    RowKey key{row.text(0), row.text(1), row.text(2), row.text(3)};
    if (++read > most) {
      cut = true;
      return {};
    }
    if (keys && !wanted.contains(key)) return {};
    const Timestamp at(std::chrono::seconds(row.integer(4)));
    auto merged = raw ? read_raw(row, 4) : read_merged(row, 4);
    if (!merged) {  // one row, of whoever it is, does not keep the others' from being merged and shown
      spdlog::warn("history: what {} ({}) told at {} is left out: {}", key.device.empty() ? "a class" : key.device, key.device_class,
                   to_rfc3339(at), merged.error().message());
      return {};
    }
    return each({std::move(key), at, std::move(*merged)});
  };
  const auto limit = static_cast<std::int64_t>(most) + 1;
  if (!keys || keys->size() > few_keys) {
    OUTCROP_CHECK(database.query(what + rest, {seconds_of(from), seconds_of(to), limit}, take));
    return !cut;
  }
  for (const RowKey& key : *keys) {
    OUTCROP_CHECK(database.query(
        what + "k.device = ? AND k.class = ? AND k.release = ? AND k.variant = ? AND " + rest,
        {key.device, key.device_class, key.release, key.variant, seconds_of(from), seconds_of(to), limit},
        take));
  }
  return !cut;
}

Status merge_hour(Tables& raw, Tables& hours, Timestamp hour) {
  std::map<RowKey, Merged> rows;
  std::map<RowKey, std::set<std::string>> boards;
  OUTCROP_TRY(all, read_rows(raw, FileKind::raw, std::nullopt, hour, hour + std::chrono::hours(1), SIZE_MAX / 4,
                             [&](HistoryRow row) {
                               const RowKey its_class = class_of(row.key);
                               boards[its_class].insert(row.key.device);
                               rows[its_class].merge(row.merged);
                               rows[std::move(row.key)].merge(row.merged);
                               return Status();
                             }));
  (void)all;
  for (const auto& [key, names] : boards) rows[key].boards = names.size();
  OUTCROP_CHECK(remove_rows(hours, hour));
  OUTCROP_CHECK(write_rows(hours, hour, rows));
  const auto day = std::chrono::floor<std::chrono::days>(hour);
  const auto noted = hours.run("INSERT INTO pending VALUES (?) ON CONFLICT DO NOTHING",
                               {seconds_of(Timestamp(day.time_since_epoch()))});
  return noted ? Status() : fail(noted.error());
}

Status merge_day(Tables& hours, Tables& days, Timestamp day) {
  std::map<RowKey, Merged> rows;
  OUTCROP_TRY(all, read_rows(hours, FileKind::hour, std::nullopt, day, day + std::chrono::days(1), SIZE_MAX / 4,
                             [&](HistoryRow row) {
                               rows[std::move(row.key)].merge(row.merged);
                               return Status();
                             }));
  (void)all;
  OUTCROP_CHECK(remove_rows(days, day));
  return write_rows(days, day, rows);
}

}  // namespace outcrop::fleet::monitor
