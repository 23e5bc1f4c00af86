#include "trainer_host/trainer/models/phase_convolution.hpp"

#include <ATen/CPUGeneratorImpl.h>

namespace outcrop::models {
namespace {

// Where the transposed convolution adds x[y] · w[row] and x[y - 1] · w[row + stride] at phase
// `row`, the plain one sees x[y - 1] first: its taps are the two halves of the kernel, the second
// one first.
torch::Tensor phase_weight(const torch::Tensor& weight, const Phases& phases) {
  const auto in = weight.size(0);
  return weight.reshape({in, phases.channels, 2, phases.rows, 2, phases.columns})
      .flip({2, 4})
      .permute({3, 5, 1, 0, 2, 4})
      .reshape({phases.rows * phases.columns * phases.channels, in, 2, 2})
      .contiguous();
}

// A weight or bias of the layer that fills the grid, its outputs in the order of channels last.
torch::Tensor position_by_position(const torch::Tensor& tensor, const Layer::Grid& grid) {
  return tensor.reshape({grid.channels, grid.rows * grid.columns, -1})
      .transpose(0, 1)
      .reshape(tensor.sizes());
}

}  // namespace

PhaseNetwork with_phase_convolution(const torch::jit::Module& network, std::vector<Layer> layers) {
  const torch::NoGradGuard no_grad;
  Layer& last = layers.back();
  const Phases phases{last.stride[0], last.stride[1], last.out_channels, last.padding[0],
                      last.padding[1]};
  TORCH_CHECK(last.kind == Layer::Kind::transposed_convolution &&
                  last.kernel[0] == 2 * last.stride[0] && last.kernel[1] == 2 * last.stride[1],
              "layer ", last.name, " is no transposed convolution of twice its stride");
  for (const Layer& layer : layers) {
    TORCH_CHECK(layer.grid.rows == 0 || !layer.batch_norm, "layer ", layer.name,
                " fills a grid and has a batch norm, which is not rearranged with it");
  }
  last.kind = Layer::Kind::convolution;
  last.out_channels = phases.rows * phases.columns * phases.channels;
  last.kernel = {2, 2};
  last.stride = {1, 1};
  last.padding = {1, 1};
  for (Layer& layer : layers) layer.grid.channels_last = true;

  PhaseNetwork made{
      build_network("__torch__.outcrop.PhaseDecoder", layers, at::detail::createCPUGenerator(0)),
      phases};
  made.network.train(network.is_training());
  const auto rearranged = [&](const std::string& name, const torch::Tensor& value) {
    if (name == last.name + ".weight") return phase_weight(value, phases);
    if (name == last.name + ".bias") return value.repeat({phases.rows * phases.columns});
    for (const Layer& layer : layers) {
      if (layer.grid.rows > 0 && name.starts_with(layer.name + ".")) {
        return position_by_position(value, layer.grid);
      }
    }
    return value;
  };
  const auto copy = [&](const auto& into, const auto& from) {
    for (const auto& [name, tensor] : into) {
      for (const auto& source : from) {
        if (source.name == name) tensor.copy_(rearranged(name, source.value));
      }
    }
  };
  copy(made.network.named_parameters(), network.named_parameters());
  copy(made.network.named_buffers(), network.named_buffers());
  return made;
}

}  // namespace outcrop::models
