#pragma once

#include <torch/script.h>

#include <string>

namespace outcrop::quantize {

// A model as boards get it, for the lite interpreter: values alone, weights once. The same model gives the same bytes.
// Where `model` is its last holder, it is gone before bytes are there.
[[nodiscard]] std::string mobile_bytes(torch::jit::Module model);

}  // namespace outcrop::quantize
