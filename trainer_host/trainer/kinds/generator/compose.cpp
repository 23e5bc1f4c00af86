#include "trainer_host/trainer/kinds/generator/compose.hpp"

#include <cmath>
#include <functional>

#include "trainer_host/trainer/models/noise.hpp"
#include "trainer_host/trainer/kinds/generator/normalization.hpp"

namespace outcrop::generator {
namespace {

// mean + factor · noise in fixed point. All terms are integers: noise below 2^23 and factor below
// 2^30 in units of 2^-20, so a sum of 128 products stays below 2^60 in units of 2^-40 whatever
// the order; the way to double and float rounds correctly on every machine.
//
// All variants answer alike, whatever their kernels do: contiguous, for no latents with no rows (an
// int8 kernel refuses an empty batch, hence the row that is decoded and dropped), and NaN for a
// latent that is not finite (a code cannot be NaN). `spoilt` is 0 for each finite latent, else NaN.
constexpr const char* gaussian_source = R"(
def latent(self, batch_size: int, seed: int) -> Tensor:
    noise = self.noise.forward(batch_size, seed)
    spread = torch.matmul(noise, torch.t(self.factor.to(4)))
    return ((spread + self.mean).to(7) * 9.094947017729282e-13).to(6)
)";
constexpr const char* decode_source = R"(
def decode(self, latent: Tensor) -> Tuple[Tensor, Tensor]:
    rows = latent.size(0)
    decoded = latent
    if rows == 0:
        decoded = torch.zeros([1, latent.size(1)], dtype=6, layout=None, device=None, pin_memory=False)
    z = torch.reshape(decoded, [decoded.size(0), decoded.size(1), 1, 1])
    velocity = self.finished(self.velocity_of(self.velocity_decoder.forward(z))).contiguous()
    pressure = self.gathers_of(z, velocity)
    spoilt = torch.sum(decoded * 0.0, [1])
    if float(torch.sum(spoilt)) != 0.0:
        velocity = velocity + torch.reshape(spoilt, [-1, 1, 1, 1])
        pressure = pressure + torch.reshape(spoilt, [-1, 1, 1, 1])
    return velocity[:rows], pressure[:rows]
)";
constexpr const char* as_is_source = R"(
def finished(self, velocity: Tensor) -> Tensor:
    return velocity
)";
constexpr const char* sharpened_source = R"(
def finished(self, velocity: Tensor) -> Tensor:
    return self.sharpening.forward(velocity)
)";
constexpr const char* forward_source = R"(
def forward(self, batch_size: int, seed: int = 0) -> Tuple[Tensor, Tensor]:
    return self.decode(self.latent(batch_size, seed))
)";

constexpr const char* decoded_source = R"(
def gathers_of(self, z: Tensor, velocity: Tensor) -> Tensor:
    return self.pressure_of(self.seismic_decoder.forward(z)).contiguous()
)";
// Of a map that is no number (its latent was none) nothing is computed from: indices come from travel times.
constexpr const char* from_map_source = R"(
def gathers_of(self, z: Tensor, velocity: Tensor) -> Tensor:
    held = torch.nan_to_num(velocity, 3000.0, 3000.0, 3000.0)
    made: List[Tensor] = []
    for row in range(held.size(0)):
        made.append(self.gathers_over(held[row]))
    return torch.stack(made)
)";

// The ways back for an `x` of codes. They go through memory in its own order
// (channels last, as int8 kernels write it) and from code to index by way of floats, which LibTorch
// does by vector instructions where int_repr goes code by code. Phases are put in place as pairs of
// floats, that is complex numbers: LibTorch copies short runs element by element, whatever their
// size.
constexpr const char* look_up_source = R"(
def look_up(self, values: Tensor, half_up: Tensor, steps: float, real: Tensor) -> Tensor:
    index = torch.add(half_up, torch.reshape(real, [-1]), alpha=steps).to(3)
    return torch.reshape(torch.index_select(values, 0, index), real.size())
)";
constexpr const char* velocity_codes_source = R"(
def velocity_of(self, x):
    real = torch.permute(torch.dequantize(x), [0, 2, 3, 1])
    found = self.look_up(self.velocity_values, self.velocity_half_up, self.velocity_steps, real)
    return torch.permute(found, [0, 3, 1, 2])
)";
constexpr const char* pressure_codes_source = R"(
def pressure_of(self, x):
    real = torch.permute(torch.dequantize(x), [0, 2, 3, 1]).contiguous()
    batch, height, width, channels = real.size()
    pairs = torch.view_as_complex(torch.reshape(real, [batch, height, width, self.phase_rows, -1, 2]))
    pairs = torch.flatten(torch.permute(pairs, [0, 1, 3, 2, 4]), 1, 2)
    rows = height * self.phase_rows
    columns = width * self.phase_columns
    real = torch.reshape(torch.view_as_real(pairs), [batch, rows, columns, -1])
    real = real[:, self.crop_rows:rows - self.crop_rows]
    found = self.look_up(self.pressure_values, self.pressure_half_up, self.pressure_steps, real)
    return torch.permute(found[:, :, self.crop_columns:columns - self.crop_columns], [0, 3, 1, 2])
)";

constexpr int factor_fraction_bits = 20;
constexpr double largest_factor = 1024.0;  // 2^30 in fixed point

// Without the way back to physical units.
torch::jit::Module compose(torch::jit::Module velocity_decoder,
                           std::vector<std::pair<std::string, torch::jit::Module>> beside,
                           const LatentPrior& prior) {
  const auto latent = prior.mean.size(0);
  TORCH_CHECK(prior.factor.dim() == 2 && prior.factor.size(0) == latent &&
                  prior.factor.size(1) == latent && latent <= 128,
              "a prior is a mean [n] and a factor [n, n] with n <= 128");
  TORCH_CHECK(prior.factor.abs().max().item<double>() < largest_factor,
              "the latents spread further than ", largest_factor, ": scale them");
  const double factor_unit = std::ldexp(1.0, factor_fraction_bits);
  const double mean_unit = std::ldexp(1.0, factor_fraction_bits + models::noise_fraction_bits);

  torch::jit::Module generator("__torch__.outcrop.Generator",
                               std::make_shared<torch::jit::CompilationUnit>(),
                               /*shouldMangle=*/true);
  generator.register_module("noise", models::make_noise(latent));
  generator.register_module("velocity_decoder", std::move(velocity_decoder));
  for (auto& [name, module] : beside) generator.register_module(name, std::move(module));
  generator.register_buffer(
      "mean", torch::round(prior.mean.to(torch::kDouble) * mean_unit).to(torch::kLong));
  generator.register_buffer(
      "factor", torch::round(prior.factor.to(torch::kDouble) * factor_unit).to(torch::kInt));
  generator.register_attribute("training", c10::BoolType::get(), false);
  return generator;
}

// The value of each code, and what leads from a dequantized code to its place in that table: times
// `steps` and plus `half_up`, rounded down.
void register_table(torch::jit::Module& generator, const std::string& name,
                    const kinds::Codes& coded,
                    const std::function<torch::Tensor(const torch::Tensor&)>& denormalize) {
  const auto codes = torch::arange(coded.first, coded.first + 256, torch::kDouble);
  const auto normalized = (codes - static_cast<double>(coded.zero_point)) * coded.scale;
  generator.register_buffer(name + "_values", denormalize(normalized).to(torch::kFloat));
  generator.register_buffer(
      name + "_half_up",
      torch::full({1}, static_cast<double>(coded.zero_point - coded.first) + 0.5));
  generator.register_attribute(name + "_steps", c10::FloatType::get(), 1.0 / coded.scale);
}

// Behind what it calls.
void define_methods(torch::jit::Module& generator, const std::string& gathers_source,
                    std::optional<Sampler> sampler) {
  std::string latents = gaussian_source;
  if (sampler) {
    latents = sampler_source();
    generator.register_module("denoiser", std::move(sampler->denoiser));
    register_sampler(generator, sampler->levels, sampler->reach);
  }
  generator.define(gathers_source + decode_source + latents + forward_source);
}

void define_velocity(torch::jit::Module& generator, const std::optional<kinds::Codes>& codes,
                     const MapFinish& finish) {
  if (auto filter = finish.filter()) {
    generator.register_module("sharpening", std::move(*filter));
    generator.define(sharpened_source);
  } else {
    generator.define(as_is_source);
  }
  if (!codes) {
    generator.define(velocity_source(finish.bounds()));
    return;
  }
  register_table(generator, "velocity", *codes,
                 [&](const torch::Tensor& x) { return denormalize_velocity(x, finish.bounds()); });
  generator.define(velocity_codes_source);
}

}  // namespace

torch::jit::Module compose_generator(kinds::PartForm velocity_decoder,
                                     kinds::PartForm seismic_decoder, const LatentPrior& prior,
                                     const models::Phases& phases,
                                     const MapFinish& finish,
                                     std::optional<Sampler> sampler) {
  auto generator = compose(std::move(velocity_decoder.module),
                           {{"seismic_decoder", std::move(seismic_decoder.module)}}, prior);
  if (velocity_decoder.codes || seismic_decoder.codes) generator.define(look_up_source);
  define_velocity(generator, velocity_decoder.codes, finish);
  if (seismic_decoder.codes) {
    TORCH_CHECK(phases.columns * phases.channels % 2 == 0,
                "phases are put in place in pairs, and a row of them has ",
                phases.columns * phases.channels);
    register_table(generator, "pressure", *seismic_decoder.codes, denormalize_pressure);
    for (const auto& [name, value] :
         {std::pair{"phase_rows", phases.rows}, std::pair{"phase_columns", phases.columns},
          std::pair{"crop_rows", phases.crop_rows}, std::pair{"crop_columns", phases.crop_columns}}) {
      generator.register_attribute(name, c10::IntType::get(), value);
    }
    generator.define(pressure_codes_source);
  } else {
    generator.define(pressure_source());
  }
  define_methods(generator, decoded_source, std::move(sampler));
  generator.eval();
  return generator;
}

torch::jit::Module compose_map_generator(
    kinds::PartForm velocity_decoder, std::vector<std::pair<std::string, torch::jit::Module>> beside,
    const std::string& gather_source, const std::vector<std::int64_t>& columns, const LatentPrior& prior,
    const MapFinish& finish, std::optional<Sampler> sampler) {
  auto generator = compose(std::move(velocity_decoder.module), std::move(beside), prior);
  generator.register_buffer("columns", torch::tensor(columns, torch::kLong));
  if (velocity_decoder.codes) generator.define(look_up_source);
  define_velocity(generator, velocity_decoder.codes, finish);
  define_methods(generator, gather_source + from_map_source, std::move(sampler));
  generator.eval();
  return generator;
}

}  // namespace outcrop::generator
