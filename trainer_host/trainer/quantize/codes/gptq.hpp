#pragma once

#include <torch/torch.h>

#include "trainer_host/trainer/quantize/codes/chosen_groups.hpp"

namespace outcrop::quantize {

struct GptqOptions {
  GroupOptions groups{};
  double damping = 0.01;    // share of the mean of the Hessian's diagonal that is added to it; above 0
  std::int64_t block = 128;  // columns between two updates of all that follow
  // "desc_act": columns in falling order of the Hessian's diagonal. Groups are of that order, which is kept with
  // the codes.
  bool activation_order = false;
  UnseenInputs unseen = UnseenInputs::rounded;
};

// Frantar, Ashkboos, Hoefler & Alistarh 2022 (arXiv 2210.17323): column after column is rounded, and what was
// lost is made up for by the columns that follow, by the upper Cholesky factor of the inverse of `hessian`
// (LayerInputs). Conventions are those of its authors' program (github.com/IST-DASLab/gptq, gptq.py at 2d65066), but for
// inputs that were always 0: their weights are rounded plainly, where the program makes them 0, for other rows may not
// be; a group's scales are taken when its first column's turn comes, from
// weights that know of all blocks before this one.
//
// Where the Hessian cannot be factored in float32, ten and a hundred times the damping are tried. invalid_argument as
// check_weight and group_of have it, for a Hessian of another shape, options out of range, or a Hessian that no
// damping helps. Threads are LibTorch's; columns³ + rows · columns² operations.
[[nodiscard]] Result<ChosenGroups> gptq(const torch::Tensor& weight, const torch::Tensor& hessian,
                                        const GptqOptions& options);

}  // namespace outcrop::quantize
