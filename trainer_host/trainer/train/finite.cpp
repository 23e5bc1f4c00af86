#include "trainer_host/trainer/train/finite.hpp"

#include <array>

namespace outcrop::train {
namespace {

struct Network {
  std::string name;
  const torch::jit::Module* module;
  std::vector<models::Layer> layers;
};

std::array<Network, 3> networks_of(const models::Generator& generator) {
  return {Network{"encoder", &generator.encoder, models::encoder_layers(generator.shape)},
          Network{"velocity_decoder", &generator.velocity_decoder,
                  models::velocity_decoder_layers(generator.shape)},
          Network{"seismic_decoder", &generator.seismic_decoder,
                  models::seismic_decoder_layers(generator.shape)}};
}

bool is_finite(const torch::Tensor& tensor) {
  return torch::isfinite(tensor).all().item<bool>();
}

std::optional<std::string> find_in_weights(const Network& network) {
  for (const auto& parameter : network.module->named_parameters()) {
    if (!is_finite(parameter.value)) return "the weight " + network.name + "." + parameter.name;
  }
  return std::nullopt;
}

std::optional<std::string> find_in_outputs(const Network& network, const torch::Tensor& input,
                                           torch::Tensor& output) {
  std::optional<std::string> found;
  output = models::run_layers(*network.module, network.layers, input,
                              [&](const models::Layer& layer, const torch::Tensor& value) {
                                if (!found && !is_finite(value)) {
                                  found = "the output of " + network.name + "." + layer.name;
                                }
                              });
  return found;
}

std::optional<std::string> find_in_gradients(const Network& network) {
  for (auto layer = network.layers.rbegin(); layer != network.layers.rend(); ++layer) {
    const auto child = network.module->attr(layer->name).toModule();
    for (const auto& parameter : child.named_parameters()) {
      const auto& gradient = parameter.value.grad();
      if (gradient.defined() && !is_finite(gradient)) {
        return "the gradient of " + network.name + "." + layer->name;
      }
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> first_non_finite(const models::Generator& generator,
                                            const Batch& batch) {
  torch::NoGradGuard no_gradient;
  const auto networks = networks_of(generator);
  for (const Network& network : networks) {
    if (auto found = find_in_weights(network)) return found;
  }
  if (!is_finite(batch.velocity)) return "a velocity map of the batch";
  if (!is_finite(batch.gathers)) return "a gather of the batch";
  torch::Tensor latent;
  torch::Tensor ignored;
  if (auto found = find_in_outputs(networks[0], batch.velocity, latent)) return found;
  if (auto found = find_in_outputs(networks[1], latent, ignored)) return found;
  if (auto found = find_in_outputs(networks[2], latent, ignored)) return found;
  for (auto network = networks.rbegin(); network != networks.rend(); ++network) {
    if (auto found = find_in_gradients(*network)) return found;
  }
  return std::nullopt;
}

}  // namespace outcrop::train
