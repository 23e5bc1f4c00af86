#pragma once

#include <torch/csrc/jit/mobile/module.h>
#include <torch/script.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "protocol/base/error.hpp"

namespace outcrop::quantize {

// What a generator makes of latents.
struct GeneratedPair {
  torch::Tensor velocity;  // [B,1,70,70], m/s
  torch::Tensor seismic;   // [B,5,1000,70], pressure
};

// An exported generator run in this process by LibTorch's lite interpreter, as boards run it.
// Loading is running code: only for files that this host made itself; anything else goes
// through the confined runner.
class LiteModel {
 public:
  // Fails with not_found, or invalid_data where the file is no such model or is cut.
  [[nodiscard]] static Result<LiteModel> load(const std::filesystem::path& file);
  [[nodiscard]] static Result<LiteModel> load(const std::string& bytes, const std::string& name);

  // `latents` [B, latent], B >= 1. Decoded one at a time, as the golden outputs are.
  [[nodiscard]] Result<GeneratedPair> decode(const torch::Tensor& latents);
  // What boards serve: the sample of a seed.
  [[nodiscard]] Result<GeneratedPair> draw(std::int64_t seed);
  // The latent [1, latent] that forward(1, seed) decodes.
  [[nodiscard]] Result<torch::Tensor> sample_latent(std::int64_t seed);

 private:
  explicit LiteModel(torch::jit::mobile::Module module, std::string name)
      : module_(std::move(module)), name_(std::move(name)) {}

  torch::jit::mobile::Module module_;
  std::string name_;
};

}  // namespace outcrop::quantize
