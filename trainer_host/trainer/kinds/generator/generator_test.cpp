#include <gmock/gmock.h>
#include <torch/csrc/jit/mobile/import.h>
#include <torch/csrc/jit/mobile/module.h>
#include <torch/csrc/jit/passes/inliner.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/generator/compose.hpp"
#include "trainer_host/trainer/kinds/generator/latent_prior.hpp"
#include "trainer_host/trainer/models/fast_transposed_convolution.hpp"
#include "trainer_host/trainer/kinds/generator/generator.hpp"
#include "trainer_host/trainer/kinds/generator/normalization.hpp"
#include "trainer_host/trainer/models/phase_convolution.hpp"
#include "trainer_host/trainer/models/training_form.hpp"

namespace outcrop::generator {
namespace {

using models::Layer;
using models::Phases;
using models::TrainingForm;
using models::fast_transposed_convolution;
using models::with_phase_convolution;
using testing::HasSubstr;
using torch::Tensor;

constexpr GeneratorShape small{
    .latent = 16, .encoder_width = 4, .velocity_width = 4, .seismic_width = 4};

LatentPrior some_prior(std::int64_t latent) {
  torch::manual_seed(3);
  return fit_gaussian(torch::randn({64, latent}));
}

torch::jit::Module some_generator(const GeneratorShape& shape) {
  Generator generator = make_generator(shape, 1);
  generator.train(false);
  return compose_generator({generator.velocity_decoder, {}}, {generator.seismic_decoder, {}},
                           some_prior(shape.latent), {});
}

double relative_error(const Tensor& value, const Tensor& reference) {
  return ((value - reference).abs().max() / reference.abs().max()).item<double>();
}

TEST(Layers, every_network_has_the_promised_sizes) {
  Generator generator = make_generator(small, 1);
  const auto latent = generator.encoder.forward({torch::zeros({2, 1, 70, 70})}).toTensor();
  EXPECT_EQ(latent.sizes(), (std::vector<std::int64_t>{2, 16, 1, 1}));
  EXPECT_EQ(generator.velocity_decoder.forward({latent}).toTensor().sizes(),
            (std::vector<std::int64_t>{2, 1, 70, 70}));
  EXPECT_EQ(generator.seismic_decoder.forward({latent}).toTensor().sizes(),
            (std::vector<std::int64_t>{2, 5, 1000, 70}));
}

TEST(Layers, of_openfwis_sizes_stay_what_old_weights_were_trained_as) {
  std::string plan;
  for (const auto& layers : {velocity_decoder_layers(GeneratorShape{}),
                             seismic_decoder_layers(GeneratorShape{})}) {
    for (const Layer& layer : layers) {
      if (layer.kind != Layer::Kind::transposed_convolution) continue;
      for (const auto& pair : {layer.kernel, layer.stride, layer.padding}) {
        EXPECT_TRUE(pair[0] == pair[1] || layer.name == "gathers") << layer.name;
        plan += std::to_string(pair[0]) + " ";
      }
    }
  }
  EXPECT_EQ(plan, "5 1 0 4 2 1 4 2 2 3 2 1 4 2 1 16 8 4 ");
  const auto sized = with_sizes_of(data::Geometry(), GeneratorShape{});
  ASSERT_THAT(sized, IsOk());
  EXPECT_EQ(*sized, GeneratorShape{});
}

TEST(Layers, fit_maps_and_gathers_of_other_geometries) {
  for (const auto& [rows, columns, shots, times] :
       {std::array<std::int64_t, 4>{64, 96, 3, 500}, {70, 64, 1, 1000}, {33, 130, 2, 1254},
        {101, 70, 5, 38}, {16, 16, 4, 32}}) {
    data::Geometry geometry;
    geometry.depth = static_cast<std::size_t>(rows);
    geometry.width = static_cast<std::size_t>(columns);
    geometry.shots = static_cast<std::size_t>(shots);
    geometry.times = static_cast<std::size_t>(times);
    const auto shape = with_sizes_of(geometry, small);
    ASSERT_THAT(shape, IsOk());
    const torch::NoGradGuard no_gradient;
    Generator generator = make_generator(*shape, 1);
    const auto latent =
        generator.encoder.forward({torch::zeros({2, 1, rows, columns})}).toTensor();
    EXPECT_EQ(latent.sizes(), (std::vector<std::int64_t>{2, 16, 1, 1}));
    EXPECT_EQ(generator.velocity_decoder.forward({latent}).toTensor().sizes(),
              (std::vector<std::int64_t>{2, 1, rows, columns}));
    EXPECT_EQ(generator.seismic_decoder.forward({latent}).toTensor().sizes(),
              (std::vector<std::int64_t>{2, shots, times, columns}));
  }
  data::Geometry odd;
  odd.width = 71;
  EXPECT_THAT(with_sizes_of(odd, small),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("71 columns; a generator makes 16 to 512")));
  odd.width = 70;
  odd.times = 999;
  EXPECT_THAT(with_sizes_of(odd, small),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("999 recorded steps")));
}

TEST(Layers, seismic_decoder_works_at_an_eighth_of_the_time_rows) {
  std::array<std::int64_t, 2> size{1, 1};
  const auto layers = seismic_decoder_layers(GeneratorShape{});
  for (const Layer& layer : layers) {
    EXPECT_LE(size[0], 125) << layer.name;
    size = layer.output_size(size);
  }
  EXPECT_EQ(layers.back().stride[0], 8);
  EXPECT_EQ(layers.back().kind, Layer::Kind::transposed_convolution);
}

TEST(TrainingForm, computes_as_the_exported_graph_over_the_same_tensors) {
  const Generator generator = make_generator(small, 5);
  TrainingForm encoder(generator.encoder);
  TrainingForm velocity(generator.velocity_decoder);
  TrainingForm seismic(generator.seismic_decoder);
  const auto maps = torch::rand({3, 1, 70, 70}) * 2 - 1;
  // Running statistics that are not the initial ones.
  for (int i = 0; i < 3; ++i) {
    const auto latent = encoder.forward(maps);
    (void)velocity.forward(latent);
    (void)seismic.forward(latent);
  }
  const auto exported = [](const torch::jit::Module& module, const Tensor& x) {
    return torch::jit::Module(module).forward({x}).toTensor();
  };
  for (const bool training : {true, false}) {
    for (TrainingForm* network : {&encoder, &velocity, &seismic}) network->train(training);
    EXPECT_EQ(generator.encoder.is_training(), training);
    const auto latent = encoder.forward(maps);
    EXPECT_LT(relative_error(latent, exported(generator.encoder, maps)), 1e-4);
    EXPECT_LT(relative_error(velocity.forward(latent), exported(generator.velocity_decoder, latent)),
              1e-4);
    EXPECT_LT(relative_error(seismic.forward(latent), exported(generator.seismic_decoder, latent)),
              1e-4);
  }
}

TEST(Layers, of_maps_with_levels_weigh_what_the_latent_says) {
  const torch::NoGradGuard no_gradient;
  GeneratorShape shape = small;
  shape.levels = 3;
  Generator generator = make_generator(shape, 1);
  generator.train(false);
  auto& decoder = generator.velocity_decoder;
  const auto child = [&](const char* name) { return decoder.attr(name).toModule(); };
  const auto latent = torch::randn({2, 16, 1, 1});
  auto levels = child("levels");
  const Tensor velocities = levels.forward({latent}).toTensor();
  ASSERT_EQ(velocities.sizes(), (std::vector<std::int64_t>{2, 3, 1, 1}));

  // Where one channel is far above the others, its level is what comes out.
  child("map").attr("weight").toTensor().zero_();
  const Tensor bias = child("map").attr("bias").toTensor();
  for (std::int64_t chosen = 0; chosen < 3; ++chosen) {
    bias.zero_();
    bias[chosen] = 100.0;
    const Tensor map = decoder.forward({latent}).toTensor();
    ASSERT_EQ(map.sizes(), (std::vector<std::int64_t>{2, 1, 70, 70}));
    EXPECT_TRUE(torch::allclose(map, velocities.slice(1, chosen, chosen + 1).expand_as(map)));
  }
  bias.zero_();
  const Tensor mean = decoder.forward({latent}).toTensor();
  EXPECT_TRUE(torch::allclose(mean, velocities.mean(1, true).expand_as(mean), 1e-4, 1e-6));
}

TEST(Layers, of_maps_with_levels_begin_all_over_the_bounds) {
  GeneratorShape shape = small;
  shape.levels = 4;
  const auto bias = make_generator(shape, 1).velocity_decoder.attr("levels").toModule().attr("bias").toTensor();
  EXPECT_TRUE(torch::allclose(bias.detach(), torch::tensor({-0.9, -0.3, 0.3, 0.9})));
}

TEST(TrainingForm, differentiates_into_the_modules_own_parameters) {
  const Generator generator = make_generator(small, 5);
  TrainingForm seismic(generator.seismic_decoder);
  seismic.forward(torch::randn({2, 16, 1, 1})).pow(2).mean().backward();
  for (const auto& parameter : generator.seismic_decoder.named_parameters()) {
    EXPECT_TRUE(parameter.value.grad().defined()) << parameter.name;
  }
}

TEST(TrainingForm, names_the_first_child_whose_output_is_not_finite) {
  const torch::NoGradGuard no_gradient;
  const Generator generator = make_generator(small, 5);
  TrainingForm velocity(generator.velocity_decoder);
  Tensor output;
  const auto latent = torch::randn({2, 16, 1, 1});
  EXPECT_EQ(velocity.first_non_finite(latent, output), std::nullopt);
  EXPECT_EQ(output.sizes(), (std::vector<std::int64_t>{2, 1, 70, 70}));
  generator.velocity_decoder.attr("mix2").toModule().attr("bias").toTensor()[1] = std::nanf("");
  EXPECT_EQ(velocity.first_non_finite(latent, output), "mix2");

  GeneratorShape levelled = small;
  levelled.levels = 3;
  const Generator with_levels = make_generator(levelled, 5);
  with_levels.velocity_decoder.attr("levels").toModule().attr("bias").toTensor()[1] = std::nanf("");
  EXPECT_EQ(TrainingForm(with_levels.velocity_decoder).first_non_finite(latent, output), "levels");
}

TEST(Layers, same_seed_gives_the_same_weights_whatever_the_global_generator) {
  torch::manual_seed(1);
  const auto first = make_generator(small, 9);
  torch::manual_seed(2);
  const auto second = make_generator(small, 9);
  const auto other = make_generator(small, 10);
  const auto weight = [](const Generator& generator) {
    return generator.seismic_decoder.attr("grid").toModule().attr("weight").toTensor();
  };
  EXPECT_TRUE(torch::equal(weight(first), weight(second)));
  EXPECT_FALSE(torch::equal(weight(first), weight(other)));
}

struct Geometry {
  std::array<std::int64_t, 2> kernel, stride, padding, size;
};

class FastTransposedConvolution : public testing::TestWithParam<Geometry> {};

TEST_P(FastTransposedConvolution, equals_autograd_in_value_and_gradients) {
  const auto& [kernel, stride, padding, size] = GetParam();
  torch::manual_seed(0);
  const auto leaf = [](std::vector<std::int64_t> shape) {
    return torch::randn(shape).requires_grad_();
  };
  const Tensor x = leaf({3, 6, size[0], size[1]});
  const Tensor weight = leaf({6, 5, kernel[0], kernel[1]});
  const Tensor bias = leaf({5});
  const auto run = [&](bool fast) {
    const Tensor y = fast ? fast_transposed_convolution(x, weight, bias, stride, padding)
                          : torch::conv_transpose2d(x, weight, bias, stride, padding);
    auto gradients = torch::autograd::grad({y.pow(2).sum()}, {x, weight, bias});
    gradients.push_back(y.detach());
    return gradients;
  };
  const auto expected = run(false);
  const auto got = run(true);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(got[i].sizes(), expected[i].sizes());
    EXPECT_LT(relative_error(got[i], expected[i]), 1e-5) << "tensor " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Geometries, FastTransposedConvolution,
                         testing::Values(Geometry{{5, 5}, {1, 1}, {0, 0}, {1, 1}},
                                         Geometry{{8, 5}, {1, 1}, {0, 0}, {1, 1}},
                                         Geometry{{4, 4}, {2, 2}, {1, 1}, {5, 7}},
                                         Geometry{{4, 4}, {2, 2}, {2, 2}, {10, 10}},
                                         Geometry{{3, 3}, {2, 2}, {1, 1}, {9, 4}},
                                         Geometry{{4, 3}, {2, 2}, {1, 1}, {8, 5}},
                                         Geometry{{3, 3}, {2, 1}, {1, 1}, {6, 5}},
                                         Geometry{{16, 4}, {8, 2}, {4, 1}, {5, 7}}));

TEST(FastTransposedConvolution, leaves_no_trace_in_the_exported_graph) {
  auto generator = some_generator(small);
  auto graph = generator.get_method("forward").graph()->copy();
  torch::jit::Inline(*graph);
  std::set<std::string> kinds;
  for (const auto* node : graph->nodes()) kinds.insert(node->kind().toQualString());
  EXPECT_TRUE(kinds.contains("aten::conv_transpose2d"));
  EXPECT_FALSE(kinds.contains("aten::convolution_backward"));
  for (const std::string& kind : kinds) {
    EXPECT_TRUE(kind.starts_with("aten::") || kind.starts_with("prim::")) << kind;
  }
}

TEST(Normalization, there_and_back) {
  const auto pressure = torch::tensor({-26.9F, -1.0F, -1e-3F, 0.0F, 1e-3F, 2.0F, 52.7F});
  EXPECT_TRUE(
      torch::allclose(denormalize_pressure(normalize_pressure(pressure)), pressure, 1e-4, 1e-5));
  EXPECT_NEAR(normalize_pressure(torch::tensor(minimum_pressure)).item<double>(), -1.0, 1e-6);
  EXPECT_NEAR(normalize_pressure(torch::tensor(maximum_pressure)).item<double>(), 1.0, 1e-6);
  const auto velocity = torch::tensor({1500.0F, 2345.6F, 4500.0F});
  EXPECT_TRUE(torch::allclose(denormalize_velocity(normalize_velocity(velocity)), velocity));
  EXPECT_EQ(denormalize_velocity(torch::tensor(1.5F)).item<float>(), 4500.0F);
}

TEST(LatentPrior, keeps_mean_and_covariance) {
  torch::manual_seed(4);
  const auto mix = torch::randn({8, 8});
  const auto samples = torch::randn({20000, 8}).matmul(mix.t()) + 3.0;
  const auto prior = fit_gaussian(samples);
  EXPECT_TRUE(torch::allclose(prior.mean, torch::full({8}, 3.0F), 0.0, 0.2));
  EXPECT_LT(relative_error(prior.factor.matmul(prior.factor.t()), mix.matmul(mix.t())), 0.05);
}

TEST(LatentPrior, has_its_axes_one_behind_the_other_the_longest_first) {
  torch::manual_seed(4);
  const auto samples = torch::randn({500, 128}).matmul(torch::randn({128, 128})) + 3.0;
  const auto prior = fit_gaussian(samples);
  const auto factor = prior.factor.to(torch::kDouble);
  const auto lengths = factor.norm(2, 0);
  EXPECT_TRUE((lengths.slice(0, 1) <= lengths.slice(0, 0, 127) * (1 + 1e-6)).all().item<bool>());
  const auto along = factor / lengths;
  EXPECT_LT((along.t().matmul(along) - torch::eye(128, torch::kDouble)).abs().max().item<double>(), 1e-5);
  // By LAPACK.
  const auto covariance = torch::cov(samples.to(torch::kDouble).t());
  const auto variances = std::get<0>(torch::linalg_eigh(covariance)).flip(0);
  EXPECT_LT(relative_error(lengths.square() - 1e-3 * covariance.diagonal().mean(), variances), 1e-5);
}

TEST(LatentPrior, takes_latents_to_the_noise_that_they_are_of_and_back) {
  torch::manual_seed(4);
  const auto samples = torch::randn({500, 16}).matmul(torch::randn({16, 16})) + 3.0;
  const auto there_and_back = [&](const LatentPrior& prior) {
    EXPECT_LT(relative_error(out_of_space(prior, in_space_of(prior, samples)), samples), 1e-4);
  };
  const auto prior = fit_gaussian(samples);
  there_and_back(prior);
  EXPECT_NEAR(in_space_of(prior, samples).slice(1, 0, 4).std().item<double>(), 1.0, 0.01);
  // As files before had it: lower triangular.
  there_and_back({prior.mean, torch::linalg_cholesky(torch::cov(samples.t()))});
  EXPECT_THROW((void)in_space_of({prior.mean, torch::ones({16, 16})}, samples), c10::Error);
}

TEST(LatentPrior, fewer_samples_than_dimensions_still_give_a_factor) {
  torch::manual_seed(4);
  const auto prior = fit_gaussian(torch::randn({10, 128}));
  EXPECT_TRUE(torch::isfinite(prior.factor).all().item<bool>());
}

TEST(LatentPrior, refuses_latents_that_are_not_finite) {
  auto latents = torch::randn({10, 4});
  latents[3][1] = std::nanf("");
  EXPECT_THROW(fit_gaussian(latents), c10::Error);
  EXPECT_THROW(fit_gaussian(torch::randn({1, 4})), c10::Error);
}

TEST(ComposedGenerator, gives_physical_units_and_shapes) {
  torch::NoGradGuard no_gradient;
  auto generator = some_generator(small);
  const auto pair = generator.forward({2}).toTuple();  // the seed has a default
  const auto velocity = pair->elements()[0].toTensor();
  const auto pressure = pair->elements()[1].toTensor();
  EXPECT_EQ(velocity.sizes(), (std::vector<std::int64_t>{2, 1, 70, 70}));
  EXPECT_EQ(pressure.sizes(), (std::vector<std::int64_t>{2, 5, 1000, 70}));
  EXPECT_GE(velocity.min().item<double>(), earth::VelocityBounds().slowest);
  EXPECT_LE(velocity.max().item<double>(), earth::VelocityBounds().fastest);
  EXPECT_GE(pressure.min().item<double>(), minimum_pressure - 1e-3);
  EXPECT_LE(pressure.max().item<double>(), maximum_pressure + 1e-3);
}

TEST(ComposedGenerator, denormalizes_as_the_library_does) {
  torch::NoGradGuard no_gradient;
  Generator parts = make_generator(small, 1);
  parts.train(false);
  auto generator = some_generator(small);
  const auto latent = torch::randn({2, 16});
  const auto pair = generator.get_method("decode")({latent}).toTuple();
  const auto z = latent.reshape({2, 16, 1, 1});
  EXPECT_TRUE(
      torch::allclose(pair->elements()[0].toTensor(),
                      denormalize_velocity(parts.velocity_decoder.forward({z}).toTensor())));
  EXPECT_TRUE(torch::allclose(pair->elements()[1].toTensor(),
                              denormalize_pressure(parts.seismic_decoder.forward({z}).toTensor()),
                              1e-4, 1e-4));
}

TEST(ComposedGenerator, row_0_of_a_batch_of_3_equals_a_batch_of_1) {
  torch::NoGradGuard no_gradient;
  auto generator = some_generator(GeneratorShape{});
  const auto latent_one = generator.get_method("latent")({1, 11}).toTensor();
  const auto latent_three = generator.get_method("latent")({3, 11}).toTensor();
  EXPECT_TRUE(torch::equal(latent_three.slice(0, 0, 1), latent_one));
  const auto one = generator.forward({1, 11}).toTuple();
  const auto three = generator.forward({3, 11}).toTuple();
  for (std::size_t i = 0; i < 2; ++i) {
    // Float kernels may sum in another order for another batch size; latents may not.
    const auto row = three->elements()[i].toTensor().slice(0, 0, 1);
    EXPECT_LT(relative_error(row, one->elements()[i].toTensor()), 1e-5) << "output " << i;
  }
}

TEST(ComposedGenerator, latents_follow_the_prior) {
  const auto prior = some_prior(16);
  auto generator = some_generator(small);
  const auto latents = generator.get_method("latent")({20000, 5}).toTensor();
  const auto fitted = fit_gaussian(latents);
  EXPECT_TRUE(torch::allclose(fitted.mean, prior.mean, 0.0, 0.03));
  const auto covariance = [](const LatentPrior& of) { return of.factor.matmul(of.factor.t()); };
  EXPECT_LT(relative_error(covariance(fitted), covariance(prior)), 0.05);
}

// What phases make up, as the header says it.
Tensor assembled(const Tensor& x, const Phases& phases) {
  const auto batch = x.size(0);
  const auto height = x.size(2);
  const auto width = x.size(3);
  auto whole = torch::empty({batch, phases.channels, height * phases.rows, width * phases.columns});
  for (std::int64_t row = 0; row < phases.rows; ++row) {
    for (std::int64_t column = 0; column < phases.columns; ++column) {
      const auto first = (row * phases.columns + column) * phases.channels;
      whole.slice(2, row, whole.size(2), phases.rows)
          .slice(3, column, whole.size(3), phases.columns)
          .copy_(x.slice(1, first, first + phases.channels));
    }
  }
  return whole.slice(2, phases.crop_rows, whole.size(2) - phases.crop_rows)
      .slice(3, phases.crop_columns, whole.size(3) - phases.crop_columns);
}

TEST(PhaseConvolution, equals_the_transposed_convolution) {
  torch::NoGradGuard no_gradient;
  Generator generator = make_generator(small, 1);
  generator.train(false);
  for (const auto& parameter : generator.seismic_decoder.named_parameters()) {
    if (parameter.name == "gathers.bias") parameter.value.copy_(torch::rand({5}));
  }
  const auto phased =
      with_phase_convolution(generator.seismic_decoder, seismic_decoder_layers(small));
  const auto latent = torch::randn({2, 16, 1, 1});
  const auto expected = generator.seismic_decoder.forward({latent}).toTensor();
  auto network = phased.network;
  const auto phases = network.forward({latent}).toTensor();
  ASSERT_EQ(phases.sizes(), (std::vector<std::int64_t>{2, 80, 126, 36}));
  const auto got = assembled(phases, phased.phases);
  ASSERT_EQ(got.sizes(), expected.sizes());
  EXPECT_LT(relative_error(got, expected), 1e-5);
}

TEST(PhaseConvolution, refuses_a_layer_whose_kernel_is_not_twice_its_stride) {
  Generator generator = make_generator(small, 1);
  auto layers = seismic_decoder_layers(small);
  layers.back().kernel = {16, 6};
  EXPECT_THROW(with_phase_convolution(generator.seismic_decoder, layers), c10::Error);
  layers.pop_back();  // ends in a plain convolution
  EXPECT_THROW(with_phase_convolution(generator.seismic_decoder, layers), c10::Error);
}

TEST(PhaseConvolution, refuses_a_batch_norm_on_the_layer_that_fills_the_grid) {
  Generator generator = make_generator(small, 1);
  auto layers = seismic_decoder_layers(small);
  const auto fills = std::find_if(layers.begin(), layers.end(),
                                  [](const Layer& layer) { return layer.grid.rows > 0; });
  ASSERT_NE(fills, layers.end());
  fills->batch_norm = true;
  EXPECT_THAT([&] { (void)with_phase_convolution(generator.seismic_decoder, layers); },
              ::testing::ThrowsMessage<c10::Error>(::testing::HasSubstr("has a batch norm")));
}

// Stands for a quantized decoder: the same codes whatever the latent.
torch::jit::Module answering(const Tensor& quantized) {
  torch::jit::Module module("__torch__.Answering", std::make_shared<torch::jit::CompilationUnit>(),
                            true);
  module.register_buffer("real", quantized.dequantize());
  module.register_attribute("scale", c10::FloatType::get(), quantized.q_scale());
  module.register_attribute("zero_point", c10::IntType::get(), quantized.q_zero_point());
  module.register_attribute("type", c10::IntType::get(),
                            static_cast<std::int64_t>(quantized.scalar_type()));
  module.define(
      "def forward(self, x):\n"
      "    return torch.quantize_per_tensor(self.real, self.scale, self.zero_point, self.type)\n");
  return module;
}

TEST(ComposedGenerator, looks_the_value_of_every_code_up) {
  torch::NoGradGuard no_gradient;
  const Phases phases{.rows = 2, .columns = 4, .channels = 2, .crop_rows = 1, .crop_columns = 3};
  for (const bool is_signed : {true, false}) {
    const std::int64_t first = is_signed ? -128 : 0;
    const auto codes =
        torch::arange(first, first + 256).to(is_signed ? torch::kChar : torch::kByte);
    const double scale = 0.0091;
    const std::int64_t zero_point = first + 117;
    const auto velocity =
        at::_make_per_tensor_quantized_tensor(codes.reshape({1, 1, 16, 16}), scale, zero_point);
    const auto seismic =
        at::_make_per_tensor_quantized_tensor(codes.reshape({1, 16, 4, 4}), scale, zero_point);
    const kinds::Codes coded{scale, zero_point, first};
    auto generator = compose_generator({answering(velocity), coded}, {answering(seismic), coded},
                                       some_prior(16), phases);
    const auto pair = generator.get_method("decode")({torch::zeros({1, 16})}).toTuple();
    EXPECT_TRUE(torch::allclose(pair->elements()[0].toTensor(),
                                denormalize_velocity(velocity.dequantize()), 1e-6, 1e-3));
    EXPECT_TRUE(torch::allclose(pair->elements()[1].toTensor(),
                                denormalize_pressure(assembled(seismic.dequantize(), phases)), 1e-5,
                                1e-5));
  }
}

TEST(ComposedGenerator, refuses_phases_that_do_not_come_in_pairs) {
  const auto codes =
      at::_make_per_tensor_quantized_tensor(torch::zeros({1, 3, 2, 2}, torch::kChar), 0.01, 0);
  const kinds::Codes coded{0.01, 0, -128};
  EXPECT_THROW(compose_generator({answering(codes), coded}, {answering(codes), coded},
                                 some_prior(16), {.rows = 3, .columns = 1, .channels = 1}),
               c10::Error);
}

TEST(ComposedGenerator, survives_saving_reloading_and_the_lite_interpreter) {
  torch::NoGradGuard no_gradient;
  const TemporaryFolder folder;
  // Decoders that come back from files of their own, as quantized ones do.
  Generator parts = make_generator(small, 1);
  parts.train(false);
  const auto velocity_file = (folder.path() / "velocity.pt").string();
  const auto seismic_file = (folder.path() / "seismic.pt").string();
  parts.velocity_decoder.save(velocity_file);
  parts.seismic_decoder.save(seismic_file);
  auto generator = compose_generator({torch::jit::load(velocity_file), {}},
                                     {torch::jit::load(seismic_file), {}}, some_prior(16), {});
  const auto expected = some_generator(small).forward({2, 3}).toTuple();
  const auto file = (folder.path() / "generator.ptl").string();
  generator._save_for_mobile(file);
  auto lite = torch::jit::_load_for_mobile(file);
  const auto got = lite.forward({2, 3}).toTuple();
  const auto decoded =
      lite.get_method("decode")({generator.get_method("latent")({2, 3}).toTensor()}).toTuple();
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(torch::equal(got->elements()[i].toTensor(), expected->elements()[i].toTensor()));
    EXPECT_TRUE(
        torch::equal(decoded->elements()[i].toTensor(), expected->elements()[i].toTensor()));
  }
}

}  // namespace
}  // namespace outcrop::generator
