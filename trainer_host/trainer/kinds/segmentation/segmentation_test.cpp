#include <gmock/gmock.h>

#include <cmath>

#include "protocol/base/durable_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/data/earth_model.hpp"
#include "trainer_host/trainer/kinds/earth/toy_data.hpp"
#include "trainer_host/trainer/kinds/segmentation/class_picture.hpp"
#include "trainer_host/trainer/kinds/segmentation/confusion.hpp"
#include "trainer_host/trainer/kinds/segmentation/energy.hpp"
#include "trainer_host/trainer/kinds/segmentation/segmentation_kind.hpp"
#include "trainer_host/trainer/kinds/segmentation/segmentation_task.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/aware_training.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::segmentation {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using torch::Tensor;
namespace fs = std::filesystem;
namespace grid = data::grid;

// The toy data of generators, with what the cells of its maps are.
Status make_labelled(const fs::path& folder, std::size_t count, std::uint64_t seed) {
  OUTCROP_CHECK(earth::make_toy_data(folder, count, seed));
  std::vector<std::int64_t> labels(count * grid::map_size);
  for (std::size_t i = 0; i < count; ++i) {
    data::make_labels(data::Family::curvefault_a, seed, i,
                      std::span(labels).subspan(i * grid::map_size, grid::map_size));
  }
  return data::write_labels(folder / "label1.npy", labels);
}

SegmentationRecipe small_recipe(const fs::path& folder) {
  SegmentationRecipe recipe;
  recipe.shape.width = 4;
  recipe.data.train = {folder};
  return recipe;
}

TEST(Energy, is_high_where_an_echo_comes_back_and_nothing_where_none_was_recorded) {
  std::vector<float> map(grid::map_size, 2000.0F);
  std::vector<float> gathers(grid::gather_size, 0.0F);
  std::vector<float> energy(grid::map_size);
  // From 300 m: 2 · 300 / 2000 = 0.3 s, and the wavelet's peak 73 ms later.
  gathers[(2 * grid::times + 373) * grid::width + 30] = 10.0F;
  gather_energy(map, gathers, energy);
  const auto at = [&](std::size_t row, std::size_t column) {
    return energy[row * grid::width + column];
  };
  EXPECT_GT(at(29, 30), 0.1F);
  EXPECT_EQ(at(29, 31), 0.0F);
  EXPECT_EQ(at(20, 30), 0.0F);
  EXPECT_EQ(at(40, 30), 0.0F);
  // What comes back after the recording ends has no energy, whatever was recorded last.
  std::fill(map.begin(), map.end(), 100.0F);
  std::fill(gathers.begin(), gathers.end(), 10.0F);
  gather_energy(map, gathers, energy);
  EXPECT_EQ(at(69, 0), 0.0F);
}

TEST(Confusion, counts_what_was_taken_for_what) {
  Confusion confusion(3);
  confusion.add(torch::tensor({0, 0, 1, 1}), torch::tensor({0, 1, 1, 1}));
  EXPECT_DOUBLE_EQ(confusion.accuracy(), 0.75);
  const auto iou = confusion.iou();
  EXPECT_DOUBLE_EQ(iou[0].item<double>(), 0.5);
  EXPECT_DOUBLE_EQ(iou[1].item<double>(), 2.0 / 3);
  EXPECT_TRUE(std::isnan(iou[2].item<double>()));  // nowhere, so neither right nor wrong
  EXPECT_DOUBLE_EQ(confusion.mean_iou(), (0.5 + 2.0 / 3) / 2);
}

TEST(Network, comes_back_to_maps_of_even_and_odd_sizes) {
  for (const std::array<std::int64_t, 2> size : {std::array<std::int64_t, 2>{70, 70}, {64, 97}, {21, 30}}) {
    const auto network = models::build_network(
        "Sizes", segmentation_layers({.width = 2, .classes = 3, .size = size}),
        at::detail::createCPUGenerator(1));
    const auto answer =
        torch::jit::Module(network).forward({torch::zeros({2, 2, size[0], size[1]})}).toTensor();
    EXPECT_EQ(answer.sizes(), (std::vector<std::int64_t>{2, 3, size[0], size[1]}));
  }
}

TEST(Layers, name_what_they_take_and_add) {
  const models::Layer first{.name = "first", .in_channels = 1, .out_channels = 1, .relu = false};
  models::Layer second = first;
  second.name = "second";
  models::Layer sum = first;
  sum.name = "sum";
  sum.input = "first";
  sum.plus = "second";
  auto network =
      models::build_network("Sum", {first, second, sum}, at::detail::createCPUGenerator(1));
  const auto run = [&](const char* child, const Tensor& x) {
    return network.attr(child).toModule().forward({x}).toTensor();
  };
  const auto x = torch::ones({1, 1, 5, 5});
  const auto of_first = run("first", x);
  EXPECT_TRUE(torch::allclose(network.forward({x}).toTensor(),
                              run("sum", of_first) + run("second", of_first)));
  sum.input = models::Layer::network_input;
  EXPECT_TRUE(torch::allclose(
      models::build_network("Input", {first, second, sum}, at::detail::createCPUGenerator(1)).forward({x}).toTensor(),
      run("sum", x) + run("second", of_first)));
  second.name = models::Layer::network_input;
  EXPECT_THROW((void)models::build_network("Bad", {first, second}, at::detail::createCPUGenerator(1)), c10::Error);
  sum.plus = "later";
  EXPECT_THROW((void)models::build_network("Bad", {first, sum}, at::detail::createCPUGenerator(1)),
               c10::Error);
}

class Segmentation : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    made_ = make_labelled(train(), 12, 1).has_value() &&
            make_labelled(held_out(), 4, 2).has_value();
  }
  static void TearDownTestSuite() { delete folder_; }
  void SetUp() override { ASSERT_TRUE(made_); }

  static fs::path train() { return folder_->path() / "train"; }
  static fs::path held_out() { return folder_->path() / "held-out"; }

  static TemporaryFolder* folder_;
  static bool made_;
};
TemporaryFolder* Segmentation::folder_ = nullptr;
bool Segmentation::made_ = false;

TEST_F(Segmentation, labels_are_mirrored_with_their_maps) {
  const auto data = open_labelled({.train = {train()}}, 5);
  ASSERT_THAT(data, IsOk());
  const std::vector<kinds::Draw> draws{{3, false}, {3, true}};
  const LabelledSamples batch = batch_of(data->training, draws);
  EXPECT_TRUE(torch::equal(batch.labels[1], batch.labels[0].flip({1})));
  EXPECT_TRUE(torch::equal(batch.velocity[1], batch.velocity[0].flip({2})));
  // A layer has one velocity.
  const auto of_layer = batch.velocity[0][0].index({batch.labels[0] == 1});
  EXPECT_TRUE((of_layer == of_layer[0]).all().item<bool>());
  EXPECT_TRUE((batch.labels[0] == data::cell::fault_zone).any().item<bool>());
}

TEST_F(Segmentation, labels_belong_to_what_a_run_is_trained_on) {
  const fs::path other = folder_->path() / "other";
  fs::copy(train(), other);
  const auto digest = [](const fs::path& folder) {
    return open_labelled({.train = {folder}}, 5)->summary.digest;
  };
  const std::string before = digest(train());
  EXPECT_EQ(digest(other), before);
  std::vector<std::int64_t> labels(12 * grid::map_size, 0);
  ASSERT_THAT(data::write_labels(other / "label1.npy", labels), IsOk());
  EXPECT_NE(digest(other), before);
  const auto split = open_labelled({.train = {train()}, .held_out = 3}, 5);
  ASSERT_THAT(split, IsOk());
  EXPECT_TRUE(torch::equal(split->held_out.labels[0],
                           open_labelled({.train = {train()}}, 5)->training.labels[9]));
}

TEST_F(Segmentation, refuses_labels_that_are_missing_shifted_or_of_other_maps) {
  const fs::path bad = folder_->path() / "bad";
  ASSERT_THAT(earth::make_toy_data(bad, 2, 1), IsOk());
  const auto opened = [&] { return open_labelled({.train = {bad}}, 5); };
  EXPECT_THAT(opened(), ErrorIs(ErrorCode::not_found,
                                AllOf(HasSubstr("label1.npy"), HasSubstr("synth --labels"))));
  std::vector<std::int64_t> labels(2 * grid::map_size, 5);
  labels[0] = 1;
  ASSERT_THAT(data::write_labels(bad / "label1.npy", labels), IsOk());
  EXPECT_THAT(opened(), ErrorIs(ErrorCode::invalid_data,
                                AllOf(HasSubstr("from 1 to 5"), HasSubstr("subtract 1"))));
  labels[0] = -1;
  ASSERT_THAT(data::write_labels(bad / "label1.npy", labels), IsOk());
  EXPECT_THAT(opened(), ErrorIs(ErrorCode::invalid_data, HasSubstr("from -1 to 5")));
  ASSERT_THAT(data::write_labels(bad / "label1.npy", std::span(labels).first(grid::map_size)),
              IsOk());
  EXPECT_THAT(opened(), ErrorIs(ErrorCode::invalid_data,
                                AllOf(HasSubstr("(1, 1, 70, 70)"), HasSubstr("(2, 1, 70, 70)"))));
  ASSERT_THAT(data::write_npy(bad / "label1.npy", {2, 1, 70, 70},
                              std::vector<float>(2 * grid::map_size)),
              IsOk());
  EXPECT_THAT(opened(), ErrorIs(ErrorCode::invalid_data, HasSubstr("are floats")));
}

TEST_F(Segmentation, learns_and_every_variant_answers_alike) {
  auto recipe = small_recipe(train());
  recipe.data.validation = {held_out()};
  auto task = recipe.open(3);
  ASSERT_THAT(task, IsOk());
  const kinds::Phase phase = (*task)->phase(1);
  std::vector<Tensor> tensors;
  for (const auto& trained : phase.trained) tensors.push_back(trained.tensor);
  torch::optim::Adam adam(tensors, torch::optim::AdamOptions(0.01));
  std::vector<kinds::Draw> draws;
  for (std::size_t i = 0; i < 12; ++i) draws.push_back({i, i % 2 == 1});
  double first = 0.0, last = 0.0;
  (*task)->set_training(true);
  for (int step = 0; step < 25; ++step) {
    adam.zero_grad();
    const kinds::Loss loss = (*task)->loss(phase, draws);
    loss.total.backward();
    adam.step();
    last = *loss.parts[0];
    if (step == 0) first = last;
  }
  EXPECT_LT(last, 0.8 * first);
  (*task)->set_training(false);
  EXPECT_EQ((*task)->score_held_out().size(), 3U);

  const fs::path stage = folder_->path() / "stage";
  fs::create_directory(stage);
  const auto exported = quantize::export_variants((*task)->make_export(), stage, "cells_stage1");
  ASSERT_THAT(exported, IsOk());
  const LabelledData data = *open_labelled(recipe.data, 5);
  Tensor truth;
  for (const auto& variant : exported->variants) {
    auto model = models::LiteModel::load(variant.file);
    ASSERT_THAT(model, IsOk());
    auto spoilt = data.held_out.velocity.clone();
    spoilt[1][0][5][5] = std::nanf("");
    const auto answer = model->call("forward", {spoilt, data.held_out.energy});
    ASSERT_THAT(answer, IsOk()) << variant.name;
    const Tensor& p = answer->at(0);
    EXPECT_EQ(p.sizes(), (std::vector<std::int64_t>{4, 70, 70, 5}));
    EXPECT_TRUE(p[1].isnan().all().item<bool>()) << variant.name;
    EXPECT_TRUE(torch::allclose(p[0].sum(-1), torch::ones({70, 70}), 1e-4, 1e-4)) << variant.name;
    if (!truth.defined()) truth = p;
    EXPECT_GT((p[0].argmax(-1) == truth[0].argmax(-1)).to(torch::kFloat).mean().item<double>(), 0.8)
        << variant.name;
    const auto none = model->call("forward", {torch::empty({0, 1, 70, 70}), torch::empty({0, 1, 70, 70})});
    ASSERT_THAT(none, IsOk()) << variant.name;
    EXPECT_EQ(none->at(0).size(0), 0) << variant.name;
  }
  // Convolutions of the way up and across have scales of their own, and their sum is int8 too.
  EXPECT_GT(exported->variants.back().coverage.multiply_adds, 0.99);

  auto reference = models::LiteModel::load(exported->variants.front().file);
  ASSERT_THAT(reference, IsOk());
  const auto quality = (*task)->judge(*reference);
  ASSERT_THAT(quality, IsOk());
  EXPECT_TRUE(quality->held_out);
  EXPECT_EQ(quality->baselines.size(), 3U);
  EXPECT_NE(quality->baseline(messages::mean_baseline), nullptr);

  kinds::EvaluationRequest request;
  request.variants = {{"float", &*reference}};
  const auto evaluation = (*task)->evaluate(request);
  ASSERT_THAT(evaluation, IsOk());
  EXPECT_EQ(evaluation->columns.size(), 7U);
  EXPECT_EQ(evaluation->baselines.back().name, "thresholds on velocity");
  const fs::path png = folder_->path() / "classes.png";
  EXPECT_THAT(evaluation->draw("cells, stage 1", png), IsOk());
  EXPECT_GT(fs::file_size(png), 5'000U);

  const auto told = reference->call("forward", {data.held_out.velocity, data.held_out.energy});
  ASSERT_THAT(told, IsOk());
  const std::vector<runtime::Tensor> outputs{runtime::Tensor::of_floats(
      "probability", told->at(0).sizes().vec(),
      {told->at(0).data_ptr<float>(), static_cast<std::size_t>(told->at(0).numel())})};
  const auto drawn = sample_picture().draw(outputs, 6, "on pi-1", folder_->path() / "told.png");
  ASSERT_THAT(drawn, IsOk());
  EXPECT_EQ(*drawn, 4U);

  // And on for int8.
  quantize::AwareTraining for_int8;
  ASSERT_THAT(for_int8.choose_ranges(**task), IsOk());
  double rounded = 0;
  for (int step = 0; step < 4; ++step) {
    adam.zero_grad();
    const kinds::Loss loss = (*task)->loss(phase, draws);
    loss.total.backward();
    adam.step();
    rounded = *loss.parts[0];
  }
  EXPECT_LT(rounded, 0.9 * first);
  quantize::VariantChoice choice;
  choice.variants = {"float", "int8-qat-quint8", "int8-qat"};
  const auto trained = quantize::export_variants(kinds::export_of(**task), stage, "cells_stage2", choice);
  ASSERT_THAT(trained, IsOk());
  EXPECT_TRUE(trained->left_out.empty());
}

TEST_F(Segmentation, is_made_again_of_what_its_shape_says) {
  auto recipe = small_recipe(train());
  recipe.classes = {"a", "b", "c", "d", "e"};
  const auto task = recipe.open(1);
  ASSERT_THAT(task, IsOk());
  const auto kind = make_kind();
  auto again = kind->recipe((*task)->shape());
  ASSERT_THAT(again, IsOk());
  (*again)->set_places({.train = {train()}});
  const auto second = (*again)->open(1);
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ((*second)->shape(), (*task)->shape());
  EXPECT_THAT(kind->recipe(R"({"width":4,"classes":["one"]})"), ErrorIs(ErrorCode::invalid_data, HasSubstr("classes")));
}

}  // namespace
}  // namespace outcrop::segmentation
