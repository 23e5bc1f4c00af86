#include "runtime/engine/torch/int4/int4_product.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace outcrop::runtime {

void multiply_int4_baseline(const Int4Rows& rows);
void multiply_int4_avx2(const Int4Rows& rows);
void multiply_int4_dotprod(const Int4Rows& rows);

namespace {

constexpr float largest_code = 127.0F;
// Below, a step would be no normal number.
constexpr float smallest = 1e-30F;
// Added and taken away again it leaves the nearest whole number, of numbers below 2^22, ties to even; no processor needs an
// instruction for it.
constexpr float rounder = 12582912.0F;  // 1.5 · 2^23

std::vector<Int4Level> levels_here() {
  std::vector<Int4Level> levels{{"baseline", &multiply_int4_baseline}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c")) levels.push_back({"avx2", &multiply_int4_avx2});
#elif defined(__aarch64__)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) levels.push_back({"dotprod", &multiply_int4_dotprod});
#endif
  return levels;
}

}  // namespace

Int4Vector::Int4Vector(const float* values, std::size_t columns, std::size_t group)
    : group_(group), codes_(columns), steps_(columns / group), sums_(columns / group) {
  for (std::size_t g = 0; g < steps_.size(); ++g) {
    const std::span<const float> given(values + g * group, group);
    float largest = 0;
    bool finite = true;
    for (const float value : given) {
      const float magnitude = std::fabs(value);
      finite = finite && magnitude <= std::numeric_limits<float>::max();
      largest = std::max(largest, magnitude);
    }
    if (!finite) {
      steps_[g] = sums_[g] = std::numeric_limits<float>::quiet_NaN();
      continue;
    }
    if (largest < smallest) continue;
    const float step = largest / largest_code;
    const float inverse = 1.0F / step;
    std::int8_t* even = codes_.data() + g * group;
    std::int8_t* odd = even + group / 2;
    const auto code_of = [&](float value) {
      return static_cast<std::int32_t>((std::clamp(value * inverse, -largest_code, largest_code) + rounder) - rounder);
    };
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < group / 2; ++i) {
      const std::int32_t first = code_of(given[2 * i]);
      const std::int32_t second = code_of(given[2 * i + 1]);
      even[i] = static_cast<std::int8_t>(first);
      odd[i] = static_cast<std::int8_t>(second);
      sum += first + second;
    }
    steps_[g] = step;
    sums_[g] = step * static_cast<float>(sum);
  }
}

Int4Rows Int4Vector::times(const std::uint8_t* groups, std::size_t rows, float unit, float* products) const {
  return {.groups = groups,
          .rows = rows,
          .groups_in_row = steps_.size(),
          .group = group_,
          .unit = unit,
          .codes = codes_.data(),
          .steps = steps_.data(),
          .sums = sums_.data(),
          .products = products};
}

std::span<const Int4Level> int4_levels() {
  static const std::vector<Int4Level> levels = levels_here();
  return levels;
}

}  // namespace outcrop::runtime
