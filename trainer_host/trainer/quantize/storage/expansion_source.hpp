#pragma once

#include <torch/script.h>

#include <memory>
#include <string>

#include "trainer_host/trainer/quantize/storage/stored_tensor.hpp"

namespace outcrop::quantize {

// What `numbers` of a stored tensor are: rows, columns, columns (nf4: weights) of a group, exponent of the
// unit, Extra, 1 where rows are along the parameter's second extent, then the parameter's extents.
enum class Extra : std::int64_t { none = 0, order = 1, column_scales = 2, double_quantization = 3 };

// TorchScript, as a method of a module, that makes such a tensor float32 again, in operators that LibTorch 1.13's
// lite interpreter has:
//
//   expand_FORM(parts: List[Tensor], numbers: List[int]) -> Tensor
//
// A slice of rows at a time, of a quarter of a million weights or one row: besides the result there is never
// more than that in float32. Each product that is added to is exact, so that machines with and without fused
// multiply-add agree to the bit.
[[nodiscard]] std::string expansion_source(const std::string& form);

// The statements that make `piece`, [count, columns], of rows from `begin` on: for a loop in a method, indented by 8.
// They know `parts`, `numbers`, `columns`, `begin` and `count`.
[[nodiscard]] std::string piece_source(const std::string& form);

// By that very source, in this process. From any thread.
[[nodiscard]] torch::Tensor expanded(const StoredTensor& tensor);

// "xFORMx" with each FORM replaced.
[[nodiscard]] std::string with_word(std::string text, const std::string& word, const std::string& by);

}  // namespace outcrop::quantize
