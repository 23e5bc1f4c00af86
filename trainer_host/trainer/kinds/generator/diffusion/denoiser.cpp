#include "trainer_host/trainer/kinds/generator/diffusion/denoiser.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <map>
#include <string>

#include "trainer_host/trainer/models/graph_layers.hpp"
#include "trainer_host/trainer/models/layered_form.hpp"
#include "trainer_host/trainer/models/module_tensors.hpp"
#include "trainer_host/trainer/models/network_builder.hpp"

namespace outcrop::generator {
namespace {

using models::NetworkBuilder;
using torch::jit::Module;

constexpr std::int64_t groups_of_norm = 8;
constexpr std::int64_t heads = 4;
constexpr std::int64_t head_size = 32;
constexpr std::int64_t hidden = heads * head_size;
constexpr double slowest_wave = 10'000.0;

std::string number(std::int64_t value) { return std::to_string(value); }

// A leaf of our own.
Module leaf(const std::string& name, std::vector<std::pair<std::string, torch::Tensor>> parameters,
            std::vector<std::pair<std::string, torch::Tensor>> buffers, const std::string& body) {
  Module module("__torch__.outcrop." + name, std::make_shared<torch::jit::CompilationUnit>(), /*shouldMangle=*/true);
  for (auto& [key, value] : parameters) module.register_parameter(key, value.requires_grad_(), /*is_buffer=*/false);
  for (auto& [key, value] : buffers) module.register_buffer(key, value);
  module.define("def forward(self, x):\n" + body);
  return module;
}

// Writes the network down level by level.
class DenoiserWriter {
 public:
  DenoiserWriter(const DiffusionShape& shape, std::int64_t latent, const at::Generator& random)
      : shape_(shape), drawn_(shape.drawn(latent)), length_(shape.length), builder_("__torch__.outcrop.Denoiser", random) {
    builder_.child("values", leaf("Values", {}, {{"places", torch::arange(drawn_, torch::kLong)}},
                                  "    return torch.unsqueeze(torch.index_select(x, 1, self.places), 2)\n"));
    say("s = self.times.forward(torch.select(noised, 1, " + number(latent) + "))");
    convolution("enter", drawn_, shape.width * length_, 1, 1, 0);
    say("x = torch.reshape(self.enter.forward(self.values.forward(noised)), [-1, " + number(shape.width) + ", " +
        number(length_) + "])");
    say("first = x");
  }

  void write() {
    std::vector<std::int64_t> channels{shape_.width};
    for (std::int64_t level = 0; level < shape_.levels(); ++level) {
      channels.push_back(shape_.width * shape_.multipliers[static_cast<std::size_t>(level)]);
    }
    const std::int64_t last = shape_.levels() - 1;
    for (std::int64_t level = 0; level <= last; ++level) {
      const auto in = channels[static_cast<std::size_t>(level)];
      const auto out = channels[static_cast<std::size_t>(level) + 1];
      const std::string down = "down" + number(level + 1);
      residual(down + "_first", in, in);
      say("a" + number(level) + " = x");
      residual(down + "_second", in, in);
      attention(down + "_attention", in, /*linear=*/true);
      say("b" + number(level) + " = x");
      convolution(down, in, out, level < last ? 4 : 3, level < last ? 2 : 1, 1);
      say("x = self." + down + ".forward(x)");
      if (level < last) length_ /= 2;
    }
    const auto middle = channels.back();
    residual("middle_first", middle, middle);
    attention("middle_attention", middle, /*linear=*/false);
    residual("middle_second", middle, middle);
    for (std::int64_t level = last; level >= 0; --level) {
      const auto out = channels[static_cast<std::size_t>(level)];
      const auto in = channels[static_cast<std::size_t>(level) + 1];
      const std::string up = "up" + number(level + 1);
      say("x = torch.cat([x, b" + number(level) + "], 1)");
      residual(up + "_first", in + out, in);
      say("x = torch.cat([x, a" + number(level) + "], 1)");
      residual(up + "_second", in + out, in);
      attention(up + "_attention", in, /*linear=*/true);
      if (level > 0) {
        length_ *= 2;
        say("x = torch.squeeze(torch.upsample_nearest2d(torch.unsqueeze(x, 3), [" + number(length_) +
            ", 1], None, None), 3)");
      }
      convolution(up, in, out, 3, 1, 1);
      say("x = self." + up + ".forward(x)");
    }
    say("x = torch.cat([x, first], 1)");
    residual("last", 2 * shape_.width, shape_.width);
    convolution("leave", shape_.width * length_, drawn_, 1, 1, 0);
    say("return torch.squeeze(self.leave.forward(torch.reshape(x, [-1, " + number(shape_.width * length_) + ", 1])), 2)");
  }

  // How many numbers of the time all blocks take, and which of them are scales.
  [[nodiscard]] std::int64_t shifts() const { return shifts_; }
  [[nodiscard]] const std::vector<std::pair<std::int64_t, std::int64_t>>& scales() const { return scales_; }

  // `times` answers them of steps [B].
  Module finish(Module times) {
    builder_.child("times", std::move(times));
    return builder_.finish("def forward(self, noised):\n" + body_);
  }

 private:
  void say(const std::string& line) { body_ += "    " + line + "\n"; }
  void convolution(const std::string& name, std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                   std::int64_t padding) {
    builder_.convolution1d(name, {in, out, kernel, stride, padding, /*before_relu=*/false});
  }

  void residual(const std::string& name, std::int64_t in, std::int64_t out) {
    for (const auto& [half, from] : {std::pair{"_in", in}, std::pair{"_out", out}}) {
      convolution(name + half, from, out, 3, 1, 1);
      builder_.group_norm(name + half + "_norm", groups_of_norm, out);
    }
    const auto slice = [&](std::int64_t first) {
      return "torch.unsqueeze(s[:, " + number(first) + ":" + number(first + out) + "], 2)";
    };
    say("h = self." + name + "_in_norm.forward(self." + name + "_in.forward(x))");
    say("h = torch.silu(torch.addcmul(" + slice(shifts_ + out) + ", h, " + slice(shifts_) + "))");
    say("h = torch.silu(self." + name + "_out_norm.forward(self." + name + "_out.forward(h)))");
    scales_.emplace_back(shifts_, out);
    shifts_ += 2 * out;
    if (in == out) {
      say("x = torch.add(h, x)");
      return;
    }
    convolution(name + "_across", in, out, 1, 1, 0);
    say("x = torch.add(h, self." + name + "_across.forward(x))");
  }

  void attention(const std::string& name, std::int64_t channels, bool linear) {
    builder_.group_norm(name + "_norm", 1, channels);
    convolution(name + "_asked", channels, 3 * hidden, 1, 1, 0);
    convolution(name + "_told", hidden, channels, 1, 1, 0);
    say("y = torch.reshape(self." + name + "_asked.forward(self." + name + "_norm.forward(x)), [-1, 3, " + number(heads) +
        ", " + number(head_size) + ", " + number(length_) + "])");
    say("q = torch.select(y, 1, 0)");
    say("k = torch.select(y, 1, 1)");
    say("v = torch.select(y, 1, 2)");
    const std::string scale = std::to_string(1.0 / std::sqrt(static_cast<double>(head_size)));
    if (linear) {
      say("q = torch.mul(torch.softmax(q, 2), " + scale + ")");
      say("y = torch.matmul(torch.matmul(v, torch.transpose(torch.softmax(k, 3), 2, 3)), q)");
    } else {
      say("w = torch.softmax(torch.mul(torch.matmul(torch.transpose(q, 2, 3), k), " + scale + "), 3)");
      say("y = torch.matmul(v, torch.transpose(w, 2, 3))");
    }
    say("y = self." + name + "_told.forward(torch.reshape(y, [-1, " + number(hidden) + ", " + number(length_) + "]))");
    if (linear) {
      builder_.group_norm(name + "_told_norm", 1, channels);
      say("y = self." + name + "_told_norm.forward(y)");
    }
    say("x = torch.add(x, y)");
  }

  DiffusionShape shape_;
  std::int64_t drawn_;
  std::int64_t length_;
  NetworkBuilder builder_;
  std::string body_;
  std::int64_t shifts_ = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> scales_;  // first, count
};

// Sines and cosines of the step (Vaswani et al. 2017), two layers, and what each block makes of those: for all blocks one
// layer. Scales start at 1.
Module make_times(const DenoiserWriter& writer, std::int64_t width, const at::Generator& random) {
  NetworkBuilder builder("__torch__.outcrop.Times", random);
  const auto waves = torch::exp(torch::arange(width / 2, torch::kDouble) *
                                (-std::log(slowest_wave) / static_cast<double>(width / 2 - 1)))
                         .to(torch::kFloat);
  builder.child("waves", leaf("Waves", {}, {{"each", waves}},
                              "    y = torch.mul(torch.unsqueeze(x, 1), self.each)\n"
                              "    return torch.cat([torch.sin(y), torch.cos(y)], 1)\n"));
  builder.linear("first", width, 4 * width);
  builder.linear("second", 4 * width, 4 * width);
  builder.linear("blocks", 4 * width, writer.shifts());
  Module times = builder.finish(
      "def forward(self, step):\n"
      "    x = torch.gelu(self.first.forward(self.waves.forward(step)))\n"
      "    return self.blocks.forward(torch.silu(self.second.forward(x)))\n");
  const torch::NoGradGuard no_gradient;
  const auto bias = times.attr("blocks").toModule().attr("bias").toTensor();
  for (const auto& [first, count] : writer.scales()) bias.slice(0, first, first + count).fill_(1.0);
  return times;
}

void check_length(const DiffusionShape& shape) {
  TORCH_CHECK(shape.length % shape.divisor() == 0 && shape.width % groups_of_norm == 0, "a diffusion of ", shape.levels(),
              " levels and a width of ", shape.width, " is of lengths of a multiple of ", shape.divisor(),
              " and of widths of a multiple of ", groups_of_norm, ", not of ", shape.length);
}

}  // namespace

Module make_denoiser(const DiffusionShape& shape, std::int64_t latent, std::uint64_t seed) {
  check_length(shape);
  const at::Generator random = at::detail::createCPUGenerator(seed);
  DenoiserWriter writer(shape, latent, random);
  writer.write();
  Module denoiser = writer.finish(make_times(writer, shape.width, random));
  const torch::NoGradGuard no_gradient;
  denoiser.attr("leave").toModule().attr("weight").toTensor().zero_();
  return denoiser;
}

Module denoiser_of_steps(const Module& denoiser, const DiffusionShape& shape, std::int64_t latent,
                         const std::vector<std::int64_t>& steps) {
  const torch::NoGradGuard no_gradient;
  DenoiserWriter writer(shape, latent, at::detail::createCPUGenerator(0));
  writer.write();
  Module times = denoiser.attr("times").toModule();
  const auto table = times.forward({torch::tensor(steps, torch::kLong).to(torch::kFloat)}).toTensor();
  Module tabled = writer.finish(leaf("TableOfSteps", {}, {{"each", table}},
                                     "    return torch.index_select(self.each, 0, x.to(4))\n"));
  std::map<std::string, torch::Tensor> trained;
  for (const auto& [name, tensor] : models::tensors_of(denoiser)) trained.emplace(name, tensor);
  for (const auto& [name, tensor] : models::tensors_of(tabled)) {
    if (!name.starts_with("times.")) tensor.copy_(trained.at(name));
  }
  tabled.eval();
  Module network = models::layered_form(tabled, {torch::zeros({1, latent + 1})});
  network.eval();
  const auto convolutions = operations_in(denoiser, "aten::conv1d");
  TORCH_CHECK(operations_in(network, "aten::conv2d") == convolutions && operations_in(network, "aten::conv1d") == 0,
              operations_in(network, "aten::conv2d"), " of ", convolutions,
              " convolutions along one axis became ones along two");
  return network;
}

std::int64_t operations_in(const Module& network, const char* operation) {
  std::int64_t count = 0;
  const auto graph = models::inlined_graph(network, "forward");
  for (const auto* node : graph->nodes()) count += node->kind().toQualString() == std::string(operation) ? 1 : 0;
  return count;
}

}  // namespace outcrop::generator
