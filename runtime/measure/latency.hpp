#pragma once

#include <chrono>
#include <cstddef>
#include <span>

#include "protocol/base/error.hpp"

namespace outcrop::runtime {

using Nanoseconds = std::chrono::nanoseconds;
using Milliseconds = std::chrono::duration<double, std::milli>;

// How long steady inferences took. Percentiles are by nearest rank, as MLPerf counts them: the
// smallest sample that at least p per cent of all samples do not exceed, never a value that was
// not measured. The standard deviation is that of a sample (n - 1); 0 for one call.
struct Latency {
  std::size_t calls = 0;
  Milliseconds mean{};
  Milliseconds minimum{};
  Milliseconds maximum{};
  Milliseconds standard_deviation{};
  Milliseconds p50{};
  Milliseconds p90{};
  Milliseconds p99{};
};

// Refuses an empty set: nothing measured is not a latency of 0.
[[nodiscard]] Result<Latency> summarize(std::span<const Nanoseconds> samples);

}  // namespace outcrop::runtime
