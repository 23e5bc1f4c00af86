#include "trainer_host/trainer/data/counter_random.hpp"

namespace outcrop::data {
namespace {

std::uint32_t low_word(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}
std::uint32_t high_word(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t first = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t second = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {high_word(second) ^ counter[1] ^ key[0], low_word(second),
               high_word(first) ^ counter[3] ^ key[1], low_word(first)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

std::uint32_t CounterRandom::next() {
  const std::uint32_t within = drawn_ % 4;
  if (within == 0) {
    block_ = philox4x32({drawn_ / 4, 0, low_word(sample_), high_word(sample_)},
                        {low_word(seed_), high_word(seed_)});
  }
  ++drawn_;
  return block_[within];
}

double CounterRandom::uniform(double low, double high) {
  constexpr double unit = 1.0 / 4294967296.0;
  return low + (high - low) * (static_cast<double>(next()) * unit);
}

std::uint64_t CounterRandom::below(std::uint64_t count) {
  return next() * count >> 32;
}

}  // namespace outcrop::data
