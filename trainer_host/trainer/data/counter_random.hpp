#pragma once

#include <array>
#include <cstdint>

namespace outcrop::data {

// One block of Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011): four random words from a counter and a key, by integer arithmetic alone.
[[nodiscard]] std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                      std::array<std::uint32_t, 2> key);

// The random numbers of one sample of a data set: they depend on (seed, sample) and on nothing
// else, so samples can be made in any order, by any thread and on any machine. Value semantics:
// a copy continues the same sequence.
class CounterRandom {
 public:
  CounterRandom(std::uint64_t seed, std::uint64_t sample) : seed_(seed), sample_(sample) {}

  // Uniform in [low, high): 2^32 steps, exact in double arithmetic.
  [[nodiscard]] double uniform(double low, double high);
  // Uniform in 0...count-1. `count` is 1 to 2^32; the bias is below count / 2^32.
  [[nodiscard]] std::uint64_t below(std::uint64_t count);

 private:
  [[nodiscard]] std::uint32_t next();

  std::uint64_t seed_;
  std::uint64_t sample_;
  std::uint32_t drawn_ = 0;
  std::array<std::uint32_t, 4> block_{};
};

}  // namespace outcrop::data
