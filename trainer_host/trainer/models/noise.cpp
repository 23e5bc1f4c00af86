#include "trainer_host/trainer/models/noise.hpp"

#include <cmath>
#include <string>
#include <vector>

namespace outcrop::models {
namespace {

constexpr int table_size = 4096;

// The 32x32-bit products are taken in halves, since int64 has no room for an unsigned 64-bit one.
constexpr const char* noise_source = R"(
def low_product(self, a: int, b: Tensor) -> Tensor:
    low = a * torch.bitwise_and(b, 65535)
    high = a * torch.bitwise_right_shift(b, 16)
    return torch.bitwise_and(low + torch.bitwise_left_shift(torch.bitwise_and(high, 65535), 16), 4294967295)
def high_product(self, a: int, b: Tensor) -> Tensor:
    low = a * torch.bitwise_and(b, 65535)
    high = a * torch.bitwise_right_shift(b, 16)
    return torch.bitwise_right_shift(high + torch.bitwise_right_shift(low, 16), 16)
def philox(self, c0: Tensor, c1: Tensor, c2: Tensor, c3: Tensor, key0: int, key1: int) -> List[Tensor]:
    for i in range(10):
        high0 = self.high_product(3528531795, c0)
        low0 = self.low_product(3528531795, c0)
        high1 = self.high_product(3449720151, c2)
        low1 = self.low_product(3449720151, c2)
        c0 = torch.bitwise_xor(torch.bitwise_xor(high1, c1), key0)
        c1 = low1
        c2 = torch.bitwise_xor(torch.bitwise_xor(high0, c3), key1)
        c3 = low0
        key0 = (key0 + 2654435769) & 4294967295
        key1 = (key1 + 3144134277) & 4294967295
    return [c0, c1, c2, c3]
def forward(self, batch_size: int, seed: int) -> Tensor:
    blocks = self.values // 4
    zero = torch.zeros([batch_size, blocks], dtype=4, layout=None, device=None, pin_memory=False)
    block = zero + torch.reshape(torch.arange(blocks, dtype=4, layout=None, device=None, pin_memory=False), [1, blocks])
    row = zero + torch.reshape(torch.arange(batch_size, dtype=4, layout=None, device=None, pin_memory=False), [batch_size, 1])
    words = torch.cat(self.philox(block, row, zero, zero, seed & 4294967295, (seed >> 32) & 4294967295), 1)
    first = torch.flatten(torch.bitwise_and(words, 4095))
    second = torch.flatten(torch.bitwise_and(torch.bitwise_right_shift(words, 16), 4095))
    sum = torch.index_select(self.quantiles, 0, first) + torch.index_select(self.quantiles, 0, second)
    return torch.reshape(sum, [batch_size, self.values])
)";

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
  module.register_attribute("values", c10::IntType::get(), values);
  module.define(noise_source);
  return module;
}

}  // namespace outcrop::models
