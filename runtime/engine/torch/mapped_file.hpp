#pragma once

#include <algorithm>
#include <cstring>

#include <caffe2/serialize/read_adapter_interface.h>

#include "protocol/base/bytes.hpp"

namespace outcrop::runtime {

// Lets LibTorch read sealed bytes where they lie, without a path: what is inspected and what is
// loaded are the same memory. LibTorch copies what it reads, tensors too, into memory of its own,
// so a loaded model takes the size of its weights beside the mapping and keeps no pointer into
// it. The bytes must outlive this object.
class MappedFile final : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit MappedFile(BytesView bytes) : bytes_(bytes) {}

  size_t size() const override { return bytes_.size(); }
  size_t read(uint64_t position, void* buffer, size_t count,
              const char* /*what*/ = "") const override {
    if (position >= bytes_.size()) return 0;
    const size_t available = std::min<size_t>(count, bytes_.size() - position);
    std::memcpy(buffer, bytes_.data() + position, available);
    return available;
  }

 private:
  BytesView bytes_;
};

}  // namespace outcrop::runtime
