#include "trainer_host/trainer/models/noise.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace outcrop::models {
namespace {

std::vector<std::int64_t> philox(torch::jit::Module& noise, std::array<std::int64_t, 4> counter,
                                 std::int64_t key0, std::int64_t key1) {
  const auto word = [](std::int64_t value) { return torch::full({1}, value, torch::kLong); };
  const auto blocks = noise
                          .get_method("philox")({word(counter[0]), word(counter[1]),
                                                 word(counter[2]), word(counter[3]), key0, key1})
                          .toTensorVector();
  std::vector<std::int64_t> words;
  for (const auto& block : blocks) words.push_back(block.item<std::int64_t>());
  return words;
}

TEST(Noise, philox_answers_the_published_vectors) {
  // Random123 1.14, tests/kat_vectors, philox4x32-10.
  auto noise = make_noise(4);
  using Words = std::vector<std::int64_t>;
  EXPECT_EQ(philox(noise, {0, 0, 0, 0}, 0, 0),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::int64_t ones = 0xffffffff;
  EXPECT_EQ(philox(noise, {ones, ones, ones, ones}, ones, ones),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(noise, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Noise, draws_row_b_from_the_blocks_of_counter_b) {
  auto noise = make_noise(12);
  const std::int64_t seed = (std::int64_t{5} << 32) + 7;
  const auto drawn = noise.forward({2, seed}).toTensor();
  const auto table = noise.attr("quantiles").toTensor();
  const auto quantile = [&](std::int64_t index) { return table[index].item<std::int64_t>(); };
  for (std::int64_t row = 0; row < 2; ++row) {
    for (std::int64_t block = 0; block < 3; ++block) {
      const auto words = philox(noise, {block, row, 0, 0}, 7, 5);
      for (std::int64_t i = 0; i < 4; ++i) {
        const auto word = words[static_cast<std::size_t>(i)];
        EXPECT_EQ(drawn[row][3 * i + block].item<std::int64_t>(),
                  quantile(word & 4095) + quantile((word >> 16) & 4095))
            << "row " << row << ", block " << block << ", word " << i;
      }
    }
  }
}

TEST(Noise, is_standard_normal) {
  auto noise = make_noise(128);
  const auto values = noise.forward({2000, 7}).toTensor().to(torch::kDouble) *
                      std::ldexp(1.0, -noise_fraction_bits);
  EXPECT_NEAR(values.mean().item<double>(), 0.0, 0.01);
  EXPECT_NEAR(values.var().item<double>(), 1.0, 0.01);
  EXPECT_NEAR(values.pow(4).mean().item<double>(), 3.0, 0.1);
}

TEST(Noise, a_larger_batch_begins_with_the_smaller) {
  auto noise = make_noise(128);
  const auto one = noise.forward({1, 42}).toTensor();
  const auto three = noise.forward({3, 42}).toTensor();
  EXPECT_TRUE(torch::equal(three.slice(0, 0, 1), one));
  EXPECT_FALSE(torch::equal(three[1], three[0]));
}

TEST(Noise, every_bit_of_the_seed_counts) {
  auto noise = make_noise(128);
  const auto base = noise.forward({1, 1}).toTensor();
  EXPECT_FALSE(torch::equal(noise.forward({1, 2}).toTensor(), base));
  EXPECT_FALSE(torch::equal(noise.forward({1, 1 + (std::int64_t{1} << 40)}).toTensor(), base));
  EXPECT_FALSE(torch::equal(noise.forward({1, -1}).toTensor(), base));
}

}  // namespace
}  // namespace outcrop::models
