#pragma once

#include <torch/script.h>

#include <cstdint>
#include <optional>
#include <string>

#include "trainer_host/trainer/kinds/generator/diffusion/diffusion_shape.hpp"
#include "trainer_host/trainer/kinds/generator/latent_prior.hpp"
#include "trainer_host/trainer/models/training_form.hpp"

namespace outcrop::generator {

// A diffusion over an encoder's latents (Ho et al. 2020; cosine schedule, v-prediction), as it is trained. It works in the
// space of the Gaussian's own noise: latent = mean + factor · x. There an untrained denoiser, which answers 0, is the best
// one that a Gaussian has, and training learns what is not Gaussian. Of that space it draws the first `components`, along
// which latents differ most; along the others they stay Gaussian.
//
// All that training changes is in the denoiser's parameters and buffers, so that a checkpoint of the part holds it: how many
// steps it was trained, and the space that it was trained in, as integers, which no moving average touches.
class LatentDiffusion {
 public:
  // Throws c10::Error as make_denoiser does.
  LatentDiffusion(const DiffusionShape& shape, std::int64_t latent, std::uint64_t seed);

  [[nodiscard]] const DiffusionShape& shape() const { return shape_; }
  [[nodiscard]] const torch::jit::Module& denoiser() const { return form_.module(); }
  void train(bool on) { form_.train(on); }

  // Whether it has been trained, on latents that are still those of its encoder.
  [[nodiscard]] bool is_trained() const;
  // Latents are others from now on: what was learned of them says nothing any more.
  void forget();
  // Takes the space of latents [N, latent], N >= 2, unless it was trained in one already. Throws c10::Error as
  // fit_gaussian does.
  void take_space_of(const torch::Tensor& latents);
  // After take_space_of(): the Gaussian, and how far from 0 training values lie at most.
  [[nodiscard]] LatentPrior space() const;
  [[nodiscard]] double reach() const;
  // Latents [N, latent] in that space.
  [[nodiscard]] torch::Tensor in_space(const torch::Tensor& latents) const;

  // Mean squared error of v of the components that are drawn, of values in_space [N, latent], each at `draws` levels of noise. What is drawn depends on how
  // many steps it was trained and on `seed`. Counts as a step.
  [[nodiscard]] torch::Tensor loss(const torch::Tensor& values, std::int64_t draws, std::uint64_t seed);
  // The same of values held out: always the same noise.
  [[nodiscard]] torch::Tensor held_out_loss(const torch::Tensor& values);
  // "the output of denoiser.enter", of what the next loss() of them would see.
  [[nodiscard]] std::optional<std::string> first_non_finite(const torch::Tensor& values, std::int64_t draws,
                                                            std::uint64_t seed);

 private:
  struct Noised;
  [[nodiscard]] Noised noised(const torch::Tensor& values, std::int64_t draws, std::uint64_t seed) const;
  // Each row of `clean` at the step of the same place in `at`.
  [[nodiscard]] Noised noised_at(const torch::Tensor& clean, const torch::Tensor& at, at::Generator& random) const;
  [[nodiscard]] torch::Tensor error_of(const Noised& noised);
  [[nodiscard]] std::int64_t steps() const;
  [[nodiscard]] torch::Tensor buffer(const char* name) const;

  DiffusionShape shape_;
  torch::Tensor signal_;  // [noise_steps]
  torch::Tensor noise_;
  models::TrainingForm form_;
};

}  // namespace outcrop::generator
