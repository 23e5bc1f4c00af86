#include "trainer_host/trainer/quantize/corrections/corrected.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/support/result_matchers.hpp"
#include "trainer_host/trainer/quantize/corrections/adaptive_rounding.hpp"
#include "trainer_host/trainer/quantize/corrections/bias_correction.hpp"
#include "trainer_host/trainer/quantize/corrections/equalization.hpp"
#include "trainer_host/trainer/quantize/corrections/layer_inputs.hpp"
#include "trainer_host/trainer/quantize/corrections/smoothing.hpp"
#include "trainer_host/trainer/quantize/corrections/split_concatenation.hpp"

namespace outcrop::quantize {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using torch::Tensor;
using torch::jit::Module;

// Networks of layers with drawn weights, whose forwards tests write.
class Drawn {
 public:
  explicit Drawn(std::uint64_t seed) : random_(at::detail::createCPUGenerator(seed)) {
    network_.register_attribute("training", c10::BoolType::get(), false);
  }
  Drawn& layer(const std::string& name, const std::string& type, std::vector<std::int64_t> shape, std::int64_t outputs,
               const std::string& call) {
    Module layer("__torch__.torch.nn.modules." + type, unit_, /*shouldMangle=*/true);
    layer.register_parameter("weight", drawn(std::move(shape), 0.3), false);
    layer.register_parameter("bias", drawn({outputs}, 0.2), false);
    layer.define("def forward(self, x):\n    return torch." + call + "\n");
    network_.register_module(name, layer);
    return *this;
  }
  Drawn& convolution(const std::string& name, std::int64_t in, std::int64_t out, std::int64_t groups = 1) {
    return layer(name, "conv.Conv2d", {out, in / groups, 3, 3}, out,
                 "conv2d(x, self.weight, self.bias, [1, 1], [1, 1], [1, 1], " + std::to_string(groups) + ")");
  }
  Drawn& transposed(const std::string& name, std::int64_t in, std::int64_t out) {
    return layer(name, "conv.ConvTranspose2d", {in, out, 3, 3}, out,
                 "conv_transpose2d(x, self.weight, self.bias, [2, 2], [1, 1], [0, 0], 1, [1, 1])");
  }
  Drawn& norm(const std::string& name, const Tensor& weight) {
    Module norm("__torch__.torch.nn.modules.normalization.LayerNorm", unit_, /*shouldMangle=*/true);
    norm.register_parameter("weight", weight, false);
    norm.register_parameter("bias", drawn({weight.size(0)}, 0.2), false);
    norm.define("def forward(self, x):\n    return torch.layer_norm(x, [" + std::to_string(weight.size(0)) +
                "], self.weight, self.bias, 1e-5, False)\n");
    network_.register_module(name, norm);
    return *this;
  }
  Drawn& linear(const std::string& name, std::int64_t in, std::int64_t out) {
    return layer(name, "linear.Linear", {out, in}, out, "linear(x, self.weight, self.bias)");
  }
  Module with(const std::string& body) {
    network_.define("def forward(self, x):\n" + body);
    return network_;
  }
  Tensor drawn(std::vector<std::int64_t> shape, double deviation) {
    return torch::empty(shape).normal_(0.0, deviation, random_);
  }

 private:
  at::Generator random_;
  std::shared_ptr<torch::jit::CompilationUnit> unit_ = std::make_shared<torch::jit::CompilationUnit>();
  Module network_{"__torch__.Network", unit_, /*shouldMangle=*/true};
};

Tensor weight_of(const Module& network, const std::string& layer) {
  return network.attr(layer).toModule().attr("weight").toTensor();
}

// Channel c of what `layer` answers as many times as large, and what `next` takes of it as many times smaller.
void unbalance(Module& network, const std::string& layer, std::int64_t axis, const std::string& next, std::int64_t next_axis) {
  Module first = network.attr(layer).toModule();
  Module second = network.attr(next).toModule();
  const auto channels = weight_of(network, layer).size(axis);
  const auto factors = torch::pow(10.0, torch::linspace(-1.5, 1.5, channels));
  const auto along = [&](const Tensor& weight, std::int64_t one) {
    std::vector<std::int64_t> shape(static_cast<std::size_t>(weight.dim()), 1);
    shape[static_cast<std::size_t>(one)] = -1;
    return factors.reshape(shape);
  };
  const auto weight = weight_of(network, layer);
  first.setattr("weight", weight * along(weight, axis));
  first.setattr("bias", first.attr("bias").toTensor() * factors);
  const auto next_weight = weight_of(network, next);
  second.setattr("weight", next_weight / along(next_weight, next_axis));
}

Tensor spans_of(const Tensor& weight, std::int64_t axis) {
  return weight.transpose(0, axis).flatten(1).abs().amax(1);
}

TEST(Equalization, evens_spans_along_chains_and_answers_the_same) {
  const torch::NoGradGuard no_gradient;
  Drawn drawn(3);
  Module network = drawn.convolution("a", 3, 6)
                       .transposed("b", 6, 5)
                       .convolution("c", 5, 5, 5)
                       .convolution("d", 5, 4)
                       .with("    x = torch.relu(self.a.forward(x))\n"
                             "    x = torch.leaky_relu(self.b.forward(x), 0.1)\n"
                             "    x = self.c.forward(torch.max_pool2d(x, [2, 2], [2, 2], [0, 0], [1, 1], False))\n"
                             "    return self.d.forward(torch.relu(x))\n");
  unbalance(network, "a", 0, "b", 0);
  unbalance(network, "b", 1, "c", 0);
  unbalance(network, "c", 0, "d", 1);
  const auto images = drawn.drawn({4, 3, 6, 6}, 1.0);
  const auto truth = network.forward({images}).toTensor();
  EXPECT_EQ(equalize(network), 3U);
  EXPECT_TRUE(torch::allclose(network.forward({images}).toTensor(), truth, 1e-3, 1e-4));
  const std::vector<std::pair<Tensor, Tensor>> met{
      {spans_of(weight_of(network, "a"), 0), spans_of(weight_of(network, "b"), 0)},
      {spans_of(weight_of(network, "b"), 1), spans_of(weight_of(network, "c"), 0)},
      {spans_of(weight_of(network, "c"), 0), spans_of(weight_of(network, "d"), 1)}};
  for (const auto& [out, in] : met) EXPECT_TRUE(torch::allclose(out, in, 2e-2));
}

TEST(Equalization, works_on_linear_layers) {
  const torch::NoGradGuard no_gradient;
  Drawn drawn(4);
  Module network = drawn.linear("a", 5, 8).linear("b", 8, 3).with("    return self.b.forward(torch.relu(self.a.forward(x)))\n");
  unbalance(network, "a", 0, "b", 1);
  const auto rows = drawn.drawn({7, 5}, 1.0);
  const auto truth = network.forward({rows}).toTensor();
  EXPECT_EQ(equalize(network), 1U);
  EXPECT_TRUE(torch::allclose(network.forward({rows}).toTensor(), truth, 1e-3, 1e-4));
  EXPECT_TRUE(torch::allclose(spans_of(weight_of(network, "a"), 0), spans_of(weight_of(network, "b"), 1), 1e-3));
}

TEST(Equalization, leaves_alone_what_is_read_elsewhere_or_goes_through_other_functions) {
  const torch::NoGradGuard no_gradient;
  for (const std::string& body :
       {std::string("    y = self.a.forward(x)\n    return self.b.forward(torch.relu(y)) + y.mean()\n"),
        std::string("    return self.b.forward(torch.hardtanh(self.a.forward(x), 0.0, 6.0))\n"),
        std::string("    return self.b.forward(torch.relu(self.a.forward(self.b.forward(x))))\n")}) {
    Drawn drawn(5);
    Module network = drawn.convolution("a", 3, 3).convolution("b", 3, 3).with(body);
    const auto before = weight_of(network, "a").clone();
    EXPECT_EQ(equalize(network), 0U) << body;
    EXPECT_TRUE(torch::equal(weight_of(network, "a"), before));
  }
}

// Two columns of what the norm answers are far larger than the others, as encoders of texts have them, and weigh as much less.
Module network_with_a_loud_norm(Drawn& drawn, const std::string& body) {
  Tensor weight = torch::ones({16});
  weight[3] = 40.0;
  weight[9] = -25.0;
  drawn.norm("norm", weight).linear("one", 16, 12).linear("two", 16, 12).linear("sum", 16, 12).linear("last", 12, 4);
  Module network = drawn.with(body);
  for (const char* reader : {"one", "two"}) {
    network.attr(reader).toModule().setattr("weight", weight_of(network, reader) / weight.abs());
  }
  return network;
}

TEST(Smoothing, evens_what_a_norm_hands_to_linear_layers_and_answers_the_same) {
  const torch::NoGradGuard no_gradient;
  Drawn drawn(12);
  Module network = network_with_a_loud_norm(
      drawn,
      "    y = self.norm.forward(x)\n"
      "    z = torch.relu(self.one.forward(y)) + self.two.forward(y.transpose(0, 1)).transpose(0, 1)\n"
      "    return self.last.forward(torch.relu(z + self.sum.forward(torch.tanh(y))))\n");
  const auto rows = drawn.drawn({32, 5, 16}, 1.0);
  const auto truth = network.forward({rows}).toTensor();
  network = reload(network);
  Module kept = reload(network);
  EXPECT_TRUE(smooth(kept, rows, 8, {"one", "two"}, [](const LayerCall&) { return std::nullopt; }).empty());
  EXPECT_THAT(smooth(network, rows, 8, {}, [](const LayerCall&) { return std::nullopt; }), ElementsAre("one", "two"));
  network = reload(network);
  EXPECT_TRUE(torch::allclose(network.forward({rows}).toTensor(), truth, 1e-3, 1e-3));
  // What reads the norm otherwise reads it as it was; rounded, the columns differ by less.
  std::map<std::string, Tensor> inputs;
  visit_layer_inputs(network, rows, 32, [&](const LayerCall& call, const Tensor& x) { inputs[call.name] = x.abs().amax(0); });
  EXPECT_LT((inputs["one"].max() / inputs["one"].median()).item<double>(), 10.0);
  EXPECT_TRUE(torch::allclose(inputs["one"], inputs["two"]));
}

// Mean answers of each channel with rounded weights, without and with the correction.
TEST(BiasCorrection, takes_back_what_rounding_does_to_means) {
  const torch::NoGradGuard no_gradient;
  Drawn drawn(6);
  Module network = drawn.convolution("a", 3, 6).transposed("b", 6, 5).with("    return self.b.forward(torch.relu(self.a.forward(x)))\n");
  const auto images = drawn.drawn({20, 3, 6, 6}, 1.0) + 1.0;
  const auto rounded = [](const LayerCall& call) { return (call.weight() / 0.4).round() * 0.4; };
  std::map<std::string, Tensor> inputs;
  visit_layer_inputs(network, images, 20, [&](const LayerCall& call, const Tensor& x) { inputs[call.name] = x; });
  std::map<std::string, Tensor> truth;
  std::map<std::string, Tensor> off;
  for (const LayerCall& call : layer_calls(network)) {
    truth[call.name] = call.run(inputs[call.name], call.weight(), call.bias()).mean({0, 2, 3});
    off[call.name] = call.run(inputs[call.name], rounded(call), call.bias()).mean({0, 2, 3});
  }
  EXPECT_EQ(correct_biases(network, images, 7, rounded), 2U);
  for (const LayerCall& call : layer_calls(network)) {
    const auto corrected = call.run(inputs[call.name], rounded(call), call.bias()).mean({0, 2, 3});
    EXPECT_GT((off[call.name] - truth[call.name]).abs().max().item<double>(), 0.05);
    EXPECT_LT((corrected - truth[call.name]).abs().max().item<double>(), 1e-4);
  }
}

TEST(AdaptiveRounding, answers_nearer_to_float_than_rounding_to_nearest) {
  Drawn drawn(7);
  Module network = drawn.convolution("a", 3, 6).transposed("b", 6, 4).linear("c", 11, 5).with(
      "    x = torch.relu(self.a.forward(x))\n    return self.c.forward(torch.relu(self.b.forward(x)))\n");
  // Inputs that go together: their errors can take each other back.
  const auto images = drawn.drawn({32, 1, 6, 6}, 1.0).expand({32, 3, 6, 6}) + drawn.drawn({32, 3, 6, 6}, 0.2);
  std::map<std::string, Tensor> inputs;
  {
    const torch::NoGradGuard no_gradient;
    visit_layer_inputs(network, images, 32, [&](const LayerCall& call, const Tensor& x) { inputs[call.name] = x.clone(); });
  }
  std::map<std::string, Tensor> float_weights;
  for (const LayerCall& call : layer_calls(network)) float_weights[call.name] = call.weight().clone();
  std::vector<std::string> said;
  AdaptiveRounding how{.iterations = 250, .batch = 16};
  how.progress = [&](const std::string& layer, double) { said.push_back(layer); };
  const auto scales = round_adaptively(
      network, images, how, [](const LayerCall&) { return std::nullopt; }, [](const LayerCall& call) { return call.name == "c"; });
  EXPECT_THAT(said, ElementsAre("a", "b"));
  ASSERT_EQ(scales.size(), 2U);
  for (const LayerCall& call : layer_calls(network)) {
    const auto truth = float_weights[call.name];
    if (call.name == "c") {
      EXPECT_TRUE(torch::equal(call.weight(), truth));
      continue;
    }
    const auto codes = call.weight() / scales.at(call.name);
    EXPECT_LT((codes - codes.round()).abs().max().item<double>(), 1e-3);
    const auto nearest = (truth / scales.at(call.name)).round().clamp(-127, 127) * scales.at(call.name);
    const auto error = [&](const Tensor& weight) {
      return call.run(inputs[call.name], weight - truth, std::nullopt).square().mean().item<double>();
    };
    EXPECT_LT(error(call.weight()), 0.97 * error(nearest)) << call.name;
  }
}

Module shortcut(Drawn& drawn) {
  return drawn.convolution("loud", 3, 4).convolution("quiet", 3, 4).convolution("mix", 8, 4).with(
      "    a = torch.relu(self.loud.forward(x))\n"
      "    b = torch.relu(self.quiet.forward(x))\n"
      "    return torch.relu(self.mix.forward(torch.cat([a, b], 1)))\n");
}

// `quiet` says twenty-fold less, and what it says weighs twenty-fold more.
void make_quiet(Module& network) {
  Module quiet = network.attr("quiet").toModule();
  quiet.setattr("weight", quiet.attr("weight").toTensor() * 0.05);
  quiet.setattr("bias", quiet.attr("bias").toTensor() * 0.05);
  Module mix = network.attr("mix").toModule();
  auto weight = mix.attr("weight").toTensor().clone();
  weight.slice(1, 4, 8).mul_(20.0);
  weight.slice(1, 0, 4).mul_(0.2);
  mix.setattr("weight", weight);
}

TEST(SplitConcatenation, gives_inputs_layers_of_their_own_where_ranges_differ) {
  const torch::NoGradGuard no_gradient;
  Drawn drawn(8);
  Module network = shortcut(drawn);
  const auto images = drawn.drawn({8, 3, 6, 6}, 1.0);
  EXPECT_TRUE(split_concatenations(network, images, 4, 4.0, {}).empty());  // not here
  make_quiet(network);
  network = reload(network);
  const auto truth = network.forward({images}).toTensor();
  Module kept = reload(network);
  EXPECT_TRUE(split_concatenations(kept, images, 4, 4.0, {"mix"}).empty());
  Module rewritten = reload(network);
  EXPECT_THAT(split_concatenations(rewritten, images, 4, 4.0, {}), ElementsAre("mix"));
  EXPECT_TRUE(torch::allclose(rewritten.forward({images}).toTensor(), truth, 1e-4, 1e-5));
  std::vector<std::string> names;
  for (const LayerCall& call : layer_calls(rewritten)) names.push_back(call.name);
  EXPECT_THAT(names, ElementsAre("loud", "quiet", "mix_of_1", "mix_of_2"));
}

class Corrections : public ::testing::TestWithParam<ActivationType> {
 protected:
  StaticQuantization options() const {
    StaticQuantization options;
    options.activations = GetParam();
    return options;
  }
};

INSTANTIATE_TEST_SUITE_P(Kernels, Corrections, ::testing::Values(ActivationType::quint8, ActivationType::qint8),
                         [](const auto& kernels) { return kernels.param == ActivationType::quint8 ? "quint8" : "qint8"; });

double signal_to_noise(Module network, Module other, const Tensor& images) {
  const auto truth = network.forward({images}).toTensor();
  const auto error = other.forward({images}).toTensor() - truth;
  return 10.0 * std::log10((truth.square().sum() / error.square().sum()).item<double>());
}

TEST_P(Corrections, that_measure_better_stay_and_say_what_they_brought) {
  const torch::NoGradGuard no_gradient;
  Drawn drawn(9);
  Module network = shortcut(drawn);
  make_quiet(network);
  const auto images = drawn.drawn({40, 3, 6, 6}, 1.0);
  CorrectionOptions how;
  how.wanted = {"split-inputs"};
  std::vector<std::string> said;
  how.progress = [&](std::string_view what, double) { said.emplace_back(what); };
  auto corrected = correct(network, images, options(), how);
  ASSERT_THAT(corrected, IsOk());
  ASSERT_EQ(corrected->steps.size(), 1U);
  EXPECT_EQ(corrected->steps[0].name, "split-inputs");
  EXPECT_TRUE(corrected->steps[0].kept);
  EXPECT_LT(corrected->steps[0].after, 0.2 * corrected->steps[0].before);
  EXPECT_THAT(said, ElementsAre("split-inputs"));
  const auto plain = quantize_static(network, images, options());
  ASSERT_THAT(plain, IsOk());
  const auto better = quantize_static(corrected->network, images, options());
  ASSERT_THAT(better, IsOk());
  EXPECT_EQ(better->plan.size(), 4U);
  EXPECT_GT(signal_to_noise(network, better->module, images), signal_to_noise(network, plain->module, images) + 7.0);
}

TEST_P(Corrections, of_norms_measure_better_where_few_columns_are_large) {
  Drawn drawn(12);
  const Module network = network_with_a_loud_norm(
      drawn,
      "    y = self.norm.forward(x)\n"
      "    return self.last.forward(torch.relu(self.one.forward(y) + self.two.forward(y)))\n");
  CorrectionOptions how;
  how.wanted = {"smoothing"};
  const auto corrected = correct(network, drawn.drawn({40, 5, 16}, 1.0), options(), how);
  ASSERT_THAT(corrected, IsOk());
  ASSERT_EQ(corrected->steps.size(), 1U);
  EXPECT_TRUE(corrected->steps[0].kept);
  EXPECT_LT(corrected->steps[0].after, 0.7 * corrected->steps[0].before);
}

TEST_P(Corrections, of_several_outputs_are_judged_by_each_ones_share) {
  Drawn drawn(11);
  drawn.convolution("a", 3, 6).convolution("b", 6, 6).convolution("c", 6, 4);
  Module network = drawn.with(
      "    y = torch.relu(self.b.forward(torch.relu(self.a.forward(x))))\n"
      "    return self.c.forward(y), y * 1000.0\n");
  CorrectionOptions how;
  how.wanted = {"bias"};
  const auto corrected = correct(network, drawn.drawn({40, 3, 6, 6}, 1.0), options(), how);
  ASSERT_THAT(corrected, IsOk());
  ASSERT_EQ(corrected->steps.size(), 1U);
  // Two shares of a few hundredths of a percent, whatever the unit of the second is.
  EXPECT_GT(corrected->steps[0].before, 0.0);
  EXPECT_LT(corrected->steps[0].before, 0.01);
}

TEST_P(Corrections, never_end_with_more_error_than_they_began) {
  Drawn drawn(10);
  Module network = drawn.convolution("a", 3, 6)
                       .convolution("b", 6, 6)
                       .transposed("c", 6, 4)
                       .with("    x = torch.relu(self.a.forward(x))\n    return self.c.forward(torch.relu(self.b.forward(x)))\n");
  unbalance(network, "b", 0, "c", 0);
  const auto images = drawn.drawn({40, 3, 6, 6}, 1.0);
  CorrectionOptions how;
  how.wanted.emplace_back("adaround");
  how.rounding.iterations = 40;
  auto corrected = correct(network, images, options(), how);
  ASSERT_THAT(corrected, IsOk());
  ASSERT_EQ(corrected->steps.size(), 3U);
  double error = corrected->steps.front().before;
  for (const CorrectionStep& step : corrected->steps) {
    EXPECT_EQ(step.before, error) << step.name;
    EXPECT_EQ(step.kept, step.after < step.before);
    if (step.kept) error = step.after;
  }
  EXPECT_EQ(corrected->steps[0].name, "equalization");
  EXPECT_TRUE(corrected->steps[0].kept);
  auto options_then = options();
  options_then.weight_scales = corrected->weight_scales;
  const auto quantized = quantize_static(corrected->network, images, options_then);
  ASSERT_THAT(quantized, IsOk());
  const torch::NoGradGuard no_gradient;
  const auto plain = quantize_static(network, images, options());
  ASSERT_THAT(plain, IsOk());
  EXPECT_GT(signal_to_noise(network, quantized->module, images), signal_to_noise(network, plain->module, images));
}

TEST(Corrections, are_not_tried_on_a_handful_of_samples_and_are_known_by_name) {
  Drawn drawn(11);
  Module network = drawn.convolution("a", 3, 6).convolution("b", 6, 3).with("    return self.b.forward(torch.relu(self.a.forward(x)))\n");
  const auto corrected = correct(network, drawn.drawn({1, 3, 6, 6}, 1.0), {}, {});
  ASSERT_THAT(corrected, IsOk());
  EXPECT_TRUE(corrected->steps.empty());
  CorrectionOptions how;
  how.wanted = {"magic"};
  EXPECT_THAT(correct(network, drawn.drawn({20, 3, 6, 6}, 1.0), {}, how),
              ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("'magic'"), HasSubstr("equalization"))));
  EXPECT_THAT(usual_corrections(), ElementsAre("split-inputs", "equalization", "bias"));
}

}  // namespace
}  // namespace outcrop::quantize
