#include "trainer_host/trainer/quantize/codes/gptq.hpp"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "trainer_host/trainer/quantize/codes/layer_inputs.hpp"
#include "trainer_host/trainer/quantize/codes/round_groups.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;

// Upper Cholesky factor of the inverse; nothing where it has none.
std::optional<Tensor> inverse_factor(const Tensor& hessian, double damping) {
  Tensor damped = hessian.clone();
  damped.diagonal().add_(damping * hessian.diagonal().mean().item<double>());
  const auto [lower, failed] = at::linalg_cholesky_ex(damped);
  if (failed.item<int>() != 0) return std::nullopt;
  const auto [upper, failed_too] = at::linalg_cholesky_ex(at::cholesky_inverse(lower), /*upper=*/true);
  if (failed_too.item<int>() != 0 || !torch::isfinite(upper).all().item<bool>()) return std::nullopt;
  return upper;
}

// The scales of all columns of a block: of each, one for each row.
struct ColumnScales {
  std::vector<const float*> scales, zeros;
};

// Rounds the columns of a block one after the other, each row by itself, and leaves codes and what was lost: `block`
// [rows, count] is used up, `factor` [count, count] upper. Plain loops: LibTorch's calls for each column take ten
// times as long.
void round_block(Tensor& block, const Tensor& factor, const ColumnScales& of, int bits, Tensor& codes, Tensor& errors) {
  const auto count = block.size(1);
  const float top = static_cast<float>((1 << bits) - 1);
  const float* upper = factor.data_ptr<float>();
  at::parallel_for(0, block.size(0), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      float* values = block.data_ptr<float>() + row * count;
      for (std::int64_t i = 0; i < count; ++i) {
        const float scale = of.scales[i][row];
        const float zero = of.zeros[i][row];
        const float code = std::clamp(std::nearbyint(values[i] / scale) + zero, 0.0f, top);
        const float* behind = upper + i * count;
        const float lost = (values[i] - (code - zero) * scale) / behind[i];
        for (std::int64_t j = i; j < count; ++j) values[j] -= lost * behind[j];
        codes.data_ptr<float>()[row * count + i] = code;
        errors.data_ptr<float>()[row * count + i] = lost;
      }
    }
  });
}

struct Rounded {
  Tensor codes;   // float32 [rows, columns]
  Tensor scales;  // [rows, groups]
  Tensor zeros;
};

// Rounds `weight`, which it uses up; `factor` as above, all in the order of rounding. `of_rows` where each row is a group.
Rounded round_in_order(Tensor& weight, const Tensor& factor, const GptqOptions& options, std::int64_t group,
                       const GroupScales& of_rows) {
  const auto columns = weight.size(1);
  std::vector<Tensor> all_codes, scales, zeros;
  for (std::int64_t start = 0; start < columns; start += options.block) {
    const auto count = std::min(options.block, columns - start);
    ColumnScales of;
    for (std::int64_t column = start; column < start + count; ++column) {
      if (column % group == 0) {
        // From the weights as they are before this block, as the authors take them.
        const GroupScales found =
            of_rows.scales.defined()
                ? of_rows
                : group_scales(weight.narrow(1, column, group), options.groups.bits, options.groups.symmetric);
        scales.push_back(found.scales.contiguous());
        zeros.push_back(found.zeros.contiguous());
      }
      of.scales.push_back(scales.back().data_ptr<float>());
      of.zeros.push_back(zeros.back().data_ptr<float>());
    }
    Tensor block = weight.narrow(1, start, count).clone(at::MemoryFormat::Contiguous);
    Tensor codes = torch::empty_like(block), errors = torch::empty_like(block);
    round_block(block, factor.narrow(0, start, count).narrow(1, start, count).contiguous(), of, options.groups.bits,
                codes, errors);
    all_codes.push_back(codes);
    const auto rest = columns - start - count;
    if (rest == 0) break;
    weight.narrow(1, start + count, rest)
        .sub_(torch::matmul(errors, factor.narrow(0, start, count).narrow(1, start + count, rest)));
  }
  return {torch::cat(all_codes, 1), torch::stack(scales, 1), torch::stack(zeros, 1)};
}

Status check_gptq(const Tensor& weight, const Tensor& hessian, const GptqOptions& options) {
  OUTCROP_CHECK(check_weight(weight));
  const auto columns = weight.size(1);
  if (hessian.dim() != 2 || hessian.size(0) != columns || hessian.size(1) != columns ||
      hessian.scalar_type() != torch::kFloat) {
    return fail(ErrorCode::invalid_argument,
                "the Hessian of " + std::to_string(columns) + " columns is float32 with as many rows and columns");
  }
  if (!(options.damping > 0 && options.damping <= 1) || options.block < 1) {
    return fail(ErrorCode::invalid_argument,
                "gptq's damping is above 0 and at most 1, its block at least 1 column");
  }
  return {};
}

}  // namespace

Result<ChosenGroups> gptq(const Tensor& weight, const Tensor& hessian, const GptqOptions& options) {
  const torch::NoGradGuard no_gradient;
  OUTCROP_CHECK(check_gptq(weight, hessian, options));
  OUTCROP_TRY(group, group_of(options.groups, weight.size(1)));
  OUTCROP_TRY(rounding, round_groups(weight, options.groups));

  // One scale for a row is taken before dead inputs' weights are gone, as the authors do.
  GroupScales of_rows;
  if (options.groups.group == -1) of_rows = group_scales(weight, options.groups.bits, options.groups.symmetric);
  Tensor current = weight.clone();
  Tensor curvature = hessian.clone();
  const Tensor dead = curvature.diagonal() == 0;
  curvature.diagonal().masked_fill_(dead, 1);
  if (options.unseen == UnseenInputs::as_published) current.masked_fill_(dead.unsqueeze(0), 0);
  Tensor order;
  if (options.activation_order) {
    order = curvature.diagonal().argsort(/*dim=*/0, /*descending=*/true);
    current = current.index_select(1, order);
    curvature = curvature.index_select(0, order).index_select(1, order);
  }
  std::optional<Tensor> factor;
  for (double damping = options.damping; !factor && damping <= 100 * options.damping; damping *= 10) {
    factor = inverse_factor(curvature, damping);
  }
  if (!factor) {
    return fail(ErrorCode::invalid_argument,
                "the Hessian of the layer's inputs has no Cholesky factor, even damped by " +
                    std::to_string(100 * options.damping));
  }
  const Rounded rounded = round_in_order(current, *factor, options, group, of_rows);

  ChosenGroups chosen;
  chosen.codes = kept_groups(rounded.codes, rounded.scales, rounded.zeros, options.groups.bits);
  chosen.codes.order = order;
  chosen.method_error = output_error(float_values(chosen.codes) - weight, hessian);
  chosen.rounding_error = output_error(float_values(rounding) - weight, hessian);
  chosen.rounding_kept = !(chosen.method_error < chosen.rounding_error);
  if (chosen.rounding_kept) chosen.codes = rounding;
  chosen.error = chosen.rounding_kept ? chosen.rounding_error : chosen.method_error;
  return chosen;
}

}  // namespace outcrop::quantize
