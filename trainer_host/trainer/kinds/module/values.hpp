#pragma once

#include <torch/script.h>

#include <filesystem>

#include "protocol/base/error.hpp"

namespace outcrop::user_module {

// Copies what a state_dict (of torch.save) or a .safetensors file holds into the parameters and buffers
// of its names. invalid_data where the file is neither; where it lacks one, has another one, or one of
// another shape or type.
[[nodiscard]] Status take_values(const std::filesystem::path& file, torch::jit::Module& module);

}  // namespace outcrop::user_module
