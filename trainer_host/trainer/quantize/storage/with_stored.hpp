#pragma once

#include <torch/script.h>

#include <map>
#include <string>

#include "trainer_host/trainer/quantize/storage/stored_tensor.hpp"

namespace outcrop::quantize {

// A module that answers as `layer` does with those of its parameters (or buffers) replaced by the values of what is
// kept: same methods, same attributes, but that a parameter `weight` is a child now, whose parameter `values` it is. What
// differs is its file, .pt or .ptl: that holds what is kept, and loading expands it by LibTorch's own operators, so that
// a loaded module has plain float32 values and runs at their speed. `layer` is unchanged, and shares what is not replaced.
//
// It keeps what it was expanded from, and can be saved again after a load, unless drop_codes_at_load was called before the
// save: what was loaded then says so when it is saved. Freezing, and optimize_for_mobile, make constants in float32 of it.
//
// Throws c10::Error for a parameter that it has not, changes or has in another shape.
[[nodiscard]] torch::jit::Module with_stored(const torch::jit::Module& layer,
                                             const std::map<std::string, StoredTensor>& by_parameter);

// The same for a linear layer whose forward is one torch.linear of its weight, with that in int8: loading expands slices of
// rows to int8 with a scale for each row and packs them, and `forward` is quantized::linear_dynamic, whose activations are
// quantized at each call. In memory it is int8, never float32 as a whole; codes by row lose nothing more. Needs an engine
// (QNNPACK) set before it is made or loaded. Throws as above, and for other layers.
[[nodiscard]] torch::jit::Module with_stored_as_int8_dynamic(const torch::jit::Module& layer,
                                                             const StoredTensor& weight);

// The same for such a linear layer, whose forward is then outcrop::linear_int4 (runtime/engine/torch/int4) with the codes as
// they are: nothing is expanded, neither in a file nor in memory, and only an engine with that operator loads it. Throws
// for codes that are not groups of 4 bits in the weight's own order, too.
[[nodiscard]] torch::jit::Module with_stored_as_int4(const torch::jit::Module& layer, const StoredTensor& weight);

// From its next save on, what is loaded of `whole` holds values only, and no codes. For the file that boards get.
void drop_codes_at_load(torch::jit::Module& whole);

}  // namespace outcrop::quantize
