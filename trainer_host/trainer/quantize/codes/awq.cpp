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

struct RoundedGroups {
  Tensor scales;  // [groups, 1]
  Tensor zeros;
  Tensor codes;   // [groups, columns of one]
};

RoundedGroups rounded(const Tensor& grouped, int bits) {
  const double top = (1 << bits) - 1;
  const Tensor low = grouped.amin(1, /*keepdim=*/true);
  const Tensor scales = (grouped.amax(1, /*keepdim=*/true) - low).clamp_min_(1e-5) / top;
  const Tensor zeros = torch::round(low / scales).neg_().clamp_(0, top);
  return {scales, zeros, round_to(grouped, scales, zeros, bits)};
}

// Of `scaled`, a weight whose columns were multiplied by `column_scales`.
GroupCodes scaled_codes(const Tensor& scaled, const Tensor& column_scales, int bits, std::int64_t group) {
  const auto rows = scaled.size(0);
  const RoundedGroups made = rounded(scaled.reshape({-1, group}), bits);
  GroupCodes kept = kept_groups(made.codes.reshape(scaled.sizes()), made.scales.reshape({rows, -1}),
                                made.zeros.reshape({rows, -1}), bits);
  kept.column_scales = column_scales.to(torch::kHalf).to(torch::kFloat);
  return kept;
}

// The same weight, each group of a row within the share of its largest value, 1, .95, … .55, that leaves the least error of
// what the group's columns answer (auto_clip.py of the same program). `hessian` is of inputs divided by the column scales.
Tensor clipped(const Tensor& scaled, const Tensor& hessian, int bits, std::int64_t group) {
  constexpr int steps = 20;
  constexpr int most_steps = steps / 2;
  const auto rows = scaled.size(0);
  const auto groups = scaled.size(1) / group;
  // [groups, columns, columns]: what columns of one group have in common.
  // And a hundredth of the mean for each column by itself: what was never seen is not to be cut at will.
  Tensor blocks = hessian.reshape({groups, group, groups, group}).diagonal(0, 0, 2).permute({2, 0, 1}).contiguous();
  blocks += 0.01 * hessian.diagonal().mean() * torch::eye(group);
  const Tensor grouped = scaled.reshape({-1, group});
  const Tensor largest = grouped.abs().amax(1, /*keepdim=*/true);
  Tensor best = grouped;
  Tensor least = torch::full({rows * groups, 1}, std::numeric_limits<float>::infinity());
  for (int step = 0; step < most_steps; ++step) {
    const Tensor limit = largest * (1.0 - static_cast<double>(step) / steps);
    const Tensor within = torch::minimum(torch::maximum(grouped, -limit), limit);
    const RoundedGroups made = rounded(within, bits);
    const Tensor off = ((made.codes - made.zeros) * made.scales - grouped).reshape({rows, groups, group}).transpose(0, 1);
    const Tensor error = (torch::bmm(off, blocks) * off).sum(2).t().reshape({-1, 1});
    const Tensor better = error < least;
    least = torch::where(better, error, least);
    best = torch::where(better, within, best);
  }
  return best.reshape(scaled.sizes());
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
                         const GroupOptions& options, UnseenInputs unseen, AwqClip clip) {
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
  Tensor best_scales;
  const auto take = [&](GroupCodes candidate, const Tensor& scales) {
    const double error = output_error(float_values(candidate) - weight, hessian);
    if (!(error < chosen.method_error)) return;
    chosen.method_error = error;
    chosen.codes = std::move(candidate);
    best_scales = scales;
  };
  for (int exponent = 0; exponent < exponents; ++exponent) {
    const auto scales = scales_of(mean_abs, exponent, unseen);
    if (scales) take(scaled_codes(weight * scales->unsqueeze(0), *scales, options.bits, group), *scales);
  }
  if (clip == AwqClip::where_better && best_scales.defined()) {
    const Tensor seen = hessian / (best_scales.unsqueeze(0) * best_scales.unsqueeze(1));
    const Tensor within = clipped(weight * best_scales.unsqueeze(0), seen, options.bits, group);
    take(scaled_codes(within, best_scales, options.bits, group), best_scales);
  }
  chosen.rounding_kept = !(chosen.method_error < chosen.rounding_error);
  if (chosen.rounding_kept) chosen.codes = rounding;
  chosen.error = chosen.rounding_kept ? chosen.rounding_error : chosen.method_error;
  return chosen;
}

}  // namespace outcrop::quantize
