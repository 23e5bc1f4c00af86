#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer_host/fleet/monitor/file_history.hpp"
#include "trainer_host/fleet/monitor/store.hpp"

namespace outcrop::fleet::monitor {

// Writes the spans of a history, of which `most` may be on the disk; for one thread. What it does can be done again after a kill
// anywhere.
class HistoryWriter {
 public:
  HistoryWriter(Store& store, ByteCount most) : store_(&store), most_(most) {}

  // Writes what it can, a transaction for each span, and takes it out of `entries`; returns it. `problem`: why the
  // rest is still there.
  [[nodiscard]] std::vector<HistoryEntry> write(std::vector<HistoryEntry>& entries, std::string& problem);

  // Merges hours and days in which something came, and removes what is older than is kept or more than may be; true
  // where even so there is no room. Where the clock leaps, or all there is would be old at once, nothing is removed
  // until it has stood for a day.
  [[nodiscard]] Result<bool> tend(Timestamp now, std::chrono::steady_clock::time_point steady);

  [[nodiscard]] Result<DiskUse> disk_use() const;

 private:
  [[nodiscard]] Status write_telemetry(Tables& database, const HistoryEntry& entry);
  [[nodiscard]] Status write_measured(Tables& database, const HistoryEntry& entry);
  [[nodiscard]] Status merge_hours(const FileSpan& raw);
  [[nodiscard]] Status merge_days(const FileSpan& hours);
  [[nodiscard]] Status remove(const FileSpan& span);
  [[nodiscard]] bool may_remove(const std::vector<FileSpan>& spans, Timestamp now,
                                std::chrono::steady_clock::time_point steady);

  Store* store_;
  ByteCount most_;
  std::map<Timestamp, std::chrono::steady_clock::time_point> merged_;  // hours, when
  std::optional<std::pair<Timestamp, std::chrono::steady_clock::time_point>> looked_;
  std::optional<std::chrono::steady_clock::time_point> hold_until_;
};

}  // namespace outcrop::fleet::monitor
