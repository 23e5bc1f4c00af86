#include "trainer_host/trainer/kinds/generator/generator_task.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/kinds/earth/learned_geometry.hpp"
#include "trainer_host/trainer/kinds/generator/scores/metrics.hpp"
#include "trainer_host/trainer/kinds/generator/exporting.hpp"
#include "trainer_host/trainer/kinds/generator/gathers/training_shots.hpp"
#include "trainer_host/trainer/kinds/generator/loss.hpp"
#include "trainer_host/trainer/kinds/generator/normalization.hpp"

namespace outcrop::generator {
namespace {

constexpr const char* diffusion_phase = "diffusion";
constexpr std::string_view denoiser_prefix = "denoiser.";
constexpr std::size_t encode_batch = 32;
constexpr std::size_t score_batch = 8;  // gathers of so many samples at once
constexpr std::size_t most_maps_scored = 64;
constexpr std::size_t trained_for_one_scored = 16;  // samples
// Of what makes gathers from maps. Its weights are its own: this says only how much of the clipped gradient is
// theirs.
constexpr double misfit_weight = 0.1;

torch::Tensor maps_in_a_row(const earth::Samples& samples, std::size_t first, std::size_t count,
                        const data::Geometry& geometry) {
  auto maps = torch::empty({static_cast<std::int64_t>(count), 1,
                            static_cast<std::int64_t>(geometry.depth),
                            static_cast<std::int64_t>(geometry.width)});
  for (std::size_t i = 0; i < count; ++i) {
    const auto values = samples.velocity(first + i);
    std::copy(values.begin(), values.end(), maps[static_cast<std::int64_t>(i)].data_ptr<float>());
  }
  return maps;
}

// Of batches that differ in size.
class MeanLoss {
 public:
  void add(const torch::Tensor& loss, std::size_t samples) {
    sum_ += loss.item<double>() * static_cast<double>(samples);
    samples_ += samples;
  }
  [[nodiscard]] std::optional<double> mean() const {
    if (samples_ == 0 || !std::isfinite(sum_)) return std::nullopt;
    return sum_ / static_cast<double>(samples_);
  }

 private:
  double sum_ = 0.0;
  std::size_t samples_ = 0;
};

// Of a batch: the same from the same one, another in each epoch.
std::uint64_t seed_of_batch(std::span<const kinds::Draw> draws) {
  std::uint64_t seed = 0xcbf29ce484222325;  // FNV-1a
  for (const kinds::Draw& draw : draws) seed = (seed ^ (2 * draw.sample + (draw.mirrored ? 1 : 0))) * 0x100000001b3;
  return seed;
}

bool is_finite(const torch::Tensor& tensor) {
  return torch::isfinite(tensor).all().item<bool>();
}

}  // namespace

GeneratorTask::GeneratorTask(const GeneratorRecipe& recipe, earth::SplitData data,
                             std::uint64_t seed, std::optional<MapGathers> maker)
    : GeneratorTask(recipe, std::move(data), make_generator(recipe.shape, seed), std::move(maker)) {
  if (recipe.shape.diffusion) diffusion_.emplace(*recipe.shape.diffusion, recipe.shape.latent, seed);
}

GeneratorTask::GeneratorTask(const GeneratorRecipe& recipe, earth::SplitData data,
                             Generator networks, std::optional<MapGathers> maker)
    : recipe_(recipe),
      data_(std::move(data)),
      finish_(finish_of(recipe.shape, data_.geometry)),
      encoder_(std::move(networks.encoder)),
      velocity_decoder_(std::move(networks.velocity_decoder)),
      map_gathers_(std::move(maker)) {
  TORCH_CHECK(map_gathers_.has_value() == from_map(recipe.shape.gathers), "gathers are made by what the recipe says");
  if (!map_gathers_) seismic_decoder_.emplace(std::move(networks.seismic_decoder));
}

std::vector<kinds::Part> GeneratorTask::parts() const {
  std::vector<kinds::Part> parts{{"encoder", encoder_.module()},
                                 {"velocity_decoder", velocity_decoder_.module()}};
  const auto makers = map_gathers_ ? map_gathers_->parts()
                                   : std::vector<kinds::Part>{{"seismic_decoder", seismic_decoder_->module()}};
  parts.insert(parts.end(), makers.begin(), makers.end());
  if (diffusion_) parts.push_back({"denoiser", diffusion_->denoiser()});
  return parts;
}

namespace {

std::string shape_text(const GeneratorShape& shape, const data::Geometry& geometry) {
  nlohmann::json json{{"latent", shape.latent},
                      {"encoder_width", shape.encoder_width},
                      {"velocity_width", shape.velocity_width},
                      {"seismic_width", shape.seismic_width}};
  if (shape.levels > 0) json["levels"] = shape.levels;
  if (shape.sharpen > 0) json["sharpen"] = shape.sharpen;
  if (from_map(shape.gathers)) {
    json["gathers"] = name_of(shape.gathers);
    json["sponge"] = shape.sponge;
  }
  if (shape.diffusion) {
    json["diffusion"] = {{"width", shape.diffusion->width},
                         {"multipliers", shape.diffusion->multipliers},
                         {"length", shape.diffusion->length},
                         {"components", shape.diffusion->components},
                         {"steps", shape.diffusion->steps}};
  }
  earth::keep_geometry(json, geometry);
  return json_text(json);
}

}  // namespace

std::string GeneratorTask::shape() const { return shape_text(recipe_.shape, data_.geometry); }

std::string GeneratorTask::shape_without_added() const {
  if (!diffusion_) return {};
  GeneratorShape decoders = recipe_.shape;
  decoders.diffusion.reset();
  return shape_text(decoders, data_.geometry);
}

bool GeneratorTask::is_added(std::string_view tensor) const { return tensor.starts_with(denoiser_prefix); }

Status GeneratorTask::check_random_beginning() const {
  if (!diffusion_ || recipe_.diffusion_from > 1) return {};
  return fail(ErrorCode::invalid_argument,
              "train.diffusion_from = 1 trains a diffusion and nothing else, on latents of an encoder that was never trained: "
              "begin with weights of trained decoders (--init WEIGHTS), or take 2 at least");
}

Generator GeneratorTask::generator() const {
  return {recipe_.shape, encoder_.module(), velocity_decoder_.module(),
          seismic_decoder_ ? seismic_decoder_->module() : torch::jit::Module("__torch__.outcrop.NoDecoder")};
}

kinds::Phase GeneratorTask::phase(std::int64_t stage) const {
  kinds::Phase phase = kinds::whole(*this);
  const bool of_diffusion = diffusion_ && stage >= recipe_.diffusion_from;
  std::erase_if(phase.trained, [&](const kinds::Phase::Trained& trained) {
    return trained.name.starts_with(denoiser_prefix) != of_diffusion;
  });
  if (of_diffusion) {
    phase.name = diffusion_phase;
    for (auto& trained : phase.trained) trained.rate = recipe_.diffusion_rate;
  }
  for (auto& trained : phase.trained) {
    if (trained.name.starts_with("seismic_decoder.") || trained.name.starts_with("gather_")) trained.rate = recipe_.seismic_rate;
  }
  return phase;
}

std::vector<kinds::Column> GeneratorTask::columns() const {
  using Meaning = kinds::Column::Meaning;
  std::vector<kinds::Column> columns{{"velocity_loss", "maps", Meaning::loss}};
  if (trains_gathers()) columns.push_back({"gather_loss", "gathers", Meaning::loss});
  if (diffusion_) columns.push_back({"diffusion_loss", "diffusion", Meaning::loss});
  columns.push_back({"held_out_velocity_loss", "maps, held out", Meaning::held_out_loss});
  if (trains_gathers()) columns.push_back({"held_out_gather_loss", "gathers, held out", Meaning::held_out_loss});
  if (diffusion_) columns.push_back({"held_out_diffusion_loss", "diffusion, held out", Meaning::held_out_loss});
  columns.push_back({"held_out_ssim", "SSIM of held-out velocity maps", Meaning::score});
  columns.push_back({"held_out_mae_m_per_s", "MAE of held-out velocity maps, m/s", Meaning::score});
  return columns;
}

void GeneratorTask::set_training(bool on) {
  for (auto* network : {&encoder_, &velocity_decoder_}) network->train(on);
  if (seismic_decoder_) seismic_decoder_->train(on);
  if (map_gathers_) map_gathers_->train(on);
  if (diffusion_) diffusion_->train(on);
  if (on) training_latents_.reset();
}

kinds::Loss GeneratorTask::loss(const kinds::Phase& phase, std::span<const kinds::Draw> draws) {
  if (phase.name == diffusion_phase) return loss_of_diffusion(draws);
  if (diffusion_) {
    diffusion_->forget();
    values_.reset();
  }
  kinds::Loss loss = map_gathers_ ? loss_from_map(draws) : this->loss(load_batch(data_.training, draws, data_.geometry));
  if (diffusion_) loss.parts.emplace_back();
  return loss;
}

kinds::Loss GeneratorTask::loss_of_diffusion(std::span<const kinds::Draw> draws) {
  const auto loss = diffusion_->loss(values_of(draws), recipe_.diffusion_draws, seed_of_batch(draws));
  std::vector<std::optional<double>> parts(trains_gathers() ? 2 : 1);
  parts.emplace_back(loss.item<double>());
  return {loss, std::move(parts)};
}

torch::Tensor GeneratorTask::values_of(std::span<const kinds::Draw> draws) {
  // Its batch norms as they are: nothing but the denoiser is trained now.
  encoder_.train(false);
  if (!values_.defined()) {
    std::vector<torch::Tensor> latents{encode_all(data_.training)};
    if (recipe_.flip) latents.push_back(encode_all(data_.training, true));
    const auto all = torch::cat(latents);
    diffusion_->take_space_of(all);
    const auto ways = static_cast<std::int64_t>(latents.size());
    values_ = diffusion_->in_space(all).reshape({ways, -1, recipe_.shape.latent}).transpose(0, 1).contiguous();
  }
  if (data_.fresh) {
    const torch::NoGradGuard no_gradient;
    return diffusion_->in_space(encoder_.forward(load_maps(data_, draws)).flatten(1));
  }
  auto values = torch::empty({static_cast<std::int64_t>(draws.size()), recipe_.shape.latent});
  for (std::size_t i = 0; i < draws.size(); ++i) {
    values[static_cast<std::int64_t>(i)].copy_(
        values_[static_cast<std::int64_t>(draws[i].sample)][draws[i].mirrored ? 1 : 0]);
  }
  return values;
}

std::optional<double> GeneratorTask::held_out_diffusion_loss(const torch::Tensor& latents) {
  if (!diffusion_->is_trained()) return std::nullopt;
  const double loss = diffusion_->held_out_loss(diffusion_->in_space(latents)).item<double>();
  return std::isfinite(loss) ? std::optional(loss) : std::nullopt;
}

// What a generator in training draws of these latents, for a maker to learn from as from any map.
torch::Tensor GeneratorTask::drawn_maps(const torch::Tensor& decoded) const {
  const torch::NoGradGuard no_gradient;
  return finish_.maps(decoded.detach());
}

kinds::Loss GeneratorTask::loss_from_map(std::span<const kinds::Draw> draws) {
  const auto maps = load_maps(data_, draws);
  const auto latent = encoder_.forward(maps);
  const auto decoded = velocity_decoder_.forward(latent);
  const auto of_velocity = velocity_loss(decoded, maps, recipe_.edge_weight);
  kinds::Loss loss{of_velocity + latent.pow(2).mean() * recipe_.latent_penalty, {of_velocity.item<double>()}};
  if (!trains_gathers()) return loss;
  const auto shots = training_shots(data_, draws, drawn_maps(decoded), recipe_.gather_share);
  const auto of_gathers = misfit_loss(map_gathers_->gathers(shots.maps, shots.columns), shots);
  loss.total = loss.total + of_gathers * misfit_weight;
  loss.parts.push_back(of_gathers.item<double>());
  return loss;
}

kinds::Loss GeneratorTask::loss(const Batch& batch) {
  const auto latent = encoder_.forward(batch.velocity);
  const auto map = velocity_decoder_.forward(latent);
  auto seismic_latent = latent.detach();
  if (recipe_.seismic_in_latent > 0.0) {
    seismic_latent = seismic_latent + (latent - seismic_latent) * recipe_.seismic_in_latent;
  }
  const auto gathers = seismic_decoder_->forward(seismic_latent);
  const auto of_velocity = velocity_loss(map, batch.velocity, recipe_.edge_weight);
  const auto of_gathers = gather_loss(gathers, batch.gathers, batch.shot_weight);
  return {of_velocity + of_gathers + latent.pow(2).mean() * recipe_.latent_penalty,
          {of_velocity.item<double>(), of_gathers.item<double>()}};
}

bool GeneratorTask::train_through(const std::string& part, std::optional<models::OtherForm> form) {
  models::TrainingForm* network = map_gathers_ ? map_gathers_->form(part) : nullptr;
  if (part == "encoder") network = &encoder_;
  if (part == "velocity_decoder") network = &velocity_decoder_;
  if (part == "seismic_decoder" && seismic_decoder_) network = &*seismic_decoder_;
  if (network == nullptr) return !form;
  network->train_through(std::move(form));
  return true;
}

std::optional<std::string> GeneratorTask::non_finite_place(std::span<const kinds::Draw> draws) {
  if (diffusion_ && diffusion_->is_trained()) {
    const torch::NoGradGuard no_gradient;
    const auto values = values_of(draws);
    if (!is_finite(values)) return "a latent of the batch";
    return diffusion_->first_non_finite(values, recipe_.diffusion_draws, seed_of_batch(draws));
  }
  return map_gathers_ ? non_finite_from_map(draws)
                      : non_finite_place(load_batch(data_.training, draws, data_.geometry));
}

std::optional<std::string> GeneratorTask::non_finite_from_map(std::span<const kinds::Draw> draws) {
  const torch::NoGradGuard no_gradient;
  const auto maps = load_maps(data_, draws);
  if (!is_finite(maps)) return "a velocity map of the batch";
  torch::Tensor latent;
  torch::Tensor decoded;
  if (const auto layer = encoder_.first_non_finite(maps, latent)) return "the output of encoder." + *layer;
  if (const auto layer = velocity_decoder_.first_non_finite(latent, decoded)) {
    return "the output of velocity_decoder." + *layer;
  }
  const auto shots = training_shots(data_, draws, drawn_maps(decoded), recipe_.gather_share);
  if (!is_finite(shots.gathers)) return "a gather of the batch";
  return map_gathers_->first_non_finite(shots.maps, shots.columns);
}

std::optional<std::string> GeneratorTask::non_finite_place(const Batch& batch) {
  const torch::NoGradGuard no_gradient;
  if (!is_finite(batch.velocity)) return "a velocity map of the batch";
  if (!is_finite(batch.gathers)) return "a gather of the batch";
  const auto named = [](const char* network, const std::optional<std::string>& layer) {
    return layer ? std::optional("the output of " + std::string(network) + "." + *layer)
                 : std::nullopt;
  };
  torch::Tensor latent;
  torch::Tensor ignored;
  if (auto found = named("encoder", encoder_.first_non_finite(batch.velocity, latent))) return found;
  if (auto found = named("velocity_decoder", velocity_decoder_.first_non_finite(latent, ignored))) {
    return found;
  }
  return named("seismic_decoder", seismic_decoder_->first_non_finite(latent, ignored));
}

torch::Tensor GeneratorTask::encode(const torch::Tensor& maps) {
  return encoder_.forward(normalize_velocity(maps, earth::bounds_of(data_.geometry)));
}

torch::Tensor GeneratorTask::encode_all(const earth::Samples& samples, bool mirrored) {
  const torch::NoGradGuard no_gradient;
  std::vector<torch::Tensor> parts;
  for (std::size_t first = 0; first < samples.size(); first += encode_batch) {
    const std::size_t count = std::min(encode_batch, samples.size() - first);
    const auto maps = maps_in_a_row(samples, first, count, data_.geometry);
    parts.push_back(encode(mirrored ? maps.flip({3}) : maps).flatten(1));
  }
  return torch::cat(parts);
}

Maps GeneratorTask::reconstructed(const Maps& maps) {
  const torch::NoGradGuard no_gradient;
  Maps made;
  for (std::size_t first = 0; first < maps.size(); first += encode_batch) {
    const auto some = std::span(maps).subspan(first, std::min(encode_batch, maps.size() - first));
    const torch::Tensor decoded = finish_.maps(velocity_decoder_.forward(encode(stacked(some, data_.geometry)))).contiguous();
    for (std::size_t i = 0; i < some.size(); ++i) {
      const float* map = decoded.data_ptr<float>() + i * data_.geometry.map_size();
      made.emplace_back(map, map + data_.geometry.map_size());
    }
  }
  return made;
}

const torch::Tensor& GeneratorTask::training_latents() {
  if (!training_latents_.defined()) training_latents_ = encode_all(data_.training);
  return training_latents_;
}

ScoredSamples scored_each_epoch(std::size_t training, std::size_t held_out) {
  const std::size_t maps = std::min(held_out, most_maps_scored);
  return {maps, std::min(maps, std::max<std::size_t>(1, training / trained_for_one_scored))};
}

std::vector<std::optional<double>> GeneratorTask::score_held_out() {
  const torch::NoGradGuard no_gradient;
  const earth::Samples& samples = data_.held_out;
  const ScoredSamples scored = scored_each_epoch(data_.training.size(), samples.size());
  if (scored.maps == 0) {
    return std::vector<std::optional<double>>(3 + (trains_gathers() ? 1 : 0) + (diffusion_ ? 1 : 0));
  }
  const earth::VelocityBounds bounds = earth::bounds_of(data_.geometry);
  MeanScore score;
  MeanLoss of_velocity;
  MeanLoss of_gathers;
  std::vector<torch::Tensor> latents;
  for (std::size_t first = 0; first < scored.maps; first += score_batch) {
    const std::size_t count = std::min(score_batch, scored.maps - first);
    const auto truth = maps_in_a_row(samples, first, count, data_.geometry);
    const auto latent = encode(truth);
    latents.push_back(latent.flatten(1));
    const auto decoded = velocity_decoder_.forward(latent);
    of_velocity.add(
        velocity_loss(decoded, normalize_velocity(truth, bounds), recipe_.edge_weight), count);
    const auto maps = finish_.maps(decoded);
    for (std::size_t i = 0; i < count; ++i) {
      const auto map = maps[static_cast<std::int64_t>(i)].contiguous();
      score.add(score_velocity_map(samples.velocity(first + i),
                                   {map.data_ptr<float>(), data_.geometry.map_size()},
                                   data_.geometry));
    }
    if (first >= scored.gathers || !trains_gathers()) continue;
    const std::size_t recorded = std::min(count, scored.gathers - first);
    of_gathers.add(held_out_gather_loss(first, recorded, latent), recorded);
  }
  std::vector<std::optional<double>> figures{of_velocity.mean()};
  if (trains_gathers()) figures.push_back(of_gathers.mean());
  if (diffusion_) figures.push_back(held_out_diffusion_loss(torch::cat(latents)));
  figures.push_back(score.mean().ssim);
  figures.push_back(score.mean().mae);
  return figures;
}

// Of the seismic decoder on what was encoded; of a maker from maps on the true maps, a shot of each.
torch::Tensor GeneratorTask::held_out_gather_loss(std::size_t first, std::size_t count,
                                                  const torch::Tensor& latents) {
  const earth::Samples& samples = data_.held_out;
  if (map_gathers_) {
    const auto shots = recorded_shots(samples, first, count, data_.geometry);
    return misfit_loss(map_gathers_->gathers(shots.maps, shots.columns), shots);
  }
  std::vector<kinds::Draw> draws(count);
  for (std::size_t i = 0; i < count; ++i) draws[i].sample = first + i;
  const Batch batch = load_batch(samples, draws, data_.geometry);
  const auto gathers = seismic_decoder_->forward(latents.slice(0, 0, static_cast<std::int64_t>(count)));
  return gather_loss(gathers, batch.gathers, batch.shot_weight);
}

void GeneratorTask::fit() {
  prior_ = diffusion_ && diffusion_->is_trained() ? diffusion_->space() : fit_gaussian(training_latents());
}

models::NamedTensors GeneratorTask::fitted() const {
  if (!prior_) return {};
  return {{"prior.mean", prior_->mean}, {"prior.factor", prior_->factor}};
}

Status GeneratorTask::set_fitted(const models::NamedTensors& tensors) {
  const auto latent = recipe_.shape.latent;
  LatentPrior prior{torch::empty({latent}), torch::empty({latent, latent})};
  OUTCROP_CHECK(
      models::restore({{"prior.mean", prior.mean}, {"prior.factor", prior.factor}}, tensors));
  if (diffusion_ && diffusion_->is_trained()) {
    const LatentPrior learned = diffusion_->space();
    if (!torch::equal(learned.mean, prior.mean) || !torch::equal(learned.factor, prior.factor)) {
      return fail(ErrorCode::invalid_data,
                  "the diffusion was trained for other latents than those of these decoders: take weights of one run");
    }
  }
  prior_ = std::move(prior);
  return {};
}

kinds::Export GeneratorTask::make_export() {
  std::optional<Sampler> sampler;
  if (diffusion_ && diffusion_->is_trained()) sampler = sampler_of(*diffusion_);
  kinds::Export exported = map_gathers_
                               ? generator::make_export(velocity_decoder_.module(), encoder_.module(), *map_gathers_,
                                                        finish_, *prior_, training_latents(), data_.geometry, sampler)
                               : generator::make_export(generator(), *prior_, training_latents(), data_.geometry, sampler);
  if (diffusion_ && !sampler) exported.about["latent"] += "; its diffusion is not trained yet";
  return exported;
}

}  // namespace outcrop::generator
