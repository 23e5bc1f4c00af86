#include "runtime/measure/latency.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace outcrop::runtime {
namespace {

Milliseconds nearest_rank(const std::vector<Nanoseconds>& sorted, std::size_t percent) {
  const std::size_t rank = (percent * sorted.size() + 99) / 100;  // rounded up, from 1
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

}  // namespace

Result<Latency> summarize(std::span<const Nanoseconds> samples) {
  if (samples.empty()) {
    return fail(ErrorCode::invalid_argument, "no call was measured, so there is no latency");
  }
  std::vector<Nanoseconds> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  Latency latency;
  latency.calls = sorted.size();
  latency.minimum = sorted.front();
  latency.maximum = sorted.back();
  latency.p50 = nearest_rank(sorted, 50);
  latency.p90 = nearest_rank(sorted, 90);
  latency.p99 = nearest_rank(sorted, 99);
  double sum = 0;
  for (const Nanoseconds sample : sorted) sum += Milliseconds(sample).count();
  const double mean = sum / static_cast<double>(sorted.size());
  double squares = 0;
  for (const Nanoseconds sample : sorted) {
    squares += std::pow(Milliseconds(sample).count() - mean, 2);
  }
  latency.mean = Milliseconds(mean);
  if (sorted.size() > 1) {
    latency.standard_deviation =
        Milliseconds(std::sqrt(squares / static_cast<double>(sorted.size() - 1)));
  }
  return latency;
}

}  // namespace outcrop::runtime
