#pragma once

#include <filesystem>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/weights/state_dict.hpp"

namespace outcrop::weights {

// Weights from a file of either format that Python's world has for them: a state_dict as torch.save writes
// it (state_dict.hpp), or safetensors (runtime/engine/tensor_file.hpp: F32 and I64). The file's first bytes tell
// which, not its name. Tensors are copied once, from the mapped file. Errors name the file; where it is
// neither, what it is and how to save weights.
[[nodiscard]] Result<Weights> read_weights(const std::filesystem::path& path);

}  // namespace outcrop::weights
