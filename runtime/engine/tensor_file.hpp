#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "runtime/engine/tensor.hpp"

namespace outcrop::runtime {

// Named tensors in the public safetensors format (github.com/huggingface/safetensors): eight
// bytes of little-endian header length, a JSON header, then the bytes of the tensors without
// gaps. Golden inputs and outputs are such files, so that anybody's tools can read them.
//
// Reading is strict, since a file may come from anywhere: the header is at most 1 MiB; names are
// not empty and not repeated; dtypes are F32 or I64; the byte ranges follow each other from the
// first to the last byte. Order in memory is order in the file.

// The format's own place for texts that are no tensors, `__metadata__`: whoever only wants tensors
// passes over it.
using TensorMetadata = std::map<std::string, std::string>;

// A tensor whose bytes lie elsewhere, in row-major order.
struct TensorView {
  std::string name;
  DType dtype = DType::float32;
  std::vector<std::int64_t> shape;
  BytesView data;
};

// For files that are too large to be held twice. What stands before the bytes of these tensors, one
// behind the other; and the tensors of a whole file, which must outlive them.
[[nodiscard]] Result<Bytes> encode_tensor_header(std::span<const TensorView> tensors,
                                                 const TensorMetadata& metadata = {});
[[nodiscard]] Result<std::vector<TensorView>> view_tensor_file(BytesView bytes);

[[nodiscard]] Result<Bytes> encode_tensor_file(std::span<const Tensor> tensors,
                                               const TensorMetadata& metadata = {});
[[nodiscard]] Result<std::vector<Tensor>> decode_tensor_file(BytesView bytes);
// Reads the header alone; nothing where a file has no metadata.
[[nodiscard]] Result<TensorMetadata> decode_tensor_metadata(BytesView bytes);

// Written crash-safe (protocol/base/durable_file.hpp).
[[nodiscard]] Status write_tensor_file(const std::filesystem::path& path,
                                       std::span<const Tensor> tensors);
[[nodiscard]] Result<std::vector<Tensor>> read_tensor_file(const std::filesystem::path& path,
                                                           ByteCount limit = ByteCount::mib(256));

}  // namespace outcrop::runtime
