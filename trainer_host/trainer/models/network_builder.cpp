#include "trainer_host/trainer/models/network_builder.hpp"

#include <cmath>
#include <iomanip>
#include <sstream>

namespace outcrop::models {
namespace {

using torch::jit::Module;

void add_weight(Module& module, const char* name, torch::Tensor values) {
  module.register_parameter(name, values.requires_grad_(), /*is_buffer=*/false);
}

void add_integer(Module& module, const char* name, std::int64_t value) {
  module.register_attribute(name, c10::IntType::get(), value);
}

constexpr const char* attention_source = R"(
def heads_of(self, x):
    return torch.transpose(torch.reshape(x, [x.size(0), x.size(1), self.heads, -1]), 1, 2)
def forward(self, x):
    q = self.heads_of(self.query.forward(x))
    k = self.heads_of(self.key.forward(x))
    v = self.heads_of(self.value.forward(x))
    weights = torch.softmax(torch.matmul(q, torch.transpose(k, 2, 3)) * self.scale, -1)
    mixed = torch.transpose(torch.matmul(weights, v), 1, 2)
    return self.output.forward(torch.reshape(mixed, x.size()))
)";

}  // namespace

NetworkBuilder::NetworkBuilder(const std::string& type_name, at::Generator random)
    : unit_(std::make_shared<torch::jit::CompilationUnit>()),
      network_(type_name, unit_, /*shouldMangle=*/true),
      random_(std::move(random)) {
  network_.register_attribute("training", c10::BoolType::get(), true);
}

Module NetworkBuilder::begin(const std::string& kind) const {
  return Module("__torch__.torch.nn.modules." + kind, unit_, /*shouldMangle=*/true);
}

torch::Tensor NetworkBuilder::drawn(at::IntArrayRef shape, double fan_in, bool before_relu) const {
  const double gain = before_relu ? 2.0 : 1.0;
  return torch::empty(shape).normal_(0.0, std::sqrt(gain / fan_in), random_);
}

void NetworkBuilder::child(const std::string& name, Module module) {
  TORCH_CHECK(!network_.hasattr(name), "there is a child '", name, "' already");
  network_.register_module(name, std::move(module));
}

void NetworkBuilder::convolution1d(const std::string& name, const Convolution1d& layer) {
  Module module = begin("conv.Conv1d");
  const auto fan_in = static_cast<double>(layer.in_channels * layer.kernel);
  add_weight(module, "weight",
             drawn({layer.out_channels, layer.in_channels, layer.kernel}, fan_in, layer.before_relu));
  add_weight(module, "bias", torch::zeros({layer.out_channels}));
  module.define("def forward(self, x):\n    return torch.conv1d(x, self.weight, self.bias, [" +
                std::to_string(layer.stride) + "], [" + std::to_string(layer.padding) +
                "], [1], 1)\n");
  child(name, std::move(module));
}

Module NetworkBuilder::make_linear(std::int64_t in, std::int64_t out, bool before_relu) const {
  Module module = begin("linear.Linear");
  add_weight(module, "weight", drawn({out, in}, static_cast<double>(in), before_relu));
  add_weight(module, "bias", torch::zeros({out}));
  module.define("def forward(self, x):\n    return torch.linear(x, self.weight, self.bias)\n");
  return module;
}

void NetworkBuilder::linear(const std::string& name, std::int64_t in, std::int64_t out,
                            bool before_relu) {
  child(name, make_linear(in, out, before_relu));
}

void NetworkBuilder::layer_norm(const std::string& name, std::int64_t size, double epsilon) {
  Module module = begin("normalization.LayerNorm");
  add_weight(module, "weight", torch::ones({size}));
  add_weight(module, "bias", torch::zeros({size}));
  std::ostringstream exactly;
  exactly << std::setprecision(17) << std::scientific << epsilon;
  module.define("def forward(self, x):\n    return torch.layer_norm(x, [" + std::to_string(size) +
                "], self.weight, self.bias, " + exactly.str() + ", False)\n");
  child(name, std::move(module));
}

void NetworkBuilder::group_norm(const std::string& name, std::int64_t groups,
                                std::int64_t channels) {
  TORCH_CHECK(groups > 0 && channels % groups == 0, channels, " channels make no ", groups,
              " groups of one size");
  Module module = begin("normalization.GroupNorm");
  add_weight(module, "weight", torch::ones({channels}));
  add_weight(module, "bias", torch::zeros({channels}));
  module.define("def forward(self, x):\n    return torch.group_norm(x, " + std::to_string(groups) +
                ", self.weight, self.bias, 1e-5, False)\n");
  child(name, std::move(module));
}

void NetworkBuilder::embedding(const std::string& name, std::int64_t rows, std::int64_t size) {
  Module module = begin("sparse.Embedding");
  add_weight(module, "weight", torch::empty({rows, size}).normal_(0.0, 1.0, random_));
  module.define("def forward(self, x):\n    return torch.embedding(self.weight, x)\n");
  child(name, std::move(module));
}

void NetworkBuilder::self_attention(const std::string& name, std::int64_t heads,
                                    std::int64_t size) {
  TORCH_CHECK(heads > 0 && size % heads == 0, size, " values make no ", heads,
              " heads of one size");
  Module module("__torch__.outcrop.SelfAttention", unit_, /*shouldMangle=*/true);
  for (const char* projection : {"query", "key", "value", "output"}) {
    module.register_module(projection, make_linear(size, size, false));
  }
  add_integer(module, "heads", heads);
  module.register_attribute("scale", c10::FloatType::get(),
                            1.0 / std::sqrt(static_cast<double>(size / heads)));
  module.define(attention_source);
  child(name, std::move(module));
}

Module NetworkBuilder::finish(const std::string& source) {
  network_.define(source);
  return network_;
}

}  // namespace outcrop::models
