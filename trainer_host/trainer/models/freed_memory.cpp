#include "trainer_host/trainer/models/freed_memory.hpp"

#include <malloc.h>

namespace outcrop::models {
namespace {

constexpr ByteCount large_model(256ULL << 20U);
constexpr int largest_threshold = 32 << 20;  // that glibc takes
constexpr int usual_maps = 65536;

bool keeps = false;

}  // namespace

void keep_freed_memory() {
  // No block is mapped by itself, and the heap's top is returned only beyond 1 GiB.
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  keeps = true;
}

LargeBlocksReturned::LargeBlocksReturned(ByteCount weights) : on_(keeps && weights > large_model) {
  if (!on_) return;
  ::mallopt(M_MMAP_THRESHOLD, largest_threshold);
  ::mallopt(M_MMAP_MAX, usual_maps);
}

LargeBlocksReturned::~LargeBlocksReturned() {
  if (on_) keep_freed_memory();
}

}  // namespace outcrop::models
