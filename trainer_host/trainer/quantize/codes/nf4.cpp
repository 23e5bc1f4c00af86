#include "trainer_host/trainer/quantize/codes/nf4.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "trainer_host/trainer/quantize/codes/group_codes.hpp"

namespace outcrop::quantize {
namespace {

using torch::Tensor;

struct BlockCodes {
  Tensor codes;   // uint8 [n]
  Tensor scales;  // float32 [blocks]
};

// Each value as the index of the nearest of `table`, rising, after division by its block's largest.
// bitsandbytes multiplies whole blocks of weights by a reciprocal, divides a rest and all scales: a last bit decides
// codes.
BlockCodes nearest_in_blocks(const Tensor& flat, std::int64_t block, const Tensor& table,
                             bool by_reciprocal) {
  const auto whole = flat.numel() / block * block;
  const Tensor blocks = flat.narrow(0, 0, whole).reshape({-1, block});
  Tensor scales = whole == 0 ? torch::empty({0}) : blocks.abs().amax(1);
  const Tensor divisors = scales.clamp_min(1e-38).unsqueeze(1);
  Tensor scaled = (by_reciprocal ? blocks * divisors.reciprocal() : blocks / divisors)
                      .clamp_(-1, 1)
                      .reshape(-1);
  if (whole < flat.numel()) {
    const Tensor rest = flat.narrow(0, whole, flat.numel() - whole);
    const Tensor scale = rest.abs().max().clamp_min(1e-38);
    scales = torch::cat({scales, scale.unsqueeze(0)});
    scaled = torch::cat({scaled, (rest / scale).clamp_(-1, 1)});
  }
  const auto last = table.numel() - 1;
  const Tensor middles = (table.narrow(0, 0, last) + table.narrow(0, 1, last)) / 2;
  return {torch::bucketize(scaled, middles, /*out_int32=*/true).to(torch::kByte), scales};
}

Tensor table_tensor() {
  return torch::tensor(at::ArrayRef<double>(nf4_table.data(), nf4_table.size()), torch::kDouble)
      .to(torch::kFloat);
}

Tensor of_blocks(const Tensor& per_block, std::int64_t block, std::int64_t count) {
  return per_block.repeat_interleave(block).narrow(0, 0, count);
}

Tensor made_map() {
  // Seven decades; the lower one is, the fewer steps it has: 1, 2, … 64 on each side.
  std::vector<double> entries = {0, 1};
  for (int decade = 0; decade < 7; ++decade) {
    const auto count = std::int64_t{1} << decade;
    const Tensor ends = torch::linspace(0.1, 1, count + 1, torch::kFloat);
    const Tensor means = (ends.narrow(0, 0, count) + ends.narrow(0, 1, count)) / 2.0;
    const Tensor scaled = std::pow(10.0, decade - 6) * means;
    for (std::int64_t i = 0; i < count; ++i) {
      entries.push_back(scaled[i].item<float>());
      entries.push_back(-scaled[i].item<float>());
    }
  }
  std::sort(entries.begin(), entries.end());
  return torch::tensor(entries, torch::kDouble).to(torch::kFloat);
}

}  // namespace

const Tensor& dynamic_map() {
  static const Tensor map = made_map();
  return map;
}

Result<Nf4Codes> nf4(const Tensor& weight, const Nf4Options& options) {
  OUTCROP_CHECK(check_weight(weight));
  if (options.block < 2 || options.block % 2 != 0) {
    return fail(ErrorCode::invalid_argument,
                "a block of nf4 has an even number of weights, not " + std::to_string(options.block));
  }
  const auto [codes, scales] = nearest_in_blocks(weight.reshape(-1), options.block, table_tensor(), /*by_reciprocal=*/true);
  Nf4Codes made;
  made.block = options.block;
  made.codes = codes.reshape(weight.sizes());
  made.scales = scales;
  if (!options.double_quantization) return made;
  made.map = dynamic_map();
  made.mean = scales.mean().reshape(1);
  const auto [scale_codes, second] =
      nearest_in_blocks(scales - made.mean, nf4_second_block, made.map, /*by_reciprocal=*/false);
  made.scale_codes = scale_codes;
  made.second_scales = second;
  made.scales = made.map.index_select(0, scale_codes.to(torch::kInt)) *
                    of_blocks(second, nf4_second_block, scales.numel()) +
                made.mean;
  return made;
}

Tensor float_values(const Nf4Codes& weight) {
  const Tensor values = table_tensor().index_select(0, weight.codes.reshape(-1).to(torch::kInt));
  return (values * of_blocks(weight.scales, weight.block, values.numel()))
      .reshape(weight.codes.sizes());
}

}  // namespace outcrop::quantize
