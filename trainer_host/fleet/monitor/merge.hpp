#pragma once

#include <array>
#include <functional>
#include <optional>

#include "trainer_host/fleet/monitor/history_file.hpp"
#include "trainer_host/fleet/monitor/tables.hpp"

namespace outcrop::fleet::monitor {

// What samples of one board, or of a class, come to over a time.
struct Merged {
  std::uint64_t samples = 0;
  std::uint64_t boards = 0;
  std::uint64_t calls = 0;
  std::uint64_t errors = 0;
  std::array<std::uint64_t, throttling_count> throttled{};
  std::array<LogHistogram, telemetry_measures.size()> values;

  // `boards` becomes the larger of both: whether they are the same is not known.
  void merge(const Merged& other);
};

// A row of a raw file, or one of an hour's or day's, in the same form.
struct HistoryRow {
  RowKey key;
  Timestamp at;
  Merged merged;
};
using EachHistoryRow = std::function<Status(HistoryRow)>;

// Rows with from <= at < to, newest first, at most `most` of them; returns whether that was all. `keys`: only of
// these, by a look at the file for each where they are few; all where it is none.
[[nodiscard]] Result<bool> read_rows(Tables& database, FileKind kind,
                                     const std::optional<std::vector<RowKey>>& keys, Timestamp from,
                                     Timestamp to, std::size_t most, const EachHistoryRow& each);
// The keys of a file that fit; empty texts fit all.
[[nodiscard]] Result<std::vector<RowKey>> find_keys(Tables& database, const RowKey& like,
                                                    bool of_classes);

// Makes the rows of an hour anew from its samples, and notes that its day has changed. Within the transaction of
// `hours`; can be done again.
[[nodiscard]] Status merge_hour(Tables& raw, Tables& hours, Timestamp hour);
// The same for a day, from its hours.
[[nodiscard]] Status merge_day(Tables& hours, Tables& days, Timestamp day);

}  // namespace outcrop::fleet::monitor
