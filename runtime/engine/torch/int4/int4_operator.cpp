#include "runtime/engine/torch/int4/int4_operator.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdint>

#include "runtime/engine/torch/int4/int4_product.hpp"

namespace outcrop::runtime {
namespace {

constexpr std::int64_t largest_group = 65536;    // sums of its products stay within 32 bits
constexpr std::int64_t weights_a_task = 65536;   // of a thread, at least

at::Tensor linear_int4(const at::Tensor& x, const at::Tensor& groups, std::int64_t columns, std::int64_t group, double unit) {
  TORCH_CHECK(group > 0 && group <= largest_group && group % 2 == 0 && columns > 0 && columns % group == 0,
              "linear_int4: ", columns, " columns in groups of ", group);
  const std::int64_t groups_in_row = columns / group;
  const auto group_bytes = static_cast<std::int64_t>(int4_group_bytes(static_cast<std::size_t>(group)));
  TORCH_CHECK(groups.scalar_type() == at::kByte && groups.dim() == 2 && groups.is_contiguous() &&
                  groups.size(1) == group_bytes && groups.size(0) % groups_in_row == 0,
              "linear_int4: its weight is not uint8 [n · ", groups_in_row, ", ", group_bytes, "]");
  TORCH_CHECK(x.scalar_type() == at::kFloat && x.dim() > 0 && x.size(-1) == columns,
              "linear_int4: the input is not float32 [..., ", columns, "]");
  const std::int64_t rows = groups.size(0) / groups_in_row;
  const at::Tensor vectors = x.contiguous().view({-1, columns});
  auto shape = x.sizes().vec();
  shape.back() = rows;
  at::Tensor products = at::empty(shape, at::kFloat);
  if (rows == 0) return products;
  const MultiplyInt4Rows multiply = int4_levels().back().multiply;
  const std::uint8_t* weight = groups.data_ptr<std::uint8_t>();
  const std::int64_t row_bytes = groups_in_row * group_bytes;
  for (std::int64_t n = 0; n < vectors.size(0); ++n) {
    const Int4Vector vector(vectors.data_ptr<float>() + n * columns, static_cast<std::size_t>(columns),
                            static_cast<std::size_t>(group));
    float* to = products.data_ptr<float>() + n * rows;
    at::parallel_for(0, rows, std::max<std::int64_t>(1, weights_a_task / columns),
                     [&](std::int64_t begin, std::int64_t end) {
                       multiply(vector.times(weight + begin * row_bytes, static_cast<std::size_t>(end - begin),
                                             static_cast<float>(unit), to + begin));
                     });
  }
  return products;
}

}  // namespace

void register_int4_operator() {
  static const torch::Library library = [] {
    torch::Library made(torch::Library::DEF, "outcrop", {}, __FILE__, __LINE__);
    made.def("linear_int4(Tensor x, Tensor groups, int columns, int group, float unit) -> Tensor");
    made.impl("linear_int4", torch::dispatch(c10::DispatchKey::CPU, TORCH_FN(linear_int4)));
    return made;
  }();
}

}  // namespace outcrop::runtime
