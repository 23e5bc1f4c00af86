#include "trainer_host/trainer/kinds/generator/decoding.hpp"

#include <vector>

namespace outcrop::generator {

Result<GeneratedPair> decode_each(models::CallableModel& model, const torch::Tensor& latents) {
  std::vector<torch::Tensor> velocity;
  std::vector<torch::Tensor> seismic;
  for (std::int64_t row = 0; row < latents.size(0); ++row) {
    OUTCROP_TRY(pair, model.call("decode", {latents.slice(0, row, row + 1).contiguous()}));
    velocity.push_back(pair.at(0));
    seismic.push_back(pair.at(1));
  }
  return GeneratedPair{torch::cat(velocity), torch::cat(seismic)};
}

Result<torch::Tensor> sample_latent(models::CallableModel& model, std::int64_t seed) {
  OUTCROP_TRY(latent, model.call("latent", {std::int64_t{1}, seed}));
  return latent.at(0);
}

}  // namespace outcrop::generator
