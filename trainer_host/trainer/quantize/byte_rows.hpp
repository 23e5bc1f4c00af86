#pragma once

#include <torch/script.h>

#include <map>
#include <string>

namespace outcrop::quantize {

// Tables whose rows are looked up (embeddings) in a byte a value: scale and minimum of each row are floats behind its codes.

// For quantized::embedding_byte; of a table [rows, width].
[[nodiscard]] c10::IValue packed_byte_rows(const torch::Tensor& table);

// Puts packed rows in the place of these tables, by names of their own, in the forward of a module that calls nothing and
// holds them as constants or attributes. Throws c10::Error where one is not looked up in it.
void pack_tables(torch::jit::Module& module, const std::map<std::string, torch::Tensor>& tables);

}  // namespace outcrop::quantize
