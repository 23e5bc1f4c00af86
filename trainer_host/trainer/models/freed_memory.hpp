#pragma once

#include "protocol/base/bytes.hpp"

namespace outcrop::models {

// Keeps freed memory in the process: by default every large tensor is mapped from and handed back
// to the kernel, page fault by page fault, in each step: static int8 of 22 M weights spent three quarters of its time so.
void keep_freed_memory();

// While it lives, blocks of 32 MiB and more go back to the kernel as they are freed, if weights take more than 256 MiB: what is
// made and dropped of such a model leaves holes that nothing else fits in, and the process grew to 20 times the model.
// One at a time.
class LargeBlocksReturned {
 public:
  explicit LargeBlocksReturned(ByteCount weights);
  LargeBlocksReturned(const LargeBlocksReturned&) = delete;
  LargeBlocksReturned& operator=(const LargeBlocksReturned&) = delete;
  ~LargeBlocksReturned();

 private:
  bool on_ = false;
};

}  // namespace outcrop::models
