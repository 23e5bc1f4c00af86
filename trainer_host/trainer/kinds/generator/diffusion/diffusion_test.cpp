#include <gmock/gmock.h>

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/earth/toy_data.hpp"
#include "trainer_host/trainer/kinds/generator/comparison.hpp"
#include "trainer_host/trainer/kinds/generator/compose.hpp"
#include "trainer_host/trainer/kinds/generator/conditional/noise_space.hpp"
#include "trainer_host/trainer/kinds/generator/decoding.hpp"
#include "trainer_host/trainer/kinds/generator/diffusion/denoiser.hpp"
#include "trainer_host/trainer/kinds/generator/diffusion/latent_diffusion.hpp"
#include "trainer_host/trainer/kinds/generator/diffusion/noise_schedule.hpp"
#include "trainer_host/trainer/kinds/generator/diffusion/sampler.hpp"
#include "trainer_host/trainer/kinds/generator/generator_kind.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/models/module_tensors.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::generator {
namespace {

using testing::HasSubstr;
using torch::Tensor;

constexpr DiffusionShape tiny{.width = 8, .multipliers = {1, 2, 0, 0}, .steps = 16};
constexpr DiffusionShape one_level{.width = 8, .multipliers = {1, 0, 0, 0}, .steps = 16};

Tensor normal(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  at::Generator random = at::detail::createCPUGenerator(seed);
  return torch::empty({rows, columns}).normal_(0.0, 1.0, random);
}

// As after training: nothing of it answers 0.
void wake(const torch::jit::Module& denoiser) {
  const torch::NoGradGuard no_gradient;
  at::Generator random = at::detail::createCPUGenerator(3);
  for (const auto& parameter : denoiser.attr("leave").toModule().parameters()) parameter.normal_(0.0, 0.3, random);
}

Tensor at_step(const Tensor& latents, std::int64_t step) {
  return torch::cat({latents, torch::full({latents.size(0), 1}, static_cast<float>(step))}, 1);
}

double relative(const Tensor& value, const Tensor& reference) {
  return ((value - reference).norm() / reference.norm()).item<double>();
}

TEST(NoiseSchedule, goes_from_nearly_none_to_nothing_but_noise) {
  const auto& levels = noise_levels();
  ASSERT_EQ(levels.size(), 256U);
  EXPECT_GT(levels.front().signal, 0.999);
  EXPECT_LT(levels.back().signal, 1e-3);
  for (std::size_t i = 1; i < levels.size(); ++i) {
    EXPECT_LT(levels[i].signal, levels[i - 1].signal);
    EXPECT_NEAR(levels[i].signal * levels[i].signal + levels[i].noise * levels[i].noise, 1.0, 1e-12);
  }
  EXPECT_NEAR(levels[127].signal, std::cos(std::numbers::pi / 4), 0.01);
}

TEST(NoiseSchedule, chooses_steps_evenly_and_refuses_what_was_not_trained) {
  EXPECT_EQ(chosen_steps(4), (std::vector<std::int64_t>{63, 127, 191, 255}));
  EXPECT_EQ(chosen_steps(1), (std::vector<std::int64_t>{255}));
  EXPECT_EQ(chosen_steps(256).front(), 0);
  EXPECT_THROW((void)chosen_steps(0), c10::Error);
  EXPECT_THROW((void)chosen_steps(257), c10::Error);
}

TEST(Denoiser, has_the_published_75_convolutions_which_become_two_dimensional_and_answer_the_same) {
  const torch::NoGradGuard no_gradient;
  const DiffusionShape shape{.width = 8};
  torch::jit::Module denoiser = make_denoiser(shape, 16, 1);
  EXPECT_EQ(operations_in(denoiser, "aten::conv1d"), 75);
  wake(denoiser);
  const std::vector<std::int64_t> steps{7, 100, 255};
  torch::jit::Module for_boards = denoiser_of_steps(denoiser, shape, 16, steps);
  EXPECT_EQ(operations_in(for_boards, "aten::conv2d"), 75);
  EXPECT_EQ(operations_in(for_boards, "aten::conv1d"), 0);
  EXPECT_EQ(operations_in(for_boards, "aten::linear"), 0) << "of the time only tables are left";
  const auto latents = normal(3, 16, 5);
  for (std::int64_t place = 0; place < 3; ++place) {
    const auto trained = denoiser.forward({at_step(latents, steps[static_cast<std::size_t>(place)])}).toTensor();
    EXPECT_LT(relative(for_boards.forward({at_step(latents, place)}).toTensor(), trained), 1e-5);
  }
}

TEST(Denoiser, has_the_published_size) {
  const auto parameters = [](std::int64_t width) {
    std::int64_t count = 0;
    for (const auto& parameter : make_denoiser({.width = width}, 128, 1).parameters()) count += parameter.numel();
    return static_cast<double>(count);
  };
  EXPECT_NEAR(parameters(64), 5.65e6, 0.1e6);
  EXPECT_NEAR(parameters(128), 21.3e6, 0.4e6);
}

TEST(Denoiser, depends_on_the_step) {
  const torch::NoGradGuard no_gradient;
  torch::jit::Module denoiser = make_denoiser(tiny, 8, 1);
  const auto latents = normal(4, 8, 5);
  EXPECT_EQ(denoiser.forward({at_step(latents, 3)}).toTensor().abs().max().item<float>(), 0.0F);
  wake(denoiser);
  const auto early = denoiser.forward({at_step(latents, 3)}).toTensor();
  for (const std::int64_t step : {4, 60, 255}) {
    EXPECT_GT(relative(denoiser.forward({at_step(latents, step)}).toTensor(), early), step == 4 ? 1e-3 : 0.05) << step;
  }
  EXPECT_THROW((void)make_denoiser({.width = 8, .length = 15, .multipliers = {1, 2, 0, 0}}, 8, 1), c10::Error);
}

// Latents each half of whose values lies in one of two clusters: what no Gaussian is.
Tensor two_clusters(std::int64_t rows, std::uint64_t seed) {
  const auto side = (normal(rows, 2, seed + 100) - 0.7).sign().repeat_interleave(4, 1);
  return 0.1 * normal(rows, 8, seed) + 0.8 * side + 0.5;
}

// Mean over values of how far apart two are.
Tensor mean_distance(const Tensor& a, const Tensor& b) { return (a.unsqueeze(0) - b.unsqueeze(1)).abs().mean(); }

// Of two sets, value by value (Székely and Rizzo 2013): 0 where they are of one distribution.
double energy_distance(const Tensor& a, const Tensor& b) {
  return (2 * mean_distance(a, b) - mean_distance(a, a) - mean_distance(b, b)).item<double>();
}

// A diffusion that learned those; once for all tests.
LatentDiffusion& trained_diffusion() {
  static LatentDiffusion* diffusion = [] {
    auto* made = new LatentDiffusion({.width = 16, .length = 4, .multipliers = {1, 0, 0, 0}, .steps = 16}, 8, 1);
    const auto latents = two_clusters(512, 1);
    made->take_space_of(latents);
    const auto values = made->in_space(latents);
    torch::optim::Adam adam([&] {
      std::vector<Tensor> parameters;
      for (const auto& parameter : made->denoiser().parameters()) parameters.push_back(parameter);
      return parameters;
    }(), torch::optim::AdamOptions(4e-3));
    const torch::AutoGradMode gradient(true);
    constexpr std::int64_t steps = 500;
    for (std::int64_t step = 0; step < steps; ++step) {
      const double left = 1.0 - static_cast<double>(step) / steps;
      static_cast<torch::optim::AdamOptions&>(adam.param_groups()[0].options()).lr(6e-3 * left);
      adam.zero_grad();
      made->loss(values.slice(0, step % 8 * 64, (step % 8 + 1) * 64), 1, 1).backward();
      adam.step();
    }
    return made;
  }();
  return *diffusion;
}

constexpr GeneratorShape tiny_decoders{.latent = 8, .encoder_width = 2, .velocity_width = 2, .seismic_width = 2};

torch::jit::Module file_with(std::optional<Sampler> sampler, const LatentPrior& space) {
  Generator generator = make_generator(tiny_decoders, 1);
  generator.train(false);
  return compose_generator({generator.velocity_decoder, {}}, {generator.seismic_decoder, {}}, space, {}, {},
                           std::move(sampler));
}

torch::jit::Module file_with(std::optional<Sampler> sampler) {
  return file_with(std::move(sampler), trained_diffusion().space());
}

// A sampler of so many steps whose denoiser is known: v in TorchScript, of `x` and `signal` and `noise` of its level.
Sampler with_known_v(const std::string& v, std::int64_t steps) {
  Sampler sampler{torch::jit::Module("__torch__.outcrop.KnownDenoiser", std::make_shared<torch::jit::CompilationUnit>(),
                                     /*shouldMangle=*/true),
                  {}, /*reach=*/100.0};
  std::vector<double> signals;
  std::vector<double> noises;
  for (const std::int64_t step : chosen_steps(steps)) {
    sampler.levels.push_back(noise_levels()[static_cast<std::size_t>(step)]);
    signals.push_back(sampler.levels.back().signal);
    noises.push_back(sampler.levels.back().noise);
  }
  sampler.denoiser.register_buffer("signals", torch::tensor(signals, torch::kFloat));
  sampler.denoiser.register_buffer("noises", torch::tensor(noises, torch::kFloat));
  sampler.denoiser.define(R"(
def forward(self, told: Tensor) -> Tensor:
    x = told[:, :-1]
    at = told[:, -1].to(4)
    signal = torch.unsqueeze(self.signals[at], 1)
    noise = torch.unsqueeze(self.noises[at], 1)
    return )" + v + "\n");
  return sampler;
}

// Values that a file with this sampler draws from noise.
Tensor drawn_by(const Sampler& sampler, const Tensor& noise) {
  const torch::NoGradGuard no_gradient;
  auto file = file_with(sampler, {torch::zeros({8}), torch::eye(8)});
  return file.get_method("path")({noise}).toTensor().select(1, static_cast<std::int64_t>(sampler.levels.size()) - 1);
}

// Of a Gaussian as wide as that, and how its noise has to be scaled.
std::string v_of_gaussian(double deviation) {
  const std::string squared = std::to_string(deviation * deviation);
  return "x * signal * noise * (1.0 - " + squared + ") / (" + squared + " * signal * signal + noise * noise)";
}

TEST(Sampler, leaves_a_gaussian_as_wide_as_it_is) {
  const auto noise = normal(64, 8, 5);
  for (const std::int64_t steps : {1, 2, 16, 100}) {
    const Sampler sampler = with_known_v("x * 0.0", steps);
    EXPECT_TRUE(torch::equal(drawn_by(sampler, noise), noise)) << steps;
    EXPECT_TRUE(torch::equal(denoiser_inputs(sampler, noise).slice(1, 0, 8), noise.repeat({steps, 1}))) << steps;
  }
}

TEST(Sampler, errs_a_quarter_as_much_in_twice_the_steps) {
  const auto noise = normal(64, 8, 5);
  for (const double deviation : {0.5, 2.0}) {
    const auto error = [&](std::int64_t steps) {
      return relative(drawn_by(with_known_v(v_of_gaussian(deviation), steps), noise), noise * deviation);
    };
    EXPECT_LT(error(16), 0.01) << deviation;
    EXPECT_LT(error(32), error(16) / 3.5) << deviation;
    EXPECT_LT(error(64), error(32) / 3.5) << deviation;
  }
}

TEST(Sampler, finds_the_one_value_that_there_is) {
  for (const std::int64_t steps : {2, 16, 256}) {
    const auto found = drawn_by(with_known_v("(x * signal - 0.7) / noise", steps), normal(16, 8, 5));
    EXPECT_LT((found - 0.7).abs().max().item<double>(), 1e-3) << steps;
  }
}

TEST(Sampler, holds_what_it_takes_for_clean_within_the_reach_of_training) {
  Sampler sampler = with_known_v("(x * signal - 3.0) / noise", 16);
  sampler.reach = 0.5;
  EXPECT_LT((drawn_by(sampler, normal(16, 8, 5)) - 0.5).abs().max().item<double>(), 1e-3);
}

TEST(Sampler, calibrates_its_denoiser_with_what_that_sees_on_its_way) {
  const torch::NoGradGuard no_gradient;
  const Sampler sampler = sampler_of(trained_diffusion());
  const auto noise = normal(4, 8, 5);
  const auto inputs = denoiser_inputs(sampler, noise);
  ASSERT_EQ(inputs.sizes(), (std::vector<std::int64_t>{16 * 4, 9}));
  const auto path = file_with(sampler, {torch::zeros({8}), torch::eye(8)}).get_method("path")({noise}).toTensor();
  for (std::int64_t step = 0; step < 15; ++step) {
    const auto seen = inputs.slice(0, step * 4, (step + 1) * 4);
    EXPECT_TRUE((seen.select(1, 8) == 15.0 - static_cast<double>(step)).all().item<bool>());
    const auto v = torch::jit::Module(sampler.denoiser).forward({seen}).toTensor();
    const auto level = sampler.levels[static_cast<std::size_t>(15 - step)];
    const auto clean = (seen.slice(1, 0, 8) * level.signal - v * level.noise).clamp(-sampler.reach, sampler.reach);
    EXPECT_LT(relative(clean, path.select(1, step)), 1e-5) << step;
  }
}

TEST(Sampler, goes_the_files_way_in_this_process_where_it_can_be_differentiated) {
  const Sampler sampler = sampler_of(trained_diffusion());
  const auto noise = normal(4, 8, 5).set_requires_grad(true);
  const Tensor values = denoised(sampler, noise, 16);
  EXPECT_LT(relative(values.detach(), drawn_by(sampler, noise.detach())), 1e-5);
  // By each row's own noise alone.
  const Tensor gradient = torch::autograd::grad({values[1].sum()}, {noise}).front();
  EXPECT_GT(gradient[1].abs().max().item<double>(), 0.0);
  EXPECT_EQ(gradient[0].abs().max().item<double>(), 0.0);
  EXPECT_THROW((void)denoised(sampler, noise, 17), c10::Error);
  EXPECT_THROW((void)denoised(sampler, noise, 0), c10::Error);
}

TEST(NoiseSpace, of_a_diffusion_takes_what_was_turned_back_to_what_is_likely) {
  const torch::NoGradGuard no_gradient;
  const Sampler sampler = sampler_of(trained_diffusion());
  const NoiseSpace space({torch::zeros({8}), torch::eye(8)}, sampler);
  const auto noise = space.draw(4, 5);
  const auto clean = drawn_by(sampler, normal(4, 8, 5));
  EXPECT_TRUE(torch::equal(space.around(clean, noise, 0.0), clean));
  EXPECT_LT(relative(space.around(clean, noise, 0.2), clean), relative(space.around(clean, noise, 0.9), clean));
  EXPECT_LT(relative(space.around(clean, noise, 1.0), space.latents(noise)), 0.05);
}

double distance_to_data(torch::jit::Module file) {
  const torch::NoGradGuard no_gradient;
  const auto drawn = file.get_method("latent")({std::int64_t{256}, std::int64_t{1}}).toTensor();
  return energy_distance(drawn, two_clusters(512, 2));
}

// The sampler of the trained diffusion, its denoiser told other times than it is called at.
Sampler told(const std::vector<std::int64_t>& times) {
  Sampler sampler = sampler_of(trained_diffusion());
  const LatentDiffusion& diffusion = trained_diffusion();
  sampler.denoiser = denoiser_of_steps(diffusion.denoiser(), diffusion.shape(), 8, times);
  return sampler;
}

TEST(Diffusion, in_the_file_draws_what_no_gaussian_does_and_needs_its_steps_and_their_times) {
  const double data = energy_distance(two_clusters(512, 3), two_clusters(512, 2));
  const double gaussian = distance_to_data(file_with(std::nullopt));
  const double diffusion = distance_to_data(file_with(sampler_of(trained_diffusion())));
  auto steps = chosen_steps(16);
  const double constant = distance_to_data(file_with(told(std::vector<std::int64_t>(16, 128))));
  std::swap_ranges(steps.begin(), steps.begin() + 8, steps.begin() + 8);
  const double shuffled = distance_to_data(file_with(told(steps)));
  Sampler one = told({255});
  one.levels = {noise_levels().back()};
  const double one_step = distance_to_data(file_with(one));
  std::printf("energy distance to data: data %.4f, diffusion %.4f, Gaussian %.4f, constant t %.4f, shuffled t %.4f, 1 step %.4f\n",
              data, diffusion, gaussian, constant, shuffled, one_step);
  EXPECT_LT(diffusion, 0.5 * gaussian);
  EXPECT_GT(constant, 1.3 * diffusion);
  EXPECT_GT(shuffled, 1.3 * diffusion);
  EXPECT_GT(one_step, 1.5 * diffusion);
}

TEST(Diffusion, draws_the_first_components_and_leaves_the_others_gaussian) {
  const torch::NoGradGuard no_gradient;
  constexpr std::int64_t drawn = 4;
  LatentDiffusion diffusion({.width = 8, .multipliers = {1, 0, 0, 0}, .components = drawn, .steps = 16}, 8, 1);
  const auto latents = two_clusters(64, 1);
  diffusion.take_space_of(latents);
  EXPECT_LT(diffusion.loss(diffusion.in_space(latents), 2, 1).item<double>(), 3.0);
  wake(diffusion.denoiser());
  const Sampler sampler = sampler_of(diffusion);
  const auto noise = normal(5, 8, 7);
  const auto values = drawn_by(sampler, noise);
  EXPECT_TRUE(torch::equal(values.slice(1, drawn), noise.slice(1, drawn).clamp(-sampler.reach, sampler.reach)));
  EXPECT_GT(relative(values.slice(1, 0, drawn), noise.slice(1, 0, drawn)), 0.01);
  EXPECT_LT(relative(denoised(sampler, noise, 16), values), 1e-5);
  // What is not drawn tells nothing of what is.
  auto other = noise.clone();
  other.slice(1, drawn).zero_();
  EXPECT_TRUE(torch::equal(drawn_by(sampler, other).slice(1, 0, drawn), values.slice(1, 0, drawn)));
  // A latent of fewer values is drawn as a whole.
  EXPECT_EQ(DiffusionShape().drawn(8), 8);
}

TEST(Diffusion, answers_alike_by_each_of_its_methods) {
  const torch::NoGradGuard no_gradient;
  torch::jit::Module file = file_with(sampler_of(trained_diffusion()));
  const auto latents = file.get_method("latent")({std::int64_t{3}, std::int64_t{9}}).toTensor();
  const auto pair = file.forward({std::int64_t{3}, std::int64_t{9}}).toTuple();
  const auto decoded = file.get_method("decode")({latents}).toTuple();
  EXPECT_TRUE(torch::equal(pair->elements()[0].toTensor(), decoded->elements()[0].toTensor()));
  const auto noise = file.attr("noise").toModule().forward({std::int64_t{3}, std::int64_t{9}}).toTensor().to(torch::kFloat) *
                     std::ldexp(1.0, -20);
  const auto sampled = file.get_method("sample")({noise}).toTuple();
  const auto refined = file.get_method("refine")({noise, std::int64_t{16}}).toTuple();
  EXPECT_TRUE(torch::equal(sampled->elements()[0].toTensor(), pair->elements()[0].toTensor()));
  EXPECT_TRUE(torch::equal(refined->elements()[1].toTensor(), pair->elements()[1].toTensor()));
  const auto path = file.get_method("path")({noise}).toTensor();
  ASSERT_EQ(path.sizes(), (std::vector<std::int64_t>{3, 16, 8}));
  EXPECT_TRUE(torch::equal(path.select(1, 15), latents));
  EXPECT_GT(relative(path.select(1, 0), latents), 0.1);
  // A row is its own, whatever comes with it.
  const auto alone = file.get_method("latent")({std::int64_t{1}, std::int64_t{9}}).toTensor();
  EXPECT_LT(relative(alone[0], latents[0]), 1e-4);
  const auto none = file.forward({std::int64_t{0}, std::int64_t{1}}).toTuple();
  EXPECT_EQ(none->elements()[0].toTensor().sizes(), (std::vector<std::int64_t>{0, 1, 70, 70}));
}

TEST(Diffusion, refuses_noise_that_is_none_and_steps_that_there_are_not) {
  torch::jit::Module file = file_with(sampler_of(trained_diffusion()));
  const auto words = [&](const char* method, std::vector<c10::IValue> arguments) -> std::string {
    try {
      file.get_method(method)(std::move(arguments));
      return "";
    } catch (const std::exception& error) {
      return error.what();
    }
  };
  EXPECT_THAT(words("sample", {torch::zeros({1, 7})}), HasSubstr("as many values in a row as a latent has"));
  EXPECT_THAT(words("sample", {torch::zeros({8})}), HasSubstr("two axes"));
  auto spoilt = torch::zeros({2, 8});
  spoilt[1][3] = std::nanf("");
  EXPECT_THAT(words("sample", {spoilt}), HasSubstr("not finite"));
  EXPECT_THAT(words("path", {spoilt}), HasSubstr("not finite"));
  EXPECT_THAT(words("refine", {torch::zeros({1, 8}), std::int64_t{0}}), HasSubstr("1 step at least"));
  EXPECT_THAT(words("refine", {torch::zeros({1, 8}), std::int64_t{17}}), HasSubstr("no more steps than"));
}

TEST(Diffusion, forgets_what_it_learned_of_other_latents) {
  LatentDiffusion diffusion(tiny, 8, 1);
  const auto latents = two_clusters(32, 1);
  diffusion.take_space_of(latents);
  EXPECT_FALSE(diffusion.is_trained());
  const auto values = diffusion.in_space(latents);
  EXPECT_LT(relative(out_of_space(diffusion.space(), values), latents), 1e-4);
  EXPECT_NEAR(values.abs().max().item<double>(), diffusion.reach(), 1e-5);
  (void)diffusion.loss(values, 2, 7);
  EXPECT_TRUE(diffusion.is_trained());
  const auto kept = diffusion.space().mean.clone();
  diffusion.take_space_of(latents + 1.0);
  EXPECT_TRUE(torch::equal(diffusion.space().mean, kept)) << "trained in one space, it stays there";
  diffusion.forget();
  EXPECT_FALSE(diffusion.is_trained());
  diffusion.take_space_of(latents + 1.0);
  EXPECT_FALSE(torch::equal(diffusion.space().mean, kept));
}

// A task with data, as a stage trains it.
class DiffusionTask : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    data_ = new TemporaryFolder;
    ASSERT_THAT(earth::make_toy_data(data_->path() / "data", 10, 1), IsOk());
  }
  static void TearDownTestSuite() { delete data_; }

  static GeneratorRecipe recipe() {
    GeneratorRecipe recipe;
    recipe.shape = tiny_decoders;
    recipe.shape.diffusion = tiny;
    recipe.data = {.train = {data_->path() / "data"}, .held_out = 2};
    return recipe;
  }
  static std::unique_ptr<kinds::Task> open(const GeneratorRecipe& recipe) {
    auto opened = recipe.open(5);
    EXPECT_THAT(opened, IsOk());
    return std::move(*opened);
  }
  static std::vector<kinds::Draw> draws() { return {{0, false}, {1, true}, {2, false}, {3, true}}; }
  // A step of stages 1 and 3.
  static void train(kinds::Task& task, bool diffusion) {
    task.set_training(true);
    task.loss(task.phase(1), draws()).total.backward();
    if (diffusion) task.loss(task.phase(3), draws()).total.backward();
    const torch::NoGradGuard no_gradient;
    for (const auto& trained : task.phase(3).trained) {
      if (diffusion && trained.tensor.grad().defined()) trained.tensor.detach().sub_(trained.tensor.grad().sign() * 0.02);
    }
    task.set_training(false);
    task.fit();
  }

  inline static TemporaryFolder* data_ = nullptr;
};

TEST_F(DiffusionTask, trains_the_denoiser_alone_and_after_the_decoders) {
  const auto task = open(recipe());
  for (const auto& trained : task->phase(2).trained) EXPECT_FALSE(trained.name.starts_with("denoiser.")) << trained.name;
  const auto phase = task->phase(3);
  EXPECT_EQ(phase.name, "diffusion");
  EXPECT_GT(phase.trained.size(), 20U);
  for (const auto& trained : phase.trained) {
    EXPECT_TRUE(trained.name.starts_with("denoiser.")) << trained.name;
    EXPECT_EQ(trained.rate, 0.5);
  }
  const auto columns = task->columns();
  ASSERT_EQ(columns.size(), 8U);
  task->set_training(true);
  const auto first = task->loss(task->phase(1), draws());
  ASSERT_EQ(first.parts.size(), 3U);
  EXPECT_TRUE(first.parts[1].has_value());
  EXPECT_FALSE(first.parts[2].has_value());
  const auto norm = kinds::state_of(*task);
  std::vector<Tensor> before;
  for (const auto& [name, tensor] : norm) {
    if (name.starts_with("encoder.")) before.push_back(tensor.clone());
  }
  const auto second = task->loss(phase, draws());
  EXPECT_FALSE(second.parts[0].has_value());
  EXPECT_NEAR(second.parts[2].value_or(0.0), 1.0, 0.7);  // of noise, by a denoiser that answers 0
  std::size_t i = 0;
  for (const auto& [name, tensor] : norm) {
    if (name.starts_with("encoder.")) {
      EXPECT_TRUE(torch::equal(tensor, before[i++])) << name << ": batch statistics, too";
    }
  }
  task->set_training(false);
  const auto scores = task->score_held_out();
  ASSERT_EQ(scores.size(), 5U);
  EXPECT_TRUE(scores[2].has_value());
}

TEST_F(DiffusionTask, serves_the_gaussian_and_says_so_before_it_is_trained) {
  const torch::AutoGradMode gradient(true);
  const auto task = open(recipe());
  train(*task, false);
  auto exported = task->make_export();
  EXPECT_EQ(exported.parts.size(), 2U);
  EXPECT_EQ(exported.about.at("latent"), "gaussian fitted to the encoder's latents; its diffusion is not trained yet");
  EXPECT_EQ(exported.signature.method("sample"), nullptr);
  train(*task, true);
  exported = task->make_export();
  EXPECT_EQ(exported.parts.size(), 3U);
  EXPECT_EQ(exported.about.at("latent"), "diffusion, 16 of 256 steps of second order");
  ASSERT_NE(exported.signature.method("sample"), nullptr);
  // The decoders go on: what was learned of their latents is void.
  train(*task, false);
  EXPECT_EQ(task->make_export().parts.size(), 2U);
}

TEST_F(DiffusionTask, refuses_weights_without_decoders_or_of_another_latent) {
  const torch::AutoGradMode gradient(true);
  const auto task = open(recipe());
  train(*task, true);
  const auto file = data_->path() / "whole.weights";
  const models::ModelDescription about{.name = "small", .kind = "generator", .shape = task->shape()};
  ASSERT_THAT(kinds::save_weights(file, *task, about), IsOk());
  auto whole = models::read_model_file(file);
  ASSERT_THAT(whole, IsOk());
  const auto again = open(recipe());
  ASSERT_THAT(kinds::take_weights(*whole, *again), IsOk());
  EXPECT_EQ(again->make_export().parts.size(), 3U);

  auto without = *whole;
  std::erase_if(without.tensors, [](const auto& named) { return named.first.starts_with("velocity_decoder."); });
  EXPECT_THAT(kinds::take_weights(without, *open(recipe())),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("tensor velocity_decoder.")));
  auto without_denoiser = *whole;
  std::erase_if(without_denoiser.tensors, [](const auto& named) { return named.first.starts_with("denoiser."); });
  EXPECT_THAT(kinds::take_weights(without_denoiser, *open(recipe())),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("tensor denoiser.")));
  GeneratorRecipe wider = recipe();
  wider.shape.latent = 16;
  EXPECT_THAT(kinds::take_weights(*whole, *open(wider)), ErrorIs(ErrorCode::invalid_data, HasSubstr("another shape")));
  auto other = *whole;
  for (auto& [name, tensor] : other.tensors) {
    if (name == "prior.mean") tensor = tensor + 0.5;
  }
  EXPECT_THAT(kinds::take_weights(other, *open(recipe())),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("trained for other latents")));
  EXPECT_EQ(make_kind()->recipe(R"({"latent":8,"encoder_width":2,"velocity_width":2,"seismic_width":2,
                                    "diffusion":{"width":8,"multipliers":[1,2,0,0],"steps":0}})").has_value(), false);
}

TEST_F(DiffusionTask, is_int8_in_all_its_layers_and_counted) {
  const torch::AutoGradMode gradient(true);
  GeneratorRecipe small = recipe();
  small.shape.diffusion = one_level;
  const auto task = open(small);
  train(*task, true);
  const auto folder = data_->path() / "stage";
  std::filesystem::create_directories(folder);
  quantize::VariantChoice choice;
  choice.variants = {"float", "int8-quint8", "int8-qint8", "float-mobile"};
  const auto stage = quantize::export_variants(task->make_export(), folder, "small_stage3", choice);
  ASSERT_THAT(stage, IsOk());
  ASSERT_EQ(stage->variants.size(), 4U);
  EXPECT_LT(static_cast<double>(stage->variants[3].size.value()), 1.2 * static_cast<double>(stage->variants[0].size.value()))
      << "steps are not copies";
  const auto plan = read_text_file(folder / "small_stage3_int8-qint8.plan.toml");
  ASSERT_THAT(plan, IsOk());
  const auto convolutions = operations_in(make_denoiser(one_level, 8, 1), "aten::conv1d");
  std::int64_t planned = 0;
  for (auto at = plan->find("[layers.\"denoiser."); at != std::string::npos; at = plan->find("[layers.\"denoiser.", at + 1)) {
    planned += plan->substr(at, 400).find("operation = \"conv2d\"\nformat = \"int8\"") < 200 ? 1 : 0;
  }
  EXPECT_EQ(planned, convolutions);
  std::vector<Tensor> maps;
  for (const auto& variant : stage->variants) {
    auto model = models::LiteModel::load(variant.file);
    ASSERT_THAT(model, IsOk());
    const auto pair = model->call("forward", {std::int64_t{2}, std::int64_t{1}});
    ASSERT_THAT(pair, IsOk());
    maps.push_back(pair->at(0));
    EXPECT_THAT(model->call("sample", {torch::zeros({1, 9})}), ErrorIs(ErrorCode::invalid_data, HasSubstr("noise")));
    // No row for no noise, and a batch answers as one row does.
    EXPECT_EQ(model->call("sample", {torch::zeros({0, 8})})->at(1).size(0), 0);
    const auto one = model->call("forward", {std::int64_t{1}, std::int64_t{1}});
    EXPECT_LT((one->at(0)[0] - maps.back()[0]).abs().max().item<double>(), 1.0) << variant.name;
  }
  EXPECT_LT((maps[1] - maps[0]).abs().mean().item<double>(), 60.0);
  EXPECT_LT((maps[2] - maps[0]).abs().mean().item<double>(), 60.0);

  // What people are shown of it.
  auto first = models::LiteModel::load(stage->variants[0].file);
  auto second = models::LiteModel::load(stage->variants[2].file);
  ASSERT_THAT(first, IsOk());
  ASSERT_THAT(second, IsOk());
  ComparisonOptions options;
  options.generated = 2;
  options.gallery_generated = 1;
  const auto compared = compare(dynamic_cast<GeneratorTask&>(*task), {{"float", &*first}, {"int8-qint8", &*second}}, options);
  ASSERT_THAT(compared, IsOk());
  ASSERT_EQ(compared->strips.size(), 2U);
  const FilmStrip& strip = compared->strips.front();
  ASSERT_EQ(strip.maps.size(), FilmStrip::frames);
  EXPECT_EQ(compared->strip_headings.back(), "map at step 16 of 16");
  const auto drawn = first->call("forward", {std::int64_t{1}, std::int64_t{1}});
  ASSERT_THAT(drawn, IsOk());
  EXPECT_NEAR(mean_absolute_error(strip.maps.back(), values(drawn->at(0).contiguous())), 0.0, 0.01)
      << "the last step is what is drawn";
  EXPECT_GT(mean_absolute_error(strip.maps.front(), strip.maps.back()), 1.0);
  ASSERT_EQ(compared->equal_noise.size(), 1U);
  EXPECT_GT(compared->equal_noise[0].ssim, 0.8);
  EXPECT_LT(compared->equal_noise[0].ssim, 1.0);
}

// Answers maps that it was shown, one for each seed.
class Copying final : public models::CallableModel {
 public:
  explicit Copying(const earth::Samples& samples) : samples_(samples) {}
  Result<std::vector<Tensor>> call(const std::string& method, std::vector<c10::IValue> arguments) override {
    if (method == "latent") return std::vector<Tensor>{torch::full({1, 8}, static_cast<float>(arguments.at(1).toInt()))};
    const auto at = static_cast<std::size_t>(std::fabs(arguments.at(0).toTensor()[0][0].item<float>())) % samples_.size();
    const auto copied = [](std::span<const float> values, at::IntArrayRef shape) {
      return torch::from_blob(const_cast<float*>(values.data()), shape, torch::kFloat).clone();
    };
    return std::vector<Tensor>{copied(samples_.velocity(at), {1, 1, 70, 70}),
                               copied(samples_.gathers(at), {1, 5, 1000, 70})};
  }

 private:
  const earth::Samples& samples_;
};

TEST_F(DiffusionTask, a_model_that_copies_training_maps_is_exposed) {
  const auto task = open(recipe());
  train(*task, false);
  auto& generator = dynamic_cast<GeneratorTask&>(*task);
  Copying copying(generator.split().training);
  ComparisonOptions options;
  options.generated = 3;
  options.gallery_generated = 0;
  const auto compared = compare(generator, {{"float", &copying}}, options);
  ASSERT_THAT(compared, IsOk());
  EXPECT_EQ(compared->generated.nearest.value_or(-1.0), 0.0) << "by its distance to the nearest training map";
  EXPECT_EQ(compared->generated.closest.value_or(-1.0), 0.0);
  EXPECT_GT(compared->generated.data_nearest.value_or(0.0), 10.0);
  EXPECT_TRUE(compared->strips.empty()) << "of a Gaussian";
}

}  // namespace
}  // namespace outcrop::generator
