#pragma once

#include "trainer_host/trainer/quantize/codes/group_codes.hpp"

namespace outcrop::quantize {

// What becomes of weights whose inputs were always 0: the authors' programs make nothing of them (gptq: 0; awq: a scale of
// next to nothing). Other rows may have such inputs, so that ours are rounded plainly.
enum class UnseenInputs { rounded, as_published };

// Codes that were chosen by the error of the layer's outputs (output_error), and what they are worth:
// never more than rounding's, for where a method is not better its result is rounding's.
struct ChosenGroups {
  GroupCodes codes;
  double error = 0;           // of these codes
  double rounding_error = 0;  // of round_groups with the same options
  double method_error = 0;    // of the method's own codes
  bool rounding_kept = false;
};

}  // namespace outcrop::quantize
