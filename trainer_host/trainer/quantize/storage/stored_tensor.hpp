#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/quantize/codes/group_codes.hpp"
#include "trainer_host/trainer/quantize/codes/nf4.hpp"
#include "trainer_host/trainer/quantize/codes/round_rows_int8.hpp"

namespace outcrop::quantize {

// A parameter as a file holds it: small tensors and some whole numbers, which expansion_source.hpp's TorchScript
// makes float32 again.
struct StoredTensor {
  std::string form;                    // "fp16", "bf16", "int8", "int4", "int2", "nf4"
  std::vector<torch::Tensor> parts;    // what is kept
  std::vector<std::int64_t> numbers;   // what is known of it: expansion_source.hpp
  torch::Tensor values;                // float32, the parameter's shape: to the bit what expanding gives
  std::int64_t bytes = 0;              // of `parts`; each is a record of some 200 bytes more in a file
};

// The parameter that codes of [rows, columns] are of. Where rows are along its second extent (transposed convolutions,
// whose output channels are there), they are of parameter.transpose(0, 1).
struct ParameterShape {
  std::vector<std::int64_t> extents;
  bool rows_second = false;
};
// `parameter` as codes/ want it: float32 [rows, columns].
[[nodiscard]] torch::Tensor rows_of(const torch::Tensor& parameter, bool rows_second = false);

// All makers: invalid_argument where the codes are not of that shape.

// Half precision. fp16 is divided by a power of two that fits the largest, so that neither 1e-30 nor 1e30 is lost where
// all are alike; bf16 has float32's range. invalid_argument as check_weight has it.
[[nodiscard]] Result<StoredTensor> store_fp16(const torch::Tensor& parameter);
[[nodiscard]] Result<StoredTensor> store_bf16(const torch::Tensor& parameter);

// A byte a weight and a scale for each row: float32, or float16, which spares 2 bytes a row and puts values off by up to
// 1/2048.
enum class RowScales { float32, float16 };
[[nodiscard]] Result<StoredTensor> store_rows(const RowCodes& codes, const ParameterShape& shape,
                                              RowScales scales = RowScales::float32);

// Groups as the rows of LibTorch's embedding_bag_4bit_unpack (2bit for codes of 2 bits; those of 3 take 4): a group's codes,
// then scale and minimum in float16. An odd group is filled up. An order of columns takes 2 or 4 bytes a column more,
// scales of columns 2. unsupported for codes above 4 bits: int8 rows are what 8 bits are for.
[[nodiscard]] Result<StoredTensor> store_groups(const GroupCodes& codes, const ParameterShape& shape);

// Two weights a byte, the first in the upper half, as bitsandbytes packs them; the last block filled up. The map of
// double quantization, 1 kB, counts among each tensor's bytes and is in a file once.
[[nodiscard]] Result<StoredTensor> store_nf4(const Nf4Codes& codes, const ParameterShape& shape);

}  // namespace outcrop::quantize
