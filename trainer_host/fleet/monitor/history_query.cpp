#include "trainer_host/fleet/monitor/history_query.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "trainer_host/fleet/monitor/merge.hpp"

namespace outcrop::fleet::monitor {
namespace {

constexpr std::size_t most_rows = 200'000;  // that one query reads
constexpr std::size_t most_cells = 1000;
constexpr std::chrono::hours raw_of_many{2};  // of all boards, samples one by one

bool is_measured(Measure measure) {
  return !column_of(measure).has_value();
}

std::optional<trust::Sha256Digest> digest_of(const std::string& hex) {
  if (hex.empty()) return std::nullopt;
  const auto digest = trust::Sha256Digest::from_hex(hex);
  return digest ? std::optional(*digest) : std::nullopt;
}

RowKey like(const Selection& selection) {
  return {selection.device, selection.device_class, selection.release ? selection.release->hex() : "",
          selection.variant};
}

Status check(const Selection& selection) {
  if (selection.to <= selection.from) {
    return fail(ErrorCode::invalid_argument, "a query of the history ends after it begins");
  }
  if (selection.most_points < 1 || selection.most_points > 5000) {
    return fail(ErrorCode::invalid_argument, "a query of the history has 1 to 5000 points");
  }
  return {};
}

Resolution choose(const Selection& selection, Timestamp now) {
  if (selection.resolution) return *selection.resolution;
  if (is_measured(selection.measure)) return Resolution::raw;
  const bool few = !selection.device.empty() || selection.to - selection.from <= raw_of_many;
  if (few && selection.from >= now - raw_kept) return Resolution::raw;
  return selection.from >= now - hours_kept ? Resolution::hour : Resolution::day;
}

FileKind kind_of(Resolution resolution) {
  return resolution == Resolution::raw ? FileKind::raw
                                       : resolution == Resolution::hour ? FileKind::hour : FileKind::day;
}

std::chrono::seconds width_of(Resolution resolution) {
  return resolution == Resolution::raw ? std::chrono::seconds(1)
         : resolution == Resolution::hour ? std::chrono::seconds(3600) : std::chrono::seconds(86'400);
}

// What a point takes of a row.
Point point_of(const HistoryRow& row, Measure measure, Resolution resolution) {
  Point point;
  point.at = row.at;
  point.width = width_of(resolution);
  point.values = row.merged.values[*column_of(measure)];
  point.samples = row.merged.samples;
  point.boards = row.merged.boards;
  point.errors = measure == Measure::served_ms ? row.merged.errors : 0;
  point.throttled = row.merged.throttled;
  return point;
}

void merge(Point& into, const Point& other) {
  into.values.merge(other.values);
  into.samples += other.samples;
  into.errors += other.errors;
  into.boards = std::max(into.boards, other.boards);
  for (std::size_t i = 0; i < into.throttled.size(); ++i) into.throttled[i] += other.throttled[i];
}

using EachPoint = std::function<void(const RowKey& key, Point point)>;

// Measurements are rows of their own, in the files of months.
Result<bool> each_measured(Tables& database, const Selection& selection, std::size_t most,
                           const EachPoint& each) {
  const RowKey wanted = like(selection);
  std::size_t read = 0;
  const char* column = selection.measure == Measure::measured_p50_ms   ? "m.p50"
                       : selection.measure == Measure::measured_p90_ms ? "m.p90"
                       : selection.measure == Measure::load_ms         ? "m.load"
                       : selection.measure == Measure::first_ms        ? "m.first"
                       : selection.measure == Measure::peak_memory     ? "m.memory"
                                                                       : "m.error";
  OUTCROP_CHECK(database.query(
      std::string("SELECT k.device, k.class, k.release, k.variant, m.at, m.void, ") + column +
          " FROM measured m JOIN key k ON k.id = m.key WHERE m.at >= ?5 AND m.at < ?6 AND (?1 = '' OR "
          "k.device = ?1) AND (?2 = '' OR k.class = ?2) AND (?3 = '' OR k.release = ?3) AND (?4 = '' OR "
          "k.variant = ?4) ORDER BY m.at DESC LIMIT ?7",
      {wanted.device, wanted.device_class, wanted.release, wanted.variant,
       std::int64_t{selection.from.time_since_epoch().count()},
       std::int64_t{selection.to.time_since_epoch().count()}, static_cast<std::int64_t>(most) + 1},
      [&](const Tables::Row& row) {
        if (++read > most || row.is_null(6)) return Status();
        Point point;
        point.at = Timestamp(std::chrono::seconds(row.integer(4)));
        point.width = std::chrono::seconds(1);
        point.samples = 1;
        point.boards = 1;
        if (row.integer(5) != 0) {
          point.errors = 1;
        } else {
          point.values.add(row.number(6));
        }
        each({row.text(0), row.text(1), row.text(2), row.text(3)}, std::move(point));
        return Status();
      }));
  return read <= most;
}

// False where there was more than a query may read: the newest were read.
Result<bool> each_point(Store& store, const Selection& selection, Resolution resolution,
                        const EachPoint& each) {
  const bool measured = is_measured(selection.measure);
  const FileKind kind = measured ? FileKind::day : kind_of(resolution);
  OUTCROP_TRY(files, store.list());
  std::reverse(files.begin(), files.end());
  std::size_t left = most_rows;
  bool all = true;
  for (const FileSpan& span : files) {
    if (span.kind != kind || span.to <= selection.from || span.from >= selection.to) continue;
    OUTCROP_TRY(database, store.read(span));
    if (!database) continue;
    std::size_t read = 0;
    if (measured) {
      OUTCROP_TRY(complete, each_measured(*database, selection, left, [&](const RowKey& key, Point point) {
                    ++read;
                    each(key, std::move(point));
                  }));
      all = all && complete;
    } else {
      // Of all boards of a class the files of hours and days have rows of their own.
      const bool classes = kind != FileKind::raw && selection.device.empty();
      const bool everything = kind == FileKind::raw && selection.device.empty() &&
                              selection.device_class.empty() && !selection.release &&
                              selection.variant.empty();
      std::optional<std::vector<RowKey>> keys;
      if (!everything) {
        OUTCROP_TRY(found, find_keys(*database, like(selection), classes));
        keys = std::move(found);
        if (keys->empty()) continue;
      }
      OUTCROP_TRY(complete, read_rows(*database, kind, keys, selection.from, selection.to, left,
                                      [&](HistoryRow row) {
                                        ++read;
                                        each(row.key, point_of(row, selection.measure, resolution));
                                        return Status();
                                      }));
      all = all && complete;
    }
    left -= std::min(left, read);
    if (left == 0) return false;
  }
  return all;
}

// At most `most` points, of one width, from the start of the selection on.
std::vector<Point> gathered(std::map<Timestamp, Point> by_time, const Selection& selection,
                            std::chrono::seconds least_width) {
  std::vector<Point> points;
  if (by_time.size() > selection.most_points) {
    const auto span = selection.to - selection.from;
    const auto parts = static_cast<std::int64_t>(selection.most_points);
    const std::int64_t unit = least_width.count();
    std::int64_t width = (span.count() + parts - 1) / parts;
    width = (width + unit - 1) / unit * unit;
    std::map<Timestamp, Point> wide;
    for (auto& [at, point] : by_time) {
      const auto since = (at - selection.from).count() / width * width;
      Point& into = wide[selection.from + std::chrono::seconds(since)];
      merge(into, point);
      into.width = std::chrono::seconds(width);
    }
    by_time = std::move(wide);
  }
  for (auto& [at, point] : by_time) {
    point.at = at;
    points.push_back(std::move(point));
  }
  return points;
}

}  // namespace

Result<Series> read_series(Store& store, const Selection& selection, Timestamp now) {
  OUTCROP_CHECK(check(selection));
  Series series;
  series.resolution = choose(selection, now);
  std::map<Timestamp, Point> by_time;
  std::map<Timestamp, std::set<std::string>> boards;  // of single samples
  const auto each = [&](const RowKey& key, Point point) {
    const auto [found, fresh] = by_time.try_emplace(point.at, point);
    if (!fresh) merge(found->second, point);
    if (!key.device.empty()) boards[point.at].insert(key.device);
  };
  OUTCROP_TRY(all, each_point(store, selection, series.resolution, each));
  for (auto& [at, names] : boards) by_time[at].boards = std::max<std::uint64_t>(by_time[at].boards, names.size());
  series.cut = !all;
  series.points = gathered(std::move(by_time), selection, width_of(series.resolution));
  return series;
}

Result<std::vector<Cell>> read_cells(Store& store, const Selection& selection, Timestamp now) {
  OUTCROP_CHECK(check(selection));
  struct Gathered {
    Point point;
    Timestamp last;
    std::set<std::string> boards;
  };
  std::map<RowKey, Gathered> cells;
  OUTCROP_TRY(all, each_point(store, selection, choose(selection, now), [&](RowKey key, Point point) {
                const std::string device = std::exchange(key.device, "");
                Gathered& into = cells[key];
                into.last = std::max(into.last, point.at);
                if (!device.empty()) into.boards.insert(device);
                merge(into.point, point);
              }));
  (void)all;
  std::vector<std::pair<Timestamp, Cell>> order;
  for (auto& [key, gathered] : cells) {
    Cell cell{key.device_class, digest_of(key.release), key.variant, std::move(gathered.point)};
    cell.point.at = selection.from;
    cell.point.width = selection.to - selection.from;
    cell.point.boards = std::max<std::uint64_t>(cell.point.boards, gathered.boards.size());
    order.emplace_back(gathered.last, std::move(cell));
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& one, const auto& other) { return one.first > other.first; });
  std::vector<Cell> found;
  for (auto& [last, cell] : order) {
    if (found.size() == most_cells) break;
    found.push_back(std::move(cell));
  }
  return found;
}

Result<std::map<std::string, BoardSample>> read_latest(Store& store, Timestamp since) {
  std::map<std::string, BoardSample> latest;
  OUTCROP_TRY(files, store.list());
  for (const FileSpan& span : files) {  // older ones first
    if (span.kind != FileKind::raw || span.to <= since) continue;
    OUTCROP_TRY(database, store.read(span));
    if (!database) continue;
    OUTCROP_CHECK(database->query(
        "SELECT k.device, k.class, k.release, k.variant, r.at, r.received, r.time, r.interval, r.calls, "
        "r.errors, r.served, r.temperature, r.frequency, r.throttled_now, r.throttled_since, r.free_memory, "
        "r.free_disk, r.uptime, r.restarts, r.disk_written, r.disk_worn FROM key k JOIN raw r ON r.key = k.id WHERE r.at = (SELECT max(at) FROM raw "
        "WHERE raw.key = k.id)",
        {}, [&](const Tables::Row& row) -> Status {
          const auto time = [&](int column) { return Timestamp(std::chrono::seconds(row.integer(column))); };
          const auto count = [&](int column) { return static_cast<std::uint64_t>(row.integer(column)); };
          const auto maybe = [&](int column) {
            return row.is_null(column) ? std::optional<std::uint64_t>() : std::optional(count(column));
          };
          const auto bits = [&](int column) {
            return row.is_null(column) ? std::optional<std::uint32_t>()
                                       : std::optional(static_cast<std::uint32_t>(row.integer(column)));
          };
          const auto real = [&](int column) {
            return row.is_null(column) ? std::optional<double>() : std::optional(row.number(column));
          };
          BoardSample& sample = latest[row.text(0)];
          if (sample.received > time(5)) return {};
          OUTCROP_TRY(served, histogram_from(row.text(10)));
          sample = {row.text(0), row.text(1),     time(5),  time(6), std::chrono::seconds(row.integer(7)),
                    digest_of(row.text(2)), row.text(3), count(8), count(9), std::move(served),
                    real(11), real(12), bits(13), bits(14), maybe(15), maybe(16), maybe(17), maybe(19), real(20),
                    count(18)};
          return {};
        }));
  }
  return latest;
}

}  // namespace outcrop::fleet::monitor
