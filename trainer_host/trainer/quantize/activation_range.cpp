#include "trainer_host/trainer/quantize/activation_range.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "protocol/base/join.hpp"
#include "protocol/base/number.hpp"

namespace outcrop::quantize {
namespace {

constexpr std::int64_t levels = 256;

ValueRange with_zero(ValueRange range) {
  return {std::min(range.low, 0.0), std::max(range.high, 0.0)};
}

// Codes counted from 0, whatever their type.
CodeMap unsigned_map(ValueRange range) {
  range = with_zero(range);
  CodeMap map;
  map.scale = std::max((range.high - range.low) / static_cast<double>(levels - 1), smallest_scale);
  const double zero_point = std::nearbyint(-range.low / map.scale);
  map.zero_point = static_cast<std::int64_t>(std::clamp(zero_point, 0.0, static_cast<double>(levels - 1)));
  return map;
}

double code_of(const CodeMap& map, double value) {
  return std::clamp(std::nearbyint(value / map.scale) + static_cast<double>(map.zero_point), 0.0,
                    static_cast<double>(levels - 1));
}

using Histogram = std::vector<SeenValues::Bin>;

double squared_error_of(const Histogram& histogram, ValueRange range) {
  const CodeMap map = unsigned_map(range);
  double sum = 0.0;
  for (const SeenValues::Bin& bin : histogram) {
    const double error = (code_of(map, bin.value) - static_cast<double>(map.zero_point)) * map.scale - bin.value;
    sum += bin.count * error * error;
  }
  return sum;
}

// How much is lost, as Kullback and Leibler measure it, when values within the range are known by their
// codes only: S. Migacz, "8-bit inference with TensorRT" (GTC 2017), with the codes' own borders instead of
// a symmetric range's. P has what lies beyond at its ends; Q has it not, and spreads a code's values evenly over
// its bins that are not empty.
double divergence_of(const Histogram& histogram, double width, ValueRange range) {
  const CodeMap map = unsigned_map(range);
  std::array<double, levels> mass{};
  std::array<double, levels> filled{};
  double within = 0.0;
  double all = 0.0;
  double below = 0.0;
  double above = 0.0;
  const SeenValues::Bin* first = nullptr;
  const SeenValues::Bin* last = nullptr;
  for (const SeenValues::Bin& bin : histogram) {
    all += bin.count;
    // A bin of which a part lies within does: at the ends of what was seen there are many values, as behind clamps.
    if (bin.value + width / 2.0 <= range.low) {
      below += bin.count;
    } else if (bin.value - width / 2.0 >= range.high) {
      above += bin.count;
    } else {
      const auto code = static_cast<std::size_t>(code_of(map, bin.value));
      mass[code] += bin.count;
      filled[code] += 1.0;
      within += bin.count;
      if (first == nullptr) first = &bin;
      last = &bin;
    }
  }
  if (first == nullptr) return 1e30;
  double divergence = 0.0;
  for (const SeenValues::Bin* bin = first; bin <= last; ++bin) {
    const double reference = (bin->count + (bin == first ? below : 0.0) + (bin == last ? above : 0.0)) / all;
    const auto code = static_cast<std::size_t>(code_of(map, bin->value));
    const double known = mass[code] / filled[code] / within;
    divergence += reference * std::log(reference / known);
  }
  return divergence;
}

// Shrinks the range from `widest`: all of it first, then each end on its own, coarsely and finely around
// the best, which is where skewed distributions gain.
ValueRange shrink(ValueRange widest, const std::function<double(ValueRange)>& cost_of) {
  ValueRange best = widest;
  double least = cost_of(best);
  const auto consider = [&](ValueRange candidate) {
    const double cost = cost_of(candidate);
    if (cost < least) {
      least = cost;
      best = candidate;
    }
  };
  for (int i = 1; i < 80; ++i) {
    const double share = 1.0 - 0.01 * i;
    consider({widest.low * share, widest.high * share});
  }
  const auto shrink_end = [&](double ValueRange::*end) {
    if (widest.*end == 0.0) return;
    const auto consider_end = [&](double value) {
      ValueRange candidate = best;
      candidate.*end = std::abs(value) < std::abs(widest.*end) ? value : widest.*end;
      consider(candidate);
    };
    for (int i = 1; i <= 50; ++i) consider_end(widest.*end * 0.02 * i);
    const double coarse = best.*end;
    for (int i = 0; i <= 40; ++i) consider_end(coarse * (0.8 + 0.01 * i));
  };
  shrink_end(&ValueRange::low);
  shrink_end(&ValueRange::high);
  return best;
}

// The value below which `wanted` of the counts lie, each bin's spread evenly over it.
double value_at(const SeenValues& seen, const Histogram& histogram, double wanted) {
  const double width = seen.bin_width();
  double passed = 0.0;
  for (const SeenValues::Bin& bin : histogram) {
    if (passed + bin.count >= wanted) {
      const double value = bin.value + width * ((wanted - passed) / bin.count - 0.5);
      return std::clamp(value, seen.low(), seen.high());
    }
    passed += bin.count;
  }
  return seen.high();
}

// What holds so many of the counts, half of the rest on either side.
ValueRange range_of(const SeenValues& seen, const Histogram& histogram, double percentile) {
  double all = 0.0;
  for (const SeenValues::Bin& bin : histogram) all += bin.count;
  const double cut = all * (1.0 - percentile / 100.0) / 2.0;
  return {value_at(seen, histogram, cut), value_at(seen, histogram, all - cut)};
}

// Zero has a code of its own in every range: how many there are of it says nothing about ranges, and behind a
// ReLU it would say everything.
Histogram without_zeros(const SeenValues& seen) {
  Histogram histogram = seen.histogram();
  std::erase_if(histogram, [&](const SeenValues::Bin& bin) {
    return bin.value > 0.0 && bin.value < seen.bin_width();
  });
  return histogram;
}

}  // namespace

const std::vector<ObserverKind>& observer_kinds() {
  static const std::vector<ObserverKind> kinds{
      {RangeSearch::squared_error, "squared-error",
       "the range that quantizes what was seen with the least squared error: outliers are clipped where that "
       "pays"},
      {RangeSearch::min_max, "min-max", "all that was seen: nothing is clipped, the coarsest steps"},
      {RangeSearch::moving_average, "moving-average",
       "moving averages of each batch's extremes: what few batches reach is clipped"},
      {RangeSearch::percentile, "percentile",
       "99.99 % of what was seen, half of the rest clipped at either end"},
      {RangeSearch::kl, "kl",
       "the range whose codes keep most of the distribution (Kullback-Leibler, as TensorRT does)"}};
  return kinds;
}

Result<RangeSearch> find_observer(std::string_view name) {
  std::vector<std::string> names;
  for (const ObserverKind& kind : observer_kinds()) {
    if (kind.name == name) return kind.search;
    names.push_back(kind.name);
  }
  return fail(ErrorCode::invalid_argument,
              "there is no observer '" + std::string(name) + "'; there are: " + join(names, ", "));
}

const std::string& name_of(RangeSearch search) {
  const auto& kinds = observer_kinds();
  return std::find_if(kinds.begin(), kinds.end(), [&](const ObserverKind& kind) {
           return kind.search == search;
         })->name;
}

bool needs_histogram(RangeSearch search) {
  return search != RangeSearch::min_max && search != RangeSearch::moving_average;
}

ValueRange choose_range(const SeenValues& seen, RangeSearch search) {
  const ValueRange widest{seen.low(), seen.high()};
  switch (search) {
    case RangeSearch::min_max: return widest;
    case RangeSearch::moving_average: return {seen.average_low(), seen.average_high()};
    case RangeSearch::percentile: return range_of(seen, seen.histogram(), kept_percentile);
    case RangeSearch::squared_error: {
      const Histogram histogram = seen.histogram();
      return shrink(with_zero(widest),
                    [&](ValueRange range) { return squared_error_of(histogram, range); });
    }
    case RangeSearch::kl: {
      const Histogram histogram = without_zeros(seen);
      return shrink(with_zero(widest), [&](ValueRange range) { return divergence_of(histogram, seen.bin_width(), range); });
    }
  }
  return widest;
}

CodeMap code_map_of(ValueRange range, ActivationType type) {
  return of_type(unsigned_map(range), type);
}

CodeMap of_type(CodeMap map, ActivationType type) {
  if (type == ActivationType::qint8) map.zero_point -= levels / 2;
  return map;
}

std::string degeneracy_of(const SeenValues& seen) {
  if (!seen.anything()) return "calibration never saw it";
  const double low = seen.low();
  const double high = seen.high();
  if (low == high) return "calibration saw one value only, " + write_number(low);
  const std::string place = write_number(low) + " to " + write_number(high);
  const ValueRange range = with_zero({low, high});
  const double used = (high - low) / (range.high - range.low);
  // Up to there it is a range that happens to begin above zero.
  constexpr double least_used = 0.5;
  if (used < least_used) {
    return "it lies away from zero, from " + place + ": the zero point is at the end of the codes, and " +
           std::to_string(static_cast<int>(std::ceil(used * static_cast<double>(levels)))) + " of " +
           std::to_string(levels) + " codes are used";
  }
  if (range.high - range.low < smallest_scale * static_cast<double>(levels - 1)) {
    return "it is narrow, from " + place + ": kernels have no finer steps than " + write_number(smallest_scale);
  }
  return {};
}

std::string crowding_of(const SeenValues& seen, double step) {
  constexpr double usual = 99.0;  // %
  constexpr double fewest_codes = 12.0;
  const Histogram histogram = without_zeros(seen);
  if (histogram.empty()) return {};
  const ValueRange range = range_of(seen, histogram, usual);
  const double codes = (range.high - range.low) / step + 1;
  if (codes >= fewest_codes || step <= smallest_scale) return {};
  return "99 % of its values lie between " + write_number(range.low) + " and " + write_number(range.high) + " and share " + write_number(std::floor(codes)) + " of " +
         std::to_string(levels) + " codes, since others reach from " + write_number(seen.low()) + " to " + write_number(seen.high()) +
         ": where the answers are too far off, leave its layer float (--method mixed, or a plan)";
}

}  // namespace outcrop::quantize
