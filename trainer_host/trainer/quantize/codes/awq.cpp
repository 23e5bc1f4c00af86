#include "trainer_host/trainer/quantize/codes/awq.hpp"

#include <limits>
#include <optional>
#include <string>

#include "trainer_host/trainer/quantize/codes/layer_inputs.hpp"
#include "trainer_host/trainer/quantize/codes/round_groups.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;

constexpr int exponents = 20;

// Of `weight` times `column_scales`.
GroupCodes scaled_codes(const Tensor& weight, const Tensor& column_scales, int bits, std::int64_t group) {
  const auto rows = weight.size(0);
  const double top = (1 << bits) - 1;
  const Tensor grouped = (weight * column_scales.unsqueeze(0)).reshape({-1, group});
  const Tensor low = grouped.amin(1, /*keepdim=*/true);
  const Tensor scales = (grouped.amax(1, /*keepdim=*/true) - low).clamp_min_(1e-5) / top;
  const Tensor zeros = torch::round(low / scales).neg_().clamp_(0, top);
  const Tensor codes = round_to(grouped, scales, zeros, bits);
  GroupCodes kept = kept_groups(codes.reshape(weight.sizes()), scales.reshape({rows, -1}),
                                zeros.reshape({rows, -1}), bits);
  kept.column_scales = column_scales.to(torch::kHalf).to(torch::kFloat);
  return kept;
}

std::optional<Tensor> scales_of(const Tensor& mean_abs, int exponent, UnseenInputs unseen) {
  const Tensor raw = mean_abs.pow(static_cast<double>(exponent) / exponents).clamp_min_(1e-4);
  // Inputs that were always 0 say nothing of how fine their columns should be.
  const Tensor seen = unseen == UnseenInputs::as_published ? torch::ones_like(mean_abs, torch::kBool) : mean_abs > 0;
  if (!seen.any().item<bool>()) return std::nullopt;
  const Tensor known = raw.masked_select(seen);
  const Tensor scales = torch::where(seen, raw / (known.max() * known.min()).sqrt(), torch::ones_like(raw));
  // What float16 cannot keep is no candidate.
  constexpr double least = 6.2e-5;
  if (!(scales.min().item<double>() > least && scales.max().item<double>() < 65504)) return std::nullopt;
  return scales;
}

}  // namespace

Result<ChosenGroups> awq(const Tensor& weight, const Tensor& hessian, const Tensor& mean_abs,
                         const GroupOptions& options, UnseenInputs unseen) {
  const torch::NoGradGuard no_gradient;
  OUTCROP_CHECK(check_weight(weight));
  const auto columns = weight.size(1);
  if (options.symmetric) {
    return fail(ErrorCode::invalid_argument, "awq's codes have a zero point of their own; gptq's may be symmetric");
  }
  if (hessian.dim() != 2 || hessian.size(0) != columns || hessian.size(1) != columns || mean_abs.dim() != 1 ||
      mean_abs.size(0) != columns) {
    return fail(ErrorCode::invalid_argument, "what is known of the layer's inputs is not of its " +
                                                 std::to_string(columns) + " columns");
  }
  OUTCROP_TRY(group, group_of(options, columns));
  OUTCROP_TRY(rounding, round_groups(weight, options));
  ChosenGroups chosen;
  chosen.rounding_error = output_error(float_values(rounding) - weight, hessian);
  chosen.method_error = std::numeric_limits<double>::infinity();
  for (int exponent = 0; exponent < exponents; ++exponent) {
    const auto scales = scales_of(mean_abs, exponent, unseen);
    if (!scales) continue;
    GroupCodes candidate = scaled_codes(weight, *scales, options.bits, group);
    const double error = output_error(float_values(candidate) - weight, hessian);
    if (error < chosen.method_error) {
      chosen.method_error = error;
      chosen.codes = std::move(candidate);
    }
  }
  chosen.rounding_kept = !(chosen.method_error < chosen.rounding_error);
  if (chosen.rounding_kept) chosen.codes = rounding;
  chosen.error = chosen.rounding_kept ? chosen.rounding_error : chosen.method_error;
  return chosen;
}

}  // namespace outcrop::quantize
