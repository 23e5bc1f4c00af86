#include "trainer_host/trainer/quantize/storage/stored_tensor.hpp"

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "trainer_host/trainer/quantize/storage/expansion_source.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;

Status check_shape(const Tensor& codes, const ParameterShape& shape) {
  const auto& extents = shape.extents;
  const std::size_t first = shape.rows_second ? 1 : 0;
  const auto count = std::accumulate(extents.begin(), extents.end(), std::int64_t{1}, std::multiplies<>());
  if (extents.size() <= first || count != codes.numel() || extents[first] != codes.size(0)) {
    return fail(ErrorCode::invalid_argument,
                "codes of " + std::to_string(codes.size(0)) + " rows and " + std::to_string(codes.size(1)) +
                    " columns are not of a parameter of that shape");
  }
  return {};
}

std::vector<std::int64_t> numbers_of(const Tensor& codes, std::int64_t group, int exponent, Extra extra,
                                     const ParameterShape& shape) {
  std::vector<std::int64_t> numbers = {codes.size(0),
                                       codes.size(1),
                                       group,
                                       exponent,
                                       static_cast<std::int64_t>(extra),
                                       shape.rows_second ? 1 : 0};
  numbers.insert(numbers.end(), shape.extents.begin(), shape.extents.end());
  return numbers;
}

StoredTensor stored(std::string form, std::vector<Tensor> parts, std::vector<std::int64_t> numbers) {
  StoredTensor made{std::move(form), std::move(parts), std::move(numbers), {}, 0};
  for (Tensor& part : made.parts) {
    part = part.contiguous();
    made.bytes += static_cast<std::int64_t>(part.nbytes());
  }
  made.values = expanded(made);
  return made;
}

// Codes [n, group] as `per_byte` to a byte, filled up with zeros, the first lowest.
Tensor packed_low_first(const Tensor& codes, int per_byte) {
  const auto rest = codes.size(1) % per_byte;
  const Tensor even = rest == 0 ? codes : torch::constant_pad_nd(codes, {0, per_byte - rest});
  const Tensor fields = even.reshape({codes.size(0), -1, per_byte});
  Tensor bytes = fields.select(2, 0).clone();
  const int bits = 8 / per_byte;
  for (int i = 1; i < per_byte; ++i) {
    bytes.bitwise_or_(fields.select(2, i).bitwise_left_shift(i * bits));
  }
  return bytes;
}

Tensor halves(const Tensor& values, double unit) { return values.div(unit).to(torch::kHalf).contiguous(); }

}  // namespace

Tensor rows_of(const Tensor& parameter, bool rows_second) {
  Tensor view = parameter.detach().to(torch::kFloat);
  if (view.dim() < 2) return view.reshape({view.numel(), 1});
  if (rows_second) view = view.transpose(0, 1);
  return view.reshape({view.size(0), -1}).contiguous();
}

Result<StoredTensor> store_fp16(const Tensor& parameter) {
  const Tensor rows = rows_of(parameter);
  OUTCROP_CHECK(check_weight(rows));
  const int exponent = half_unit_exponent(rows.abs().max().item<double>());
  return stored("fp16", {halves(rows, std::ldexp(1.0, exponent))},
                numbers_of(rows, 0, exponent, Extra::none, {parameter.sizes().vec()}));
}

Result<StoredTensor> store_bf16(const Tensor& parameter) {
  const Tensor rows = rows_of(parameter);
  OUTCROP_CHECK(check_weight(rows));
  // What rounds beyond the largest bfloat16 stays finite.
  constexpr double largest = 3.3895313892515355e38;
  return stored("bf16", {rows.clamp(-largest, largest).to(torch::kBFloat16)},
                numbers_of(rows, 0, 0, Extra::none, {parameter.sizes().vec()}));
}

Result<StoredTensor> store_rows(const RowCodes& codes, const ParameterShape& shape, RowScales scales) {
  OUTCROP_CHECK(check_shape(codes.codes, shape));
  int exponent = 0;
  Tensor kept = codes.scales;
  if (scales == RowScales::float16) {
    // The scale of a row of zeros says nothing.
    const Tensor loud = codes.scales.masked_fill(codes.codes.eq(0).all(1), 0);
    exponent = half_unit_exponent(loud.max().item<double>());
    kept = halves(loud, std::ldexp(1.0, exponent));
  }
  return stored("int8", {codes.codes, kept}, numbers_of(codes.codes, 0, exponent, Extra::none, shape));
}

Result<StoredTensor> store_groups(const GroupCodes& codes, const ParameterShape& shape) {
  OUTCROP_CHECK(check_shape(codes.codes, shape));
  if (codes.bits > 4) {
    return fail(ErrorCode::unsupported, "groups are kept in at most 4 bits, not " + std::to_string(codes.bits));
  }
  const int per_byte = codes.bits == 2 ? 4 : 2;
  const double unit = std::ldexp(1.0, codes.unit_exponent);
  const Tensor scales =
      torch::stack({halves(codes.scales.reshape(-1), unit), halves(codes.minimums.reshape(-1), unit)}, 1);
  std::vector<Tensor> parts = {
      torch::cat({packed_low_first(codes.codes.reshape({-1, codes.group}), per_byte), scales.view(torch::kByte)}, 1)};
  Extra extra = Extra::none;
  if (codes.order.defined()) {
    extra = Extra::order;
    const bool is_short = codes.order.numel() <= std::numeric_limits<std::int16_t>::max();
    // Where each of the weight's columns is among the codes'.
    parts.push_back(codes.order.argsort().to(is_short ? torch::kShort : torch::kInt));
  } else if (codes.column_scales.defined()) {
    extra = Extra::column_scales;
    parts.push_back(codes.column_scales.to(torch::kHalf));
  }
  return stored(per_byte == 4 ? "int2" : "int4", std::move(parts),
                numbers_of(codes.codes, codes.group, codes.unit_exponent, extra, shape));
}

Result<StoredTensor> store_nf4(const Nf4Codes& codes, const ParameterShape& shape) {
  OUTCROP_CHECK(check_shape(codes.codes, shape));
  const Tensor flat = codes.codes.reshape(-1);
  const auto missing = (codes.block - flat.numel() % codes.block) % codes.block;
  const Tensor pairs = torch::constant_pad_nd(flat, {0, missing}).reshape({-1, 2});
  std::vector<Tensor> parts = {pairs.select(1, 0).bitwise_left_shift(4).bitwise_or(pairs.select(1, 1))};
  Extra extra = Extra::none;
  if (codes.scale_codes.defined()) {
    extra = Extra::double_quantization;
    parts.push_back(codes.scale_codes);
    parts.push_back(torch::cat({codes.mean, codes.second_scales}));
    parts.push_back(codes.map);
  } else {
    parts.push_back(codes.scales);
  }
  return stored("nf4", std::move(parts), numbers_of(codes.codes, codes.block, 0, extra, shape));
}

}  // namespace outcrop::quantize
