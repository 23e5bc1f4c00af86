#pragma once

#include <ATen/CPUGeneratorImpl.h>

#include "trainer_host/trainer/kinds/generator/exporting.hpp"

namespace outcrop::quantize {

// A generator of small width whose batch norms have seen data: untrained, but with the ranges of
// a real one. The same weights at every call.
inline generator::Generator make_small_generator(std::int64_t levels = 0) {
  const generator::GeneratorShape shape{
      .latent = 32, .encoder_width = 4, .velocity_width = 4, .levels = levels, .seismic_width = 8};
  generator::Generator generator = generator::make_generator(shape, 7);
  const torch::NoGradGuard no_grad;
  at::Generator random = at::detail::createCPUGenerator(11);
  generator.train(true);
  for (int i = 0; i < 20; ++i) {
    const auto latent = torch::empty({16, shape.latent, 1, 1}).normal_(0.0, 1.0, random);
    generator.velocity_decoder.forward({latent});
    generator.seismic_decoder.forward({latent.slice(0, 0, 4)});
  }
  generator.train(false);
  return generator;
}

inline kinds::Export small_export(const generator::Generator& generator,
                                  const torch::Tensor& latents) {
  return generator::make_export(generator, generator::fit_gaussian(latents), latents);
}

inline torch::Tensor small_latents(std::int64_t count) {
  at::Generator random = at::detail::createCPUGenerator(13);
  return torch::empty({count, 32}).normal_(0.0, 1.0, random);
}

}  // namespace outcrop::quantize
