#include "trainer_host/trainer/quantize/aware_training.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/classifier/trained_for_tests.hpp"
#include "trainer_host/trainer/kinds/earth/toy_data.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"
#include "trainer_host/trainer/models/layered_form.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/models/training_form.hpp"
#include "trainer_host/trainer/quantize/plan.hpp"
#include "trainer_host/trainer/quantize/small_generator_for_tests.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::quantize {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using torch::jit::Module;

VariantChoice trained_ones() {
  VariantChoice choice;
  choice.variants = {"float", "int8-qat-quint8", "int8-qat"};
  return choice;
}

// Groups, both kinds of convolution without biases, and norms behind them.
Module network_of_many_norms(
    const std::string& body = "    y = torch.relu(self.first_norm.forward(self.first.forward(x)))\n"
                              "    return self.up_norm.forward(self.up.forward(y))\n") {
  at::Generator random = at::detail::createCPUGenerator(3);
  const auto unit = std::make_shared<torch::jit::CompilationUnit>();
  Module network("__torch__.Network", unit, /*shouldMangle=*/true);
  network.register_attribute("training", c10::BoolType::get(), false);
  const auto layer = [&](const char* name, const char* type, at::IntArrayRef shape, const std::string& call) {
    Module module(std::string("__torch__.torch.nn.modules.conv.") + type, unit, /*shouldMangle=*/true);
    module.register_parameter("weight", torch::empty(shape).normal_(0.0, 0.4, random).requires_grad_(), false);
    module.define("def forward(self, x):\n    return " + call + "\n");
    network.register_module(name, module);
  };
  const auto norm = [&](const char* name, std::int64_t channels) {
    Module module("__torch__.torch.nn.modules.batchnorm.BatchNorm2d", unit, /*shouldMangle=*/true);
    const auto values = [&](double middle) {
      return torch::empty({channels}).uniform_(middle - 0.4, middle + 0.4, random);
    };
    module.register_parameter("weight", values(1.0).requires_grad_(), false);
    module.register_parameter("bias", values(0.0).requires_grad_(), false);
    module.register_buffer("running_mean", values(0.0));
    module.register_buffer("running_var", values(1.0));
    module.register_attribute("training", c10::BoolType::get(), false);
    module.define(
        "def forward(self, x):\n    return torch.batch_norm(x, self.weight, self.bias, self.running_mean, "
        "self.running_var, self.training, 0.1, 1e-5, False)\n");
    network.register_module(name, module);
  };
  layer("first", "Conv2d", {8, 2, 3, 3}, "torch.conv2d(x, self.weight, None, [1, 1], [1, 1], [1, 1], 2)");
  norm("first_norm", 8);
  layer("up", "ConvTranspose2d", {8, 3, 4, 4},
        "torch.conv_transpose2d(x, self.weight, None, [2, 2], [1, 1], [0, 0], 2, [1, 1])");
  norm("up_norm", 6);
  network.define("def forward(self, x):\n" + body);
  network.eval();
  return network;
}

StaticQuantization as_trained() {
  StaticQuantization options;
  options.activations = trained_for;
  return options;
}

double decibels(const torch::Tensor& answer, const torch::Tensor& truth) {
  return 20.0 * std::log10((truth.norm() / (answer - truth).norm()).item<double>());
}

TEST(FakeQuantized, rounds_a_little_and_gives_every_parameter_the_gradient_that_float_has) {
  Module network = network_of_many_norms();
  at::Generator random = at::detail::createCPUGenerator(5);
  const auto rows = torch::empty({32, 4, 6, 6}).normal_(0.0, 1.0, random);
  auto fake = FakeQuantized::make(network, rows.slice(0, 0, 1), as_trained());
  ASSERT_THAT(fake, IsOk());
  ASSERT_THAT(fake->choose_ranges(rows), IsOk());
  {
    const torch::NoGradGuard no_gradient;
    const double db = decibels(fake->answers(rows), network.forward({rows}).toTensor());
    EXPECT_GT(db, 25.0);
    EXPECT_LT(db, 60.0);
  }
  std::map<std::string, torch::Tensor> of_float;
  network.forward({rows}).toTensor().square().mean().backward();
  for (const auto& parameter : network.named_parameters()) {
    torch::Tensor tensor = parameter.value;
    of_float[parameter.name] = tensor.grad().clone();
    tensor.mutable_grad().reset();
  }
  EXPECT_EQ(of_float.size(), 6U);
  fake->form().forward(rows).square().mean().backward();
  for (const auto& parameter : network.named_parameters()) {
    ASSERT_TRUE(parameter.value.grad().defined()) << parameter.name;
    EXPECT_GT(decibels(parameter.value.grad(), of_float.at(parameter.name)), 12.0) << parameter.name;
  }
  // A step of the parameters is a step of the form, without anything done to it.
  const torch::NoGradGuard no_gradient;
  const auto before = fake->answers(rows);
  network.attr("up_norm").toModule().attr("bias").toTensor().add_(1.0);
  EXPECT_GT((fake->answers(rows) - before).mean().item<double>(), 0.4);
}

TEST(FakeQuantized, comes_back_by_its_ranges_alone_and_refuses_those_of_another) {
  Module network = network_of_many_norms();
  const auto rows = torch::rand({16, 4, 6, 6}, at::detail::createCPUGenerator(5));
  auto fake = FakeQuantized::make(network, rows.slice(0, 0, 1), as_trained());
  ASSERT_THAT(fake, IsOk());
  ASSERT_THAT(fake->choose_ranges(rows), IsOk());
  const auto kept = ranges_in(to_tensors(fake->ranges()));
  ASSERT_THAT(kept, IsOk());
  auto again = FakeQuantized::make(network, rows.slice(0, 0, 1), as_trained());
  ASSERT_THAT(again, IsOk());
  ASSERT_THAT(again->set_ranges(*kept), IsOk());
  EXPECT_TRUE(torch::equal(again->answers(rows), fake->answers(rows)));

  TrainedRanges less = *kept;
  less.erase("first");
  EXPECT_THAT(again->set_ranges(less), ErrorIs(ErrorCode::internal, HasSubstr("no range was trained for 'first'")));
  TrainedRanges more = *kept;
  more["other"] = {};
  EXPECT_THAT(again->set_ranges(more), ErrorIs(ErrorCode::internal, HasSubstr("ranges were trained")));
  EXPECT_THAT(ranges_in({{"first", torch::tensor({0.1F, 256.0F})}}),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("'first'")));
}

TEST(Agreement, is_within_a_tenth_of_a_decibel) {
  at::Generator random = at::detail::createCPUGenerator(5);
  const auto truth = torch::empty({1000}).normal_(0.0, 1.0, random);
  const auto noise = torch::empty({1000}).normal_(0.0, 0.01, random);
  EXPECT_THAT(check_agreement(truth, truth + noise, truth - noise * 1.005), IsOk());
  EXPECT_THAT(check_agreement(truth, truth + noise, truth + noise * 1.05),
              ErrorIs(ErrorCode::refused, AllOf(HasSubstr("dB to float"), HasSubstr("more than 0.1 dB apart"))));
  EXPECT_THAT(check_agreement(truth, truth, truth), IsOk());
  // Over ten rows another noise of the same size is chance; over a thousand a larger one is not.
  const auto other = torch::empty({1000}).normal_(0.0, 0.01, random);
  EXPECT_THAT(check_agreement(truth.slice(0, 0, 10), (truth + noise).slice(0, 0, 10), (truth + other).slice(0, 0, 10)),
              IsOk());
  EXPECT_THAT(check_agreement(truth, truth + noise, truth + noise + other), ErrorIs(ErrorCode::refused, testing::_));
  // From so many rows on nothing is chance: .12 dB, of which a few rows would have made nothing.
  const auto rows = rows_to_agree_on;
  const auto near = truth + noise * 1.014;
  EXPECT_THAT(check_agreement(truth.slice(0, 0, rows), (truth + noise).slice(0, 0, rows), near.slice(0, 0, rows)),
              ErrorIs(ErrorCode::refused, testing::_));
  EXPECT_THAT(check_agreement(truth.slice(0, 0, rows - 1), (truth + noise).slice(0, 0, rows - 1), near.slice(0, 0, rows - 1)),
              IsOk());
}

// A small encoder's int8 and training's rounding fall to other sides of borders throughout: over 360 texts their errors were .13 dB
// apart, which is half a standard deviation.
TEST(Agreement, is_not_refused_for_what_chance_explains) {
  at::Generator random = at::detail::createCPUGenerator(5);
  const auto draw = [&](double size) { return torch::empty({360, 4}).normal_(0.0, size, random); };
  const auto truth = draw(1.0);
  const auto noise = draw(0.01);
  auto other = 0.92 * noise + draw(0.004);
  other *= 1.015 * noise.norm() / other.norm();  // .13 dB more
  EXPECT_THAT(check_agreement(truth, truth + noise, truth + other), IsOk());
  EXPECT_THAT(check_agreement(truth, truth + noise, truth + 1.2 * other), ErrorIs(ErrorCode::refused, testing::_));
  EXPECT_THAT(check_agreement(truth, truth + noise, truth + 1.015 * noise), ErrorIs(ErrorCode::refused, testing::_))
      << "each row's error by as much: no chance";
}

TEST(Agreement, of_classes_is_within_a_tenth_of_a_point) {
  const auto truth = torch::eye(4).repeat({500, 1});  // 2000 rows
  const auto with_wrong = [&](std::int64_t wrong) {
    auto answers = truth.clone();
    answers.slice(0, 0, wrong).copy_(truth.slice(0, 1, wrong + 1));
    return answers;
  };
  EXPECT_THAT(check_same_classes(truth, with_wrong(10), with_wrong(12)), IsOk());
  EXPECT_THAT(check_same_classes(truth, with_wrong(10), with_wrong(13)),
              ErrorIs(ErrorCode::refused, AllOf(HasSubstr("99.50 %"), HasSubstr("99.35 %"), HasSubstr("0.1 point"))));
  // Of few rows one is more than that.
  EXPECT_THAT(check_same_classes(truth.slice(0, 0, 20), with_wrong(1).slice(0, 0, 20), with_wrong(2).slice(0, 0, 20)), IsOk());
  EXPECT_THAT(check_same_classes(truth.slice(0, 0, 20), with_wrong(1).slice(0, 0, 20), with_wrong(3).slice(0, 0, 20)),
              ErrorIs(ErrorCode::refused, testing::_));
}

// Training has a faster form of transposed convolutions: with rounding around them, too, it computes and differentiates the same.
TEST(FakeQuantized, is_the_same_within_the_form_that_is_trained) {
  Module network = network_of_many_norms();
  Module plain = make_small_generator().velocity_decoder;
  for (const Module& one : {network, plain}) {
    Module trained = one;
    const bool decoder = trained.hasattr("mix1");
    at::Generator random = at::detail::createCPUGenerator(5);
    const auto rows = torch::empty(decoder ? std::vector<std::int64_t>{4, 32, 1, 1} : std::vector<std::int64_t>{4, 4, 6, 6})
                          .normal_(0.0, 1.0, random);
    for (const auto& parameter : trained.named_parameters()) parameter.value.requires_grad_();
    auto fake = FakeQuantized::make(trained, rows.slice(0, 0, 1), as_trained());
    ASSERT_THAT(fake, IsOk());
    ASSERT_THAT(fake->choose_ranges(rows), IsOk());
    models::TrainingForm form(trained);
    form.train(false);
    form.train_through(fake->form());
    const auto gradients = [&](const torch::Tensor& answer) {
      std::map<std::string, torch::Tensor> all;
      answer.square().mean().backward();
      for (const auto& parameter : trained.named_parameters()) {
        torch::Tensor tensor = parameter.value;
        if (tensor.grad().defined()) all[parameter.name] = tensor.grad().clone();
        tensor.mutable_grad().reset();
      }
      return all;
    };
    const auto through = form.forward(rows);
    models::OtherForm alone = fake->form();
    const auto itself = alone.forward(rows);
    // A sum in another order may fall to the other side of a border between two codes.
    EXPECT_GT(decibels(through.detach(), itself.detach()), 40.0);
    const auto one_way = gradients(through);
    const auto other_way = gradients(itself);
    EXPECT_EQ(one_way.size(), other_way.size());
    EXPECT_GE(one_way.size(), 6U);
    for (const auto& [name, gradient] : one_way) EXPECT_GT(decibels(gradient, other_way.at(name)), 30.0) << name;
  }
}

// Kernels have these operations' codes built in.
TEST(FakeQuantized, rounds_what_sigmoid_and_tanh_answer_as_int8_does) {
  const torch::NoGradGuard no_gradient;
  const Module network = network_of_many_norms(
      "    y = torch.sigmoid(self.first_norm.forward(self.first.forward(x)))\n"
      "    return torch.tanh(self.up_norm.forward(self.up.forward(y)))\n");
  const auto rows = torch::empty({64, 4, 6, 6}).normal_(0.0, 1.0, at::detail::createCPUGenerator(5));
  auto fake = FakeQuantized::make(network, rows.slice(0, 0, 1), as_trained());
  ASSERT_THAT(fake, IsOk());
  ASSERT_THAT(fake->choose_ranges(rows), IsOk());
  const auto rounded = fake->answers(rows);
  EXPECT_TRUE(torch::equal(rounded * 128.0, (rounded * 128.0).round()));
  const Module layered = models::layered_form(network, {rows.slice(0, 0, 1)});
  for (const ActivationType type : {ActivationType::qint8, ActivationType::quint8}) {
    StaticQuantization options;
    options.activations = type;
    options.ranges = fake->ranges();
    options.weight_scales = trained_weight_scales(layered, layered, type);
    const auto quantized = quantize_static(layered, rows, options);
    ASSERT_THAT(quantized, IsOk());
    const auto codes = (answers_to(rows, quantized->module, 16).front() - rounded).abs() * 128.0;
    EXPECT_LE(codes.max().item<double>(), 5.01);  // one code of what tanh is given is several of its own
    EXPECT_LT((codes > 0.5).to(torch::kFloat).mean().item<double>(), 0.02);
  }
}

// The passes put observers behind a norm's weight and bias as well, whose ranges were given to each other at conversion.
TEST(FakeQuantized, leaves_what_scales_and_shifts_a_norm_in_float) {
  const torch::NoGradGuard no_gradient;
  const auto constant = [](double value) {
    return "torch.full([6], " + std::to_string(value) + ", dtype=6, layout=None, device=None, pin_memory=False)";
  };
  const auto norm = [&](const std::string& x) {
    return "    y = torch.layer_norm(" + x + ", [6], " + constant(4.0) + ", " + constant(0.01) + ", 1e-5, False)\n";
  };
  const Module network = network_of_many_norms(norm("self.first.forward(x)") + norm("torch.relu(self.first.forward(y[:, 0:4]))") +
                                               "    return self.up_norm.forward(self.up.forward(y))\n");
  const auto rows = torch::empty({64, 4, 6, 6}).normal_(0.0, 1.0, at::detail::createCPUGenerator(5));
  auto fake = FakeQuantized::make(network, rows.slice(0, 0, 1), as_trained());
  ASSERT_THAT(fake, IsOk());
  ASSERT_THAT(fake->choose_ranges(rows), IsOk());
  for (const auto& [name, range] : fake->ranges()) EXPECT_EQ(name.find("constant"), std::string::npos) << name;
  const Module layered = models::layered_form(network, {rows.slice(0, 0, 1)});
  const auto truth = answers_to(rows, layered, 16).front();
  for (const ActivationType type : {ActivationType::qint8, ActivationType::quint8}) {
    StaticQuantization options;
    options.activations = type;
    options.ranges = fake->ranges();
    options.weight_scales = trained_weight_scales(layered, layered, type);
    const auto quantized = quantize_static(layered, rows, options);
    ASSERT_THAT(quantized, IsOk());
    EXPECT_THAT(check_agreement(truth, fake->answers(rows), answers_to(rows, quantized->module, 16).front()), IsOk());
  }
}

TEST(FakeQuantized, refuses_several_tensors_and_says_what_takes_them) {
  const Module network = network_of_many_norms("    y = self.first.forward(x)\n    return y, self.up.forward(y)\n");
  EXPECT_THAT(FakeQuantized::make(network, torch::rand({1, 4, 6, 6}), as_trained()),
              ErrorIs(ErrorCode::unsupported, AllOf(HasSubstr("gives 2"), HasSubstr("static int8"))));
}

// The seismic decoder is converted in another form, with another layer at its end.
TEST(TrainedInt8, of_a_generator_is_what_was_trained_by_both_kernel_sets) {
  const TemporaryFolder folder;
  auto generator = generator::make_generator(
      {.latent = 8, .encoder_width = 2, .velocity_width = 2, .seismic_width = 2}, 7);
  generator.train(false);
  kinds::Export model = small_export(generator, small_latents(24).slice(1, 0, 8).contiguous());
  const auto untrained = AllOf(HasSubstr("velocity decoder was not trained for int8"), HasSubstr("train.qat_from"),
                               HasSubstr("--method static"));
  const auto float_alone = export_variants(model, folder.path(), "small", trained_ones());
  ASSERT_THAT(float_alone, IsOk());
  EXPECT_EQ(float_alone->variants.size(), 1U);
  ASSERT_EQ(float_alone->left_out.size(), 2U);
  EXPECT_THAT(float_alone->left_out.back().second, untrained);
  VariantChoice nothing_else;
  nothing_else.variants = {"float", "int8-qat"};
  EXPECT_THAT(export_variants(model, folder.path(), "small", nothing_else), ErrorIs(ErrorCode::unsupported, untrained));
  for (kinds::ExportPart& part : model.parts) {
    StaticQuantization options = as_trained();
    options.output_limit = part.output_limit;
    auto fake = FakeQuantized::make(part.network, part.calibration[0].slice(0, 0, 1), options);
    ASSERT_THAT(fake, IsOk());
    ASSERT_THAT(fake->choose_ranges(part.calibration[0]), IsOk());
    part.trained_ranges = to_tensors(fake->ranges());
  }
  const auto stage = export_variants(model, folder.path(), "small", trained_ones());
  ASSERT_THAT(stage, IsOk());
  ASSERT_EQ(stage->variants.size(), 3U);
  for (std::size_t i = 1; i < stage->variants.size(); ++i) {
    const VariantFile& variant = stage->variants[i];
    EXPECT_LT(variant.outputs.at("velocity").mean_abs_error, 60.0) << variant.name;
    EXPECT_GT(variant.coverage.multiply_adds, 0.99) << variant.name;
    EXPECT_LT(variant.size.value(), stage->variants[0].size.value() / 2) << variant.name;
  }
  const auto plan = read_plan(stage->variants.back().plan);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->method, "qat");
  EXPECT_EQ(plan->observer, "");  // ranges are those that were trained
  EXPECT_FALSE(plan->corrections);
  const auto has = [&](const char* tensor) {
    return std::any_of(plan->ranges.begin(), plan->ranges.end(),
                       [&](const PlannedRange& range) { return range.tensor == tensor && range.high > range.low; });
  };
  EXPECT_TRUE(has("velocity_decoder.mix1"));
  EXPECT_TRUE(has("seismic_decoder.input"));

  VariantChoice changed = trained_ones();
  changed.plan = *plan;
  changed.plan->layers.front().format = "float";
  EXPECT_THAT(export_variants(model, folder.path(), "small", changed),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("variant int8-qat has for it: int8")));
}

TEST(AwareTraining, of_a_classifier_learns_and_its_int8_answers_as_it_was_scored) {
  const TemporaryFolder folder;
  auto opened = classifier::small_task(folder.path() / "data");
  ASSERT_THAT(opened, IsOk());
  classifier::ClassifierTask& task = **opened;
  classifier::train_a_little(task, 4);
  AwareTraining for_int8;
  ASSERT_THAT(for_int8.choose_ranges(task), IsOk());
  std::map<std::string, torch::Tensor> before;
  for (const auto& [name, tensor] : kinds::state_of(task)) before[name] = tensor.clone();

  const auto phase = task.phase(1);
  std::vector<torch::Tensor> weights;
  for (const auto& one : phase.trained) weights.push_back(one.tensor);
  torch::optim::Adam optimizer(weights, torch::optim::AdamOptions(0.002));
  const auto draws = kinds::draw_epoch(1, 9, task.data().training, true);
  const double first = *task.loss(phase, draws).parts.at(0);
  for (int step = 0; step < 10; ++step) {
    optimizer.zero_grad();
    task.loss(phase, draws).total.backward();
    optimizer.step();
  }
  EXPECT_LT(*task.loss(phase, draws).parts.at(0), first);
  for (const auto& [name, tensor] : kinds::state_of(task)) {
    const bool frozen = name.find("running") != std::string::npos || name.find("tracked") != std::string::npos ||
                        name.starts_with("pixels");
    EXPECT_EQ(torch::equal(tensor, before.at(name)), frozen) << name;
  }
  const auto scored = task.score_held_out();
  const auto stage = export_variants(kinds::export_of(task), folder.path(), "stripes", trained_ones());
  ASSERT_THAT(stage, IsOk());
  ASSERT_TRUE(stage->left_out.empty());
  for (const char* variant : {"int8-qat", "int8-qat-quint8"}) {
    auto model = models::LiteModel::load(folder.path() / ("stripes_" + std::string(variant) + ".ptl"));
    ASSERT_THAT(model, IsOk());
    const auto quality = task.judge(*model);
    ASSERT_THAT(quality, IsOk());
    EXPECT_NEAR(1.0 - *quality->model.outputs.at("probabilities").find("error"), *scored.at(1), 0.05) << variant;
  }
  for_int8.leave(task);
  EXPECT_TRUE(kinds::export_of(task).parts[0].trained_ranges.empty());
}

TEST(AwareTraining, of_a_generator_is_of_both_decoders_and_leaves_the_encoder_float) {
  const TemporaryFolder folder;
  ASSERT_THAT(earth::make_toy_data(folder.path() / "data", 6, 1), IsOk());
  generator::GeneratorRecipe recipe;
  recipe.shape = {.latent = 8, .encoder_width = 2, .velocity_width = 2, .seismic_width = 2};
  recipe.data = {.train = {folder.path() / "data"}, .held_out = 2};
  const auto task = recipe.open(1);
  ASSERT_THAT(task, IsOk());
  AwareTraining for_int8;
  ASSERT_THAT(for_int8.choose_ranges(**task), IsOk());
  EXPECT_EQ((*task)->trained_ranges().size(), 2U);
  EXPECT_TRUE((*task)->trained_ranges().contains("velocity_decoder"));
  EXPECT_TRUE((*task)->trained_ranges().contains("seismic_decoder"));
  const auto phase = (*task)->phase(1);
  const std::vector<kinds::Draw> draws{{0, false}, {1, true}, {2, false}};
  (*task)->loss(phase, draws).total.backward();
  for (const auto& trained : phase.trained) EXPECT_TRUE(trained.tensor.grad().defined()) << trained.name;
  const auto stage = export_variants(kinds::export_of(**task), folder.path(), "tiny", trained_ones());
  ASSERT_THAT(stage, IsOk());
  EXPECT_TRUE(stage->left_out.empty());

  // Ranges of one network are none of another.
  auto ranges = (*task)->trained_ranges();
  ranges["velocity_decoder"].swap(ranges["seismic_decoder"]);
  (*task)->set_trained_ranges(ranges);
  EXPECT_THAT(for_int8.take_up(**task), ErrorIs(ErrorCode::internal, HasSubstr("training velocity decoder for int8")));
}

}  // namespace
}  // namespace outcrop::quantize
