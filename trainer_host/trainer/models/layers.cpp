#include "trainer_host/trainer/models/layers.hpp"

#include <cmath>
#include <memory>
#include <set>

namespace outcrop::models {
namespace {

using torch::jit::Module;
using CompilationUnit = std::shared_ptr<torch::jit::CompilationUnit>;

std::string list(const std::array<std::int64_t, 2>& pair) {
  std::string text = "[";
  text += std::to_string(pair[0]);
  text += ", ";
  text += std::to_string(pair[1]);
  text += "]";
  return text;
}

// `x` laid out as the grid, as TorchScript.
std::string laid_out(const std::string& x, const Layer::Grid& grid) {
  const std::string channels = std::to_string(grid.channels);
  const std::string size = std::to_string(grid.rows) + ", " + std::to_string(grid.columns);
  return grid.channels_last ? "torch.permute(torch.reshape(" + x + ", [-1, " + size + ", " +
                                  channels + "]), [0, 3, 1, 2])"
                            : "torch.reshape(" + x + ", [-1, " + channels + ", " + size + "])";
}

std::string pooled(const std::string& x, std::int64_t pool) {
  const std::string square = list({pool, pool});
  return "torch.max_pool2d(" + x + ", " + square + ", " + square + ", [0, 0], [1, 1], False)";
}

// values [B, C, 1, 1], weighed at each position by weights [B, C, rows, columns]. As a product of matrices: no pass of
// quantization takes its operands for tensors of codes.
std::string averaged(const std::string& weights, const std::string& values) {
  return "torch.reshape(torch.matmul(torch.unsqueeze(torch.flatten(" + values + ", 1), 1), torch.flatten(" + weights +
         ", 2)), [" + weights + ".size(0), 1, " + weights + ".size(2), " + weights + ".size(3)])";
}

Module make_convolution(const CompilationUnit& unit, const Layer& layer, at::Generator random) {
  const bool transposed = layer.kind == Layer::Kind::transposed_convolution;
  const auto taps = static_cast<double>(layer.kernel[0] * layer.kernel[1]);
  // A transposed convolution spreads its taps over stride² outputs.
  const auto overlap = transposed ? static_cast<double>(layer.stride[0] * layer.stride[1]) : 1.0;
  const double fan_in = std::max(static_cast<double>(layer.in_channels) * taps / overlap,
                                 static_cast<double>(layer.in_channels));
  // Without ReLU it is an end (latent, map, gathers): those start near zero, as their targets lie.
  const double gain = layer.relu ? 2.0 : 0.1;
  std::vector<std::int64_t> shape{layer.out_channels, layer.in_channels, layer.kernel[0],
                                  layer.kernel[1]};
  if (transposed) std::swap(shape[0], shape[1]);
  auto weight = torch::empty(shape).normal_(0.0, std::sqrt(gain / fan_in), random);
  auto bias = torch::zeros({layer.out_channels});

  Module module(transposed ? "__torch__.torch.nn.modules.conv.ConvTranspose2d"
                           : "__torch__.torch.nn.modules.conv.Conv2d",
                unit, /*shouldMangle=*/true);
  module.register_parameter("weight", weight.requires_grad_(), /*is_buffer=*/false);
  module.register_parameter("bias", bias.requires_grad_(), /*is_buffer=*/false);
  const std::string call =
      transposed ? "torch.conv_transpose2d(x, self.weight, self.bias, " + list(layer.stride) +
                       ", " + list(layer.padding) + ", [0, 0], 1, [1, 1])"
                 : "torch.conv2d(x, self.weight, self.bias, " + list(layer.stride) + ", " +
                       list(layer.padding) + ", [1, 1], 1)";
  module.define("def forward(self, x):\n    return " + call + "\n");
  return module;
}

Module make_batch_norm(const CompilationUnit& unit, std::int64_t channels) {
  Module module("__torch__.torch.nn.modules.batchnorm.BatchNorm2d", unit, /*shouldMangle=*/true);
  module.register_parameter("weight", torch::ones({channels}).requires_grad_(), false);
  module.register_parameter("bias", torch::zeros({channels}).requires_grad_(), false);
  module.register_buffer("running_mean", torch::zeros({channels}));
  module.register_buffer("running_var", torch::ones({channels}));
  module.register_attribute("training", c10::BoolType::get(), true);
  module.define(
      "def forward(self, x):\n"
      "    return torch.batch_norm(x, self.weight, self.bias, self.running_mean, "
      "self.running_var, self.training, 0.1, 1e-5, False)\n");
  return module;
}

// The names by which the results of layers are known in the source: "x" is the last one, others only
// where somebody asks for them.
class Results {
 public:
  explicit Results(const std::vector<Layer>& layers) {
    for (const Layer& layer : layers) {
      asked_.insert(layer.input);
      asked_.insert(layer.plus);
      asked_.insert(layer.values);
    }
  }
  // What to write before all steps.
  [[nodiscard]] std::string begin() { return keep(Layer::network_input); }
  [[nodiscard]] std::string of(const std::string& layer) const {
    if (layer.empty()) return "x";
    TORCH_CHECK(there_.contains(layer), "no layer '", layer, "' before the one that asks for it");
    return "of_" + layer;
  }
  // What to write behind the step of this layer.
  [[nodiscard]] std::string keep(const std::string& layer) {
    there_.insert(layer);
    return asked_.contains(layer) ? "    of_" + layer + " = x\n" : "";
  }

 private:
  std::set<std::string> asked_;
  std::set<std::string> there_;
};

}  // namespace

std::array<std::int64_t, 2> Layer::output_size(std::array<std::int64_t, 2> size) const {
  if (grid.rows > 0) return {grid.rows, grid.columns};
  size = positions(size);
  for (std::int64_t& extent : size) extent /= pool;
  return size;
}

std::array<std::int64_t, 2> Layer::positions(std::array<std::int64_t, 2> size) const {
  for (std::size_t i = 0; i < 2; ++i) {
    size[i] = kind == Kind::transposed_convolution
                  ? (size[i] - 1) * stride[i] - 2 * padding[i] + kernel[i]
                  : (size[i] + 2 * padding[i] - kernel[i]) / stride[i] + 1;
  }
  return size;
}

std::int64_t Layer::multiply_adds(std::array<std::int64_t, 2> size) const {
  // A grid is laid out from a single position.
  const auto computed =
      kind == Kind::transposed_convolution || grid.rows > 0 ? size : positions(size);
  return computed[0] * computed[1] * in_channels * out_channels * kernel[0] * kernel[1];
}

Module build_network(const std::string& type_name, const std::vector<Layer>& layers,
                     at::Generator random) {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  Module network(type_name, unit, /*shouldMangle=*/true);
  network.register_attribute("training", c10::BoolType::get(), true);
  std::string body = "def forward(self, x):\n";
  Results results(layers);
  body += results.begin();
  for (const Layer& layer : layers) {
    TORCH_CHECK(layer.name != Layer::network_input, "'input' is what layers take, and none of them");
    network.register_module(layer.name, make_convolution(unit, layer, random));
    std::string step = "self." + layer.name + ".forward(" + results.of(layer.input) + ")";
    if (layer.batch_norm) {
      network.register_module(layer.name + "_norm", make_batch_norm(unit, layer.out_channels));
      step = "self." + layer.name + "_norm.forward(" + step + ")";
    }
    if (!layer.plus.empty()) step = "torch.add(" + step + ", " + results.of(layer.plus) + ")";
    if (!layer.values.empty()) {
      body += "    w = torch.softmax(" + step + ", 1)\n";
      step = averaged("w", results.of(layer.values));
    }
    if (layer.relu) step = "torch.relu(" + step + ")";
    if (layer.pool > 1) step = pooled(step, layer.pool);
    if (layer.grid.rows > 0) step = laid_out(step, layer.grid);
    body += "    x = " + step + "\n" + results.keep(layer.name);
  }
  network.define(body + "    return x\n");
  return network;
}

}  // namespace outcrop::models
