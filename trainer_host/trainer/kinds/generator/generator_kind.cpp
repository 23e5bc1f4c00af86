#include "trainer_host/trainer/kinds/generator/generator_kind.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <vector>

#include "protocol/base/json_integer.hpp"
#include "trainer_host/trainer/kinds/earth/learned_geometry.hpp"
#include "trainer_host/trainer/kinds/generator/diffusion/noise_schedule.hpp"
#include "trainer_host/trainer/kinds/generator/gathers/coarse_grid.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"

namespace outcrop::generator {
namespace {

constexpr std::int64_t largest_width = 256;  // channels
constexpr std::int64_t largest_latent = 128;
constexpr std::int64_t most_levels = 64;
constexpr std::int64_t width_step = 8;  // of the diffusion: groups of its norms
constexpr std::int64_t largest_multiplier = 16;
constexpr std::int64_t largest_length = 256;  // of the diffusion
constexpr double rate_from_map = 1.5;
constexpr double usual_gather_share = 0.5;

constexpr const char* help_text = R"(kind = "generator": pairs of velocity maps and shot gathers from noise
  [model]
  latent = 128              # values; a multiple of 4, up to 128
  encoder_width = 16        # channels of the largest maps of each network
  velocity_width = 16
  levels = 0                # velocities that each cell of a map chooses from, 2 to 64: layers are flat and end sharply
                            # (docs/maps.md); 0: each cell is a value of its own
  sharpen = 0               # passes of a filter that makes steps of ramps, up to 16, behind the decoder: 5 makes edges as
                            # sharp as those of layers (docs/maps.md)
  seismic_width = 8         # of "decoder"
  gathers = "decoder"       # what makes gathers: "decoder", of the latent, beside the map; or, from the map itself,
                            # "kirchhoff" (echoes of learned features, then a U-Net), "wave" (a coarse wave equation,
                            # without weights) or "wave+net" (that, corrected by a U-Net)
  sponge = 24               # of waves: nodes around the coarse grid, 8 to 60; 60 are as thick as our solver's
  latent_model = "gaussian" # what latents are drawn by: a Gaussian fitted to the encoder's, or "diffusion": a U-Net
                            # trained on those, which a board runs from noise to a latent (docs/diffusion.md)
  diffusion_width = 64      # channels of that U-Net at full length; a multiple of 8
  diffusion_multipliers = [1, 2, 2, 4]   # of its levels, 1 to 4 of them, each half as long as the one before
  diffusion_length = 16     # along which that U-Net works
  diffusion_components = 32 # of latents, those along which they differ most: what that U-Net draws, the Gaussian the others
  diffusion_steps = 16      # from noise to latent, stored in the file: 1 to 256
  preset = "ubdiff-small"   # a diffusion of width 64; or "ubdiff": widths by which the whole has the published size, 263 M
                            # parameters. Whatever else is said counts more
  [data]
  train = "data"            # a folder in OpenFWI's layout (outcrop synth makes one), or ["a", "b"]
  online = false            # train on further maps of the family and seed that `train` was made of, each shown once, and
                            # on its own no more; gathers that it is trained on are solved as it goes
  [train]
  edge_weight = 1.0         # of errors of differences between neighbouring cells
  seismic_rate = 5.0        # learning rate of what makes gathers, times the others' (from the map: 1.5)
  gather_share = 0.5        # of maps that gathers are learned from, a shot of each; gathers = "kirchhoff" or "wave+net"
  latent_penalty = 0.01     # on the mean square of the latents
  seismic_in_latent = 0.0   # 0 to 1: share of the gather loss that shapes the latent
  flip = true               # mirror half of the samples
  diffusion_from = 3        # the first stage that trains the diffusion, and nothing else; and all after it; 1 with --init WEIGHTS
                            # of a generator without one, to whose decoders it is added
  diffusion_rate = 0.5      # its learning rate, times the others'
  diffusion_draws = 8       # levels of noise at which each step sees each latent)";

struct Preset {
  const char* name;
  GeneratorShape shape;
};

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all{
      {"ubdiff-small", {.diffusion = DiffusionShape{}}},
      {"ubdiff",
       {.encoder_width = 32, .velocity_width = 64, .seismic_width = 56, .diffusion = DiffusionShape{.width = 128, .length = 64, .components = largest_latent}}}};
  return all;
}

void read_preset(platform::TomlReader::Table& model, GeneratorShape& shape) {
  if (!model.has("preset")) return;
  const std::string name = model.text("preset", std::nullopt);
  std::string known;
  for (const Preset& preset : presets()) {
    if (preset.name == name) {
      shape = preset.shape;
      return;
    }
    known += (known.empty() ? "" : ", ") + std::string(preset.name);
  }
  model.refuse("preset", "'" + name + "' is none; there are: " + known);
}

// What is wrong with it; "" where nothing is.
std::string fault_of(const DiffusionShape& diffusion) {
  if (diffusion.width % width_step != 0) {
    return "a width of " + std::to_string(diffusion.width) + " is no multiple of " + std::to_string(width_step);
  }
  if (diffusion.length % diffusion.divisor() == 0) return {};
  return std::to_string(diffusion.levels()) + " levels halve a length of a multiple of " + std::to_string(diffusion.divisor()) +
         ", not of " + std::to_string(diffusion.length);
}

void read_diffusion(kinds::ConfigTables& tables, GeneratorRecipe& recipe) {
  auto& [model, data, train] = tables;
  const bool preset = recipe.shape.diffusion.has_value();
  const std::string latent_model = model.text("latent_model", preset ? "diffusion" : "gaussian");
  if (latent_model != "gaussian" && latent_model != "diffusion") {
    model.refuse("latent_model", "'" + latent_model + "' is none; there are: gaussian, diffusion");
  }
  if (latent_model != "diffusion") {
    recipe.shape.diffusion.reset();
    for (const char* key : {"diffusion_width", "diffusion_multipliers", "diffusion_length", "diffusion_components", "diffusion_steps"}) {
      if (model.has(key)) model.refuse(key, "is of latent_model = \"diffusion\"");
    }
    for (const char* key : {"diffusion_from", "diffusion_rate", "diffusion_draws"}) {
      if (train.has(key)) train.refuse(key, "is of latent_model = \"diffusion\"");
    }
    return;
  }
  DiffusionShape shape = recipe.shape.diffusion.value_or(DiffusionShape());
  shape.width = model.integer("diffusion_width", shape.width, width_step, largest_width);
  const auto multipliers = model.integers("diffusion_multipliers", {shape.multipliers.begin(), shape.multipliers.end()},
                                          1, largest_multiplier, shape.multipliers.size());
  shape.multipliers = {};
  std::copy(multipliers.begin(), multipliers.end(), shape.multipliers.begin());
  shape.length = model.integer("diffusion_length", shape.length, 1, largest_length);
  shape.components = model.integer("diffusion_components", shape.components, 1, largest_latent);
  shape.steps = model.integer("diffusion_steps", shape.steps, 1, noise_steps);
  if (const std::string fault = fault_of(shape); !fault.empty()) {
    model.refuse(shape.width % width_step != 0 ? "diffusion_width" : "diffusion_length", fault);
  }
  recipe.shape.diffusion = shape;
  recipe.diffusion_from = train.integer("diffusion_from", recipe.diffusion_from, 1, 1'000'000);
  recipe.diffusion_rate = train.number("diffusion_rate", recipe.diffusion_rate, 1e-6, 1e3);
  recipe.diffusion_draws = train.integer("diffusion_draws", recipe.diffusion_draws, 1, 256);
  if (train.has("qat_from")) {
    train.refuse("qat_from", "a diffusion is not trained for int8: leave it out, or take latent_model = \"gaussian\"");
  }
}

Result<DiffusionShape> kept_diffusion(const nlohmann::json& json) {
  DiffusionShape shape;
  OUTCROP_TRY(width, json_integer(json.at("width"), "width", width_step, largest_width));
  OUTCROP_TRY(steps, json_integer(json.at("steps"), "steps", 1, noise_steps));
  OUTCROP_TRY(length, json_integer(json.at("length"), "length", 1, largest_length));
  OUTCROP_TRY(components, json_integer(json.at("components"), "components", 1, largest_latent));
  shape.width = width;
  shape.length = length;
  shape.components = components;
  shape.steps = steps;
  for (std::size_t i = 0; i < shape.multipliers.size(); ++i) {
    OUTCROP_TRY(multiplier, json_integer(json.at("multipliers").at(i), "multipliers", i == 0 ? 1 : 0, largest_multiplier));
    shape.multipliers[i] = multiplier;
  }
  if (const std::string fault = fault_of(shape); !fault.empty()) return fail(ErrorCode::invalid_data, fault);
  return shape;
}

class GeneratorKind final : public kinds::Kind {
 public:
  [[nodiscard]] std::string_view name() const override { return "generator"; }
  [[nodiscard]] std::string_view help() const override { return help_text; }

  [[nodiscard]] std::unique_ptr<kinds::Recipe> read(kinds::ConfigTables tables) const override {
    auto recipe = std::make_unique<GeneratorRecipe>();
    auto& [model, data, train] = tables;
    GeneratorShape& shape = recipe->shape;
    read_preset(model, shape);
    shape.latent = model.integer("latent", shape.latent, 4, largest_latent);
    if (shape.latent % 4 != 0) {
      model.refuse("latent", std::to_string(shape.latent) + " is not a multiple of 4");
    }
    shape.encoder_width = model.integer("encoder_width", shape.encoder_width, 1, largest_width);
    shape.velocity_width = model.integer("velocity_width", shape.velocity_width, 1, largest_width);
    shape.seismic_width = model.integer("seismic_width", shape.seismic_width, 1, largest_width);
    shape.levels = model.integer("levels", shape.levels, 0, most_levels);
    if (shape.levels == 1) model.refuse("levels", "nothing is chosen from one velocity; say 2 to 64, or 0");
    shape.sharpen = model.integer("sharpen", shape.sharpen, 0, most_sharpening);
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
    recipe->online = data.boolean("online", recipe->online);
    if (recipe->online && !from_map(shape.gathers)) {
      data.refuse("online", "gathers = \"decoder\" learns from the gathers of all shots of each map, which would take longer to "
                            "make than to learn from; take gathers from the map (\"kirchhoff\", \"wave\", \"wave+net\")");
    }
    recipe->edge_weight = train.number("edge_weight", recipe->edge_weight, 0.0, 100.0);
    recipe->seismic_rate = train.number("seismic_rate", recipe->seismic_rate, 1e-3, 1e3);
    recipe->gather_share = train.number("gather_share", recipe->gather_share, 0.01, 1.0);
    if (train.has("gather_share") && !(from_map(shape.gathers) && is_trained(shape.gathers))) {
      train.refuse("gather_share", "is of gathers = \"kirchhoff\" and \"wave+net\", which learn from single shots");
    }
    recipe->latent_penalty = train.number("latent_penalty", recipe->latent_penalty, 0.0, 10.0);
    recipe->seismic_in_latent =
        train.number("seismic_in_latent", recipe->seismic_in_latent, 0.0, 1.0);
    recipe->flip = train.boolean("flip", recipe->flip);
    read_diffusion(tables, *recipe);
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
      if (json.contains("levels")) {
        OUTCROP_TRY(levels, json_integer(json.at("levels"), "levels", 2, most_levels));
        recipe->shape.levels = levels;
      }
      if (json.contains("sharpen")) {
        OUTCROP_TRY(passes, json_integer(json.at("sharpen"), "sharpen", 1, most_sharpening));
        recipe->shape.sharpen = passes;
      }
      if (json.contains("gathers")) {
        OUTCROP_TRY(maker, gather_maker(json.at("gathers").get<std::string>()));
        OUTCROP_TRY(sponge, json_integer(json.at("sponge"), "sponge", thinnest_sponge, solvers_sponge));
        recipe->shape.gathers = maker;
        recipe->shape.sponge = sponge;
      }
      if (json.contains("diffusion")) {
        OUTCROP_TRY(diffusion, kept_diffusion(json.at("diffusion")));
        recipe->shape.diffusion = diffusion;
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

namespace {

// How many steps a board takes decides no weights.
std::string fingerprint_of(const GeneratorRecipe& recipe) {
  if (!recipe.shape.diffusion) return {};
  std::ostringstream text;
  text.precision(17);
  text << "\nmodel.diffusion_width = " << recipe.shape.diffusion->width << "\nmodel.diffusion_multipliers =";
  for (const std::int64_t multiplier : recipe.shape.diffusion->multipliers) text << ' ' << multiplier;
  text << "\nmodel.diffusion_components = " << recipe.shape.diffusion->components << "\nmodel.diffusion_length = " << recipe.shape.diffusion->length << "\ntrain.diffusion_from = " << recipe.diffusion_from << "\ntrain.diffusion_rate = " << recipe.diffusion_rate
       << "\ntrain.diffusion_draws = " << recipe.diffusion_draws;
  return text.str();
}

}  // namespace

std::string GeneratorRecipe::fingerprint() const {
  std::ostringstream text;
  text.precision(17);
  text << std::boolalpha << "model.latent = " << shape.latent
       << "\nmodel.encoder_width = " << shape.encoder_width
       << "\nmodel.velocity_width = " << shape.velocity_width
       << "\nmodel.seismic_width = " << shape.seismic_width
       << (shape.levels > 0 ? "\nmodel.levels = " + std::to_string(shape.levels) : std::string())
       << (shape.sharpen > 0 ? "\nmodel.sharpen = " + std::to_string(shape.sharpen) : std::string())
       << (from_map(shape.gathers) ? "\nmodel.gathers = " + std::string(name_of(shape.gathers)) +
                                         "\nmodel.sponge = " + std::to_string(shape.sponge)
                                   : std::string())
       << fingerprint_of(*this);
  // As it was before these were keys, where they are not said.
  if (online) text << "\ndata.online = true";
  if (gather_share != usual_gather_share) text << "\ntrain.gather_share = " << gather_share;
  text << "\ntrain.edge_weight = " << edge_weight << "\ntrain.seismic_rate = " << seismic_rate
       << "\ntrain.latent_penalty = " << latent_penalty
       << "\ntrain.seismic_in_latent = " << seismic_in_latent << "\ntrain.flip = " << flip << "\n";
  return text.str();
}

Result<std::unique_ptr<kinds::Task>> GeneratorRecipe::open(std::uint64_t seed) const {
  OUTCROP_TRY(samples, earth::open_samples(data, geometry));
  if (online && !data.only_scored) {
    OUTCROP_TRY(fresh, earth::FreshMaps::of(data, samples.training.size(), samples.geometry));
    samples.fresh = std::move(fresh);
  }
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
