#include "trainer_host/trainer/quantize/codes/round_groups.hpp"

#include <limits>

namespace outcrop::quantize {

using torch::Tensor;

GroupScales group_scales(const Tensor& weight, int bits, bool symmetric) {
  const double top = (1 << bits) - 1;
  Tensor low = weight.amin(1).clamp_max_(0);
  Tensor high = weight.amax(1).clamp_min_(0);
  if (symmetric) {
    high = torch::maximum(low.abs(), high);
    low = torch::where(low < 0, -high, low);
  }
  // What float32 can not divide by is nothing, too.
  const Tensor nothing = (high - low) < 256 * std::numeric_limits<float>::min();
  low.masked_fill_(nothing, -1);
  high.masked_fill_(nothing, 1);
  Tensor scales = (high - low) / top;
  Tensor zeros =
      symmetric ? torch::full_like(scales, (top + 1) / 2) : torch::round(-low / scales);
  return {std::move(scales), std::move(zeros)};
}

Tensor round_to(const Tensor& weight, const Tensor& scales, const Tensor& zeros, int bits) {
  return weight.div(scales).round_().add_(zeros).clamp_(0, (1 << bits) - 1);
}

Result<GroupCodes> round_groups(const Tensor& weight, const GroupOptions& options) {
  OUTCROP_CHECK(check_weight(weight));
  const auto rows = weight.size(0);
  OUTCROP_TRY(group, group_of(options, weight.size(1)));
  const Tensor grouped = weight.reshape({-1, group});
  const auto [scales, zeros] = group_scales(grouped, options.bits, options.symmetric);
  const Tensor codes = round_to(grouped, scales.unsqueeze(1), zeros.unsqueeze(1), options.bits);
  return kept_groups(codes.reshape(weight.sizes()), scales.reshape({rows, -1}),
                     zeros.reshape({rows, -1}), options.bits);
}

}  // namespace outcrop::quantize
