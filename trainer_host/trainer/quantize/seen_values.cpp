#include "trainer_host/trainer/quantize/seen_values.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace outcrop::quantize {
namespace {

// The smallest width with which the bins reach from `low` to `high`. Never below 2^-20 of what is seen:
// an index must be exact in a float.
int fitting_exponent(double low, double high) {
  const double largest = std::max({std::abs(low), std::abs(high), 1e-30});
  int exponent = std::ilogb(largest) - 20;
  const auto spanned = [&] {
    return std::floor(std::ldexp(high, -exponent)) - std::floor(std::ldexp(low, -exponent)) + 1.0;
  };
  while (spanned() > static_cast<double>(SeenValues::bins)) ++exponent;
  return exponent;
}

// a / 2^shift towards minus infinity.
std::int64_t floor_shift(std::int64_t a, int shift) {
  return shift > 62 ? (a < 0 ? -1 : 0) : a >> shift;
}

}  // namespace

double SeenValues::bin_width() const {
  return std::ldexp(1.0, exponent_);
}

void SeenValues::make_room(double low, double high) {
  int exponent = fitting_exponent(low, high);
  if (!counts_.empty()) exponent = std::max(exponent, exponent_);
  const auto first = static_cast<std::int64_t>(std::floor(std::ldexp(low, -exponent)));
  if (counts_.empty()) {
    counts_.assign(bins, 0);
  } else if (exponent != exponent_ || first != first_) {
    std::vector<std::uint64_t> merged(bins, 0);
    for (std::int64_t i = 0; i < bins; ++i) {
      const std::uint64_t count = counts_[static_cast<std::size_t>(i)];
      if (count == 0) continue;
      merged[static_cast<std::size_t>(floor_shift(first_ + i, exponent - exponent_) - first)] += count;
    }
    counts_ = std::move(merged);
  }
  exponent_ = exponent;
  first_ = first;
}

void SeenValues::see(std::span<const float> values, double low, double high, double floor,
                     double ceiling, bool counting) {
  if (values.empty()) return;
  const auto lowest = static_cast<float>(std::clamp(low, floor, ceiling));
  const auto highest = static_cast<float>(std::clamp(high, floor, ceiling));
  low = lowest;
  high = highest;
  const bool first = batches_++ == 0;
  low_ = first ? low : std::min(low_, low);
  high_ = first ? high : std::max(high_, high);
  average_low_ = first ? low : average_low_ + share_of_a_batch * (low - average_low_);
  average_high_ = first ? high : average_high_ + share_of_a_batch * (high - average_high_);
  if (!counting) return;
  make_room(low_, high_);
  // Values repeat (behind a ReLU most are zero): four tables, or each count would wait for the one before.
  constexpr std::size_t tables = 4;
  std::vector<std::uint32_t> counts(tables * bins, 0);
  const auto per_width = static_cast<float>(std::ldexp(1.0, -exponent_));
  const auto start = static_cast<std::int32_t>(first_);
  const auto bin_of = [&](float value) {
    const float place = std::min(std::max(value, lowest), highest) * per_width;  // exact
    const auto cut = static_cast<std::int32_t>(place);
    const auto whole = cut - (place < static_cast<float>(cut) ? 1 : 0);
    return static_cast<std::size_t>(whole - start);
  };
  std::size_t i = 0;
  for (; i + tables <= values.size(); i += tables) {
    std::array<std::size_t, tables> bin;
    for (std::size_t t = 0; t < tables; ++t) bin[t] = bin_of(values[i + t]);
    for (std::size_t t = 0; t < tables; ++t) ++counts[t * bins + bin[t]];
  }
  for (; i < values.size(); ++i) ++counts[bin_of(values[i])];
  for (std::size_t bin = 0; bin < bins; ++bin) {
    for (std::size_t t = 0; t < tables; ++t) counts_[bin] += counts[t * bins + bin];
  }
}

std::vector<SeenValues::Bin> SeenValues::histogram() const {
  std::vector<Bin> filled;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] == 0) continue;
    const double place = static_cast<double>(first_ + static_cast<std::int64_t>(i)) + 0.5;
    filled.push_back({place * bin_width(), static_cast<double>(counts_[i])});
  }
  return filled;
}

}  // namespace outcrop::quantize
