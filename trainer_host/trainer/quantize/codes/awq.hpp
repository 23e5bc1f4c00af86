#pragma once

#include <torch/torch.h>

#include "trainer_host/trainer/quantize/codes/chosen_groups.hpp"

namespace outcrop::quantize {

// Whether groups are cut to a share of their largest value, as the program's auto_clip.py searches it, where that
// leaves less error of the layer's outputs.
enum class AwqClip { never, where_better };

// Lin et al. 2023 (arXiv 2306.00978): columns whose inputs are large are made larger before rounding, by s =
// mean|x|^α, and smaller after it. α is the best of 0, 1/20, … 19/20 by the error of the layer's outputs, here
// computed from the Hessian of its inputs. Conventions are those of its authors' program
// (github.com/mit-han-lab/llm-awq at d6e797a, auto_scale.py and quantizer.py): s is at least 1e-4 and then divided by
// √(max · min); a group's range need not include 0, its zero point is within the codes. The column scales are kept
// with the codes, where theirs go into the layer before, so that nothing but this layer changes.
//
// `hessian` and `mean_abs` as LayerInputs has them. Symmetric codes are not its: invalid_argument, and as check_weight
// and group_of have it, or where shapes do not fit.
[[nodiscard]] Result<ChosenGroups> awq(const torch::Tensor& weight, const torch::Tensor& hessian,
                                       const torch::Tensor& mean_abs, const GroupOptions& options,
                                       UnseenInputs unseen = UnseenInputs::rounded, AwqClip clip = AwqClip::where_better);

}  // namespace outcrop::quantize
