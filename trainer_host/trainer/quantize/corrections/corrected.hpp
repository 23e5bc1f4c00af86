#pragma once

#include <torch/script.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/quantize/corrections/adaptive_rounding.hpp"
#include "trainer_host/trainer/quantize/corrections/correction_step.hpp"
#include "trainer_host/trainer/quantize/static_quantization.hpp"

namespace outcrop::quantize {

// Something that is done to a float network so that static int8 loses less.
struct CorrectionKind {
  std::string name;   // in plans: "equalization"
  std::string about;  // a line for people
  bool usual = false;  // tried where nobody says otherwise
};

// All that there are, in the order in which they are tried.
[[nodiscard]] const std::vector<CorrectionKind>& correction_kinds();
[[nodiscard]] std::vector<std::string> usual_corrections();
// invalid_argument where a name is of none, with those that there are.
[[nodiscard]] Status check_corrections(const std::vector<std::string>& names);

struct CorrectionOptions {
  std::vector<std::string> wanted = usual_corrections();
  std::int64_t most_fitted = 64;   // samples that steps are fitted to, and ranges within trials
  std::int64_t most_judged = 32;   // others, by which they are judged
  double split_factor = 4.0;       // spans of concatenated inputs differ by more
  AdaptiveRounding rounding{};
  // What goes on, and how much of it is done, where that is known.
  std::function<void(std::string_view what, double share)> progress{};
};

struct Corrected {
  torch::jit::Module network;  // float, batch norms folded
  std::map<std::string, torch::Tensor> weight_scales;  // for StaticQuantization
  std::vector<CorrectionStep> steps;                   // those that had something to do
};

// Tries each correction that is wanted on `network`, as it would be quantized with `options`, and keeps it where
// the answers' squared error became less on samples that nothing was fitted to. With fewer than 8
// samples in `calibration` there is nothing to judge by, and nothing is tried. `network` is unchanged.
// invalid_argument for unknown names; errors of quantize_static.
[[nodiscard]] Result<Corrected> correct(const torch::jit::Module& network, const ArgumentRows& calibration,
                                        const StaticQuantization& options, const CorrectionOptions& how);

}  // namespace outcrop::quantize
