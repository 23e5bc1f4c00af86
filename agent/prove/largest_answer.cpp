#include "agent/prove/largest_answer.hpp"

#include <unistd.h>

#include <algorithm>

namespace outcrop::agent {

ByteCount largest_answer(ByteCount memory) {
  return std::clamp(ByteCount(memory.value() / 8), ByteCount::mib(48), ByteCount::mib(256));
}

ByteCount largest_answer() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long size = ::sysconf(_SC_PAGESIZE);
  return largest_answer(ByteCount(pages > 0 && size > 0 ? static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(size) : 0));
}

}  // namespace outcrop::agent
