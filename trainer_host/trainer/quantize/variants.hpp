#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/kinds/export.hpp"
#include "trainer_host/trainer/quantize/exported.hpp"
#include "trainer_host/trainer/quantize/method.hpp"

namespace outcrop::quantize {

// Which variants are made, and how.
struct VariantChoice {
  std::vector<std::string> variants = usual_variants();  // "float", which others are compared with, and more
  std::optional<WeightOptions> weights{};  // instead of a method's own, where it has any
  // What is made next, and how many are done.
  std::function<void(std::size_t done, std::size_t total, const std::string& next)> progress{};
  std::string target{};      // whose kernels are to run all of them (targets.hpp); "" for each its own
  Settling settling{};       // of what is chosen by measuring
  std::optional<Plan> plan;  // instead of what the method would plan for the variant that it names
};

// invalid_argument where a variant is not there, stands twice, or float is missing.
[[nodiscard]] Status check_variants(const std::vector<std::string>& variants);

// Exports a model as `<stem>_<variant>.ptl` for each variant with its plan beside it
// (`<stem>_<variant>.plan.toml`), `<stem>_<module>.pt` for what stays on the host,
// `golden_input.safetensors` and `golden_output.safetensors` (of the float model) into `folder`,
// which must exist. A variant that its method cannot make (`unsupported`, `refused`; of a model made by others
// whatever is the matter) is left out with the reason, unless it is float, the one that `choice.plan` is for, or, where
// it is `unsupported`, the only one besides float.
// Runs on one thread, so that the same input gives the same bytes. Every file is loaded again by the
// lite interpreter, run, and the operators that really ran are compared with the plan: a layer left
// in float unplanned fails the export by name. `diverged` names the golden call and output that is
// not finite. Files appear whole or not at all.
[[nodiscard]] Result<ExportedStage> export_variants(kinds::Export model,
                                                    const std::filesystem::path& folder,
                                                    const std::string& stem,
                                                    const VariantChoice& choice = {});

}  // namespace outcrop::quantize
