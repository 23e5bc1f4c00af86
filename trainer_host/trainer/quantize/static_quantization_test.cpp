#include "trainer_host/trainer/quantize/static_quantization.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/native/quantized/PackedParams.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/mobile/import.h>

#include <array>
#include <map>
#include <sstream>
#include <utility>
#include <vector>

#include "tests/support/result_matchers.hpp"
#include "trainer_host/trainer/models/layered_form.hpp"
#include "trainer_host/trainer/quantize/operator_counter.hpp"
#include "trainer_host/trainer/quantize/small_generator_for_tests.hpp"

namespace outcrop::quantize {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using torch::jit::Module;

Module leaf(const std::shared_ptr<torch::jit::CompilationUnit>& unit, const std::string& type,
            const torch::Tensor& weight, const std::string& call) {
  Module module("__torch__.torch.nn.modules." + type, unit, /*shouldMangle=*/true);
  module.register_parameter("weight", weight, false);
  module.register_parameter("bias", torch::full({weight.size(0)}, 0.1), false);
  module.define("def forward(self, x):\n    return " + call + "\n");
  return module;
}

Module convolution(const std::shared_ptr<torch::jit::CompilationUnit>& unit) {
  at::Generator random = at::detail::createCPUGenerator(3);
  return leaf(unit, "conv.Conv2d", torch::empty({4, 4, 3, 3}).normal_(0.0, 0.3, random),
              "torch.conv2d(x, self.weight, self.bias, [1, 1], [1, 1], [1, 1], 1)");
}

// A network around one convolution named "inner", and a transposed one named "spread", with `body`
// as its forward.
Module network_of(const std::string& body) {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  Module network("__torch__.Network", unit, /*shouldMangle=*/true);
  network.register_attribute("training", c10::BoolType::get(), false);
  network.register_module("inner", convolution(unit));
  network.register_module(
      "spread", leaf(unit, "conv.ConvTranspose2d", convolution(unit).attr("weight").toTensor(),
                     "torch.conv_transpose2d(x, self.weight, self.bias, [2, 2], [1, 1], [0, 0], 1, "
                     "[1, 1])"));
  network.register_module("norm",
                          leaf(unit, "normalization.GroupNorm", torch::ones({4}),
                               "torch.group_norm(x, 2, self.weight, self.bias, 1e-5, True)"));
  network.define("def forward(self, x):\n" + body);
  return network;
}

torch::Tensor small_images() {
  at::Generator random = at::detail::createCPUGenerator(5);
  return torch::empty({8, 4, 6, 6}).normal_(0.0, 1.0, random);
}

double relative_error(const torch::Tensor& output, const torch::Tensor& truth) {
  return ((output - truth).norm() / truth.norm()).item<double>();
}

class StaticQuantizationOf : public ::testing::TestWithParam<ActivationType> {
 protected:
  StaticQuantization options() const {
    StaticQuantization options;
    options.activations = GetParam();
    return options;
  }
};

INSTANTIATE_TEST_SUITE_P(Kernels, StaticQuantizationOf,
                         ::testing::Values(ActivationType::quint8, ActivationType::qint8),
                         [](const auto& kernels) {
                           return kernels.param == ActivationType::quint8 ? "quint8" : "qint8";
                         });

TEST_P(StaticQuantizationOf, decoders_executes_every_planned_layer_in_int8) {
  const torch::NoGradGuard no_grad;
  const auto small = make_small_generator();
  const auto levelled = make_small_generator(/*levels=*/6);
  const auto latents = small_latents(32).reshape({32, 32, 1, 1});
  const std::vector<std::pair<Module, std::size_t>> decoders{
      {small.velocity_decoder, generator::velocity_decoder_layers(small.shape).size()},
      {small.seismic_decoder, generator::seismic_decoder_layers(small.shape).size()},
      {levelled.velocity_decoder, generator::velocity_decoder_layers(levelled.shape).size()}};
  for (const auto& [decoder, layers] : decoders) {
    auto quantized = quantize_static(decoder, latents, options());
    ASSERT_THAT(quantized, IsOk());
    EXPECT_EQ(quantized->plan.size(), layers);

    std::stringstream bytes;
    quantized->module._save_for_mobile(bytes);
    auto lite = torch::jit::_load_for_mobile(bytes);
    const auto truth = Module(decoder).forward({latents.slice(0, 0, 1)}).toTensor();
    OperatorCounter counter;
    const auto output = lite.forward({latents.slice(0, 0, 1)}).toTensor();
    std::size_t executed = 0;
    for (const auto& [name, count] : counter.counts()) {
      if (!planned_operation_of(name).empty()) executed += static_cast<std::size_t>(count);
    }
    EXPECT_EQ(executed, layers);
    EXPECT_THAT(check_against_plan(counter.counts(), quantized->plan), IsOk());
    EXPECT_LT(relative_error(output, truth), 0.1);
    EXPECT_GT(relative_error(output, truth), 0.0);
  }
}

TEST_P(StaticQuantizationOf, a_module_used_twice_gives_each_call_its_own_weights) {
  const torch::NoGradGuard no_grad;
  Module network = network_of("    return self.inner.forward(torch.relu(self.inner.forward(x)))\n");
  auto quantized = quantize_static(network, small_images(), options());
  ASSERT_THAT(quantized, IsOk());
  EXPECT_EQ(quantized->plan.size(), 2U);
  const auto truth = network.forward({small_images()}).toTensor();
  EXPECT_LT(relative_error(quantized->module.forward({small_images()}).toTensor(), truth), 0.05);
}

// With one packed object for two calls of one input scale, the second would answer in the first one's output scale
// (FACTS: 0 dB, in silence).
TEST_P(StaticQuantizationOf, calls_of_one_input_and_other_output_scales_have_packed_weights_of_their_own) {
  const torch::NoGradGuard no_grad;
  for (const std::string layer : {"inner", "spread"}) {
    const std::string call = "self." + layer + ".forward(x)";
    Module network = network_of("    return torch.cat([torch.relu(" + call + "), " + call + "], 1)\n");
    auto quantized = quantize_static(network, small_images(), options());
    ASSERT_THAT(quantized, IsOk());
    std::map<std::string, std::size_t> uses;
    for (const auto* node : quantized->module.get_method("forward").graph()->nodes()) {
      if (node->kind() != torch::jit::prim::GetAttr) continue;
      const std::string name = node->s(torch::jit::attr::name);
      if (name.find("packed") != std::string::npos) uses[name] += node->output()->uses().size();
    }
    EXPECT_EQ(uses.size(), 2U);
    for (const auto& [name, count] : uses) EXPECT_EQ(count, 1U) << name;
    const auto truth = network.forward({small_images()}).toTensor();
    EXPECT_LT(relative_error(quantized->module.forward({small_images()}).toTensor(), truth), 0.05) << layer;
  }
}

TEST_P(StaticQuantizationOf, batch_norms_behind_transposed_convolutions_fold) {
  const torch::NoGradGuard no_grad;
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  at::Generator random = at::detail::createCPUGenerator(9);
  for (const bool with_bias : {true, false}) {
    Module network("__torch__.Network", unit, /*shouldMangle=*/true);
    network.register_attribute("training", c10::BoolType::get(), false);
    Module spread("__torch__.torch.nn.modules.conv.ConvTranspose2d", unit, /*shouldMangle=*/true);
    spread.register_parameter("weight", torch::empty({4, 3, 3, 3}).normal_(0.0, 0.3, random), false);
    if (with_bias) spread.register_parameter("bias", torch::empty({6}).normal_(0.0, 0.3, random), false);
    spread.define(std::string("def forward(self, x):\n    return torch.conv_transpose2d(x, self.weight, ") +
                  (with_bias ? "self.bias" : "None") + ", [2, 2], [1, 1], [1, 1], 2, [1, 1])\n");
    network.register_module("spread", spread);
    Module norm("__torch__.torch.nn.modules.batchnorm.BatchNorm2d", unit, /*shouldMangle=*/true);
    norm.register_parameter("weight", torch::empty({6}).uniform_(0.5, 2.0, random), false);
    norm.register_parameter("bias", torch::empty({6}).normal_(0.0, 1.0, random), false);
    norm.register_buffer("running_mean", torch::empty({6}).normal_(0.0, 1.0, random));
    norm.register_buffer("running_var", torch::empty({6}).uniform_(0.5, 2.0, random));
    norm.register_attribute("training", c10::BoolType::get(), false);
    norm.define(
        "def forward(self, x):\n"
        "    return torch.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, "
        "self.training, 0.1, 1e-5, False)\n");
    network.register_module("norm", norm);
    network.define("def forward(self, x):\n    return torch.relu(self.norm.forward(self.spread.forward(x)))\n");
    const auto truth = network.forward({small_images()}).toTensor();
    for (const Module& form : {network, models::layered_form(network)}) {
      Module folded = fold_batch_norm(form);
      EXPECT_EQ(count_graph_operators(folded, "forward").count("aten::batch_norm"), 0U);
      EXPECT_TRUE(torch::allclose(folded.forward({small_images()}).toTensor(), truth, 1e-4, 1e-5));
      EXPECT_TRUE(torch::allclose(Module(form).forward({small_images()}).toTensor(), truth, 1e-4, 1e-5));
    }
    auto quantized = quantize_static(network, small_images(), options());
    ASSERT_THAT(quantized, IsOk());
    EXPECT_LT(relative_error(quantized->module.forward({small_images()}).toTensor(), truth), 0.05);
  }
}

TEST_P(StaticQuantizationOf, a_transposed_convolution_keeps_its_relu_only_for_codes_below_zero) {
  const torch::NoGradGuard no_grad;
  const std::vector<std::pair<std::string, std::size_t>> kept{
      {"    return torch.relu(self.spread.forward(x))\n", 0},
      {"    y = self.spread.forward(x)\n    return torch.relu(y) + y\n", 1}};
  for (const auto& [body, relus] : kept) {
    Module network = network_of(body);
    auto quantized = quantize_static(network, small_images(), options());
    ASSERT_THAT(quantized, IsOk());
    EXPECT_EQ(count_graph_operators(quantized->module, "forward").count("aten::relu"), relus);
    const auto truth = network.forward({small_images()}).toTensor();
    EXPECT_LT(relative_error(quantized->module.forward({small_images()}).toTensor(), truth), 0.05);
  }
}

// The same packed convolution with all weights 0.
c10::IValue zeroed(const c10::IValue& packed) {
  const auto original = packed.toCustomClass<ConvPackedParamsBase<2>>();
  const auto [weight, bias] = original->unpack();
  const auto values = torch::zeros_like(weight.dequantize());
  const auto zeros = weight.qscheme() == c10::kPerTensorAffine
                         ? torch::quantize_per_tensor(values, weight.q_scale(), 0, torch::kQInt8)
                         : torch::quantize_per_channel(values, weight.q_per_channel_scales(),
                                                       weight.q_per_channel_zero_points(),
                                                       weight.q_per_channel_axis(), torch::kQInt8);
  const char* name =
      original->transpose() ? "quantized::conv_transpose2d_prepack" : "quantized::conv2d_prepack";
  torch::jit::Stack stack{zeros, bias, original->stride(), original->padding()};
  if (original->transpose()) stack.emplace_back(original->output_padding());
  stack.emplace_back(original->dilation());
  stack.emplace_back(original->groups());
  c10::Dispatcher::singleton().findSchemaOrThrow(name, "").callBoxed(&stack);
  return stack.back();
}

TEST_P(StaticQuantizationOf, decoders_depends_on_every_packed_weight) {
  const torch::NoGradGuard no_grad;
  const auto small = make_small_generator();
  const auto latents = small_latents(32).reshape({32, 32, 1, 1});
  for (const Module& decoder : {small.velocity_decoder, small.seismic_decoder}) {
    auto quantized = quantize_static(decoder, latents, options());
    ASSERT_THAT(quantized, IsOk());
    Module& module = quantized->module;
    const auto few = latents.slice(0, 0, 2);
    const auto truth = module.forward({few}).toTensor();
    std::size_t layers = 0;
    for (const auto& attribute : module.named_attributes(/*recurse=*/false)) {
      if (attribute.name.find("packed_weight") == std::string::npos) continue;
      module.setattr(attribute.name, zeroed(attribute.value));
      EXPECT_FALSE(torch::equal(module.forward({few}).toTensor(), truth)) << attribute.name;
      module.setattr(attribute.name, attribute.value);
      ++layers;
    }
    EXPECT_EQ(layers, quantized->plan.size());
    EXPECT_TRUE(torch::equal(module.forward({few}).toTensor(), truth));
  }
}

// What U-Nets with a time, or detectors with two heads, are like.
TEST_P(StaticQuantizationOf, several_tensors_to_several_is_near_float_in_each) {
  const torch::NoGradGuard no_grad;
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  Module network("__torch__.Network", unit, /*shouldMangle=*/true);
  network.register_attribute("training", c10::BoolType::get(), false);
  for (const char* name : {"one", "other", "last"}) network.register_module(name, convolution(unit));
  network.define(
      "def forward(self, a, b, scale):\n"
      "    x = torch.relu(self.one.forward(a)) + self.other.forward(b) * scale\n"
      "    return self.last.forward(x), torch.mean(x, [2, 3]), torch.argmax(a, 1)\n");
  const ArgumentRows rows(std::vector<torch::Tensor>{small_images(), small_images().flip({0, 3}) * 5.0,
                                                     torch::linspace(0.5, 1.5, small_images().size(0)).reshape({-1, 1, 1, 1})});
  const auto quantized = quantize_static(network, rows, options());
  ASSERT_THAT(quantized, IsOk());
  EXPECT_EQ(quantized->plan.size(), 3U);
  const auto truth = answers_to(rows, network, 4);
  const auto answers = answers_to(rows, quantized->module, 4);
  ASSERT_EQ(answers.size(), 3U);
  for (std::size_t i = 0; i < 2; ++i) {
    const double share = ((answers[i] - truth[i]).norm() / truth[i].norm()).item<double>();
    EXPECT_GT(share, 0.0) << i;
    EXPECT_LT(share, i == 0 ? 0.03 : 0.1) << i;  // means are in the codes of what they are of
  }
  // Of the first input, which is in codes for whoever reads it.
  EXPECT_GT((answers[2] == truth[2]).to(torch::kFloat).mean().item<double>(), 0.95);
  EXPECT_THAT(quantize_static(network, small_images(), options()),
              ErrorIs(ErrorCode::unsupported, AllOf(HasSubstr("takes 3 tensors"), HasSubstr("rows for 1"))));
}

TEST_P(StaticQuantizationOf, layers_in_a_loop_fails_instead_of_staying_float) {
  Module network = network_of(
      "    for i in range(2):\n"
      "        x = torch.relu(self.inner.forward(x))\n"
      "    return x\n");
  EXPECT_THAT(quantize_static(network, small_images(), options()),
              ErrorIs(ErrorCode::unsupported, AllOf(HasSubstr("'inner'"), HasSubstr("Loop"))));
}

TEST_P(StaticQuantizationOf, a_network_without_any_layer_is_refused) {
  Module nothing = network_of("    return torch.relu(x)\n");
  EXPECT_THAT(quantize_static(nothing, small_images(), options()),
              ErrorIs(ErrorCode::unsupported, HasSubstr("no layer")));
}

TEST(LayerPlan, has_what_static_int8_has_no_kernel_for) {
  const torch::NoGradGuard no_grad;
  const auto image = small_images().slice(0, 0, 1);  // [1, 4, 6, 6]
  Module network = network_of(
      "    y = self.norm.forward(self.inner.forward(x))\n"
      "    return torch.matmul(y, y)\n");
  const auto layers = find_layers(network, {image});
  ASSERT_EQ(layers.size(), 3U);
  EXPECT_EQ(layers[0].name, "inner");
  EXPECT_EQ(layers[0].multiply_adds, 4 * 4 * 3 * 3 * 6 * 6);
  EXPECT_EQ(layers[1].name, "norm");
  EXPECT_EQ(layers[1].operation, "group_norm");
  EXPECT_EQ(layers[1].multiply_adds, 0);
  EXPECT_EQ(layers[2].name, "matmul");
  EXPECT_EQ(layers[2].multiply_adds, 4 * 6 * 6 * 6);
  EXPECT_EQ(layers[2].weights, 0);
  // A loop runs its layer as often as it says.
  Module loop = network_of("    for i in range(3):\n        x = self.inner.forward(x)\n    return x\n");
  const auto repeated = find_layers(loop, {image});
  ASSERT_EQ(repeated.size(), 1U);
  EXPECT_EQ(repeated[0].calls, 3);
  EXPECT_EQ(repeated[0].inside, "prim::Loop");
  EXPECT_EQ(repeated[0].multiply_adds, 3 * layers[0].multiply_adds);
}

TEST(LayerPlan, counts_weights_and_multiply_adds_as_the_layers_describe_them) {
  auto small = make_small_generator();
  auto plan = plan_layers(fold_batch_norm(small.seismic_decoder),
                          small_latents(1).reshape({1, 32, 1, 1}));
  ASSERT_THAT(plan, IsOk());
  const auto layers = generator::seismic_decoder_layers(small.shape);
  ASSERT_EQ(plan->size(), layers.size());
  std::array<std::int64_t, 2> size{1, 1};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    EXPECT_EQ((*plan)[i].name, layers[i].name);
    EXPECT_EQ((*plan)[i].multiply_adds, layers[i].multiply_adds(size)) << layers[i].name;
    EXPECT_EQ((*plan)[i].weights, layers[i].in_channels * layers[i].out_channels *
                                      layers[i].kernel[0] * layers[i].kernel[1]);
    EXPECT_EQ((*plan)[i].biases, layers[i].out_channels);
    size = layers[i].output_size(size);
  }
}

TEST(LayerPlan, names_what_differs_from_it) {
  std::vector<PlannedLayer> plan(2);
  plan[0].name = "up1";
  plan[0].operation = "conv_transpose2d";
  plan[1].name = "mix1";
  plan[1].operation = "conv2d";
  EXPECT_THAT(
      check_against_plan(
          {{"quantized::conv_transpose2d", 1}, {"quantized::conv2d_relu", 1}, {"aten::relu", 3}},
          plan),
      IsOk());
  EXPECT_THAT(check_against_plan({{"quantized::conv_transpose2d", 1}, {"aten::conv2d", 1}}, plan),
              ErrorIs(ErrorCode::internal, AllOf(HasSubstr("stayed float"), HasSubstr("mix1"))));
  EXPECT_THAT(check_against_plan({{"quantized::conv2d", 1}}, plan),
              ErrorIs(ErrorCode::internal, AllOf(HasSubstr("fewer"), HasSubstr("up1"))));
}

}  // namespace
}  // namespace outcrop::quantize
