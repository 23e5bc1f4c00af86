#include "trainer_host/trainer/quantize/codes/round_rows_int8.hpp"

#include <limits>

#include "trainer_host/trainer/quantize/codes/group_codes.hpp"

namespace outcrop::quantize {

Result<RowCodes> round_rows_int8(const torch::Tensor& weight) {
  OUTCROP_CHECK(check_weight(weight));
  torch::Tensor scales = weight.abs().amax(1) / 127;
  scales = scales.masked_fill(scales < std::numeric_limits<float>::min(), 1);
  auto codes = weight.div(scales.unsqueeze(1)).round_().clamp_(-127, 127).to(torch::kChar);
  return RowCodes{std::move(codes), std::move(scales)};
}

torch::Tensor float_values(const RowCodes& rows) {
  return rows.codes.to(torch::kFloat).mul_(rows.scales.unsqueeze(1));
}

}  // namespace outcrop::quantize
