#include "trainer_host/trainer/kinds/generator/generator_kind.hpp"

#include <nlohmann/json.hpp>
#include <sstream>

#include "protocol/base/json_integer.hpp"
#include "trainer_host/trainer/kinds/earth/learned_geometry.hpp"
#include "trainer_host/trainer/kinds/generator/gathers/coarse_grid.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"

namespace outcrop::generator {
namespace {

constexpr std::int64_t largest_width = 256;  // channels
constexpr std::int64_t largest_latent = 128;
constexpr double rate_from_map = 1.5;

constexpr const char* help_text = R"(kind = "generator": pairs of velocity maps and shot gathers from noise
  [model]
  latent = 128              # values; a multiple of 4, up to 128
  encoder_width = 16        # channels of the largest maps of each network
  velocity_width = 16
  seismic_width = 8         # of "decoder"
  gathers = "decoder"       # what makes gathers: "decoder", of the latent, beside the map; or, from the map itself,
                            # "kirchhoff" (echoes of learned features, then a U-Net), "wave" (a coarse wave equation,
                            # without weights) or "wave+net" (that, corrected by a U-Net)
  sponge = 24               # of waves: nodes around the coarse grid, 8 to 60; 60 are as thick as our solver's
  [data]
  train = "data"            # a folder in OpenFWI's layout (outcrop synth makes one), or ["a", "b"]
  [train]
  edge_weight = 1.0         # of errors of differences between neighbouring cells
  seismic_rate = 5.0        # learning rate of what makes gathers, times the others' (from the map: 1.5)
  latent_penalty = 0.01     # on the mean square of the latents
  seismic_in_latent = 0.0   # 0 to 1: share of the gather loss that shapes the latent
  flip = true               # mirror half of the samples)";

class GeneratorKind final : public kinds::Kind {
 public:
  [[nodiscard]] std::string_view name() const override { return "generator"; }
  [[nodiscard]] std::string_view help() const override { return help_text; }

  [[nodiscard]] std::unique_ptr<kinds::Recipe> read(kinds::ConfigTables tables) const override {
    auto recipe = std::make_unique<GeneratorRecipe>();
    auto& [model, data, train] = tables;
    GeneratorShape& shape = recipe->shape;
    shape.latent = model.integer("latent", shape.latent, 4, largest_latent);
    if (shape.latent % 4 != 0) {
      model.refuse("latent", std::to_string(shape.latent) + " is not a multiple of 4");
    }
    shape.encoder_width = model.integer("encoder_width", shape.encoder_width, 1, largest_width);
    shape.velocity_width = model.integer("velocity_width", shape.velocity_width, 1, largest_width);
    shape.seismic_width = model.integer("seismic_width", shape.seismic_width, 1, largest_width);
    const auto maker = gather_maker(model.text("gathers", std::string(name_of(shape.gathers))));
    if (maker) {
      shape.gathers = *maker;
    } else {
      model.refuse("gathers", maker.error().message());
    }
    shape.sponge = model.integer("sponge", shape.sponge, static_cast<std::int64_t>(thinnest_sponge),
                                 static_cast<std::int64_t>(solvers_sponge));
    if (from_map(shape.gathers)) recipe->seismic_rate = rate_from_map;
    recipe->data = kinds::read_places(data);
    recipe->edge_weight = train.number("edge_weight", recipe->edge_weight, 0.0, 100.0);
    recipe->seismic_rate = train.number("seismic_rate", recipe->seismic_rate, 1e-3, 1e3);
    recipe->latent_penalty = train.number("latent_penalty", recipe->latent_penalty, 0.0, 10.0);
    recipe->seismic_in_latent =
        train.number("seismic_in_latent", recipe->seismic_in_latent, 0.0, 1.0);
    recipe->flip = train.boolean("flip", recipe->flip);
    return recipe;
  }

  [[nodiscard]] Result<std::unique_ptr<kinds::Recipe>> recipe(
      const std::string& shape) const override {
    auto recipe = std::make_unique<GeneratorRecipe>();
    try {
      const auto json = nlohmann::json::parse(shape);
      for (const auto& [key, value] : {std::pair{"latent", &recipe->shape.latent},
                                       {"encoder_width", &recipe->shape.encoder_width},
                                       {"velocity_width", &recipe->shape.velocity_width},
                                       {"seismic_width", &recipe->shape.seismic_width}}) {
        OUTCROP_TRY(extent, json_integer(json.at(key), key, 1, largest_width));
        *value = extent;
      }
      if (json.contains("gathers")) {
        OUTCROP_TRY(maker, gather_maker(json.at("gathers").get<std::string>()));
        OUTCROP_TRY(sponge, json_integer(json.at("sponge"), "sponge", thinnest_sponge, solvers_sponge));
        recipe->shape.gathers = maker;
        recipe->shape.sponge = sponge;
      }
      OUTCROP_TRY(learned, earth::kept_geometry(json));
      recipe->geometry = std::move(learned);
    } catch (const std::exception& error) {
      return fail(ErrorCode::invalid_data,
                  std::string("it does not describe a generator: ") + error.what());
    }
    return std::unique_ptr<kinds::Recipe>(std::move(recipe));
  }
};

}  // namespace

std::unique_ptr<const kinds::Kind> make_kind() {
  return std::make_unique<GeneratorKind>();
}

std::string GeneratorRecipe::fingerprint() const {
  std::ostringstream text;
  text.precision(17);
  text << std::boolalpha << "model.latent = " << shape.latent
       << "\nmodel.encoder_width = " << shape.encoder_width
       << "\nmodel.velocity_width = " << shape.velocity_width
       << "\nmodel.seismic_width = " << shape.seismic_width
       << (from_map(shape.gathers) ? "\nmodel.gathers = " + std::string(name_of(shape.gathers)) +
                                         "\nmodel.sponge = " + std::to_string(shape.sponge)
                                   : std::string())
       << "\ntrain.edge_weight = " << edge_weight << "\ntrain.seismic_rate = " << seismic_rate
       << "\ntrain.latent_penalty = " << latent_penalty
       << "\ntrain.seismic_in_latent = " << seismic_in_latent << "\ntrain.flip = " << flip << "\n";
  return text.str();
}

Result<std::unique_ptr<kinds::Task>> GeneratorRecipe::open(std::uint64_t seed) const {
  OUTCROP_TRY(samples, earth::open_samples(data, geometry));
  GeneratorRecipe sized = *this;
  OUTCROP_TRY(fitting, with_sizes_of(samples.geometry, shape));
  sized.shape = fitting;
  std::optional<MapGathers> maker;
  if (from_map(fitting.gathers)) {
    OUTCROP_TRY(made, MapGathers::make(fitting, samples.geometry, seed));
    maker.emplace(std::move(made));
  }
  return std::unique_ptr<kinds::Task>(
      std::make_unique<GeneratorTask>(sized, std::move(samples), seed, std::move(maker)));
}

}  // namespace outcrop::generator
