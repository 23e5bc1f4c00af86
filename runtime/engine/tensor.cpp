#include "runtime/engine/tensor.hpp"

#include <cassert>
#include <cstring>
#include <limits>

namespace outcrop::runtime {
namespace {

constexpr std::size_t maximum_dimensions = 8;

template <class T>
Tensor of_values(std::string name, DType dtype, std::vector<std::int64_t> shape,
                 std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  return {std::move(name), dtype, std::move(shape), Bytes(bytes.begin(), bytes.end())};
}

// std::vector<std::byte> comes from operator new, which aligns for every element type here.
template <class T>
std::span<const T> view(const Tensor& tensor) {
  return {reinterpret_cast<const T*>(tensor.data.data()), tensor.data.size() / sizeof(T)};
}

}  // namespace

std::string_view to_string(DType dtype) {
  return dtype == DType::float32 ? "float32" : "int64";
}

ByteCount element_size(DType dtype) {
  return ByteCount(dtype == DType::float32 ? 4 : 8);
}

Tensor Tensor::of_floats(std::string name, std::vector<std::int64_t> shape,
                         std::span<const float> values) {
  return of_values(std::move(name), DType::float32, std::move(shape), values);
}

Tensor Tensor::of_integers(std::string name, std::vector<std::int64_t> shape,
                           std::span<const std::int64_t> values) {
  return of_values(std::move(name), DType::int64, std::move(shape), values);
}

std::size_t Tensor::elements() const {
  return data.size() / element_size(dtype).value();
}

std::span<const float> Tensor::floats() const {
  assert(dtype == DType::float32);
  return view<float>(*this);
}

std::span<const std::int64_t> Tensor::integers() const {
  assert(dtype == DType::int64);
  return view<std::int64_t>(*this);
}

Tensor Tensor::row(std::int64_t index) const {
  assert(!shape.empty() && index >= 0 && index < shape[0]);
  const std::size_t bytes = data.size() / static_cast<std::size_t>(shape[0]);
  const auto begin = data.begin() + static_cast<std::ptrdiff_t>(bytes) * index;
  Tensor one{name, dtype, shape, Bytes(begin, begin + static_cast<std::ptrdiff_t>(bytes))};
  one.shape[0] = 1;
  return one;
}

Result<ByteCount> size_of(DType dtype, std::span<const std::int64_t> shape) {
  if (shape.size() > maximum_dimensions) {
    return fail(ErrorCode::invalid_data,
                "a tensor of " + std::to_string(shape.size()) + " dimensions; at most 8 are read");
  }
  constexpr auto limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t bytes = element_size(dtype).value();
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) {
      return fail(ErrorCode::invalid_data, "a tensor dimension of " + std::to_string(dimension));
    }
    const auto count = static_cast<std::uint64_t>(dimension);
    if (count != 0 && bytes > limit / count) {
      return fail(ErrorCode::invalid_data, "a tensor of more bytes than fit in memory");
    }
    bytes *= count;
  }
  return ByteCount(bytes);
}

Status check_size(const Tensor& tensor) {
  OUTCROP_TRY(size, size_of(tensor.dtype, tensor.shape));
  if (tensor.data.size() != size.value()) {
    return fail(ErrorCode::invalid_data, describe(tensor) + " takes " +
                                             std::to_string(size.value()) + " bytes, got " +
                                             std::to_string(tensor.data.size()));
  }
  return {};
}

std::string describe(const Tensor& tensor) {
  std::string text(to_string(tensor.dtype));
  text += " [";
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(tensor.shape[i]);
  }
  return text + "]";
}

}  // namespace outcrop::runtime
