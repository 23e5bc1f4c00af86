// Compiled once for each level of instruction set, under the name OUTCROP_INT4_LEVEL, with -ffp-contract=off. Nothing
// from a header of the standard library may be instantiated here.
#include "runtime/engine/torch/int4/int4_rows.hpp"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#include <string.h>

namespace outcrop::runtime {
namespace {

constexpr size_t bytes_of_scales = 4;
constexpr size_t rows_at_once = 4;  // they share what is loaded of the vector, and the steps after a group's integers

uint32_t word_at(const uint8_t* at) {
  uint32_t word = 0;
  memcpy(&word, at, sizeof word);
  return word;
}

#if defined(__AVX2__)
constexpr size_t bytes_at_once = 32;
using Integers = __m256i;
using Floats = __m128;

inline Integers no_integers() { return _mm256_setzero_si256(); }

// Adds what 64 columns come to. Codes of 0 to 15 times int8: a pair's sum is below 3,811, so that two pairs stay within 16
// bits.
inline Integers add_products(Integers sum, const uint8_t* bytes, const int8_t* even, const int8_t* odd) {
  const __m256i low = _mm256_set1_epi8(15);
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
  const __m256i first = _mm256_and_si256(pairs, low);
  const __m256i second = _mm256_and_si256(_mm256_srli_epi16(pairs, 4), low);
  const __m256i products =
      _mm256_add_epi16(_mm256_maddubs_epi16(first, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(even))),
                       _mm256_maddubs_epi16(second, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(odd))));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(products, _mm256_set1_epi16(1)));
}

// Each row's sum, with what was left over of it.
inline Floats totals(const Integers (&sums)[rows_at_once], const int32_t (&rest)[rows_at_once]) {
  const __m256i all = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
  const __m128i whole = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
  return _mm_cvtepi32_ps(_mm_add_epi32(whole, _mm_loadu_si128(reinterpret_cast<const __m128i*>(rest))));
}

struct Scales {
  Floats scales;
  Floats minimums;
};
inline Scales scales_at(const uint8_t* const (&at)[rows_at_once]) {
  const __m128i words = _mm_set_epi32(static_cast<int>(word_at(at[3])), static_cast<int>(word_at(at[2])),
                                      static_cast<int>(word_at(at[1])), static_cast<int>(word_at(at[0])));
  const __m256 pairs = _mm256_cvtph_ps(words);
  const __m128 first = _mm256_castps256_ps128(pairs);
  const __m128 second = _mm256_extractf128_ps(pairs, 1);
  return {_mm_shuffle_ps(first, second, 0x88), _mm_shuffle_ps(first, second, 0xdd)};
}

inline Floats all_of(float value) { return _mm_set1_ps(value); }
inline Floats add(Floats a, Floats b) { return _mm_add_ps(a, b); }
inline Floats multiply(Floats a, Floats b) { return _mm_mul_ps(a, b); }
inline void store(float* to, Floats values) { _mm_storeu_ps(to, values); }

#elif defined(__aarch64__)
constexpr size_t bytes_at_once = 16;
using Integers = int32x4_t;
using Floats = float32x4_t;

inline Integers no_integers() { return vdupq_n_s32(0); }

// Adds what 32 columns come to. Codes of 0 to 15 times int8: four products stay within 16 bits.
inline Integers add_products(Integers sum, const uint8_t* bytes, const int8_t* even, const int8_t* odd) {
  const uint8x16_t pairs = vld1q_u8(bytes);
  const int8x16_t first = vreinterpretq_s8_u8(vandq_u8(pairs, vdupq_n_u8(15)));
  const int8x16_t second = vreinterpretq_s8_u8(vshrq_n_u8(pairs, 4));
  const int8x16_t a = vld1q_s8(even);
  const int8x16_t b = vld1q_s8(odd);
#if defined(__ARM_FEATURE_DOTPROD)
  return vdotq_s32(vdotq_s32(sum, first, a), second, b);
#else
  int16x8_t products = vmull_s8(vget_low_s8(first), vget_low_s8(a));
  products = vmlal_high_s8(products, first, a);
  products = vmlal_s8(products, vget_low_s8(second), vget_low_s8(b));
  products = vmlal_high_s8(products, second, b);
  return vpadalq_s16(sum, products);
#endif
}

inline Floats totals(const Integers (&sums)[rows_at_once], const int32_t (&rest)[rows_at_once]) {
  const int32x4_t whole = vpaddq_s32(vpaddq_s32(sums[0], sums[1]), vpaddq_s32(sums[2], sums[3]));
  return vcvtq_f32_s32(vaddq_s32(whole, vld1q_s32(rest)));
}

struct Scales {
  Floats scales;
  Floats minimums;
};
inline Scales scales_at(const uint8_t* const (&at)[rows_at_once]) {
  const uint32_t words[rows_at_once] = {word_at(at[0]), word_at(at[1]), word_at(at[2]), word_at(at[3])};
  const uint16x8_t pairs = vreinterpretq_u16_u32(vld1q_u32(words));
  const auto as_float = [](uint16x8_t halves) { return vcvt_f32_f16(vreinterpret_f16_u16(vget_low_u16(halves))); };
  return {as_float(vuzp1q_u16(pairs, pairs)), as_float(vuzp2q_u16(pairs, pairs))};
}

inline Floats all_of(float value) { return vdupq_n_f32(value); }
inline Floats add(Floats a, Floats b) { return vaddq_f32(a, b); }
inline Floats multiply(Floats a, Floats b) { return vmulq_f32(a, b); }
inline void store(float* to, Floats values) { vst1q_f32(to, values); }

#else
constexpr size_t bytes_at_once = 1;
using Integers = int32_t;
struct Floats {
  float of[rows_at_once];
};

inline Integers no_integers() { return 0; }

inline Integers add_products(Integers sum, const uint8_t* bytes, const int8_t* even, const int8_t* odd) {
  return sum + (*bytes & 15) * *even + (*bytes >> 4) * *odd;
}

inline Floats totals(const Integers (&sums)[rows_at_once], const int32_t (&)[rows_at_once]) {
  return {{static_cast<float>(sums[0]), static_cast<float>(sums[1]), static_cast<float>(sums[2]), static_cast<float>(sums[3])}};
}

// IEEE 754 binary16, by a factor of 2^112 that makes its subnormal numbers right as well.
inline float from_half(uint32_t bits) {
  const uint32_t magnitude = (bits & 0x7fffU) << 13;
  const uint32_t special = magnitude | 0x7f800000U;  // infinite, or no number
  float value = 0;
  if ((bits & 0x7c00U) == 0x7c00U) {
    memcpy(&value, &special, sizeof value);
  } else {
    memcpy(&value, &magnitude, sizeof value);
    value *= 5.192296858534828e33F;
  }
  return (bits & 0x8000U) != 0 ? -value : value;
}

struct Scales {
  Floats scales;
  Floats minimums;
};
inline Scales scales_at(const uint8_t* const (&at)[rows_at_once]) {
  Scales both;
  for (size_t r = 0; r < rows_at_once; ++r) {
    both.scales.of[r] = from_half(word_at(at[r]) & 0xffffU);
    both.minimums.of[r] = from_half(word_at(at[r]) >> 16);
  }
  return both;
}

inline Floats all_of(float value) { return {{value, value, value, value}}; }
inline Floats add(Floats a, Floats b) {
  for (size_t r = 0; r < rows_at_once; ++r) a.of[r] += b.of[r];
  return a;
}
inline Floats multiply(Floats a, Floats b) {
  for (size_t r = 0; r < rows_at_once; ++r) a.of[r] *= b.of[r];
  return a;
}
inline void store(float* to, Floats values) { memcpy(to, values.of, sizeof values.of); }
#endif

// Products of the rows that begin at `from`.
inline Floats products_of(const Int4Rows& all, const uint8_t* const (&from)[rows_at_once]) {
  const size_t half = all.group / 2;
  const size_t whole = half - half % bytes_at_once;
  const uint8_t* at[rows_at_once] = {from[0], from[1], from[2], from[3]};
  Floats product = all_of(0);
  Floats shift = all_of(0);
  for (size_t g = 0; g < all.groups_in_row; ++g) {
    const int8_t* even = all.codes + g * all.group;
    const int8_t* odd = even + half;
    Integers sums[rows_at_once] = {no_integers(), no_integers(), no_integers(), no_integers()};
    for (size_t i = 0; i < whole; i += bytes_at_once) {
      for (size_t r = 0; r < rows_at_once; ++r) sums[r] = add_products(sums[r], at[r] + i, even + i, odd + i);
    }
    int32_t rest[rows_at_once] = {0, 0, 0, 0};
    for (size_t i = whole; i < half; ++i) {
      for (size_t r = 0; r < rows_at_once; ++r) rest[r] += (at[r][i] & 15) * even[i] + (at[r][i] >> 4) * odd[i];
    }
    for (const uint8_t*& row : at) row += half;
    const Scales scales = scales_at(at);
    for (const uint8_t*& row : at) row += bytes_of_scales;
    product = add(product, multiply(multiply(scales.scales, all_of(all.steps[g])), totals(sums, rest)));
    shift = add(shift, multiply(scales.minimums, all_of(all.sums[g])));
  }
  return multiply(add(product, shift), all_of(all.unit));
}

}  // namespace

void OUTCROP_INT4_LEVEL(const Int4Rows& given) {
  const Int4Rows all = given;  // a copy: products cannot change it
  const size_t row_bytes = all.groups_in_row * (all.group / 2 + bytes_of_scales);
  for (size_t row = 0; row < all.rows; row += rows_at_once) {
    // Where fewer are left, the last one again.
    const size_t last = all.rows - 1;
    const uint8_t* from[rows_at_once];
    for (size_t r = 0; r < rows_at_once; ++r) from[r] = all.groups + row_bytes * (row + r < last ? row + r : last);
    const Floats products = products_of(all, from);
    if (row + rows_at_once <= all.rows) {
      store(all.products + row, products);
      continue;
    }
    float some[rows_at_once];
    store(some, products);
    memcpy(all.products + row, some, (all.rows - row) * sizeof(float));
  }
}

}  // namespace outcrop::runtime
