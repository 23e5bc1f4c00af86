#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace outcrop::quantize {

// What a correction brought: the mean squared error of a network's output against float's, on a part of the
// calibration that nothing was fitted to.
struct CorrectionStep {
  std::string name;  // "equalization", with the part's name before it: "map_decoder.equalization"
  double before = 0.0;
  double after = 0.0;
  bool kept = false;  // it measured better, and is in the result
};

// Those that stayed, of any part; their names without it.
[[nodiscard]] inline std::vector<std::string> stayed(const std::vector<CorrectionStep>& steps) {
  std::vector<std::string> names;
  for (const CorrectionStep& step : steps) {
    const std::string name = step.name.substr(step.name.rfind('.') + 1);
    if (step.kept && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

}  // namespace outcrop::quantize
