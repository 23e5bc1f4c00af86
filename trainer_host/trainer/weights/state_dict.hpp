#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "runtime/engine/tensor.hpp"

namespace outcrop::weights {

// Dense, row-major, by name (which the tensors carry, too).
using Weights = std::map<std::string, runtime::Tensor>;

// What Python's torch.save(model.state_dict(), FILE) writes since PyTorch 1.6, read without running
// anything of it (state_pickle.hpp): a zip archive of a pickle, `data.pkl`, and of storages, `data/NAME`.
//
// Values come as the dtypes this project knows: float16, bfloat16 and float64 as float32 (of a float64 that
// no float32 can hold, nothing), whole numbers and bool as int64. Tensors may be views of any strides, and
// share storages; each is copied once, from where it lies in the file. Together they may be a few times as
// large as the file, no more: views that repeat a small storage would fill any memory.
//
// One dict of tensors is taken, alone: of a checkpoint, which keeps one under a key beside others, the error
// names that key. invalid_data, with what to save instead, for a whole model (torch.save(model)), a
// TorchScript archive, quantized, sparse, complex and meta tensors, big-endian storages, damage and anything a
// pickle could do beyond rebuilding tensors. out_of_memory where there is none left.
[[nodiscard]] Result<Weights> decode_state_dict(BytesView file);
[[nodiscard]] Result<Weights> read_state_dict(const std::filesystem::path& path);

}  // namespace outcrop::weights
