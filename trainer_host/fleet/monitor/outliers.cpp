// A board that measured under load, or too hot, passes for slow: what it says is held against what it said before, and
// against others of its class.

#include <algorithm>
#include <cmath>
#include <map>

#include "trainer_host/fleet/monitor/history_file.hpp"
#include "trainer_host/fleet/monitor/history_query.hpp"

namespace outcrop::fleet::monitor {
namespace {

constexpr std::size_t fewest_own = 2;      // earlier measurements of the board
constexpr std::size_t fewest_others = 3;   // boards of its class
constexpr double far_from_own = 1.25;      // by ratio, either way
constexpr double far_from_class = 1.5;     // boards of one class differ
constexpr double deviations = 4;           // of the usual scatter, where that is wider
constexpr std::size_t most_measurements = 100'000;

struct Measured {
  Timestamp at;
  std::string device;
  double p90 = 0;
};

double median_of(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 != 0) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

// By logarithms, so that twice as slow is as far as twice as quick. The scatter is the median absolute deviation,
// times 1.4826 that of a normal distribution (Hampel, JASA 69, 1974).
struct Usual {
  double median = 0;
  double far = 0;  // how far away is far, by logarithm
};
Usual usual_of(const std::vector<double>& figures, double least_ratio) {
  std::vector<double> logs;
  for (const double figure : figures) logs.push_back(std::log(std::max(figure, 1e-9)));
  const double median = median_of(logs);
  std::vector<double> away;
  for (const double value : logs) away.push_back(std::abs(value - median));
  return {std::exp(median), std::max(std::log(least_ratio), deviations * 1.4826 * median_of(away))};
}

bool is_far(double figure, const Usual& usual) {
  return std::abs(std::log(std::max(figure, 1e-9) / usual.median)) > usual.far;
}

}  // namespace

Result<std::vector<Outlier>> read_outliers(Store& store, Timestamp from, Timestamp to,
                                           std::size_t limit) {
  std::map<RowKey, std::vector<Measured>> by_variant;  // without the device, by time
  std::size_t left = most_measurements;
  OUTCROP_TRY(files, store.list());
  std::reverse(files.begin(), files.end());
  for (const FileSpan& span : files) {
    if (span.kind != FileKind::day || span.from >= to) continue;
    OUTCROP_TRY(database, store.read(span));
    if (!database) continue;
    OUTCROP_CHECK(database->query(
        "SELECT k.device, k.class, k.release, k.variant, m.at, m.p90 FROM measured m JOIN key k ON k.id = m.key "
        "WHERE m.void = 0 AND m.at < ? ORDER BY m.at DESC LIMIT ?",
        {std::int64_t{to.time_since_epoch().count()}, static_cast<std::int64_t>(left)},
        [&](const Tables::Row& row) {
          by_variant[{"", row.text(1), row.text(2), row.text(3)}].push_back(
              {Timestamp(std::chrono::seconds(row.integer(4))), row.text(0), row.number(5)});
          --left;
          return Status();
        }));
    if (left == 0) break;
  }
  std::vector<Outlier> found;
  for (auto& [key, measured] : by_variant) {
    std::stable_sort(measured.begin(), measured.end(),
                     [](const Measured& one, const Measured& other) { return one.at < other.at; });
    std::map<std::string, std::vector<double>> before;  // by board, as time goes on
    for (const Measured& figure : measured) {
      std::vector<double>& own = before[figure.device];
      if (figure.at >= from) {
        std::vector<double> others;
        for (const auto& [device, figures] : before) {
          if (device != figure.device && !figures.empty()) others.push_back(figures.back());
        }
        const auto against = [&](const std::vector<double>& figures, double ratio, const std::string& words) {
          const Usual usual = usual_of(figures, ratio);
          if (!is_far(figure.p90, usual)) return false;
          const auto release = key.release.empty() ? std::nullopt
                                                   : std::optional(trust::Sha256Digest::from_hex(key.release)
                                                                       .value_or(trust::Sha256Digest()));
          found.push_back({figure.at, figure.device, key.device_class, release, key.variant, figure.p90,
                           usual.median, words});
          return true;
        };
        const bool far = own.size() >= fewest_own &&
                         against(own, far_from_own, "its own " + std::to_string(own.size()) + " measurements");
        if (!far && others.size() >= fewest_others) {
          (void)against(others, far_from_class, std::to_string(others.size()) + " other boards of its class");
        }
      }
      own.push_back(figure.p90);
    }
  }
  std::sort(found.begin(), found.end(), [](const Outlier& one, const Outlier& other) { return one.at > other.at; });
  if (found.size() > limit) found.resize(limit);
  return found;
}

}  // namespace outcrop::fleet::monitor
