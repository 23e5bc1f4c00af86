#pragma once

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

}  // namespace outcrop::quantize
