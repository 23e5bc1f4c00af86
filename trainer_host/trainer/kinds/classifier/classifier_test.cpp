#include <gmock/gmock.h>

#include <fstream>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/classes/class_answers.hpp"
#include "trainer_host/trainer/kinds/classes/confusion.hpp"
#include "trainer_host/trainer/kinds/classes/confusion_picture.hpp"
#include "trainer_host/trainer/kinds/classifier/classifier_kind.hpp"
#include "trainer_host/trainer/kinds/classifier/exporting.hpp"
#include "trainer_host/trainer/kinds/classifier/trained_for_tests.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"

namespace outcrop::classifier {
namespace fs = std::filesystem;
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using torch::Tensor;

// An image of 2x3 in one channel, once.
data::LabelledImages one_image() {
  return {{1, 2, 3}, {10, 20, 30, 40, 50, 60}, {1}, {}};
}

Tensor grid(const std::vector<float>& values) {
  return torch::tensor(values).reshape({1, 2, 3});
}

// Back to pixels, rounded.
Tensor pixels_of(const Tensor& scaled, const torch::jit::Module& pixel_scale) {
  return torch::round(scaled / pixel_scale.attr("scale").toTensor() +
                      pixel_scale.attr("mean").toTensor());
}

TEST(Pixels, are_scaled_by_mean_and_spread_of_each_channel) {
  const data::LabelledImages images{{2, 1, 2}, {0, 2, 100, 100, 4, 6, 100, 100}, {0, 1}, {}};
  const auto scale = make_pixel_scale(images);
  EXPECT_TRUE(torch::allclose(scale.attr("mean").toTensor().flatten(), torch::tensor({3.0F, 100.0F})));
  // The spread of a channel of one colour counts as 1.
  EXPECT_TRUE(torch::allclose(scale.attr("scale").toTensor().flatten(),
                              torch::tensor({1.0F / std::sqrt(5.0F), 1.0F})));
  const std::vector<kinds::Draw> draws{{0, false}, {1, false}};
  const Batch batch = load_batch(images, draws, scale, 0);
  EXPECT_TRUE(torch::equal(batch.labels, torch::tensor({0, 1}, torch::kLong)));
  const auto raw = raw_images(images, 0, 2);
  EXPECT_TRUE(torch::equal(batch.images, (raw - scale.attr("mean").toTensor()) *
                                             scale.attr("scale").toTensor()));
}

TEST(Pixels, are_mirrored_left_to_right_as_drawn) {
  const auto images = one_image();
  const auto scale = make_pixel_scale(images);
  const std::vector<kinds::Draw> draws{{0, false}, {0, true}};
  const auto seen = pixels_of(load_batch(images, draws, scale, 0).images, scale);
  EXPECT_TRUE(torch::equal(seen[0], grid({10, 20, 30, 40, 50, 60})));
  EXPECT_TRUE(torch::equal(seen[1], grid({30, 20, 10, 60, 50, 40})));
}

TEST(Pixels, are_moved_alike_whenever_the_same_samples_are_drawn_together) {
  const auto images = one_image();
  const auto scale = make_pixel_scale(images);
  const std::vector<kinds::Draw> draws(64);
  const Batch batch = load_batch(images, draws, scale, 1);
  EXPECT_TRUE(torch::equal(batch.images, load_batch(images, draws, scale, 1).images));
  const auto seen = pixels_of(batch.images, scale);
  std::size_t at_home = 0;
  std::size_t down_and_right = 0;
  for (std::int64_t i = 0; i < 64; ++i) {
    at_home += torch::equal(seen[i], grid({10, 20, 30, 40, 50, 60}));
    down_and_right += torch::equal(seen[i], grid({0, 0, 0, 0, 10, 20}));
  }
  EXPECT_GT(at_home, 0U);
  EXPECT_GT(down_and_right, 0U);
  EXPECT_LT(at_home + down_and_right, 64U);
  EXPECT_FALSE(torch::equal(load_batch(images, std::span(draws).first(63), scale, 1).images,
                            batch.images.slice(0, 0, 63)));
}

TEST(ClassifierNetwork, has_six_million_weights_for_fashion_mnist) {
  ClassifierShape shape{{1, 28, 28}, std::vector<std::string>(10, "x")};
  auto network = make_network(shape, 1);
  std::int64_t weights = 0;
  for (const auto& parameter : network.parameters()) weights += parameter.numel();
  EXPECT_NEAR(static_cast<double>(weights), 6e6, 0.1e6);
  network.eval();
  EXPECT_EQ(network.forward({torch::zeros({2, 1, 28, 28})}).toTensor().sizes(),
            (std::vector<std::int64_t>{2, 10, 1, 1}));
}

TEST(ClassifierNetwork, is_trained_by_the_same_numbers_that_it_ships) {
  const ClassifierShape shape{{3, 13, 9}, {"a", "b"}, {4, 8}, 6};
  auto network = make_network(shape, 1);
  models::TrainingForm form(network, whole_layers());
  form.train(false);
  torch::manual_seed(1);
  const auto images = torch::randn({5, 3, 13, 9});
  EXPECT_TRUE(torch::allclose(form.forward(images), network.forward({images}).toTensor(), 1e-4, 1e-6));
}

TEST(ClassifierShapeText, is_read_as_it_was_written) {
  const ClassifierShape shape{{3, 32, 32}, {"cat", "dog"}, {8, 16, 32}, 100};
  const auto read = shape_from_json(to_json(shape));
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(*read, shape);
  EXPECT_THAT(shape_from_json("{}"), ErrorIs(ErrorCode::invalid_data, HasSubstr("channels")));
  EXPECT_THAT(check_shape({{1, 8, 8}, {"a", "b"}, {1, 2, 3, 4}, 1}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("can be halved 3 times")));
  EXPECT_THAT(check_shape({{1, 8, 8}, {"a"}, {1}, 1}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("1 classes")));
}

class SmallClassifier : public testing::Test {
 protected:
  SmallClassifier() {
    auto task = small_task(folder_.path() / "data");
    EXPECT_THAT(task, IsOk());
    task_ = std::move(*task);
  }
  // The exported float model.
  fs::path float_file() {
    auto exported = task_->make_export();
    auto model = exported.compose({{exported.parts.at(0).network, std::nullopt}});
    const fs::path file = folder_.path() / "model.ptl";
    model._save_for_mobile(file.string());
    return file;
  }

  TemporaryFolder folder_;
  std::unique_ptr<ClassifierTask> task_;
};

TEST_F(SmallClassifier, learns_and_is_judged_beside_what_learned_nothing) {
  const double before = *task_->score_held_out().at(0);
  EXPECT_LT(train_a_little(*task_, 20), before);
  const auto scores = task_->score_held_out();
  EXPECT_GT(*scores.at(1), 0.9);
  const fs::path file = float_file();
  auto model = models::LiteModel::load(file);
  ASSERT_THAT(model, IsOk());
  const auto quality = task_->judge(*model);
  ASSERT_THAT(quality, IsOk());
  EXPECT_EQ(quality->samples, 30U);
  EXPECT_TRUE(quality->held_out);
  EXPECT_EQ(quality->judged_by, "error");
  const auto& score = quality->model.outputs.at(classes::probabilities_output);
  EXPECT_NEAR(*score.find("accuracy"), *scores.at(1), 1e-6);
  EXPECT_NEAR(*score.find("error"), 1.0 - *scores.at(1), 1e-6);
  const auto* mean = quality->baseline(messages::mean_baseline);
  ASSERT_NE(mean, nullptr);
  EXPECT_NEAR(*mean->outputs.at(classes::probabilities_output).find("error"), 2.0 / 3.0, 1e-6);
  EXPECT_NE(quality->baseline("nearest class mean"), nullptr);

  const auto answers = task_->answers_of(*model);
  ASSERT_THAT(answers, IsOk());
  std::vector<std::int64_t> labels(task_->judged().labels.begin(), task_->judged().labels.end());
  const auto counts = classes::confusion_counts(*answers, torch::tensor(labels));
  std::uint64_t right = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    right += counts[i][i];
    EXPECT_EQ(counts[i][0] + counts[i][1] + counts[i][2], 10U);
  }
  EXPECT_NEAR(static_cast<double>(right) / 30.0, *scores.at(1), 1e-6);

  kinds::EvaluationRequest request;
  request.variants = {{"float", &*model}};
  const auto evaluation = task_->evaluate(request);
  ASSERT_THAT(evaluation, IsOk());
  EXPECT_EQ(evaluation->samples, 30U);
  const fs::path png = folder_.path() / evaluation->picture;
  EXPECT_THAT(evaluation->draw("stripes", png), IsOk());
  EXPECT_GT(fs::file_size(png), 2'000U);
}

TEST_F(SmallClassifier, answers_probabilities_of_as_many_images_as_it_gets) {
  task_->set_training(false);
  const auto exported = task_->make_export();
  EXPECT_EQ(exported.about.at("classes"), "across, down, squares");
  auto model = exported.compose({{exported.parts.at(0).network, std::nullopt}});
  const torch::NoGradGuard no_gradient;
  for (const std::int64_t count : {0, 1, 5}) {
    const auto answers = model.forward({torch::full({count, 1, 12, 12}, 99.0)}).toTensor();
    EXPECT_EQ(answers.sizes(), (std::vector<std::int64_t>{count, 3}));
    EXPECT_TRUE(torch::allclose(answers.sum(1), torch::ones({count})));
  }
}

TEST_F(SmallClassifier, scales_pixels_by_what_its_weights_were_trained_with) {
  const fs::path weights = folder_.path() / "weights";
  const models::ModelDescription description{"small", "classifier", task_->shape(), 1, 1, {}, ""};
  ASSERT_THAT(kinds::save_weights(weights, *task_, description), IsOk());
  ASSERT_THAT(write_stripes(folder_.path() / "other", "train", 9, 7), IsOk());
  const auto recipe = make_kind()->recipe(task_->shape());
  ASSERT_THAT(recipe, IsOk());
  (*recipe)->set_places({.train = {folder_.path() / "other"}});
  const auto other = (*recipe)->open(0);
  ASSERT_THAT(other, IsOk());
  const auto mean = [](const kinds::Task& task) {
    return task.parts().at(1).network.attr("mean").toTensor().clone();
  };
  EXPECT_FALSE(torch::equal(mean(**other), mean(*task_)));
  const auto file = models::read_model_file(weights);
  ASSERT_THAT(file, IsOk());
  ASSERT_THAT(kinds::take_weights(*file, **other), IsOk());
  EXPECT_TRUE(torch::equal(mean(**other), mean(*task_)));
  EXPECT_EQ((*other)->shape(), task_->shape());
}

TEST_F(SmallClassifier, names_the_layer_whose_output_is_not_finite) {
  const std::vector<kinds::Draw> draws(2);
  EXPECT_EQ(task_->non_finite_place(draws), std::nullopt);
  const torch::NoGradGuard no_gradient;
  task_->parts().at(0).network.attr("hidden").toModule().attr("weight").toTensor().fill_(3e38F);
  EXPECT_EQ(task_->non_finite_place(draws), "the output of network.hidden");
}

TEST(ConfusionPicture, is_drawn_for_few_classes_and_for_many) {
  const TemporaryFolder folder;
  const Status drawn = classes::draw_confusion({{9, 1}, {0, 10}}, {"it's", "\\b $x"}, "images", folder.path() / "two.png");
  if (!drawn && drawn.error().code() == ErrorCode::unsupported) GTEST_SKIP() << drawn.error().message();
  ASSERT_THAT(drawn, IsOk());
  const classes::ConfusionCounts many(40, std::vector<std::uint64_t>(40, 2));
  EXPECT_THAT(classes::draw_confusion(many, std::vector<std::string>(40, "x"), "images", folder.path() / "many.png"), IsOk());
  for (const char* name : {"two.png", "many.png"}) {
    std::ifstream file(folder.path() / name, std::ios::binary);
    std::string begin(4, ' ');
    file.read(begin.data(), 4);
    EXPECT_EQ(begin, "\x89PNG");
  }
  EXPECT_THAT(classes::draw_confusion({{1}}, {"a", "b"}, "images", folder.path() / "none.png"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("a row and a column")));
}

class ClassifierConfig : public testing::Test {
 protected:
  // What reading these tables says, or "".
  std::string read(const std::string& model, const std::string& data, const std::string& train) {
    const fs::path file = folder_.path() / "a.toml";
    std::ofstream(file) << "[model]\n" << model << "\n[data]\ntrain = \"x\"\n" << data
                        << "\n[train]\n" << train << "\n";
    auto reader = platform::TomlReader::open(file);
    EXPECT_THAT(reader, IsOk());
    auto root = reader->root();
    auto model_table = root.table("model");
    auto data_table = root.table("data");
    auto train_table = root.table("train");
    recipe_ = make_kind()->read({model_table, data_table, train_table});
    const Status status = reader->status();
    return status ? "" : status.error().message();
  }
  TemporaryFolder folder_;
  std::unique_ptr<kinds::Recipe> recipe_;
};

TEST_F(ClassifierConfig, says_what_decides_the_weights) {
  EXPECT_EQ(read("widths = [8, 16, 24]\nhidden = 50", "classes = [\"cat\", \"dog\"]",
                 "mirror = false\nshift = 0\nlabel_smoothing = 0.5"),
            "");
  EXPECT_EQ(recipe_->fingerprint(),
            "model.widths = 8, 16, 24\nmodel.hidden = 50\ndata.classes = cat, dog\n"
            "train.mirror = false\ntrain.shift = 0\ntrain.label_smoothing = 0.5\n");
  EXPECT_FALSE(recipe_->mirrors());
  EXPECT_EQ(read("", "", ""), "");
  EXPECT_TRUE(recipe_->mirrors());
}

TEST_F(ClassifierConfig, refuses_what_makes_no_sense) {
  EXPECT_THAT(read("widths = []", "", ""), HasSubstr("model.widths: it has 0"));
  EXPECT_THAT(read("widths = [8, \"16\"]", "", ""), HasSubstr("model.widths: it holds a string"));
  EXPECT_THAT(read("widths = [0]", "", ""), HasSubstr("model.widths: it holds 0"));
  EXPECT_THAT(read("", "classes = [\"cat\", \"cat\"]", ""), HasSubstr("stands there twice"));
  EXPECT_THAT(read("", "", "label_smoothing = 1.0"), HasSubstr("out of range"));
}

}  // namespace
}  // namespace outcrop::classifier
