#pragma once

#include <chrono>
#include <map>
#include <set>

#include "trainer_host/fleet/monitor/file_history.hpp"
#include "trainer_host/fleet/monitor/history_file.hpp"

namespace outcrop::fleet::monitor {

// Writes the files of a history; for one thread. What it does can be done again after a kill anywhere.
class HistoryWriter {
 public:
  explicit HistoryWriter(const HistoryOptions& options) : options_(options) {}

  // Writes what it can, a transaction for each file, and takes it out of `entries`; returns it. `problem`: why the
  // rest is still there.
  [[nodiscard]] std::vector<HistoryEntry> write(std::vector<HistoryEntry>& entries, std::string& problem);

  // Merges hours and days in which something came, and removes what is older than is kept or more than may be; true
  // where even so there is no room. Where the clock leaps, or all there is would be old at once, nothing is removed
  // until it has stood for a day.
  [[nodiscard]] Result<bool> tend(Timestamp now, std::chrono::steady_clock::time_point steady);

  [[nodiscard]] DiskUse disk_use() const;

 private:
  [[nodiscard]] Result<Database*> open(const FileSpan& span);
  [[nodiscard]] Status in_transaction(const FileSpan& span, const std::function<Status(Database&)>& work);
  [[nodiscard]] Status write_telemetry(Database& database, const HistoryEntry& entry);
  [[nodiscard]] Status write_measured(Database& database, const HistoryEntry& entry);
  void close_some();
  [[nodiscard]] Status merge_hours(const FileSpan& raw);
  [[nodiscard]] Status merge_days(const FileSpan& hours);
  void remove(const FileSpan& span);
  void set_aside(const FileSpan& span);
  [[nodiscard]] bool may_remove(Timestamp now, std::chrono::steady_clock::time_point steady);

  HistoryOptions options_;
  std::map<FileSpan, Database> open_;
  std::map<Timestamp, std::chrono::steady_clock::time_point> merged_;  // hours, when
  std::optional<std::pair<Timestamp, std::chrono::steady_clock::time_point>> looked_;
  std::optional<std::chrono::steady_clock::time_point> hold_until_;
};

[[nodiscard]] ByteCount size_on_disk(const std::filesystem::path& folder, const FileSpan& span);

}  // namespace outcrop::fleet::monitor
