#include <gmock/gmock.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/data/acoustic_solver.hpp"
#include "trainer_host/trainer/kinds/earth/toy_data.hpp"
#include "trainer_host/trainer/kinds/segmentation/energy.hpp"
#include "trainer_host/trainer/kinds/segmentation/scoring.hpp"
#include "trainer_host/trainer/kinds/segmentation/segmentation_kind.hpp"
#include "trainer_host/trainer/kinds/segmentation/segmentation_task.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::segmentation {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

data::Geometry small_geometry() {
  data::Geometry small;
  small.depth = 32;
  small.width = 48;
  small.shots = 2;
  small.times = 160;
  small.spacing = 5.0;
  small.time_step = 0.002;
  small.source_columns = {0, 47};
  small.slowest = 1000.0F;
  small.fastest = 3000.0F;
  small.peak_frequency = 20.0;
  return small;
}

Status write_small_geometry(const fs::path& folder, const data::Geometry& geometry) {
  return write_file_durably(
      folder / "dataset.json",
      json_text(nlohmann::ordered_json{{"geometry", geometry_json(geometry)}}));
}

// Two layers each, the second deeper from sample to sample and to the right, faster than the first; a
// direct wave and an echo where it comes back.
Status make_small_layers(const fs::path& folder, std::size_t count, std::size_t first_depth,
                         const data::Geometry& geometry = small_geometry()) {
  std::vector<float> maps(count * geometry.map_size());
  std::vector<std::int64_t> labels(maps.size());
  std::vector<float> gathers(count * geometry.gather_size());
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t column = 0; column < geometry.width; ++column) {
      const std::size_t border = first_depth + i + column / 16;  // row
      for (std::size_t row = 0; row < geometry.depth; ++row) {
        const std::size_t cell = i * geometry.map_size() + row * geometry.width + column;
        labels[cell] = row < border ? 0 : 1;
        maps[cell] = row < border ? 1000.0F : 2000.0F;
      }
      const std::size_t echo = 27 + 5 * border;  // steps, see the energy at 2 ms below
      for (std::size_t shot = 0; shot < geometry.shots; ++shot) {
        float* gather = gathers.data() + i * geometry.gather_size() + shot * geometry.shot_size();
        gather[20 * geometry.width + column] = 20.0F;
        gather[std::min(echo, geometry.times - 1) * geometry.width + column] = 5.0F;
      }
    }
  }
  fs::create_directories(folder);
  const auto& g = geometry;
  OUTCROP_CHECK(data::write_npy(folder / "model1.npy", {count, 1, g.depth, g.width}, maps));
  OUTCROP_CHECK(data::write_npy(folder / "data1.npy", {count, g.shots, g.times, g.width}, gathers));
  OUTCROP_CHECK(data::write_labels(folder / "label1.npy", labels, geometry));
  return write_small_geometry(folder, geometry);
}

SegmentationRecipe layers_recipe(const fs::path& folder) {
  SegmentationRecipe recipe;
  recipe.classes = {"upper", "lower"};
  recipe.shape.classes = 2;
  recipe.shape.width = 4;
  recipe.data.train = {folder};
  return recipe;
}

TEST(EnergyOfAnotherGeometry, is_where_an_echo_comes_back_in_steps_of_2_ms) {
  const data::Geometry small = small_geometry();
  const std::vector<float> map(small.map_size(), 1000.0F);
  std::vector<float> gathers(small.gather_size());
  std::vector<float> energy(small.map_size());
  // Row 15 ends at 80 m: 2 · 80 / 1000 = 160 ms, and the wavelet of 20 Hz peaks 55 ms later: 215 ms, and
  // step 107 is at 216.
  gathers[small.shot_size() + 107 * small.width + 30] = 10.0F;
  gather_energy(map, gathers, energy, small);
  // A row is 10 ms, and within are 20.
  for (std::size_t row = 0; row < small.depth; ++row) {
    const bool within = row >= 13 && row <= 17;
    const double expected = within ? std::log1p(std::sqrt(100.0 / (21 * 2))) : 0.0;
    EXPECT_NEAR(energy[row * small.width + 30], expected, 1e-6) << row;
    EXPECT_EQ(energy[row * small.width + 29], 0.0F);
  }
}

TEST(EnergyOfAnotherGeometry, hardly_depends_on_how_often_a_wave_was_recorded) {
  data::Geometry geometry = small_geometry();
  std::vector<float> map(geometry.map_size(), 1500.0F);
  std::fill(map.begin() + static_cast<std::ptrdiff_t>(20 * geometry.width), map.end(), 3000.0F);
  const auto energy_at = [&](double time_step, std::size_t times) {
    geometry.time_step = time_step;
    geometry.times = times;
    data::AcousticSolver solver(geometry);
    EXPECT_THAT(solver.set_velocity(map), IsOk());
    std::vector<float> gathers(geometry.gather_size());
    for (std::size_t shot = 0; shot < geometry.shots; ++shot) {
      solver.shoot(shot, std::span(gathers).subspan(shot * geometry.shot_size(), geometry.shot_size()));
    }
    std::vector<float> energy(geometry.map_size());
    gather_energy(map, gathers, energy, geometry);
    return energy;
  };
  const auto often = energy_at(0.001, 320);
  const auto seldom = energy_at(0.004, 80);
  const float highest = *std::ranges::max_element(often);
  EXPECT_GT(highest, 0.1F);
  for (std::size_t i = 0; i < often.size(); ++i) ASSERT_NEAR(often[i], seldom[i], 0.15 * highest) << i;
}

TEST(LabelledSamples, are_taken_together_by_their_cells) {
  const auto of_size = [](std::int64_t rows, std::int64_t columns) {
    return LabelledSamples{{}, {}, torch::empty({0, rows, columns}, torch::kByte)};
  };
  EXPECT_EQ(samples_within(of_size(70, 70), 64, 1 << 20), 64);
  EXPECT_EQ(samples_within(of_size(512, 512), 64, 1 << 20), 4);
  EXPECT_EQ(samples_within(of_size(1024, 2048), 64, 1 << 20), 1);
}

TEST(Baselines, thresholds_lie_between_the_bounds_of_the_data) {
  // In one step of 300 m/s, and in two of 67.
  LabelledSamples samples{torch::tensor({2550.0F, 2750.0F}).reshape({1, 1, 1, 2}),
                          torch::zeros({1, 1, 1, 2}),
                          torch::tensor({0, 1}, torch::kByte).reshape({1, 1, 2})};
  const auto right = [&](const earth::VelocityBounds& bounds) {
    return baselines({torch::empty({0, 1, 1, 2}), {}, {}}, samples, 2, bounds).back().confusion.accuracy();
  };
  EXPECT_EQ(right({1000.0, 3000.0}), 1.0);
  EXPECT_EQ(right({1000.0, 10'000.0}), 0.5);
}

TEST(SegmentationOfAnotherGeometry, learns_is_exported_and_takes_no_other_data) {
  const TemporaryFolder folder;
  const data::Geometry small = small_geometry();
  const fs::path train = folder.path() / "train";
  ASSERT_THAT(make_small_layers(train, 6, 8), IsOk());
  auto recipe = layers_recipe(train);
  recipe.data.held_out = 2;
  auto task = recipe.open(3);
  ASSERT_THAT(task, IsOk());

  const auto data = open_labelled(recipe.data, 2);
  ASSERT_THAT(data, IsOk());
  EXPECT_EQ(data->geometry, small);
  EXPECT_EQ(data->held_out.velocity.sizes(), (std::vector<std::int64_t>{2, 1, 32, 48}));
  EXPECT_EQ(data->held_out.labels.sizes(), (std::vector<std::int64_t>{2, 32, 48}));
  // The echo is at the border that made it.
  EXPECT_GT(data->training.energy[0][0][7][5].item<float>(), 0.0F);
  EXPECT_EQ(data->training.energy[0][0][31][5].item<float>(), 0.0F);
  std::vector<kinds::Draw> draws{{1, false}, {1, true}};
  const LabelledSamples batch = batch_of(data->training, draws);
  EXPECT_TRUE(torch::equal(batch.labels[1], batch.labels[0].flip({1})));
  EXPECT_TRUE(torch::equal(batch.energy[1], batch.energy[0].flip({2})));
  EXPECT_FALSE(torch::equal(batch.labels[1], batch.labels[0]));

  const kinds::Phase phase = (*task)->phase(1);
  std::vector<torch::Tensor> trained;
  for (const auto& one : phase.trained) trained.push_back(one.tensor);
  torch::optim::Adam adam(trained, torch::optim::AdamOptions(0.01));
  (*task)->set_training(true);
  std::vector<double> losses;
  for (int step = 0; step < 8; ++step) {
    adam.zero_grad();
    const kinds::Loss loss = (*task)->loss(phase, draws);
    loss.total.backward();
    adam.step();
    losses.push_back(*loss.parts[0]);
  }
  EXPECT_LT(losses.back(), losses.front());
  (*task)->set_training(false);
  EXPECT_EQ((*task)->score_held_out().size(), 3U);

  const kinds::Export model = (*task)->make_export();
  const messages::Method& forward = model.signature.methods.front();
  const auto& velocity = std::get<messages::TensorType>(forward.inputs[0].type);
  EXPECT_EQ(velocity.shape, (std::vector<messages::Dimension>{"batch", 1, 32, 48}));
  EXPECT_EQ(velocity.range, (messages::Range{1000.0, 3000.0}));
  EXPECT_EQ(forward.outputs[0].type.shape, (std::vector<messages::Dimension>{"batch", 32, 48, 2}));
  const fs::path stage = folder.path() / "stage";
  fs::create_directory(stage);
  const auto exported = quantize::export_variants(model, stage, "layers_stage1");
  ASSERT_THAT(exported, IsOk());
  for (const auto& variant : exported->variants) {
    auto loaded = models::LiteModel::load(variant.file);
    ASSERT_THAT(loaded, IsOk());
    const auto answer = loaded->call("forward", {data->held_out.velocity, data->held_out.energy});
    ASSERT_THAT(answer, IsOk()) << variant.name;
    EXPECT_EQ(answer->at(0).sizes(), (std::vector<std::int64_t>{2, 32, 48, 2})) << variant.name;
  }
  auto reference = models::LiteModel::load(exported->variants.front().file);
  ASSERT_THAT(reference, IsOk());
  ASSERT_THAT((*task)->judge(*reference), IsOk());
  kinds::EvaluationRequest request;
  request.variants = {{"float", &*reference}};
  const auto evaluation = (*task)->evaluate(request);
  ASSERT_THAT(evaluation, IsOk());
  const fs::path png = folder.path() / "classes.png";
  EXPECT_THAT(evaluation->draw("layers, stage 1", png), IsOk());
  EXPECT_GT(fs::file_size(png), 3'000U);

  // Its weights know what they learned from, with data and without.
  const std::string shape = (*task)->shape();
  auto again = make_kind()->recipe(shape);
  ASSERT_THAT(again, IsOk());
  const auto opened_with = [&](const fs::path& data_folder) {
    (*again)->set_places({.train = {data_folder}});
    return (*again)->open(1);
  };
  ASSERT_THAT(opened_with(train), IsOk());
  EXPECT_EQ((*opened_with(train))->shape(), shape);
  (*again)->set_places({.train = {}, .only_scored = true});
  const auto without = (*again)->open(1);
  ASSERT_THAT(without, IsOk());
  EXPECT_EQ((*without)->shape(), shape);

  data::Geometry slower = small;
  slower.time_step = 0.004;
  const fs::path other = folder.path() / "other";
  ASSERT_THAT(make_small_layers(other, 3, 8, slower), IsOk());
  EXPECT_THAT(opened_with(other),
              ErrorIs(ErrorCode::invalid_argument,
                      AllOf(HasSubstr("what the model learned from: maps of 32x48, 2 shots of 160 steps of 2 ms"),
                            HasSubstr("the data: maps of 32x48, 2 shots of 160 steps of 4 ms"))));
  // Nor do those that learned from OpenFWI's, whose shape says nothing of it.
  auto usual = make_kind()->recipe(R"({"classes":["upper","lower"],"size":[70,70],"width":4})");
  ASSERT_THAT(usual, IsOk());
  (*usual)->set_places({.train = {train}});
  EXPECT_THAT((*usual)->open(1),
              ErrorIs(ErrorCode::invalid_argument,
                      AllOf(HasSubstr("what the model learned from: maps of 70x70"),
                            HasSubstr("the data: maps of 32x48"))));
  EXPECT_THAT(make_kind()->recipe(R"({"classes":["upper","lower"],"geometry":{},"width":4})"),
              ErrorIs(ErrorCode::invalid_data, testing::_));
}

}  // namespace
}  // namespace outcrop::segmentation
