#include "trainer_host/trainer/weights/storage_elements.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

namespace outcrop::weights {
namespace {

static_assert(std::endian::native == std::endian::little, "storages are little-endian");

// IEEE 754 binary16, and the upper half of a binary32.
struct Half {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};
struct Boolean {
  std::uint8_t byte;
};

float widened(Half value) {
  const std::uint32_t sign = (value.bits & 0x8000U) << 16;
  const std::uint32_t exponent = (value.bits >> 10) & 0x1fU;
  const std::uint32_t fraction = value.bits & 0x3ffU;
  if (exponent == 0) {  // zero and subnormals: exact in float32
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
  const std::uint32_t wide = exponent == 0x1f ? 0xffU : exponent + (127 - 15);
  return std::bit_cast<float>(sign | (wide << 23) | (fraction << 13));
}
float widened(BFloat16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}
float widened(float value) {
  return value;
}
float widened(double value) {
  return static_cast<float>(value);
}
std::int64_t widened(Boolean value) {
  return value.byte != 0 ? 1 : 0;
}
template <class Integer>
  requires std::is_integral_v<Integer>
std::int64_t widened(Integer value) {
  return value;
}

bool is_lost(double value) {
  return std::isfinite(value) && !std::isfinite(static_cast<float>(value));
}
template <class T>
bool is_lost(T) {
  return false;
}

// Whether the values lie one behind the other.
bool is_dense(const TensorPlace& place) {
  std::int64_t expected = 1;
  for (std::size_t i = place.shape.size(); i-- > 0;) {
    if (place.shape[i] == 1) continue;
    if (place.strides[i] != expected) return false;
    expected *= place.shape[i];
  }
  return true;
}

std::size_t count_of(const TensorPlace& place) {
  std::size_t count = 1;
  for (const std::int64_t extent : place.shape) count *= static_cast<std::size_t>(extent);
  return count;
}

// The row-major walk through a tensor of any strides.
class Walk {
 public:
  explicit Walk(const TensorPlace& place) : place_(place), index_(place.shape.size()), at_(place.offset) {}

  [[nodiscard]] std::size_t at() const { return static_cast<std::size_t>(at_); }
  void next() {
    for (std::size_t i = index_.size(); i-- > 0;) {
      if (place_.shape[i] == 1) continue;  // its stride says nothing, and may be any number
      at_ += place_.strides[i];
      if (++index_[i] < place_.shape[i]) return;
      at_ -= place_.strides[i] * place_.shape[i];
      index_[i] = 0;
    }
  }

 private:
  const TensorPlace& place_;
  std::vector<std::int64_t> index_;
  std::int64_t at_;
};

template <class From>
Result<Bytes> copy_as(const TensorPlace& place, BytesView storage) {
  using To = decltype(widened(std::declval<From>()));
  const std::size_t count = count_of(place);
  if (count == 0) return Bytes();
  if (std::is_same_v<From, To> && is_dense(place)) {
    const BytesView values =
        storage.subspan(static_cast<std::size_t>(place.offset) * sizeof(From), count * sizeof(From));
    return Bytes(values.begin(), values.end());
  }
  Bytes result(count * sizeof(To));
  Walk walk(place);
  for (std::size_t i = 0; i < count; ++i, walk.next()) {
    From from;
    std::memcpy(&from, storage.data() + walk.at() * sizeof(From), sizeof(From));
    if (is_lost(from)) {
      return fail(ErrorCode::invalid_data, "a float64 of it is larger than any float32");
    }
    const To to = widened(from);
    std::memcpy(result.data() + i * sizeof(To), &to, sizeof(To));
  }
  return result;
}

}  // namespace

runtime::DType dtype_of(StorageType type) {
  switch (type) {
    case StorageType::float32:
    case StorageType::float64:
    case StorageType::float16:
    case StorageType::bfloat16: return runtime::DType::float32;
    default: return runtime::DType::int64;
  }
}

Result<Bytes> copy_elements(const TensorPlace& place, BytesView storage) {
  switch (place.type) {
    case StorageType::float32: return copy_as<float>(place, storage);
    case StorageType::float64: return copy_as<double>(place, storage);
    case StorageType::float16: return copy_as<Half>(place, storage);
    case StorageType::bfloat16: return copy_as<BFloat16>(place, storage);
    case StorageType::int64: return copy_as<std::int64_t>(place, storage);
    case StorageType::int32: return copy_as<std::int32_t>(place, storage);
    case StorageType::int16: return copy_as<std::int16_t>(place, storage);
    case StorageType::int8: return copy_as<std::int8_t>(place, storage);
    case StorageType::uint8: return copy_as<std::uint8_t>(place, storage);
    case StorageType::boolean: return copy_as<Boolean>(place, storage);
  }
  return fail(ErrorCode::internal, "a storage of no type");
}

}  // namespace outcrop::weights
