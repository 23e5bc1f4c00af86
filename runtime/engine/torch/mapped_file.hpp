#pragma once

#include <algorithm>
#include <cstring>

#include <caffe2/serialize/read_adapter_interface.h>

#include "protocol/base/bytes.hpp"

namespace outcrop::runtime {

// Lets LibTorch read bytes where they lie, without a path and without a copy of the file: what
// is inspected and what is loaded are the same sealed memory. The bytes must outlive it.
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
