#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "trainer_host/trainer/quantize/method.hpp"

namespace outcrop::quantize {

// Whose kernels are to run a variant's integers. LibTorch's engine "qnnpack" holds two sets: what has quint8 activations, or
// ranges looked at in each call, runs by QNNPACK's, what has qint8 by XNNPACK's.
struct Target {
  std::string name;     // "xnnpack"
  std::string about;    // a line for people
  std::string why_not;  // no variant is made for it: why; else ""
};

[[nodiscard]] const std::vector<Target>& targets();
// invalid_argument without such a target, with those that there are.
[[nodiscard]] Result<const Target*> find_target(std::string_view name);
// Why the LibTorch that is here cannot run it; "" where it can.
[[nodiscard]] std::string why_not_here(const Target& target);

// refused, with each layer that `target` cannot run as `plan` has it, and why; or with why no variant is made for it.
[[nodiscard]] Status check_target(const Target& target, const VariantKind& kind, const Plan& plan);

}  // namespace outcrop::quantize
