#pragma once

#include <optional>
#include <string>
#include <vector>

#include "trainer_host/trainer/kinds/adds_to_trained.hpp"
#include "trainer_host/trainer/kinds/earth/samples.hpp"
#include "trainer_host/trainer/kinds/generator/batch.hpp"
#include "trainer_host/trainer/kinds/generator/diffusion/latent_diffusion.hpp"
#include "trainer_host/trainer/kinds/generator/distances/real_maps.hpp"
#include "trainer_host/trainer/kinds/generator/gathers/map_gathers.hpp"
#include "trainer_host/trainer/kinds/generator/generator.hpp"
#include "trainer_host/trainer/kinds/generator/latent_prior.hpp"
#include "trainer_host/trainer/kinds/generator/map_finish.hpp"
#include "trainer_host/trainer/kinds/epochs.hpp"
#include "trainer_host/trainer/kinds/kind.hpp"
#include "trainer_host/trainer/models/training_form.hpp"

namespace outcrop::generator {

// What a configuration says of a generator.
struct GeneratorRecipe final : kinds::Recipe {
  GeneratorShape shape;
  // What its data must have: weights say, else whatever the data have.
  std::optional<data::Geometry> geometry{};
  kinds::DataPlaces data;
  double edge_weight = 1.0;        // of the error of differences between neighbouring cells
  double seismic_rate = 5.0;       // learning rate of what makes gathers, times the others'
  double latent_penalty = 0.01;    // on the mean square of the latents, against their drift
  double seismic_in_latent = 0.0;  // share of the seismic loss that reaches the encoder
  bool flip = true;                // mirror half of the samples left to right
  double gather_share = 0.5;       // of the maps of a batch: those that what makes gathers from maps learns a shot of
  bool online = false;             // trained on maps made afresh in place of the data's own
  std::int64_t diffusion_from = 3;  // the first stage that trains the diffusion, and nothing else; and all after it
  double diffusion_rate = 0.5;      // its learning rate, times the others'
  std::int64_t diffusion_draws = 8;  // levels of noise at which a step sees each latent

  [[nodiscard]] std::string fingerprint() const override;
  [[nodiscard]] const kinds::DataPlaces& places() const override { return data; }
  void set_places(kinds::DataPlaces places) override { data = std::move(places); }
  [[nodiscard]] bool mirrors() const override { return flip; }
  [[nodiscard]] Result<std::unique_ptr<kinds::Task>> open(std::uint64_t seed) const override;
};

// How many samples score_held_out() looks at.
struct ScoredSamples {
  std::size_t maps = 0;     // reconstructed: SSIM, error, loss of maps
  std::size_t gathers = 0;  // the first of them, whose gathers are made too
};

// What an epoch over `training` samples can spare: up to 64 maps, and gathers, which take most of a
// call, of one sample for 16 that were trained on (at least one). A step is three times as much work
// as a call, so the gathers' loss takes about 2 % of an epoch's time.
[[nodiscard]] ScoredSamples scored_each_epoch(std::size_t training, std::size_t held_out);

class GeneratorTask final : public kinds::Task, public kinds::ChangesWithEpochs, public kinds::AddsToTrained {
 public:
  // Precondition: the recipe's shape has the sizes of the data's geometry; `maker` is what it says.
  GeneratorTask(const GeneratorRecipe& recipe, earth::SplitData data, std::uint64_t seed,
                std::optional<MapGathers> maker = std::nullopt);

  [[nodiscard]] std::vector<kinds::Part> parts() const override;
  [[nodiscard]] std::string shape() const override;
  // A diffusion is added to trained decoders.
  [[nodiscard]] std::string shape_without_added() const override;
  [[nodiscard]] bool is_added(std::string_view tensor) const override;
  [[nodiscard]] Status check_random_beginning() const override;
  [[nodiscard]] const kinds::DataSummary& data() const override { return data_.summary; }
  [[nodiscard]] kinds::Phase phase(std::int64_t stage) const override;
  [[nodiscard]] std::vector<kinds::Column> columns() const override;
  void begin_epoch(std::int64_t epoch) override {
    if (data_.fresh) data_.fresh->enter(epoch);
  }
  [[nodiscard]] std::string loss_unit() const override {
    return "loss (L1 + L2, normalized units)";
  }
  void set_training(bool on) override;
  // The gather loss trains the seismic decoder, and `seismic_in_latent` of its gradient goes on into the
  // encoder; or it trains what makes gathers from maps, on training_shots(), and nothing else.
  [[nodiscard]] kinds::Loss loss(const kinds::Phase& phase,
                                 std::span<const kinds::Draw> draws) override;
  [[nodiscard]] bool train_through(const std::string& part, std::optional<models::OtherForm> form) override;
  [[nodiscard]] std::optional<std::string> non_finite_place(
      std::span<const kinds::Draw> draws) override;
  [[nodiscard]] std::vector<std::optional<double>> score_held_out() override;
  void fit() override;
  [[nodiscard]] models::NamedTensors fitted() const override;
  [[nodiscard]] Status set_fitted(const models::NamedTensors& tensors) override;
  [[nodiscard]] kinds::Export make_export() override;
  [[nodiscard]] Result<messages::Quality> judge(models::CallableModel& model) override;
  [[nodiscard]] Result<kinds::Evaluation> evaluate(
      const kinds::EvaluationRequest& request) override;
  [[nodiscard]] Result<kinds::Conditioned> condition(const kinds::Conditions& conditions) override;

  [[nodiscard]] Generator generator() const;
  // The same for a batch that is already here.
  [[nodiscard]] kinds::Loss loss(const Batch& batch);
  [[nodiscard]] std::optional<std::string> non_finite_place(const Batch& batch);
  // The encoder's latents [N, latent] of all samples, or of them mirrored. In evaluation mode.
  [[nodiscard]] torch::Tensor encode_all(const earth::Samples& samples, bool mirrored = false);
  // Real maps as encoder and velocity decoder leave them. In evaluation mode.
  [[nodiscard]] Maps reconstructed(const Maps& maps);
  // encode_all() of the training samples; encoded once until the networks are trained again.
  [[nodiscard]] const torch::Tensor& training_latents();
  [[nodiscard]] const earth::SplitData& split() const { return data_; }
  // After fit() or set_fitted().
  [[nodiscard]] const LatentPrior& prior() const { return *prior_; }
  // Null where latents are drawn by the Gaussian alone.
  [[nodiscard]] const LatentDiffusion* diffusion() const { return diffusion_ ? &*diffusion_ : nullptr; }

 private:
  GeneratorTask(const GeneratorRecipe& recipe, earth::SplitData data, Generator networks,
                std::optional<MapGathers> maker);
  [[nodiscard]] bool trains_gathers() const { return is_trained(recipe_.shape.gathers); }
  [[nodiscard]] torch::Tensor drawn_maps(const torch::Tensor& decoded) const;
  [[nodiscard]] kinds::Loss loss_from_map(std::span<const kinds::Draw> draws);
  [[nodiscard]] kinds::Loss loss_of_diffusion(std::span<const kinds::Draw> draws);
  // Latents of these draws, in the diffusion's space: of the data's own maps encoded once for as long as the encoder is not
  // trained.
  [[nodiscard]] torch::Tensor values_of(std::span<const kinds::Draw> draws);
  [[nodiscard]] std::optional<double> held_out_diffusion_loss(const torch::Tensor& latents);
  [[nodiscard]] std::optional<std::string> non_finite_from_map(std::span<const kinds::Draw> draws);
  // Of held-out samples `first` on, whose latents are given.
  [[nodiscard]] torch::Tensor held_out_gather_loss(std::size_t first, std::size_t count,
                                                   const torch::Tensor& latents);
  [[nodiscard]] torch::Tensor encode(const torch::Tensor& maps);

  GeneratorRecipe recipe_;
  earth::SplitData data_;
  MapFinish finish_;
  models::TrainingForm encoder_;
  models::TrainingForm velocity_decoder_;
  std::optional<models::TrainingForm> seismic_decoder_;  // or
  std::optional<MapGathers> map_gathers_;
  std::optional<LatentPrior> prior_;
  std::optional<LatentDiffusion> diffusion_;
  torch::Tensor training_latents_;  // undefined where they are not known
  torch::Tensor values_;            // [N, latent, as they are or mirrored], in the diffusion's space; likewise
};

}  // namespace outcrop::generator
