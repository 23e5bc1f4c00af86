#include "trainer_host/fleet/monitor/history_writer.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

#include "protocol/trust/digest.hpp"
#include "trainer_host/fleet/monitor/merge.hpp"

namespace outcrop::fleet::monitor {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::chrono::minutes merge_again{5};  // an hour in which more comes
constexpr std::chrono::hours leap{1};
constexpr std::chrono::hours clock_stands = std::chrono::days(1);

template <class Value>
Tables::Value or_null(const std::optional<Value>& value) {
  if (!value) return nullptr;
  if constexpr (std::is_same_v<Value, double>) {
    return *value;
  } else if constexpr (std::is_same_v<Value, ByteCount>) {
    return static_cast<std::int64_t>(value->value());
  } else if constexpr (std::is_same_v<Value, std::chrono::seconds>) {
    return std::int64_t{value->count()};
  } else {
    return static_cast<std::int64_t>(*value);
  }
}

// The same figures, told again, are the same text.
std::string figures_of(const messages::ReportedMeasurement& m) {
  std::string text;
  for (const double value : {m.load_ms, m.first_ms, m.mean_ms, m.min_ms, m.max_ms, m.std_ms, m.p50_ms, m.p90_ms,
                             m.p99_ms}) {
    text += std::to_string(value) + " ";
  }
  text += std::to_string(m.calls) + " " + std::to_string(m.peak_memory.value());
  return trust::sha256(text).hex().substr(0, 32);
}

std::optional<double> worst_error(const messages::ReportedVariant& variant) {
  std::optional<double> worst;
  for (const auto& output : variant.proof) worst = std::max(worst.value_or(0), output.mean_abs);
  return worst;
}

std::string hex_or_empty(const std::optional<trust::Sha256Digest>& digest) {
  return digest ? digest->hex() : std::string();
}

}  // namespace

Result<DiskUse> HistoryWriter::disk_use() const {
  OUTCROP_TRY(spans, store_->list());
  OUTCROP_TRY(used, store_->size());
  DiskUse use;
  use.most = most_;
  use.used = used;
  use.files = spans.size();
  for (const FileSpan& span : spans) use.oldest = std::min(use.oldest.value_or(span.from), span.from);
  return use;
}

Status HistoryWriter::write_telemetry(Tables& database, const HistoryEntry& entry) {
  const messages::Telemetry& told = *entry.telemetry;
  OUTCROP_TRY(key, key_number(database, {entry.device, told.device_class, hex_or_empty(told.active_manifest),
                                         told.active_variant}));
  std::optional<std::uint32_t> now;
  std::optional<std::uint32_t> since;
  if (told.throttled) {
    now = told.throttled->now;
    since = told.throttled->since_start;
  }
  OUTCROP_TRY(added, database.run(
      "INSERT INTO raw (key, at, session, sequence, received, time, interval, calls, errors, served, "
      "temperature, frequency, throttled_now, throttled_since, free_memory, free_disk, uptime, restarts, disk_written, "
      "disk_worn) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
      {key, seconds_of(entry.at), static_cast<std::int64_t>(entry.id.session),
       static_cast<std::int64_t>(entry.id.sequence), seconds_of(entry.received), seconds_of(told.header.time),
       std::int64_t{told.interval.count()}, static_cast<std::int64_t>(told.served.calls),
       static_cast<std::int64_t>(told.served.errors), histogram_text(told.served.latency_ms),
       or_null(told.temperature), or_null(told.frequency), or_null(now), or_null(since),
       or_null(told.free_memory), or_null(told.free_disk), or_null(told.uptime),
       static_cast<std::int64_t>(told.runner_restarts), or_null(told.disk_written), or_null(told.disk_worn)}));
  if (added == 0) return {};  // it was here already
  const auto hour = std::chrono::floor<std::chrono::hours>(entry.at);
  const auto noted = database.run("INSERT INTO pending VALUES (?) ON CONFLICT DO NOTHING",
                                  {std::int64_t{std::chrono::seconds(hour.time_since_epoch()).count()}});
  return noted ? Status() : fail(noted.error());
}

Status HistoryWriter::write_measured(Tables& database, const HistoryEntry& entry) {
  for (const messages::ReportedVariant& variant : entry.measured) {
    if (!variant.measurement) continue;
    const messages::ReportedMeasurement& m = *variant.measurement;
    OUTCROP_TRY(key, key_number(database, {entry.device, entry.device_class, hex_or_empty(entry.release),
                                           variant.name}));
    const auto added = database.run(
        "INSERT INTO measured (key, at, figures, p50, p90, load, first, memory, error, void) VALUES "
        "(?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
        {key, seconds_of(entry.at), figures_of(m), m.p50_ms, m.p90_ms, m.load_ms, m.first_ms,
         static_cast<std::int64_t>(m.peak_memory.value()), or_null(worst_error(variant)),
         std::int64_t{!m.void_because.empty()}});
    if (!added) return fail(added.error());
  }
  return {};
}

std::vector<HistoryEntry> HistoryWriter::write(std::vector<HistoryEntry>& entries, std::string& problem) {
  std::map<FileSpan, std::vector<std::size_t>> by_file;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].telemetry) by_file[span_of(FileKind::raw, entries[i].at)].push_back(i);
    if (!entries[i].measured.empty()) by_file[span_of(FileKind::day, entries[i].at)].push_back(i);
  }
  std::set<std::size_t> failed;
  problem.clear();
  store_->release_some();
  for (const auto& [span, indexes] : by_file) {
    const Status written = store_->in_transaction(span, [&, kind = span.kind](Tables& database) -> Status {
      for (const std::size_t i : indexes) {
        OUTCROP_CHECK(kind == FileKind::raw ? write_telemetry(database, entries[i])
                                            : write_measured(database, entries[i]));
      }
      return {};
    });
    if (written) continue;
    problem = written.error().message();
    failed.insert(indexes.begin(), indexes.end());
  }
  std::vector<HistoryEntry> kept;
  std::vector<HistoryEntry> rest;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    (failed.contains(i) ? rest : kept).push_back(std::move(entries[i]));
  }
  entries = std::move(rest);
  return kept;
}

// The hour that is not over is merged now and then as well, so that a query of hours has it.
Status HistoryWriter::merge_hours(const FileSpan& raw_span) {
  OUTCROP_TRY(raw, store_->open(raw_span));
  std::vector<Timestamp> hours;
  OUTCROP_CHECK(raw->query("SELECT hour FROM pending ORDER BY hour", {}, [&](const Tables::Row& row) {
    hours.emplace_back(std::chrono::seconds(row.integer(0)));
    return Status();
  }));
  for (const Timestamp hour : hours) {
    const auto before = merged_.find(hour);
    if (before != merged_.end() && Steady::now() - before->second < merge_again) continue;
    OUTCROP_CHECK(store_->in_transaction(span_of(FileKind::hour, hour), [&](Tables& merged) -> Status {
      OUTCROP_TRY(source, store_->open(raw_span));
      return merge_hour(*source, merged, hour);
    }));
    // Only now: after a kill it is merged again.
    OUTCROP_CHECK(store_->in_transaction(raw_span, [&](Tables& source) -> Status {
      const auto done = source.run("DELETE FROM pending WHERE hour = ?", {seconds_of(hour)});
      return done ? Status() : fail(done.error());
    }));
    merged_[hour] = Steady::now();
  }
  return {};
}

Status HistoryWriter::merge_days(const FileSpan& hours_span) {
  OUTCROP_TRY(hours, store_->open(hours_span));
  std::vector<Timestamp> days;
  OUTCROP_CHECK(hours->query("SELECT day FROM pending", {}, [&](const Tables::Row& row) {
    days.emplace_back(std::chrono::seconds(row.integer(0)));
    return Status();
  }));
  for (const Timestamp day : days) {
    OUTCROP_CHECK(store_->in_transaction(span_of(FileKind::day, day), [&](Tables& merged) -> Status {
      OUTCROP_TRY(source, store_->open(hours_span));
      return merge_day(*source, merged, day);
    }));
    OUTCROP_CHECK(store_->in_transaction(hours_span, [&](Tables& source) -> Status {
      const auto done = source.run("DELETE FROM pending WHERE day = ?", {seconds_of(day)});
      return done ? Status() : fail(done.error());
    }));
  }
  return {};
}

Status HistoryWriter::remove(const FileSpan& span) {
  OUTCROP_CHECK(store_->remove(span));
  spdlog::info("history: {} was removed", file_name(span));
  return {};
}

bool HistoryWriter::may_remove(const std::vector<FileSpan>& spans, Timestamp now, Steady::time_point steady) {
  bool leapt = false;
  if (looked_) {
    const auto by_clock = now - looked_->first;
    const auto passed = steady - looked_->second;
    leapt = std::chrono::abs(by_clock - std::chrono::duration_cast<std::chrono::seconds>(passed)) > leap;
  } else {
    // After a start: where all there is would be old by now, the clock is the likelier cause.
    leapt = !spans.empty() && std::all_of(spans.begin(), spans.end(), [&](const FileSpan& span) {
      return span.kind == FileKind::day || now - span.to > kept_for(span.kind) || span.from > now;
    });
  }
  looked_ = {now, steady};
  if (leapt) {
    spdlog::warn("history: the clock leapt; nothing is removed for its age until it has stood for a day");
    hold_until_ = steady + clock_stands;
  }
  if (hold_until_ && steady < *hold_until_) return false;
  hold_until_.reset();
  return true;
}

Result<bool> HistoryWriter::tend(Timestamp now, Steady::time_point steady) {
  Status first_failure;
  const auto note = [&](const Status& status) {
    if (!status && first_failure) first_failure = status;
  };
  OUTCROP_TRY(samples, store_->list());
  for (const FileSpan& span : samples) {
    if (span.kind == FileKind::raw) note(merge_hours(span));
    store_->release_some();
  }
  OUTCROP_TRY(spans, store_->list());  // with the hours that were made
  for (const FileSpan& span : spans) {
    if (span.kind == FileKind::hour) note(merge_days(span));
    store_->release_some();
  }
  if (may_remove(spans, now, steady)) {
    for (const FileSpan& span : spans) {
      if (now - span.to > kept_for(span.kind)) note(remove(span));
    }
  }
  std::erase_if(merged_, [&](const auto& entry) { return now - entry.first > std::chrono::days(3); });
  // By kind: samples go first, and of those the oldest.
  bool full = false;
  OUTCROP_TRY(use, disk_use());
  while (use.used > use.most && !full) {
    full = true;
    OUTCROP_TRY(left, store_->list());
    for (const FileSpan& span : left) {
      if (span.to > now && span.from <= now) continue;  // what is written to
      OUTCROP_CHECK(remove(span));
      full = false;
      break;
    }
    OUTCROP_TRY(after, disk_use());
    use = after;
  }
  if (!first_failure) return fail(first_failure.error());
  return full;
}

}  // namespace outcrop::fleet::monitor
