#include "trainer_host/trainer/kinds/generator/generator_task.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "protocol/base/json_text.hpp"
#include "trainer_host/trainer/kinds/earth/learned_geometry.hpp"
#include "trainer_host/trainer/kinds/generator/scores/metrics.hpp"
#include "trainer_host/trainer/kinds/generator/exporting.hpp"
#include "trainer_host/trainer/kinds/generator/loss.hpp"
#include "trainer_host/trainer/kinds/generator/normalization.hpp"

namespace outcrop::generator {
namespace {

constexpr std::size_t encode_batch = 32;
constexpr std::size_t score_batch = 8;  // gathers of so many samples at once
constexpr std::size_t most_maps_scored = 64;
constexpr std::size_t trained_for_one_scored = 16;  // samples

torch::Tensor load_maps(const earth::Samples& samples, std::size_t first, std::size_t count,
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
                             std::uint64_t seed)
    : GeneratorTask(recipe, std::move(data), make_generator(recipe.shape, seed)) {}

GeneratorTask::GeneratorTask(const GeneratorRecipe& recipe, earth::SplitData data,
                             Generator networks)
    : recipe_(recipe),
      data_(std::move(data)),
      encoder_(std::move(networks.encoder)),
      velocity_decoder_(std::move(networks.velocity_decoder)),
      seismic_decoder_(std::move(networks.seismic_decoder)) {}

std::vector<kinds::Part> GeneratorTask::parts() const {
  return {{"encoder", encoder_.module()},
          {"velocity_decoder", velocity_decoder_.module()},
          {"seismic_decoder", seismic_decoder_.module()}};
}

std::string GeneratorTask::shape() const {
  const GeneratorShape& shape = recipe_.shape;
  nlohmann::json json{{"latent", shape.latent},
                      {"encoder_width", shape.encoder_width},
                      {"velocity_width", shape.velocity_width},
                      {"seismic_width", shape.seismic_width}};
  earth::keep_geometry(json, data_.geometry);
  return json_text(json);
}

Generator GeneratorTask::generator() const {
  return {recipe_.shape, encoder_.module(), velocity_decoder_.module(), seismic_decoder_.module()};
}

kinds::Phase GeneratorTask::phase(std::int64_t) const {
  kinds::Phase phase = kinds::whole(*this);
  for (auto& trained : phase.trained) {
    if (trained.name.starts_with("seismic_decoder.")) trained.rate = recipe_.seismic_rate;
  }
  return phase;
}

std::vector<kinds::Column> GeneratorTask::columns() const {
  using Meaning = kinds::Column::Meaning;
  return {{"velocity_loss", "maps", Meaning::loss},
          {"gather_loss", "gathers", Meaning::loss},
          {"held_out_velocity_loss", "maps, held out", Meaning::held_out_loss},
          {"held_out_gather_loss", "gathers, held out", Meaning::held_out_loss},
          {"held_out_ssim", "SSIM of held-out velocity maps", Meaning::score},
          {"held_out_mae_m_per_s", "MAE of held-out velocity maps, m/s", Meaning::score}};
}

void GeneratorTask::set_training(bool on) {
  for (auto* network : {&encoder_, &velocity_decoder_, &seismic_decoder_}) network->train(on);
  if (on) training_latents_.reset();
}

kinds::Loss GeneratorTask::loss(const kinds::Phase&, std::span<const kinds::Draw> draws) {
  return loss(load_batch(data_.training, draws, data_.geometry));
}

kinds::Loss GeneratorTask::loss(const Batch& batch) {
  const auto latent = encoder_.forward(batch.velocity);
  const auto map = velocity_decoder_.forward(latent);
  auto seismic_latent = latent.detach();
  if (recipe_.seismic_in_latent > 0.0) {
    seismic_latent = seismic_latent + (latent - seismic_latent) * recipe_.seismic_in_latent;
  }
  const auto gathers = seismic_decoder_.forward(seismic_latent);
  const auto of_velocity = velocity_loss(map, batch.velocity, recipe_.edge_weight);
  const auto of_gathers = gather_loss(gathers, batch.gathers, batch.shot_weight);
  return {of_velocity + of_gathers + latent.pow(2).mean() * recipe_.latent_penalty,
          {of_velocity.item<double>(), of_gathers.item<double>()}};
}

bool GeneratorTask::train_through(const std::string& part, std::optional<models::OtherForm> form) {
  for (const auto& [name, network] : {std::pair{"encoder", &encoder_},
                                      {"velocity_decoder", &velocity_decoder_},
                                      {"seismic_decoder", &seismic_decoder_}}) {
    if (part != name) continue;
    network->train_through(std::move(form));
    return true;
  }
  return !form;
}

std::optional<std::string> GeneratorTask::non_finite_place(std::span<const kinds::Draw> draws) {
  return non_finite_place(load_batch(data_.training, draws, data_.geometry));
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
  return named("seismic_decoder", seismic_decoder_.first_non_finite(latent, ignored));
}

torch::Tensor GeneratorTask::encode(const torch::Tensor& maps) {
  return encoder_.forward(normalize_velocity(maps, earth::bounds_of(data_.geometry)));
}

torch::Tensor GeneratorTask::encode_all(const earth::Samples& samples) {
  const torch::NoGradGuard no_gradient;
  std::vector<torch::Tensor> parts;
  for (std::size_t first = 0; first < samples.size(); first += encode_batch) {
    const std::size_t count = std::min(encode_batch, samples.size() - first);
    parts.push_back(encode(load_maps(samples, first, count, data_.geometry)).flatten(1));
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
  if (scored.maps == 0) return std::vector<std::optional<double>>(4);
  const earth::VelocityBounds bounds = earth::bounds_of(data_.geometry);
  MeanScore score;
  MeanLoss of_velocity;
  MeanLoss of_gathers;
  for (std::size_t first = 0; first < scored.maps; first += score_batch) {
    const std::size_t count = std::min(score_batch, scored.maps - first);
    const auto truth = load_maps(samples, first, count, data_.geometry);
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
    if (first >= scored.gathers) continue;
    const std::size_t recorded = std::min(count, scored.gathers - first);
    std::vector<kinds::Draw> draws(recorded);
    for (std::size_t i = 0; i < recorded; ++i) draws[i].sample = first + i;
    const Batch batch = load_batch(samples, draws, data_.geometry);
    const auto gathers =
        seismic_decoder_.forward(latent.slice(0, 0, static_cast<std::int64_t>(recorded)));
    of_gathers.add(gather_loss(gathers, batch.gathers, batch.shot_weight), recorded);
  }
  return {of_velocity.mean(), of_gathers.mean(), score.mean().ssim, score.mean().mae};
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
  return generator::make_export(generator(), *prior_, training_latents(), data_.geometry);
}

}  // namespace outcrop::generator
