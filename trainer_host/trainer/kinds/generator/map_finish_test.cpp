#include "trainer_host/trainer/kinds/generator/map_finish.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <span>

#include "trainer_host/trainer/kinds/generator/compose.hpp"
#include "trainer_host/trainer/kinds/generator/normalization.hpp"
#include "trainer_host/trainer/kinds/generator/scores/edges.hpp"

namespace outcrop::generator {
namespace {

using torch::Tensor;

// Two layers of 2000 and 4000 m/s, and between them a ramp of so many rows around the middle of the map.
Tensor ramp_of(double rows) {
  const auto depth = (torch::arange(70, torch::kFloat) - 34.5) / rows;
  return (torch::clamp(depth, -0.5, 0.5) * 2000.0 + 3000.0).reshape({1, 1, 70, 1}).expand({1, 1, 70, 70}).contiguous();
}

double fine(const Tensor& map) {
  return fine_share(std::span<const float>(map.data_ptr<float>(), 4900), 70, 70);
}

TEST(MapFinish, makes_a_step_of_a_ramp_where_its_middle_is) {
  const Tensor ramp = ramp_of(6);
  const Tensor step = ramp_of(0.1);
  const Tensor made = MapFinish({}, 5).sharpened(ramp);
  EXPECT_LT(fine(ramp), 0.1);
  EXPECT_GT(fine(made), 0.4);
  const Tensor off = (made - step).abs();
  EXPECT_LT(off.mean().item<double>(), 0.2 * (ramp - step).abs().mean().item<double>());
  EXPECT_TRUE(torch::allclose(made.flip({2}), 6000.0 - made, 1e-4, 0.5)) << "neither side wins";
}

TEST(MapFinish, leaves_what_has_edges_and_what_has_none) {
  const MapFinish finish({}, 5);
  const Tensor step = ramp_of(0.1);
  EXPECT_LT((finish.sharpened(step) - step).abs().max().item<double>(), 1.0);
  const Tensor flat = torch::full({2, 1, 20, 30}, 4500.0);
  EXPECT_TRUE(torch::equal(finish.sharpened(flat), flat));
  const Tensor slope = torch::linspace(2000.0, 4000.0, 70).reshape({1, 1, 1, 70}).expand({1, 1, 40, 70}).contiguous();
  EXPECT_LT((finish.sharpened(slope) - slope).abs().max().item<double>(), 60.0) << "a gradient stays one";
}

TEST(MapFinish, is_of_each_map_alone_and_within_the_bounds) {
  const MapFinish finish({1500.0, 4500.0}, 4);
  torch::manual_seed(5);
  Tensor answers = torch::randn({3, 1, 16, 18});
  const Tensor maps = finish.maps(answers);
  EXPECT_GE(maps.min().item<double>(), 1500.0);
  EXPECT_LE(maps.max().item<double>(), 4500.0);
  answers[1][0][3][3] = std::nanf("");
  const Tensor spoilt = finish.maps(answers);
  EXPECT_TRUE(spoilt[1].isnan().any().item<bool>());
  EXPECT_TRUE(torch::equal(spoilt[0], maps[0]));
  EXPECT_TRUE(torch::equal(spoilt[2], maps[2]));
}

TEST(MapFinish, changes_little_where_what_it_is_given_changes_little) {
  const MapFinish finish({}, 5);
  torch::manual_seed(6);
  const Tensor ramp = ramp_of(6);
  const Tensor other = ramp + torch::randn({1, 1, 70, 70}) * 0.01;  // another machine's rounding
  const double moved = (finish.sharpened(other) - finish.sharpened(ramp)).abs().max().item<double>();
  EXPECT_LT(moved, 5.0) << "boards would refuse a file whose golden calls lie on a knife's edge";
}

TEST(MapFinish, of_no_passes_is_the_way_back_to_metres_a_second) {
  const MapFinish finish({1400.0, 5000.0});
  const Tensor answers = torch::linspace(-1.2, 1.2, 20 * 20).reshape({1, 1, 20, 20});
  EXPECT_TRUE(torch::equal(finish.maps(answers), denormalize_velocity(answers, {1400.0, 5000.0})));
  EXPECT_FALSE(finish.filter());
  EXPECT_THROW(MapFinish({}, most_sharpening + 1), c10::Error);
}

TEST(MapFinish, is_in_the_exported_file_as_it_is_here) {
  const torch::NoGradGuard no_gradient;
  const GeneratorShape shape{.latent = 16, .encoder_width = 4, .velocity_width = 4, .sharpen = 5, .seismic_width = 4};
  Generator parts = make_generator(shape, 1);
  parts.train(false);
  torch::manual_seed(3);
  const auto prior = fit_gaussian(torch::randn({64, 16}));
  const MapFinish finish = finish_of(shape, {});
  auto generator = compose_generator({parts.velocity_decoder, {}}, {parts.seismic_decoder, {}}, prior, {}, finish);
  const Tensor latent = torch::randn({2, 16});
  const auto pair = generator.get_method("decode")({latent}).toTuple();
  const Tensor decoded = parts.velocity_decoder.forward({latent.reshape({2, 16, 1, 1})}).toTensor();
  EXPECT_LT((pair->elements()[0].toTensor() - finish.maps(decoded)).abs().max().item<double>(), 0.1);
  EXPECT_GT((finish.maps(decoded) - denormalize_velocity(decoded)).abs().max().item<double>(), 1.0);
  for (const torch::jit::Node* node : generator.attr("sharpening").toModule().get_method("forward").graph()->nodes()) {
    EXPECT_NE(node->kind(), c10::prim::Loop) << "formats of other runtimes have none";
  }
  EXPECT_TRUE(generator.forward({0}).toTuple()->elements()[0].toTensor().sizes() == (std::vector<std::int64_t>{0, 1, 70, 70}));
}

}  // namespace
}  // namespace outcrop::generator
