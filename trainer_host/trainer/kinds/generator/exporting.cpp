#include "trainer_host/trainer/kinds/generator/exporting.hpp"

#include "trainer_host/trainer/kinds/generator/scores/metrics.hpp"
#include "trainer_host/trainer/kinds/generator/compose.hpp"
#include "trainer_host/trainer/kinds/generator/decoding.hpp"
#include "trainer_host/trainer/kinds/generator/generator_signature.hpp"

namespace outcrop::generator {
namespace {

constexpr std::int64_t golden_seeds[] = {1, 2};

double likeness(const std::string& output, const torch::Tensor& truth, const torch::Tensor& other,
                const data::Geometry& geometry) {
  MeanScore mean;
  for (std::int64_t row = 0; row < truth.size(0); ++row) {
    const auto is = values(truth[row]);
    const auto shown = values(other[row]);
    mean.add(output == "velocity" ? score_velocity_map(is, shown, geometry)
                                  : score_shot_gathers(is, shown, geometry));
  }
  return mean.mean().ssim;
}

// Parts of the composed generator that are no layers, and why they are not int8.
std::vector<kinds::FloatPart> parts_besides_layers(bool coded) {
  return {
      {"noise", "integers: the same bits on every machine, and no weights to shrink"},
      {"prior", "integers in fixed point: a latent is the same on every machine"},
      {"velocity_of", coded ? "each code's value is looked up: m/s are finer than 8 bits hold"
                            : "element by element in m/s, finer than 8 bits hold"},
      {"pressure_of", coded ? "each code's value is looked up: 8 bits cannot hold expm1's range"
                            : "element by element through expm1, whose range 8 bits cannot hold"}};
}

}  // namespace

kinds::Export make_export(const Generator& generator, const LatentPrior& prior,
                          const torch::Tensor& latents, const data::Geometry& geometry) {
  TORCH_CHECK(latents.dim() == 2 && latents.size(0) >= 1,
              "calibration latents must be [N, latent] with N >= 1");
  const auto rows = latents.detach().contiguous();
  const auto inputs = rows.reshape({rows.size(0), rows.size(1), 1, 1});
  constexpr double clamped = 1.0;  // denormalization clamps to [-1, 1]
  const auto phased = models::with_phase_convolution(generator.seismic_decoder,
                                                     seismic_decoder_layers(generator.shape));
  kinds::Export exported;
  exported.parts = {{"velocity_decoder", generator.velocity_decoder, {inputs}, clamped},
                    {"seismic_decoder", generator.seismic_decoder, {inputs}, clamped, phased.network}};
  exported.compose = [prior, phases = phased.phases, bounds = earth::bounds_of(geometry)](std::vector<kinds::PartForm> forms) {
    return compose_generator(std::move(forms.at(0)), std::move(forms.at(1)), prior, phases,
                             bounds);
  };
  exported.signature = generator_signature(rows.size(1), geometry);
  for (const auto seed : golden_seeds) {
    exported.goldens.push_back({"forward", {std::int64_t{1}, seed}});
  }
  exported.counted_golden = exported.goldens.size();
  exported.goldens.push_back({"decode", {rows.slice(0, 0, 1).contiguous()}});
  exported.bounds = generator_bounds();
  exported.about = {{"latent", "gaussian fitted to the encoder's latents"}};
  exported.likeness_name = "SSIM";
  exported.likeness = [geometry](const std::string& output, const torch::Tensor& truth,
                                 const torch::Tensor& other) {
    return likeness(output, truth, other, geometry);
  };
  exported.beside = parts_besides_layers;
  exported.beside_multiply_adds = prior.factor.numel();
  exported.host_modules = {{"encoder", generator.encoder}};
  return exported;
}

}  // namespace outcrop::generator
