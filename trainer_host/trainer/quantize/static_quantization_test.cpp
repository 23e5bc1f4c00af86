#include "trainer_host/trainer/quantize/static_quantization.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/native/quantized/PackedParams.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/mobile/import.h>

#include <array>
#include <sstream>
#include <utility>
#include <vector>

#include "tests/support/result_matchers.hpp"
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
  const auto latents = small_latents(32).reshape({32, 32, 1, 1});
  const std::vector<std::pair<Module, std::size_t>> decoders{
      {small.velocity_decoder, generator::velocity_decoder_layers(small.shape).size()},
      {small.seismic_decoder, generator::seismic_decoder_layers(small.shape).size()}};
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

TEST_P(StaticQuantizationOf, layers_in_a_loop_fails_instead_of_staying_float) {
  Module network = network_of(
      "    for i in range(2):\n"
      "        x = torch.relu(self.inner.forward(x))\n"
      "    return x\n");
  EXPECT_THAT(quantize_static(network, small_images(), options()),
              ErrorIs(ErrorCode::unsupported, AllOf(HasSubstr("'inner'"), HasSubstr("Loop"))));
}

TEST_P(StaticQuantizationOf, layers_without_an_int8_kernel_is_refused_by_name) {
  Module network = network_of("    return self.norm.forward(self.inner.forward(x))\n");
  EXPECT_THAT(quantize_static(network, small_images(), options()),
              ErrorIs(ErrorCode::unsupported, AllOf(HasSubstr("'norm'"), HasSubstr("group_norm"))));
  Module product = network_of("    y = self.inner.forward(x)\n    return torch.matmul(y, y)\n");
  EXPECT_THAT(quantize_static(product, small_images(), options()),
              ErrorIs(ErrorCode::unsupported, HasSubstr("aten::matmul")));
  Module nothing = network_of("    return torch.relu(x)\n");
  EXPECT_THAT(quantize_static(nothing, small_images(), options()),
              ErrorIs(ErrorCode::unsupported, HasSubstr("no layer")));
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

double squared_error(const torch::Tensor& data, Module observer) {
  const torch::NoGradGuard no_grad;
  observer.forward({data});
  observer.setattr("counting", true);
  observer.forward({data});
  const auto parameters = observer.get_method("calculate_qparams")({}).toTuple();
  const double scale = parameters->elements()[0].toTensor().item<double>();
  const auto zero_point = parameters->elements()[1].toTensor().item<std::int64_t>();
  const auto quantized = torch::quantize_per_tensor(data, scale, zero_point, torch::kQInt8);
  return (quantized.dequantize() - data).square().mean().item<double>();
}

TEST(Observers, searching_the_range_beats_min_max_on_outliers_and_never_loses) {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  at::Generator random = at::detail::createCPUGenerator(17);
  const auto bell = torch::empty({400000}).normal_(0.0, 1.0, random);
  auto outlier = bell.clone();
  outlier[0] = 20.0;
  auto far_outlier = bell.clone();  // so far that clipping it would cost more than it brings
  far_outlier[0] = 200.0;
  for (const auto& [data, gain] :
       {std::pair{bell, 1.0}, std::pair{outlier, 0.8}, std::pair{far_outlier, 1.0}}) {
    const double widest = squared_error(
        data, make_activation_observer(unit, ActivationType::qint8, RangeSearch::min_max));
    const double searched = squared_error(
        data, make_activation_observer(unit, ActivationType::qint8, RangeSearch::squared_error));
    EXPECT_LE(searched, widest * gain);
  }
}

TEST(Observers, spend_no_codes_below_a_relu) {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  Module observer = make_activation_observer(unit, ActivationType::qint8, RangeSearch::min_max);
  observer.setattr("floor", 0.0);
  observer.forward({torch::tensor({-8.0F, 2.55F})});
  const auto parameters = observer.get_method("calculate_qparams")({}).toTuple();
  EXPECT_NEAR(parameters->elements()[0].toTensor().item<double>(), 0.01, 1e-6);
  EXPECT_EQ(parameters->elements()[1].toTensor().item<std::int64_t>(), -128);
}

TEST(Observers, weights_are_symmetric_and_never_finer_than_the_kernels_allow) {
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  // Two transposed-convolution channels (axis 1): one ordinary, one next to nothing.
  auto weight = torch::zeros({1, 2, 1, 2});
  weight[0][0][0][0] = -1.27F;
  weight[0][1][0][1] = 1e-6F;
  Module observer = make_weight_observer(unit, 1);
  observer.forward({weight});
  const auto parameters = observer.get_method("calculate_qparams")({}).toTuple();
  const auto scales = parameters->elements()[0].toTensor();
  EXPECT_NEAR(scales[0].item<double>(), 0.01, 1e-6);
  EXPECT_EQ(scales[1].item<double>(), smallest_scale);
  EXPECT_TRUE(parameters->elements()[1].toTensor().eq(0).all().item<bool>());
}

}  // namespace
}  // namespace outcrop::quantize
