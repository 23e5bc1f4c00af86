#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

namespace outcrop::generator {

// 64 features of velocity maps, for distances between sets of them: a small network that was trained once, on maps of
// data/earth_model made blurred and noisy, to tell family, blur and noise apart and to know the velocities (the recipe is
// bench/map_encoder.cpp). Its weights are part of the program: the same on every machine, named by their digest, and
// distances by other weights are others. It has never seen a gather, nor a generated map.
class MapEncoder {
 public:
  static constexpr std::int64_t features = 64;

  // The weights that the program brings.
  MapEncoder();
  // Tensors as train() leaves them, in the order of shapes().
  explicit MapEncoder(std::vector<torch::Tensor> weights);

  // Weight and bias of each convolution, then mean and spread of the features over what it was trained on.
  [[nodiscard]] static std::vector<std::vector<std::int64_t>> shapes();

  // Normalized maps [N, 1, rows, columns], in [-1, 1], both at least 16 → [N, 64] float32, each feature with mean 0 and
  // spread 1 over the maps of the recipe. Throws c10::Error for other shapes. From any thread.
  [[nodiscard]] torch::Tensor operator()(const torch::Tensor& maps) const;

  // The same before mean and spread are taken away; with a gradient, where the weights have one.
  [[nodiscard]] torch::Tensor raw(const torch::Tensor& maps) const;

  // SHA-256 in hex of the weights as the program holds them (float16, little-endian).
  [[nodiscard]] const std::string& digest() const { return digest_; }

 private:
  std::vector<torch::Tensor> weights_;
  std::string digest_;
};

}  // namespace outcrop::generator
