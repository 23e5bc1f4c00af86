#include "trainer_host/trainer/models/noise.hpp"

#include <cmath>
#include <string>
#include <vector>

namespace outcrop::models {
namespace {

constexpr int table_size = 4096;

// Each operator costs a board some thousand instructions before it touches a number, so both of
// Philox's multiplications are one, on words side by side: `outer` holds c0 and c2, `inner` c1 and
// c3. Masks and shifts are tensors, which a number would be made into at every use. The 32x32-bit
// products are taken in halves, since int64 has no room for an unsigned 64-bit one.
constexpr const char* noise_source = R"(
def philox(self, c0: Tensor, c1: Tensor, c2: Tensor, c3: Tensor, key0: int, key1: int) -> List[Tensor]:
    outer = torch.stack([c0, c2])
    inner = torch.stack([c1, c3])
    keys = torch.bitwise_and(self.key_steps + torch.tensor([[key0], [key1]]), self.word)
    for key in torch.unbind(keys):
        crossed = torch.flip(outer, [0])
        low = crossed * self.low_halves
        high = crossed * self.high_halves
        top = torch.bitwise_right_shift(high + torch.bitwise_right_shift(low, self.half_bits), self.half_bits)
        outer = torch.bitwise_xor(torch.bitwise_xor(top, inner), key)
        inner = torch.bitwise_and(torch.add(low, torch.bitwise_and(high, self.half), alpha=65536), self.word)
    return [outer[0], inner[0], outer[1], inner[1]]
def forward(self, batch_size: int, seed: int) -> Tensor:
    blocks = self.values // 4
    counter = torch.arange(batch_size * blocks, dtype=4, layout=None, device=None, pin_memory=False)
    block = torch.remainder(counter, blocks)
    row = torch.div(counter, blocks, rounding_mode="floor")
    zero = torch.zeros_like(counter)
    words = torch.stack(self.philox(block, row, zero, zero, seed & 4294967295, (seed >> 32) & 4294967295))
    words = torch.flatten(torch.transpose(torch.reshape(words, [4, batch_size, blocks]), 0, 1))
    first = torch.bitwise_and(words, self.entry)
    second = torch.bitwise_and(torch.bitwise_right_shift(words, self.half_bits), self.entry)
    sum = torch.index_select(self.quantiles, 0, first) + torch.index_select(self.quantiles, 0, second)
    return torch.reshape(sum, [batch_size, self.values])
)";

constexpr int rounds = 10;
// Philox's multipliers, of c2 and of c0, in the order in which the words are crossed.
constexpr std::int64_t multipliers[] = {3449720151, 3528531795};
// What the two halves of the key grow by in each round.
constexpr std::int64_t key_growth[] = {2654435769, 3144134277};

torch::Tensor column(std::int64_t upper, std::int64_t lower) {
  return torch::tensor({upper, lower}, torch::kLong).reshape({2, 1});
}

double normal_quantile(double probability) {
  double low = -10;
  double high = 10;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::sqrt(2.0)) < probability ? low : high) = middle;
  }
  return (low + high) / 2;
}

// Scaled so that the sum of two independent entries has variance 1. The table is antisymmetric:
// the mean is exactly 0.
torch::Tensor normal_table() {
  std::vector<double> quantiles(table_size);
  double square_sum = 0;
  for (int i = 0; i < table_size / 2; ++i) {
    quantiles[i] = normal_quantile((i + 0.5) / table_size);
    quantiles[table_size - 1 - i] = -quantiles[i];
    square_sum += 2 * quantiles[i] * quantiles[i];
  }
  const double unit =
      std::ldexp(1.0, noise_fraction_bits) / std::sqrt(2.0 * square_sum / table_size);
  auto table = torch::empty({table_size}, torch::kLong);
  auto entries = table.accessor<std::int64_t, 1>();
  for (int i = 0; i < table_size; ++i) entries[i] = std::llround(quantiles[i] * unit);
  return table;
}

}  // namespace

torch::jit::Module make_noise(std::int64_t values) {
  TORCH_CHECK(values > 0 && values % 4 == 0, "noise comes in fours, not ", values);
  torch::jit::Module module("__torch__.outcrop.PhiloxNormal",
                            std::make_shared<torch::jit::CompilationUnit>(),
                            /*shouldMangle=*/true);
  module.register_buffer("quantiles", normal_table());
  module.register_buffer("low_halves", column(multipliers[0] & 65535, multipliers[1] & 65535));
  module.register_buffer("high_halves", column(multipliers[0] >> 16, multipliers[1] >> 16));
  module.register_buffer("key_steps", torch::arange(rounds, torch::kLong).reshape({rounds, 1, 1}) *
                                          column(key_growth[0], key_growth[1]));
  module.register_buffer("half_bits", torch::tensor(16, torch::kLong));
  module.register_buffer("half", torch::tensor(65535, torch::kLong));
  module.register_buffer("word", torch::tensor(4294967295, torch::kLong));
  module.register_buffer("entry", torch::tensor(table_size - 1, torch::kLong));
  module.register_attribute("values", c10::IntType::get(), values);
  module.define(noise_source);
  return module;
}

}  // namespace outcrop::models
