#include "runtime/engine/npy_file.hpp"

#include <cstring>
#include <string>
#include <vector>

#include "runtime/engine/npy_header.hpp"

namespace outcrop::runtime {
namespace {

// Of values of another type, element by element.
template <class From, class To>
Bytes converted(BytesView bytes) {
  Bytes result(bytes.size() / sizeof(From) * sizeof(To));
  for (std::size_t i = 0; i < bytes.size() / sizeof(From); ++i) {
    From from{};
    std::memcpy(&from, bytes.data() + i * sizeof from, sizeof from);
    const auto to = static_cast<To>(from);
    std::memcpy(result.data() + i * sizeof to, &to, sizeof to);
  }
  return result;
}

std::string python_tuple(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) {
    text += (text.empty() ? "" : ", ") + std::to_string(size);
  }
  return "(" + text + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace

bool is_npy(BytesView bytes) {
  return as_text(bytes).starts_with("\x93NUMPY");
}

Result<Tensor> decode_npy(BytesView bytes) {
  OUTCROP_TRY(header, parse_npy_header(bytes));
  const bool real = header.type == "<f4" || header.type == "<f8";
  const bool whole = header.type == "<i8" || header.type == "<i4" || header.type == "|u1";
  if (!real && !whole) {
    return fail(ErrorCode::invalid_data, "its values are '" + header.type +
                                             "'; needed is float32 or int64: "
                                             "array.astype('<f4')");
  }
  Tensor tensor;
  tensor.dtype = real ? DType::float32 : DType::int64;
  tensor.shape.assign(header.shape.begin(), header.shape.end());
  // By the wider type, so that neither size overflows.
  OUTCROP_TRY(at_most, size_of(DType::int64, tensor.shape));
  const std::uint64_t size = static_cast<std::uint64_t>(header.type.back() - '0');
  const std::uint64_t expected = at_most.value() / sizeof(std::int64_t) * size;
  const BytesView data = bytes.subspan(header.data_offset);
  if (data.size() != expected) {
    return fail(ErrorCode::invalid_data,
                std::to_string(data.size()) + " bytes of values where an array of shape " +
                    python_tuple(tensor.shape) + " makes " + std::to_string(expected));
  }
  if (header.type == "<f8") {
    tensor.data = converted<double, float>(data);
  } else if (header.type == "|u1") {
    tensor.data = converted<std::uint8_t, std::int64_t>(data);
  } else if (header.type == "<i4") {
    tensor.data = converted<std::int32_t, std::int64_t>(data);
  } else {
    tensor.data.assign(data.begin(), data.end());
  }
  return tensor;
}

Bytes encode_npy(const Tensor& tensor) {
  Bytes bytes =
      npy_header(tensor.dtype == DType::float32 ? "<f4" : "<i8", python_tuple(tensor.shape));
  bytes.insert(bytes.end(), tensor.data.begin(), tensor.data.end());
  return bytes;
}

}  // namespace outcrop::runtime
