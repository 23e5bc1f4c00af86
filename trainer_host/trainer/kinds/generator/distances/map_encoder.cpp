#include "trainer_host/trainer/kinds/generator/distances/map_encoder.hpp"

#include <numeric>
#include <utility>

#include "protocol/trust/digest.hpp"
#include "trainer_host/trainer/kinds/generator/distances/map_encoder_weights.hpp"

namespace outcrop::generator {
namespace {

constexpr std::size_t convolutions = 4;

std::vector<torch::Tensor> built_in_weights() {
  std::vector<torch::Tensor> weights;
  const std::span<const std::uint8_t> bytes = map_encoder_weights();
  std::size_t at = 0;
  for (const auto& shape : MapEncoder::shapes()) {
    const auto count = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
    const std::size_t size = static_cast<std::size_t>(count) * sizeof(c10::Half);
    TORCH_CHECK(at + size <= bytes.size(), "the built-in weights of the map encoder are cut short");
    torch::Tensor half = torch::empty(shape, torch::kHalf);
    std::copy_n(bytes.data() + at, size, static_cast<std::uint8_t*>(half.data_ptr()));
    weights.push_back(half.to(torch::kFloat));
    at += size;
  }
  TORCH_CHECK(at == bytes.size(), "the built-in weights of the map encoder are of another network");
  return weights;
}

std::string digest_of(const std::vector<torch::Tensor>& weights) {
  Bytes bytes;
  for (const torch::Tensor& weight : weights) {
    const torch::Tensor half = weight.detach().to(torch::kHalf).contiguous();
    const auto* data = static_cast<const std::byte*>(half.data_ptr());
    bytes.insert(bytes.end(), data, data + half.nbytes());
  }
  return trust::sha256(bytes).hex();
}

}  // namespace

MapEncoder::MapEncoder() : MapEncoder(built_in_weights()) {}

MapEncoder::MapEncoder(std::vector<torch::Tensor> weights) : weights_(std::move(weights)), digest_(digest_of(weights_)) {}

std::vector<std::vector<std::int64_t>> MapEncoder::shapes() {
  return {{16, 1, 3, 3}, {16}, {32, 16, 3, 3}, {32}, {64, 32, 3, 3}, {64}, {features, 64, 3, 3}, {features}, {features}, {features}};
}

torch::Tensor MapEncoder::raw(const torch::Tensor& maps) const {
  TORCH_CHECK(maps.dim() == 4 && maps.size(1) == 1 && maps.size(2) >= 16 && maps.size(3) >= 16,
              "the map encoder takes [N, 1, rows, columns] of 16 rows and columns at least, not ", maps.sizes());
  torch::Tensor x = maps.to(torch::kFloat);
  for (std::size_t i = 0; i < convolutions; ++i) {
    x = torch::leaky_relu(torch::conv2d(x, weights_[2 * i], weights_[2 * i + 1], /*stride=*/2, /*padding=*/1), 0.1);
  }
  return x.mean({2, 3});
}

torch::Tensor MapEncoder::operator()(const torch::Tensor& maps) const {
  const torch::NoGradGuard no_gradient;
  return (raw(maps) - weights_[2 * convolutions]) / weights_[2 * convolutions + 1];
}

}  // namespace outcrop::generator
