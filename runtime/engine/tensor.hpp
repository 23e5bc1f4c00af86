#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::runtime {

enum class DType { float32, int64 };

[[nodiscard]] std::string_view to_string(DType dtype);  // "float32", "int64"
[[nodiscard]] ByteCount element_size(DType dtype);

// A dense array that belongs to no engine: what goes into a model, comes out of it and is
// compared. Row-major, little-endian, in memory of its own.
struct Tensor {
  std::string name;  // of an input or output; empty where the position says it all
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
  Bytes data;  // exactly size_of(dtype, shape) bytes

  [[nodiscard]] static Tensor of_floats(std::string name, std::vector<std::int64_t> shape,
                                        std::span<const float> values);
  [[nodiscard]] static Tensor of_integers(std::string name, std::vector<std::int64_t> shape,
                                          std::span<const std::int64_t> values);

  [[nodiscard]] std::size_t elements() const;
  // The values, valid as long as the tensor is neither changed nor gone.
  // Only for a tensor of that dtype: ask `dtype` first.
  [[nodiscard]] std::span<const float> floats() const;
  [[nodiscard]] std::span<const std::int64_t> integers() const;

  // Row `index` of the first dimension with that dimension kept: [N, ...] -> [1, ...].
  // `index` must be below shape[0].
  [[nodiscard]] Tensor row(std::int64_t index) const;
};

// Bytes that such a tensor takes. Refuses negative dimensions, more than eight of them, and
// products that do not fit in 63 bits: shapes come from files and from other processes.
[[nodiscard]] Result<ByteCount> size_of(DType dtype, std::span<const std::int64_t> shape);

// That `data` is as long as dtype and shape say.
[[nodiscard]] Status check_size(const Tensor& tensor);

// "float32 [1, 5, 1000, 70]".
[[nodiscard]] std::string describe(const Tensor& tensor);

// An argument of a model's method.
using Value = std::variant<Tensor, std::int64_t, double, bool>;

}  // namespace outcrop::runtime
