#include <ATen/Parallel.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/data/acoustic_solver.hpp"
#include "trainer_host/trainer/data/earth_model.hpp"
#include "trainer_host/trainer/kinds/earth/toy_data.hpp"
#include "trainer_host/trainer/kinds/generator/gathers/coarse_wave.hpp"
#include "trainer_host/trainer/kinds/generator/gathers/map_gathers.hpp"
#include "trainer_host/trainer/kinds/generator/gathers/training_shots.hpp"
#include "trainer_host/trainer/kinds/generator/generator_kind.hpp"
#include "trainer_host/trainer/kinds/generator/generator_task.hpp"
#include "trainer_host/trainer/kinds/generator/normalization.hpp"
#include "trainer_host/trainer/kinds/generator/physics.hpp"
#include "trainer_host/trainer/kinds/generator/scores/metrics.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::generator {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using torch::Tensor;

constexpr GeneratorShape tiny{.latent = 8, .encoder_width = 2, .velocity_width = 2, .seismic_width = 2};

GeneratorShape tiny_with(GatherMaker maker) {
  GeneratorShape shape = tiny;
  shape.gathers = maker;
  shape.sponge = 12;
  return shape;
}

std::vector<float> faulted_map() {
  std::vector<float> map(data::grid::map_size);
  data::make_velocity_map(data::Family::curvefault_a, 2, 0, map);
  return map;
}

Tensor as_tensor(const std::vector<float>& map, const data::Geometry& geometry) {
  return torch::tensor(map).reshape({1, static_cast<std::int64_t>(geometry.depth),
                                     static_cast<std::int64_t>(geometry.width)});
}

Tensor columns_of(const data::Geometry& geometry) {
  std::vector<std::int64_t> columns(geometry.source_columns.begin(), geometry.source_columns.end());
  return torch::tensor(columns, torch::kLong);
}

// Of what the coarse grid makes of a map, to what our solver does.
GatherError misfit_of_coarse(const std::vector<float>& map, const data::Geometry& geometry, std::size_t sponge) {
  const torch::NoGradGuard no_gradient;
  const auto grid = coarse_grid(geometry, sponge);
  EXPECT_THAT(grid, IsOk());
  const auto solved = solved_gathers(map, geometry);
  EXPECT_THAT(solved, IsOk());
  auto wave = make_coarse_wave(*grid, geometry);
  const Tensor made = wave.forward({as_tensor(map, geometry), columns_of(geometry)}).toTensor();
  return gather_error(map, *solved, {made.data_ptr<float>(), geometry.gather_size()}, geometry);
}

TEST(CoarseWave, comes_near_the_solver_at_a_tenth_of_the_cell_updates) {
  const GatherError thin = misfit_of_coarse(faulted_map(), {}, thin_sponge);
  EXPECT_LT(thin.whole, 0.16);
  EXPECT_LT(*thin.reflections, 0.6);
  const GatherError thick = misfit_of_coarse(faulted_map(), {}, solvers_sponge);
  EXPECT_LT(thick.whole, 0.15);
  EXPECT_LT(*thick.reflections, 0.25);
}

TEST(CoarseWave, takes_what_a_geometry_says) {
  data::Geometry geometry;
  geometry.depth = 33;
  geometry.width = 60;
  geometry.shots = 2;
  geometry.times = 260;
  geometry.spacing = 12.0;
  geometry.time_step = 0.0015;
  geometry.source_columns = {4, 31};
  geometry.slowest = 1800.0F;
  geometry.fastest = 3600.0F;
  geometry.peak_frequency = 12.0;
  std::vector<float> map(geometry.map_size());
  for (std::size_t i = 0; i < map.size(); ++i) map[i] = i / geometry.width < 15 ? 2000.0F : 3000.0F;
  const GatherError error = misfit_of_coarse(map, geometry, thin_sponge);
  EXPECT_LT(error.whole, 0.15);
  EXPECT_LT(*error.reflections, 0.5);
}

TEST(CoarseWave, divides_steps_that_are_too_long_for_it) {
  data::Geometry geometry;
  geometry.times = 250;
  geometry.time_step = 0.004;
  const auto grid = coarse_grid(geometry);
  ASSERT_THAT(grid, IsOk());
  EXPECT_NEAR(grid->step, 0.002, 1e-12);
  EXPECT_EQ(grid->blocks * grid->block_times, 250U);
  EXPECT_NEAR(coarse_grid(data::Geometry())->step, 0.002, 1e-12);
}

TEST(MapGathers, says_which_geometry_it_cannot_have_and_what_it_can) {
  data::Geometry slow;
  slow.slowest = 700.0F;
  EXPECT_THAT(MapGathers::make(tiny_with(GatherMaker::wave), slow, 1),
              ErrorIs(ErrorCode::invalid_argument,
                      testing::AllOf(HasSubstr("gathers = \"wave\""), HasSubstr("2.3 cells of 20 m"),
                                     HasSubstr("need 4"))));
}

TEST(MapGathers, holds_a_map_within_the_bounds) {
  auto maker = MapGathers::make(tiny_with(GatherMaker::wave), data::Geometry(), 1);
  ASSERT_THAT(maker, IsOk());
  const auto column = torch::tensor({34}, torch::kLong);
  const auto beyond = maker->gathers(torch::full({1, 70, 70}, 9000.0F), column);
  EXPECT_TRUE(torch::equal(beyond, maker->gathers(torch::full({1, 70, 70}, 4500.0F), column)));
  EXPECT_TRUE(torch::isfinite(beyond).all().item<bool>());
}

TEST(MapGathers, lays_out_phases_and_puts_them_together_again) {
  auto maker = MapGathers::make(tiny_with(GatherMaker::wave_net), data::Geometry(), 1);
  ASSERT_THAT(maker, IsOk());
  const auto& around = maker->around();
  const auto gathers = torch::randn({2, 1000, 70});
  const auto phases = around.get_method("phases")({gathers}).toTensor();
  EXPECT_EQ(phases.sizes(), (std::vector<std::int64_t>{2, 32, 63, 35}));
  EXPECT_TRUE(torch::equal(around.get_method("whole")({phases}).toTensor(), gathers));
  const auto pressure = gathers * 10;
  const auto there = around.get_method("log_scaled")({pressure}).toTensor();
  EXPECT_TRUE(torch::allclose(around.get_method("pressure_of")({there}).toTensor(), pressure, 1e-4, 1e-4));
}

TEST(GatherMaker, is_known_by_name) {
  EXPECT_EQ(*gather_maker("wave+net"), GatherMaker::wave_net);
  EXPECT_EQ(name_of(GatherMaker::wave), "wave");
  EXPECT_THAT(gather_maker("guess"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("decoder, kirchhoff, wave, wave+net")));
}

// A task over toy data, trained or not.
class FromMap : public testing::Test {
 protected:
  std::unique_ptr<kinds::Task> open(GatherMaker maker, std::uint64_t seed = 3) {
    if (!fs::exists(data_)) {
      EXPECT_THAT(earth::make_toy_data(data_, 6, 1), IsOk());
    }
    GeneratorRecipe recipe;
    recipe.shape = tiny_with(maker);
    recipe.data.train = {data_};
    recipe.data.held_out = 2;
    auto task = recipe.open(seed);
    EXPECT_THAT(task, IsOk());
    return task ? std::move(*task) : nullptr;
  }
  static std::vector<kinds::Draw> draws() { return {{0, false}, {1, false}, {2, true}, {3, false}}; }

  TemporaryFolder folder_;
  fs::path data_ = folder_.path() / "data";
};

TEST_F(FromMap, learns_the_same_from_the_same_draws) {
  auto task = open(GatherMaker::wave_net);
  const auto& data = dynamic_cast<GeneratorTask&>(*task).split();
  const auto& samples = data.training;
  const auto decoded = torch::full({4, 1, 70, 70}, 2500.0F);
  const auto one = training_shots(data, draws(), decoded, 0.5);
  const auto again = training_shots(data, draws(), decoded, 0.5);
  EXPECT_EQ(one.maps.size(0), 2);
  EXPECT_EQ(training_shots(data, draws(), decoded, 0.75).maps.size(0), 3);
  EXPECT_EQ(training_shots(data, draws(), decoded, 0.01).maps.size(0), 1);
  EXPECT_TRUE(torch::equal(one.gathers, again.gathers));
  EXPECT_TRUE(torch::equal(one.columns, again.columns));
  EXPECT_LE(one.kept.max().item<float>(), 1.0F);
  // Over many batches each sort comes, and a mirrored map has mirrored sources.
  std::set<std::int64_t> columns;
  bool of_decoder = false;
  bool of_data = false;
  for (std::size_t i = 0; i < 12; ++i) {
    const std::vector<kinds::Draw> some{{i % 4, true}, {(i / 4) % 4, false}};
    const auto shots = training_shots(data, some, decoded, 0.5);
    columns.insert(shots.columns[0].item<std::int64_t>());
    of_decoder = of_decoder || torch::equal(shots.maps[0], decoded[0][0]);
    const auto map = torch::tensor(std::vector<float>(samples.velocity(i % 4).begin(), samples.velocity(i % 4).end()));
    of_data = of_data || torch::equal(shots.maps[0], map.reshape({70, 70}).flip({1}));
  }
  EXPECT_TRUE(of_decoder);
  EXPECT_TRUE(of_data);
  for (const std::int64_t column : columns) EXPECT_THAT(column, testing::AnyOf(0, 17, 35, 52, 69));
}

TEST_F(FromMap, learns_from_maps_made_afresh_with_gathers_of_our_solver) {
  auto task = open(GatherMaker::wave_net);
  ASSERT_THAT(earth::say_that_synth_made_it(data_, 6, 1), IsOk());
  GeneratorRecipe recipe;
  recipe.shape = tiny_with(GatherMaker::wave_net);
  recipe.data.train = {data_};
  recipe.data.held_out = 2;
  recipe.online = true;
  const auto opened = recipe.open(3);
  ASSERT_THAT(opened, IsOk());
  const auto& data = dynamic_cast<GeneratorTask&>(**opened).split();
  auto& changing = dynamic_cast<kinds::ChangesWithEpochs&>(**opened);
  const std::vector<kinds::Draw> some{{0, false}, {1, true}, {2, false}, {3, true}};
  changing.begin_epoch(2);
  const auto later = load_maps(data, some);
  changing.begin_epoch(1);
  EXPECT_FALSE(torch::equal(load_maps(data, some), later));
  EXPECT_FALSE(torch::equal(load_maps(data, some), load_maps(dynamic_cast<GeneratorTask&>(*task).split(), some)));
  std::vector<float> map(data.geometry.map_size());
  data::make_velocity_map(data::Family::curvefault_a, 1, 6 + 4 + 1, map);
  EXPECT_EQ(denormalize_velocity(load_maps(data, some))[1][0][7][69].item<float>(), map[7 * 70]) << "mirrored";

  const auto decoded = torch::full({4, 1, 70, 70}, 2500.0F);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = training_shots(data, some, decoded, 0.5);
  at::set_num_threads(2);
  const auto two = training_shots(data, some, decoded, 0.5);
  at::set_num_threads(threads);
  EXPECT_TRUE(torch::equal(one.maps, two.maps));
  EXPECT_TRUE(torch::equal(one.gathers, two.gathers));
  // What stands in the file are toy gathers; these obey the wave equation.
  data::Geometry geometry = data.geometry;
  geometry.shots = 1;
  geometry.source_columns = {static_cast<std::size_t>(one.columns[0].item<std::int64_t>())};
  data::AcousticSolver solver(geometry);
  ASSERT_THAT(solver.set_velocity({one.maps[0].data_ptr<float>(), geometry.map_size()}), IsOk());
  std::vector<float> gather(geometry.shot_size());
  solver.shoot(0, gather);
  EXPECT_EQ(one.gathers[0].flatten()[400 * 70 + 30].item<float>(), log_scaled(gather[400 * 70 + 30]) / std::log1p(60.0F));
}

TEST_F(FromMap, learns_and_says_so_in_its_columns) {
  auto task = open(GatherMaker::wave_net);
  EXPECT_EQ(task->columns().size(), 6U);
  EXPECT_EQ(task->score_held_out().size(), 4U);
  EXPECT_TRUE(task->score_held_out()[1].has_value());
  const auto phase = task->phase(1);
  std::vector<Tensor> trained;
  for (const auto& one : phase.trained) {
    if (one.name.starts_with("gather_net.")) trained.push_back(one.tensor);
  }
  ASSERT_GT(trained.size(), 40U);
  torch::optim::Adam optimizer(trained, torch::optim::AdamOptions(3e-4));
  const double before = *task->loss(phase, draws()).parts.at(1);
  double best = before;
  for (int i = 0; i < 12; ++i) {
    optimizer.zero_grad();
    const auto loss = task->loss(phase, draws());
    loss.total.backward();
    optimizer.step();
    best = std::min(best, *loss.parts.at(1));
  }
  EXPECT_LT(best, 0.97 * before);
  EXPECT_EQ(task->non_finite_place(draws()), std::nullopt);
  trained.front().detach().fill_(std::nanf(""));
  EXPECT_THAT(task->non_finite_place(draws()).value_or(""), HasSubstr("gather_net."));
}

TEST_F(FromMap, is_kept_in_weights_and_comes_back) {
  const auto task = open(GatherMaker::wave_net);
  EXPECT_THAT(task->shape(), HasSubstr(R"("gathers":"wave+net")"));
  auto again = make_kind()->recipe(task->shape());
  ASSERT_THAT(again, IsOk());
  (*again)->set_places({.train = {data_}, .held_out = 2});
  const auto reopened = (*again)->open(5);
  ASSERT_THAT(reopened, IsOk());
  EXPECT_EQ((*reopened)->shape(), task->shape());
  EXPECT_EQ((*reopened)->parts().size(), 3U);
  EXPECT_EQ(open(GatherMaker::wave)->parts().size(), 2U);
  EXPECT_EQ(open(GatherMaker::wave)->columns().size(), 4U);
}

TEST_F(FromMap, differentiates_through_the_sums_into_what_sees_the_map) {
  auto task = open(GatherMaker::kirchhoff);
  EXPECT_EQ(task->parts().size(), 4U);
  const auto phase = task->phase(1);
  const auto loss = task->loss(phase, draws());
  loss.total.backward();
  for (const auto& one : phase.trained) {
    if (!one.name.starts_with("gather_front.")) continue;
    ASSERT_TRUE(one.tensor.grad().defined()) << one.name;
    if (one.name == "gather_front.image1.weight") {
      EXPECT_GT(one.tensor.grad().abs().max().item<float>(), 0.0F);
    }
  }
}

// A map of one layer over another: the echo comes where it must, which is where features are laid.
TEST(Kirchhoff, lays_features_at_the_times_of_echoes) {
  auto maker = MapGathers::make(tiny_with(GatherMaker::kirchhoff), data::Geometry(), 1);
  ASSERT_THAT(maker, IsOk());
  auto features = torch::zeros({1, 12, 70, 76});
  features[0].slice(0, 0, 8).select(1, 31).fill_(1.0F);  // 300 m below the sources
  const auto map = torch::full({1, 70, 70}, 2000.0F);
  const auto laid =
      maker->around().get_method("kirchhoff")({features, map, torch::tensor({34}, torch::kLong)}).toTensor();
  ASSERT_EQ(laid.sizes(), (std::vector<std::int64_t>{1, 117, 63, 35}));
  // Channel by channel, bin by bin: [8 features, 8 bins, rows, columns] of the midpoint's features.
  const auto times = laid[0].slice(0, 0, 64).reshape({8, 8, 63, 35}).permute({0, 2, 1, 3}).reshape({8, 504, 35});
  for (const std::int64_t receiver : {17, 30}) {
    const double offset = 10.0 * std::fabs(2.0 * static_cast<double>(receiver) + 0.5 - 34.0);
    // The top of row 31 is 295 m below row 1.
    const double echo = std::sqrt(590.0 * 590.0 + offset * offset) / 2000.0;
    EXPECT_NEAR(times[7].select(1, receiver).argmax().item<double>(), 500.0 * echo + 36.0, 1.0) << receiver;
  }
}

// A value at slot s belongs to the bins s - 1 and s, by its distance to either; what has none of them is dropped.
TEST(Kirchhoff, shares_a_value_between_two_bins_and_drops_what_the_record_does_not_have) {
  const torch::NoGradGuard no_gradient;
  auto maker = MapGathers::make(tiny_with(GatherMaker::kirchhoff), data::Geometry(), 1);
  ASSERT_THAT(maker, IsOk());
  constexpr std::int64_t bins = 504;
  const auto laid = [&](double slot) {
    const auto slots = torch::full({1, 35, 2}, slot, torch::kFloat);
    auto phases = maker->around().get_method("laid_in_bins")({torch::full({1, 1, 35, 2}, 0.5F), slots}).toTensor();
    return phases.reshape({8, 63, 35}).permute({1, 0, 2}).reshape({bins, 35}).select(1, 17);
  };
  const auto inside = laid(100.25);
  EXPECT_FLOAT_EQ(inside[99].item<float>(), 0.75F);
  EXPECT_FLOAT_EQ(inside[100].item<float>(), 0.25F);
  EXPECT_FLOAT_EQ(inside.abs().sum().item<float>(), 1.0F);
  EXPECT_FLOAT_EQ(laid(0.25)[0].item<float>(), 0.25F);
  EXPECT_FLOAT_EQ(laid(bins + 0.25)[bins - 1].item<float>(), 0.75F);
  for (const double beyond : {-7.5, 0.0, bins + 1.0, bins + 40.5}) {
    EXPECT_EQ(laid(beyond).abs().max().item<float>(), 0.0F) << beyond;
  }
}

class FromMapExported : public FromMap, public testing::WithParamInterface<GatherMaker> {};

TEST_P(FromMapExported, obeys_the_wave_equation_in_every_variant) {
  const torch::NoGradGuard no_gradient;
  auto task = open(GetParam());
  fs::create_directories(folder_.path() / "stage");
  {
    const torch::AutoGradMode with_gradient(true);
    (void)task->loss(task->phase(1), draws());  // batch norms have seen data
  }
  task->set_training(false);
  task->fit();
  quantize::VariantChoice choice;
  choice.variants = {"float", "int8-quint8", "int8-qint8"};
  const auto stage =
      quantize::export_variants(task->make_export(), folder_.path() / "stage", "small_stage1", choice);
  ASSERT_THAT(stage, IsOk());
  ASSERT_EQ(stage->variants.size(), 3U);
  const data::Geometry geometry;
  for (const auto& variant : stage->variants) {
    auto model = models::LiteModel::load(variant.file);
    ASSERT_THAT(model, IsOk());
    const auto pair = model->call("forward", {std::int64_t{1}, std::int64_t{1}});
    ASSERT_THAT(pair, IsOk());
    const auto map = pair->at(0)[0].contiguous();
    const auto gathers = pair->at(1)[0].contiguous();
    EXPECT_EQ(pair->at(1).sizes(), (std::vector<std::int64_t>{1, 5, 1000, 70}));
    const std::span<const float> values(map.data_ptr<float>(), geometry.map_size());
    const auto solved = solved_gathers(values, geometry);
    ASSERT_THAT(solved, IsOk());
    const auto error = gather_error(values, *solved, {gathers.data_ptr<float>(), geometry.gather_size()}, geometry);
    // A network that saw one batch corrects nothing yet, and a sum alone is nearly silent.
    EXPECT_LT(error.whole, is_trained(GetParam()) ? 1.3 : 0.35) << variant.name;
    const auto none = model->call("forward", {std::int64_t{0}, std::int64_t{1}});
    ASSERT_THAT(none, IsOk());
    EXPECT_EQ(none->at(1).sizes(), (std::vector<std::int64_t>{0, 5, 1000, 70}));
    const auto spoilt = model->call("decode", {torch::full({1, 8}, std::nanf(""))});
    ASSERT_THAT(spoilt, IsOk());
    EXPECT_TRUE(torch::isnan(spoilt->at(1)).all().item<bool>());
    EXPECT_TRUE(torch::isnan(spoilt->at(0)).all().item<bool>());
  }
  // Everything with weights is int8.
  const auto plan = read_text_file(folder_.path() / "stage" / "small_stage1_int8-qint8.plan.toml");
  ASSERT_THAT(plan, IsOk());
  EXPECT_THAT(*plan, testing::Not(HasSubstr("\nformat = \"float\"")));
  EXPECT_EQ(plan->find("gather_net.up2") != std::string::npos, is_trained(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Makers, FromMapExported,
                         testing::Values(GatherMaker::kirchhoff, GatherMaker::wave, GatherMaker::wave_net),
                         [](const auto& one) {
                           return one.param == GatherMaker::wave_net ? std::string("wave_net") : std::string(name_of(one.param));
                         });

}  // namespace
}  // namespace outcrop::generator
