#include "trainer_host/trainer/kinds/generator/exporting.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>

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
std::vector<kinds::FloatPart> parts_besides_layers(bool sharpens, bool coded) {
  std::vector<kinds::FloatPart> parts{
      {"noise", "integers: the same bits on every machine, and no weights to shrink"},
      {"prior", "integers in fixed point: a latent is the same on every machine"},
      {"velocity_of", coded ? "each code's value is looked up: m/s are finer than 8 bits hold"
                            : "element by element in m/s, finer than 8 bits hold"}};
  if (sharpens) parts.push_back({"sharpening", "means and variances in m/s, finer than 8 bits hold, and it has no weights"});
  return parts;
}

std::vector<kinds::FloatPart> parts_besides_decoders(bool sharpens, bool coded) {
  auto parts = parts_besides_layers(sharpens, coded);
  parts.push_back({"pressure_of", coded ? "each code's value is looked up: 8 bits cannot hold expm1's range"
                            : "element by element through expm1, whose range 8 bits cannot hold"});
  return parts;
}

std::vector<kinds::FloatPart> parts_besides_maker(GatherMaker maker, bool sharpens, bool coded) {
  auto parts = parts_besides_layers(sharpens, coded);
  parts.push_back(has_wave(maker)
                      ? kinds::FloatPart{"wave", "8 bits hold no wave over hundreds of steps, and it has no weights"}
                      : kinds::FloatPart{"kirchhoff", "travel times, and sums at their places: no weights"});
  if (is_trained(maker)) {
    parts.push_back({"phases and pressure_of", "where a shot is laid out, and element by element through expm1"});
  }
  return parts;
}

constexpr std::int64_t most_calibrating_maps = 64;  // a shot of each
constexpr std::int64_t maps_at_once = 8;

// What a maker's networks see of maps that the decoder makes of these latents [N, latent, 1, 1]: sources by turns.
std::vector<torch::Tensor> part_inputs(const torch::jit::Module& velocity_decoder, MapGathers& maker, const MapFinish& finish,
                                       const torch::Tensor& latents, const data::Geometry& geometry) {
  const torch::NoGradGuard no_grad;
  const auto maps = std::min(latents.size(0), most_calibrating_maps);
  const auto chosen = latents.index_select(0, torch::arange(maps, torch::kLong).mul(latents.size(0)).div(maps, "floor"));
  std::vector<std::vector<torch::Tensor>> inputs(maker.parts().size());
  for (std::int64_t first = 0; first < maps && !inputs.empty(); first += maps_at_once) {
    const auto some = chosen.slice(0, first, std::min(maps, first + maps_at_once));
    const auto decoded = torch::jit::Module(velocity_decoder).forward({some}).toTensor();
    const auto velocity = finish.maps(decoded).squeeze(1);
    std::vector<std::int64_t> columns;
    for (std::int64_t i = 0; i < some.size(0); ++i) {
      columns.push_back(static_cast<std::int64_t>(
          geometry.source_columns[static_cast<std::size_t>(first + i) % geometry.shots]));
    }
    const auto seen = maker.part_inputs(velocity, torch::tensor(columns, torch::kLong));
    for (std::size_t part = 0; part < seen.size(); ++part) inputs[part].push_back(seen[part]);
  }
  std::vector<torch::Tensor> joined;
  for (const auto& part : inputs) joined.push_back(torch::cat(part));
  return joined;
}

torch::Tensor normal_noise(std::int64_t rows, std::int64_t values, std::uint64_t seed) {
  at::Generator random = at::detail::createCPUGenerator(seed);
  return torch::empty({rows, values}).normal_(0.0, 1.0, random);
}

constexpr std::int64_t denoised_for_ranges = 512;  // inputs of the denoiser: as many ways through all steps as make these
constexpr std::uint64_t calibrating_seed = 0x63616c69;
constexpr std::uint64_t golden_noise_seed = 0x676f6c64;

// The denoiser as a part, behind all others, and the calls that it answers. In one step of refine() each layer runs once.
void add_sampler(const Sampler& sampler, std::int64_t latent, kinds::Export& exported) {
  const auto steps = static_cast<std::int64_t>(sampler.levels.size());
  const auto ways = std::max<std::int64_t>(2, denoised_for_ranges / steps);
  exported.parts.push_back({.name = "denoiser",
                            .network = sampler.denoiser,
                            .calibration = {denoiser_inputs(sampler, normal_noise(ways, latent, calibrating_seed))},
                            .answers_floats = true});
  const auto noise = normal_noise(1, latent, golden_noise_seed);
  exported.goldens.push_back({"sample", {noise}});
  exported.counted_golden = exported.goldens.size();
  exported.goldens.push_back({"refine", {noise, std::int64_t{1}}});
  exported.about["latent"] = "diffusion, " + std::to_string(steps) + " of " + std::to_string(noise_steps) + " steps of second order";
  exported.beside = [beside = exported.beside](bool coded) {
    auto parts = beside(coded);
    parts.push_back({"sampler", "latents between steps are finer than 8 bits hold; of the time only tables are left"});
    return parts;
  };
}

// The form of the denoiser, which is the last part.
std::optional<Sampler> with_form(const std::optional<Sampler>& sampler, std::vector<kinds::PartForm>& forms) {
  if (!sampler) return std::nullopt;
  Sampler made = *sampler;
  made.denoiser = std::move(forms.back().module);
  forms.pop_back();
  return made;
}

// All but parts and what puts them together.
kinds::Export begin_export(const LatentPrior& prior, const torch::Tensor& rows, const torch::jit::Module& encoder,
                           const data::Geometry& geometry, const MapFinish& finish, const std::optional<Sampler>& sampler) {
  kinds::Export exported;
  exported.signature = generator_signature(
      rows.size(1), geometry, sampler ? static_cast<std::int64_t>(sampler->levels.size()) : 0);
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
  exported.beside_multiply_adds = prior.factor.numel() + finish.multiply_adds(static_cast<std::int64_t>(geometry.map_size()));
  exported.host_modules = {{"encoder", encoder}};
  return exported;
}

torch::Tensor checked_rows(const torch::Tensor& latents) {
  TORCH_CHECK(latents.dim() == 2 && latents.size(0) >= 1,
              "calibration latents must be [N, latent] with N >= 1");
  return latents.detach().contiguous();
}

constexpr double clamped = 1.0;  // denormalization clamps to [-1, 1]

// Maps that are means of levels are floats: finer than 8 bits, and no codes.
kinds::ExportPart velocity_part(const torch::jit::Module& decoder, const torch::Tensor& latents) {
  return {.name = "velocity_decoder",
          .network = decoder,
          .calibration = {latents},
          .output_limit = clamped,
          .answers_floats = decoder.hasattr(levels_layer)};
}

}  // namespace

kinds::Export make_export(const Generator& generator, const LatentPrior& prior,
                          const torch::Tensor& latents, const data::Geometry& geometry,
                          std::optional<Sampler> sampler) {
  const MapFinish finish = finish_of(generator.shape, geometry);
  const auto rows = checked_rows(latents);
  const auto inputs = rows.reshape({rows.size(0), rows.size(1), 1, 1});
  const auto phased = models::with_phase_convolution(generator.seismic_decoder,
                                                     seismic_decoder_layers(generator.shape));
  kinds::Export exported = begin_export(prior, rows, generator.encoder, geometry, finish, sampler);
  exported.parts = {velocity_part(generator.velocity_decoder, inputs),
                    {"seismic_decoder", generator.seismic_decoder, {inputs}, clamped, phased.network}};
  exported.beside = [sharpens = finish.sharpens()](bool coded) { return parts_besides_decoders(sharpens, coded); };
  if (sampler) add_sampler(*sampler, rows.size(1), exported);
  exported.compose = [prior, phases = phased.phases, finish, sampler](std::vector<kinds::PartForm> forms) {
    auto made = with_form(sampler, forms);
    return compose_generator(std::move(forms.at(0)), std::move(forms.at(1)), prior, phases,
                             finish, std::move(made));
  };
  return exported;
}

kinds::Export make_export(const torch::jit::Module& velocity_decoder, const torch::jit::Module& encoder,
                          MapGathers& maker, const MapFinish& finish, const LatentPrior& prior, const torch::Tensor& latents,
                          const data::Geometry& geometry, std::optional<Sampler> sampler) {
  const auto rows = checked_rows(latents);
  const auto inputs = rows.reshape({rows.size(0), rows.size(1), 1, 1});
  kinds::Export exported = begin_export(prior, rows, encoder, geometry, finish, sampler);
  exported.parts = {velocity_part(velocity_decoder, inputs)};
  const auto makers = maker.parts();
  const auto seen = part_inputs(velocity_decoder, maker, finish, inputs, geometry);
  for (std::size_t i = 0; i < makers.size(); ++i) {
    exported.parts.push_back({.name = makers[i].name,
                              .network = makers[i].network,
                              .calibration = {seen[i]},
                              .answers_floats = true,
                              // The direct wave: few values, ten times as loud as the others.
                              .keeps_extremes = true});
  }
  std::vector<std::int64_t> columns;
  for (const std::size_t column : geometry.source_columns) columns.push_back(static_cast<std::int64_t>(column));
  exported.compose = [prior, columns, finish, around = maker.around(), makers, source = maker.source(), sampler](std::vector<kinds::PartForm> forms) {
    auto made = with_form(sampler, forms);
    std::vector<std::pair<std::string, torch::jit::Module>> beside{{"maker", around.deepcopy()}};
    for (std::size_t i = 0; i < makers.size(); ++i) {
      beside.emplace_back(makers[i].name, std::move(forms.at(i + 1).module));
    }
    return compose_map_generator(std::move(forms.at(0)), std::move(beside), source, columns, prior, finish,
                                 std::move(made));
  };
  exported.beside = [kind = maker.maker(), sharpens = finish.sharpens()](bool coded) { return parts_besides_maker(kind, sharpens, coded); };
  // The network's layers are counted for one shot, and so is what is around them.
  exported.beside_multiply_adds += maker.multiply_adds_around() / static_cast<std::int64_t>(geometry.shots);
  if (sampler) add_sampler(*sampler, rows.size(1), exported);
  return exported;
}

}  // namespace outcrop::generator
