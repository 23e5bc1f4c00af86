#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/quantize/seen_values.hpp"

namespace outcrop::quantize {

// How the range of an activation is chosen from what calibration saw of it.
enum class RangeSearch { squared_error, min_max, moving_average, percentile, kl };

struct ObserverKind {
  RangeSearch search;
  std::string name;   // in plans: "squared-error"
  std::string about;  // a line for people
};

// All that there are; what is used where nobody says otherwise first.
[[nodiscard]] const std::vector<ObserverKind>& observer_kinds();
// invalid_argument without such an observer, with those that there are.
[[nodiscard]] Result<RangeSearch> find_observer(std::string_view name);
[[nodiscard]] const std::string& name_of(RangeSearch search);
// Whether it looks at more than extremes.
[[nodiscard]] bool needs_histogram(RangeSearch search);

// The int8 form of activations, which decides the kernels that LibTorch's engine "qnnpack" runs.
enum class ActivationType {
  quint8,  // QNNPACK's kernels
  qint8,   // XNNPACK's kernels
};

// Scales below 2^-12 are outside what XNNPACK's requantization was made for; both kernel sets
// keep to it, so that one calibration serves both.
inline constexpr double smallest_scale = 1.0 / 4096;

// Of the values that are seen, what `percentile` leaves within the range; half of the rest is cut off at
// either end.
inline constexpr double kept_percentile = 99.99;

struct ValueRange {
  double low = 0.0;
  double high = 0.0;
};

// What is to be spread over the codes; zero need not lie in it. Nothing but zeros where nothing was seen.
[[nodiscard]] ValueRange choose_range(const SeenValues& seen, RangeSearch search);

// A value is (code - zero_point) · scale, with codes from -128 (qint8) or 0 (quint8) up.
struct CodeMap {
  double scale = 1.0;
  std::int64_t zero_point = 0;
};

// Zero always has a code of its own, since borders are padded with it: a range is widened to hold it.
[[nodiscard]] CodeMap code_map_of(ValueRange range, ActivationType type);
// One of codes from 0 up, for codes of this type.
[[nodiscard]] CodeMap of_type(CodeMap map, ActivationType type);

// Why a range makes poor use of its codes, in words; "" where it does not: nothing was seen, all of it is one
// value, it lies away from zero (the zero point is at the end of the codes and most of them mean
// nothing), or it is narrower than the kernels' finest steps.
[[nodiscard]] std::string degeneracy_of(const SeenValues& seen);

// Why codes `step` apart are coarse for what was seen, in words: 99 % of the values that are not zero share few codes, since others lie
// far beyond them, as in the residual sums of a BERT (Bondarenko et al. 2021). "" where they do not, or where nothing was counted.
[[nodiscard]] std::string crowding_of(const SeenValues& seen, double step);

// A tensor of which one of these is said.
struct DegenerateRange {
  std::string layer;  // that answers it: "mix1"; "input", "add behind mix1"
  std::string why;
};

}  // namespace outcrop::quantize
