#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/experiment/experiment_config.hpp"
#include "trainer_host/trainer/kinds/register.hpp"

namespace outcrop::experiment {

struct ExperimentOptions {
  std::vector<std::string> only;  // steps; empty: all
  bool skip_training = false;     // take weights as they are there
  bool only_comparison = false;   // of what is there
  bool allow_reduced = false;     // confinement
  std::filesystem::path reports{};  // of boards, that the comparison shows; or empty
};

// Makes all steps, one after the other, each in a process of its own, and the comparison of what is there. What is up to date
// is left as it is; what a kill left is gone on with. A step that fails is named in the comparison, and the others are made all
// the same, but those that need its weights. Fails at the end where a step failed, naming each; at once where something is wrong
// before any work (check_steps(), claim_results()), and with `interrupted` after a stop signal.
[[nodiscard]] Status run_experiment(const Experiment& experiment, const ExperimentOptions& options,
                                    const kinds::Register& kinds);

}  // namespace outcrop::experiment
