#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "protocol/base/log_histogram.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::fleet::monitor {

// What is known of how the fleet fared, asked (file_history.hpp keeps it, in files or in PostgreSQL). Everything may be called from any thread; what reads the disk says
// so ("blocks") and belongs on a worker. A query never reads more than its bounds allow.

// What a figure is of. `served_ms` and those of the machine come by telemetry, the others by reports.
enum class Measure {
  served_ms,        // a call that the board served to its owner's programs
  measured_p50_ms,  // of one measurement at rest, as the board reported it; void ones are left out
  measured_p90_ms,
  load_ms,
  first_ms,
  peak_memory,   // bytes, of the runner
  golden_error,  // mean absolute error of the worst output, in that output's unit
  temperature,   // °C, the hottest sensor
  frequency,     // of the slowest core now, as a share of what it can
  free_memory,   // bytes
  free_disk,     // bytes, where the board keeps its releases
  uptime,        // seconds since the board's start
  disk_written,  // bytes, to the file system where the board keeps its releases, since that was made
  disk_worn,     // of the rated life of its flash, as a share
};
inline constexpr int measure_count = 14;
[[nodiscard]] std::string_view to_string(Measure measure);  // "served_ms": the enumerator
[[nodiscard]] std::optional<Measure> measure_from(std::string_view text);
[[nodiscard]] std::string_view unit_of(Measure measure);  // "ms", "bytes", "°C", "share", "s", "of its output"

// What the firmware of a board held it back for; each counts how many samples said so.
enum class Throttling { under_voltage, frequency_capped, throttled, soft_temperature };
inline constexpr int throttling_count = 4;
[[nodiscard]] std::string_view to_string(Throttling cause);  // "under-voltage"

// How far apart points are: 48 hours of `raw`, 30 days of `hour`, 400 days of `day` are kept.
enum class Resolution { raw, hour, day };
[[nodiscard]] std::string_view to_string(Resolution resolution);
[[nodiscard]] std::optional<Resolution> resolution_from(std::string_view text);

// What is asked for. Empty names and none select all; samples of all boards that are selected are merged
// into the points of one line.
struct Selection {
  Measure measure = Measure::served_ms;
  std::string device;
  std::string device_class;
  std::optional<trust::Sha256Digest> release;
  std::string variant;
  Timestamp from;
  Timestamp to;                          // excluded
  std::optional<Resolution> resolution;  // none: the finest that `from` still has and `most_points` holds
  std::size_t most_points = 500;         // 1 to 5000; points are merged where there are more
};

struct Point {
  Timestamp at;               // where it begins
  std::chrono::seconds width{0};
  LogHistogram values;        // count, quantile(.5), quantile(.9), min, max: of values().count() samples or calls
  std::uint64_t samples = 0;  // messages of boards that it is made of
  std::uint64_t errors = 0;   // calls that failed (served_ms), measurements that were void (measured_…)
  std::uint64_t boards = 0;   // the most boards that one part of it was of: exact for raw and hour
  std::array<std::uint64_t, throttling_count> throttled{};  // samples in which this held the board back
};

struct Series {
  Resolution resolution = Resolution::raw;
  std::vector<Point> points;  // by time; where nothing came there is none
  bool cut = false;           // more rows than a query may read: only the newest are in it
};

// A variant of a release on a class of boards, over the whole time asked for.
struct Cell {
  std::string device_class;
  std::optional<trust::Sha256Digest> release;  // none: served nothing
  std::string variant;
  Point point;
};

// The newest telemetry of a board. What its sensors do not say is none.
struct BoardSample {
  std::string device;
  std::string device_class;
  Timestamp received;  // the host's clock: the age of everything here
  Timestamp time;      // the board's
  std::chrono::seconds interval{0};  // what the served calls are of
  std::optional<trust::Sha256Digest> release;
  std::string variant;
  std::uint64_t calls = 0;   // in the interval, errors among them
  std::uint64_t errors = 0;
  LogHistogram served_ms;    // of those that did not fail
  std::optional<double> temperature;
  std::optional<double> frequency;        // share of the most
  std::optional<std::uint32_t> throttled_now;    // bit i is Throttling(i)
  std::optional<std::uint32_t> throttled_since;  // since the board's start
  std::optional<std::uint64_t> free_memory;
  std::optional<std::uint64_t> free_disk;
  std::optional<std::uint64_t> uptime;
  std::optional<std::uint64_t> disk_written;
  std::optional<double> disk_worn;
  std::uint64_t runner_restarts = 0;  // since the agent's start
};

// A figure that lies far from what it is compared with.
struct Outlier {
  Timestamp at;
  std::string device;
  std::string device_class;
  std::optional<trust::Sha256Digest> release;
  std::string variant;
  double p90_ms = 0;
  double usual_ms = 0;     // the median of what it is compared with
  std::string against;     // "its own 7 measurements", "5 boards of its class"
};

// What the history takes on the disk, and what it may.
struct DiskUse {
  ByteCount used;
  ByteCount most;
  std::size_t files = 0;
  std::optional<Timestamp> oldest;  // of what is kept
};

// How the history itself does.
struct HistoryHealth {
  std::string problem;             // why nothing can be kept at present, in words; "" mostly
  std::uint64_t taken = 0;         // samples in files since the program's start
  std::uint64_t lost = 0;          // not kept: the disk was full, the queue was
  std::map<std::string, std::uint64_t> refused;  // by reason: "from the future", "too often", ...
  std::chrono::microseconds last_commit{0};
  std::size_t waiting = 0;         // for the writer
};

class History {
 public:
  virtual ~History() = default;

  // Blocks. invalid_argument for a selection that makes no sense (to before from, no points).
  [[nodiscard]] virtual Result<Series> series(const Selection& selection) = 0;
  // Blocks. The same by class, release and variant; at most 1000, the newest in the order of last word.
  [[nodiscard]] virtual Result<std::vector<Cell>> cells(const Selection& selection) = 0;
  // Blocks. Of measurements (measured_p90_ms) received in [from, to): those far from the board's own
  // earlier ones or from those of its class, newest first, at most `limit`.
  [[nodiscard]] virtual Result<std::vector<Outlier>> outliers(Timestamp from, Timestamp to,
                                                              std::size_t limit) = 0;

  // From memory: calls `each` with the newest of every board that said something within 48 hours, by name. It must not ask the
  // history anything.
  virtual void each_latest(const std::function<void(const BoardSample&)>& each) const = 0;
  [[nodiscard]] virtual std::optional<BoardSample> latest(const std::string& device) const = 0;
  // From memory: p90 of the calls that it served, of its newest samples that told of any since the program's start, the oldest first.
  static constexpr std::size_t most_lately = 24;
  [[nodiscard]] virtual std::vector<double> served_lately(const std::string& device) const = 0;

  [[nodiscard]] virtual DiskUse disk_use() const = 0;
  [[nodiscard]] virtual HistoryHealth health() const = 0;
};

// Who did what (audit.hpp writes it): append only, each entry's hash covers the one before.
struct AuditEntry {
  std::uint64_t number = 0;  // from 1, without gaps
  Timestamp time;
  std::string who;      // "uid 1000", "token ops", "outcropd", "board pi-1"
  std::string action;   // "release-published", "rollout-started", "rollout-decided", "hold", "revoked", ...
  std::string subject;  // the release, rollout or board
  std::string detail;   // JSON object: the evidence, what was asked
  trust::Sha256Digest before;  // hash of the entry before; zeroes for the first
  trust::Sha256Digest hash;
};

struct AuditPage {
  std::vector<AuditEntry> entries;      // newest first
  std::optional<std::uint64_t> older;   // cursor: entries below this number are the next page
};

class AuditLog {
 public:
  virtual ~AuditLog() = default;
  // Entries below `below` (none: from the newest on), at most `limit` (1 to 1000), whose subject and action
  // are these where they are not empty. On the thread of the registry.
  [[nodiscard]] virtual Result<AuditPage> page(std::optional<std::uint64_t> below, std::size_t limit,
                                               const std::string& subject,
                                               const std::string& action) = 0;
  // Entries above `after`, oldest first, at most `limit`: what an event stream goes on with.
  [[nodiscard]] virtual Result<std::vector<AuditEntry>> after(std::uint64_t number,
                                                              std::size_t limit) = 0;
  // The last entry's number; 0 before the first.
  [[nodiscard]] virtual Result<std::uint64_t> last() = 0;
};

}  // namespace outcrop::fleet::monitor
