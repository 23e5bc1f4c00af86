#include "trainer_host/trainer/kinds/generator/generator_task.hpp"

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

bool is_finite(const torch::Tensor& tensor) {
  return torch::isfinite(tensor).all().item<bool>();
}

}  // namespace

GeneratorTask::GeneratorTask(const GeneratorRecipe& recipe, earth::SplitData data,
                             std::uint64_t seed, std::optional<MapGathers> maker)
    : GeneratorTask(recipe, std::move(data), make_generator(recipe.shape, seed), std::move(maker)) {}

GeneratorTask::GeneratorTask(const GeneratorRecipe& recipe, earth::SplitData data,
                             Generator networks, std::optional<MapGathers> maker)
    : recipe_(recipe),
      data_(std::move(data)),
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
  return parts;
}

std::string GeneratorTask::shape() const {
  const GeneratorShape& shape = recipe_.shape;
  nlohmann::json json{{"latent", shape.latent},
                      {"encoder_width", shape.encoder_width},
                      {"velocity_width", shape.velocity_width},
                      {"seismic_width", shape.seismic_width}};
  if (from_map(shape.gathers)) {
    json["gathers"] = name_of(shape.gathers);
    json["sponge"] = shape.sponge;
  }
  earth::keep_geometry(json, data_.geometry);
  return json_text(json);
}

Generator GeneratorTask::generator() const {
  return {recipe_.shape, encoder_.module(), velocity_decoder_.module(),
          seismic_decoder_ ? seismic_decoder_->module() : torch::jit::Module("__torch__.outcrop.NoDecoder")};
}

kinds::Phase GeneratorTask::phase(std::int64_t) const {
  kinds::Phase phase = kinds::whole(*this);
  for (auto& trained : phase.trained) {
    if (trained.name.starts_with("seismic_decoder.") || trained.name.starts_with("gather_")) trained.rate = recipe_.seismic_rate;
  }
  return phase;
}

std::vector<kinds::Column> GeneratorTask::columns() const {
  using Meaning = kinds::Column::Meaning;
  std::vector<kinds::Column> columns{{"velocity_loss", "maps", Meaning::loss}};
  if (trains_gathers()) columns.push_back({"gather_loss", "gathers", Meaning::loss});
  columns.push_back({"held_out_velocity_loss", "maps, held out", Meaning::held_out_loss});
  if (trains_gathers()) columns.push_back({"held_out_gather_loss", "gathers, held out", Meaning::held_out_loss});
  columns.push_back({"held_out_ssim", "SSIM of held-out velocity maps", Meaning::score});
  columns.push_back({"held_out_mae_m_per_s", "MAE of held-out velocity maps, m/s", Meaning::score});
  return columns;
}

void GeneratorTask::set_training(bool on) {
  for (auto* network : {&encoder_, &velocity_decoder_}) network->train(on);
  if (seismic_decoder_) seismic_decoder_->train(on);
  if (map_gathers_) map_gathers_->train(on);
  if (on) training_latents_.reset();
}

kinds::Loss GeneratorTask::loss(const kinds::Phase&, std::span<const kinds::Draw> draws) {
  return map_gathers_ ? loss_from_map(draws) : loss(load_batch(data_.training, draws, data_.geometry));
}

kinds::Loss GeneratorTask::loss_from_map(std::span<const kinds::Draw> draws) {
  const auto maps = load_maps(data_.training, draws, data_.geometry);
  const auto latent = encoder_.forward(maps);
  const auto decoded = velocity_decoder_.forward(latent);
  const auto of_velocity = velocity_loss(decoded, maps, recipe_.edge_weight);
  kinds::Loss loss{of_velocity + latent.pow(2).mean() * recipe_.latent_penalty, {of_velocity.item<double>()}};
  if (!trains_gathers()) return loss;
  const auto shots = training_shots(data_.training, draws,
                                    denormalize_velocity(decoded.detach(), earth::bounds_of(data_.geometry)),
                                    data_.geometry);
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
  return map_gathers_ ? non_finite_from_map(draws)
                      : non_finite_place(load_batch(data_.training, draws, data_.geometry));
}

std::optional<std::string> GeneratorTask::non_finite_from_map(std::span<const kinds::Draw> draws) {
  const torch::NoGradGuard no_gradient;
  const auto maps = load_maps(data_.training, draws, data_.geometry);
  if (!is_finite(maps)) return "a velocity map of the batch";
  torch::Tensor latent;
  torch::Tensor decoded;
  if (const auto layer = encoder_.first_non_finite(maps, latent)) return "the output of encoder." + *layer;
  if (const auto layer = velocity_decoder_.first_non_finite(latent, decoded)) {
    return "the output of velocity_decoder." + *layer;
  }
  const auto shots = training_shots(data_.training, draws,
                                    denormalize_velocity(decoded, earth::bounds_of(data_.geometry)), data_.geometry);
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

torch::Tensor GeneratorTask::encode_all(const earth::Samples& samples) {
  const torch::NoGradGuard no_gradient;
  std::vector<torch::Tensor> parts;
  for (std::size_t first = 0; first < samples.size(); first += encode_batch) {
    const std::size_t count = std::min(encode_batch, samples.size() - first);
    parts.push_back(encode(maps_in_a_row(samples, first, count, data_.geometry)).flatten(1));
  }
  return torch::cat(parts);
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
  if (scored.maps == 0) return std::vector<std::optional<double>>(trains_gathers() ? 4 : 3);
  const earth::VelocityBounds bounds = earth::bounds_of(data_.geometry);
  MeanScore score;
  MeanLoss of_velocity;
  MeanLoss of_gathers;
  for (std::size_t first = 0; first < scored.maps; first += score_batch) {
    const std::size_t count = std::min(score_batch, scored.maps - first);
    const auto truth = maps_in_a_row(samples, first, count, data_.geometry);
    const auto latent = encode(truth);
    const auto decoded = velocity_decoder_.forward(latent);
    of_velocity.add(
        velocity_loss(decoded, normalize_velocity(truth, bounds), recipe_.edge_weight), count);
    const auto maps = denormalize_velocity(decoded, bounds);
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
  if (!trains_gathers()) return {of_velocity.mean(), score.mean().ssim, score.mean().mae};
  return {of_velocity.mean(), of_gathers.mean(), score.mean().ssim, score.mean().mae};
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
  prior_ = fit_gaussian(training_latents());
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
  prior_ = std::move(prior);
  return {};
}

kinds::Export GeneratorTask::make_export() {
  if (map_gathers_) {
    return generator::make_export(velocity_decoder_.module(), encoder_.module(), *map_gathers_, *prior_,
                                  training_latents(), data_.geometry);
  }
  return generator::make_export(generator(), *prior_, training_latents(), data_.geometry);
}

}  // namespace outcrop::generator
