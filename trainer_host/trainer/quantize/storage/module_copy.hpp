#pragma once

#include <torch/script.h>

#include <map>
#include <string>

namespace outcrop::quantize {

// `original` in a compilation unit of its own, with other modules in the place of some of its attributes, by name:
//   in that of a child: one that answers alike;
//   in that of a tensor: one that has it as its attribute `values`.
// What is not replaced is shared with `original`, which is unchanged. Throws
// c10::Error where it has no such attribute, or changes one of those tensors.
[[nodiscard]] torch::jit::Module with_modules(const torch::jit::Module& original,
                                              const std::map<std::string, torch::jit::Module>& modules);

}  // namespace outcrop::quantize
