#include "trainer_host/trainer/quantize/codes/group_codes.hpp"

#include <algorithm>
#include <cmath>

namespace outcrop::quantize {

using torch::Tensor;

int half_unit_exponent(double largest) {
  if (!(largest > 0)) return 0;
  // Below 2^15, half of what float16 reaches; the unit itself stays a normal float.
  return std::clamp(std::ilogb(largest) - 14, -126, 112);
}

Status check_weight(const Tensor& weight) {
  if (weight.dim() != 2 || weight.scalar_type() != torch::kFloat || weight.numel() == 0) {
    return fail(ErrorCode::invalid_argument, "weights are to be float32 [rows, columns], not empty");
  }
  const auto bad = weight.numel() - torch::isfinite(weight).sum().item<std::int64_t>();
  if (bad > 0) {
    return fail(ErrorCode::invalid_argument, std::to_string(bad) + " of " + std::to_string(weight.numel()) +
                                                 " weights are infinite or not a number");
  }
  return {};
}

Result<std::int64_t> group_of(const GroupOptions& options, std::int64_t columns) {
  if (options.bits < 2 || options.bits > 8) {
    return fail(ErrorCode::invalid_argument,
                "codes have 2 to 8 bits, not " + std::to_string(options.bits));
  }
  if (options.group == -1) return columns;
  if (options.group < 1 || columns % options.group != 0) {
    return fail(ErrorCode::invalid_argument,
                std::to_string(columns) + " columns do not divide into groups of " +
                    std::to_string(options.group) + "; -1 makes each row a group");
  }
  return options.group;
}

GroupCodes kept_groups(const Tensor& codes, const Tensor& scales, const Tensor& zeros, int bits) {
  const auto rows = codes.size(0);
  const auto groups = scales.size(1);
  GroupCodes kept;
  kept.bits = bits;
  kept.group = codes.size(1) / groups;
  kept.codes = codes.to(torch::kByte).contiguous();
  // A group of zeros has whatever scale, which is not to decide the unit of the others.
  const Tensor silent =
      kept.codes.reshape({rows, groups, kept.group}).eq(zeros.to(torch::kByte).unsqueeze(2)).all(2);
  const Tensor steps = scales.masked_fill(silent, 0);
  const Tensor lowest = -zeros * steps;
  const auto largest =
      std::max(steps.max().item<double>(), lowest.abs().max().item<double>());
  kept.unit_exponent = half_unit_exponent(largest);
  const double unit = std::ldexp(1.0, kept.unit_exponent);
  const auto half = [unit](const Tensor& exact) {
    return exact.div(unit).to(torch::kHalf).to(torch::kFloat).mul(unit);
  };
  kept.scales = half(steps);
  kept.minimums = half(-zeros * kept.scales);
  return kept;
}

Tensor float_values(const GroupCodes& groups) {
  const auto rows = groups.codes.size(0);
  const auto columns = groups.codes.size(1);
  // In units, where code · scale is exact, then by the unit: one rounding, as in storage/.
  const double unit = std::ldexp(1.0, groups.unit_exponent);
  Tensor values = groups.codes.reshape({rows, -1, groups.group})
                      .to(torch::kFloat)
                      .mul_(groups.scales.div(unit).unsqueeze(2))
                      .add_(groups.minimums.div(unit).unsqueeze(2))
                      .reshape({rows, columns})
                      .mul_(unit);
  if (groups.order.defined()) values = values.index_select(1, groups.order.argsort());
  if (groups.column_scales.defined()) values = values / groups.column_scales;
  return values;
}

}  // namespace outcrop::quantize
