#pragma once

#include <memory>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "runtime/inspect/inspection.hpp"

namespace outcrop::runtime {

// Reads the bytecode table of a LibTorch lite-interpreter file (.ptl). The table is data: no
// method of the model runs. LibTorch's unpickler does parse it, however, so call this only where
// a hostile file can do no harm. invalid_data for what is not such a file.
[[nodiscard]] Result<Inspection> inspect_torch_model(BytesView file);

}  // namespace outcrop::runtime
