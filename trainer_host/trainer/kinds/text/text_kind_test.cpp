#include "trainer_host/trainer/kinds/text/text_kind.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/classes/class_answers.hpp"
#include "trainer_host/trainer/kinds/text/exporting.hpp"
#include "trainer_host/trainer/kinds/text/trained_for_tests.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"

namespace outcrop::text {
namespace fs = std::filesystem;
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using torch::Tensor;

TEST(TextEncoder, sees_nothing_of_what_fills_a_text_up) {
  const torch::NoGradGuard no_gradient;
  for (const Pooling pooling : {Pooling::mean, Pooling::first}) {
    const EncoderShape shape{2, 16, 2, 32, 8, pooling};
    auto encoder = make_encoder(shape, 20, 0, 3, 1);
    encoder.eval();
    const auto short_one = torch::tensor({{2, 7, 9, 3}}, torch::kLong);
    const auto filled = torch::constant_pad_nd(short_one, {0, 4});
    const Tensor alone = encoder.forward({short_one}).toTensor();
    EXPECT_TRUE(torch::allclose(alone, encoder.forward({filled}).toTensor(), 1e-4, 1e-6));
    const auto other = torch::tensor({{2, 9, 7, 3}}, torch::kLong);
    EXPECT_FALSE(torch::allclose(alone, encoder.forward({other}).toTensor(), 1e-4, 1e-6)) << "places count";
    EXPECT_TRUE(encoder.forward({torch::zeros({1, 8}, torch::kLong)}).toTensor().isfinite().all().item<bool>());
    EXPECT_TRUE(torch::equal(make_encoder(shape, 20, 0, 3, 1).forward({filled}).toTensor(), encoder.forward({filled}).toTensor()));
  }
}

TEST(TextShapeText, is_read_as_it_was_written) {
  const TextShape shape{{1, 8, 2, 16, 12, Pooling::first}, Letters::as_written,
                        {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "ß"}, {"a", "b"}};
  const auto read = shape_from_json(to_json(shape));
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(*read, shape);
  EXPECT_THAT(shape_from_json("{}"), ErrorIs(ErrorCode::invalid_data, HasSubstr("layers")));
  TextShape brought = shape;
  brought.encoder.activation = Activation::gelu;
  brought.encoder.epsilon = 1e-12;
  EXPECT_EQ(*shape_from_json(to_json(brought)), brought);
  brought.encoder.epsilon = 0.0;
  EXPECT_THAT(shape_from_json(to_json(brought)), ErrorIs(ErrorCode::invalid_data, HasSubstr("epsilon of layer norms")));
  TextShape wrong = shape;
  wrong.pieces[4] = "[PAD]";
  EXPECT_THAT(shape_from_json(to_json(wrong)), ErrorIs(ErrorCode::invalid_data, HasSubstr("line 5 of the vocabulary")));
  wrong = shape;
  wrong.encoder.heads = 3;
  EXPECT_THAT(shape_from_json(to_json(wrong)), ErrorIs(ErrorCode::invalid_data, HasSubstr("model.heads is 3")));
}

class SmallTextModel : public testing::Test {
 protected:
  SmallTextModel() {
    auto task = small_task(folder_.path() / "data");
    EXPECT_THAT(task, IsOk());
    task_ = std::move(*task);
  }
  fs::path float_file() {
    auto exported = task_->make_export();
    auto model = exported.compose({{exported.parts.at(0).network, std::nullopt}});
    const fs::path file = folder_.path() / "model.ptl";
    model._save_for_mobile(file.string());
    return file;
  }

  TemporaryFolder folder_;
  std::unique_ptr<TextTask> task_;
};

TEST_F(SmallTextModel, learns_and_is_judged_beside_counted_words) {
  const double before = *task_->score_held_out().at(0);
  EXPECT_LT(train_a_little(*task_, 12), before);
  const auto scores = task_->score_held_out();
  EXPECT_GT(*scores.at(1), 0.9);
  auto model = models::LiteModel::load(float_file());
  ASSERT_THAT(model, IsOk());
  const auto quality = task_->judge(*model);
  ASSERT_THAT(quality, IsOk());
  EXPECT_EQ(quality->samples, 30U);
  EXPECT_TRUE(quality->held_out);
  const auto& score = quality->model.outputs.at(classes::probabilities_output);
  EXPECT_NEAR(*score.find("accuracy"), *scores.at(1), 1e-6);
  const auto* mean = quality->baseline(messages::mean_baseline);
  ASSERT_NE(mean, nullptr);
  EXPECT_NEAR(*mean->outputs.at(classes::probabilities_output).find("error"), 2.0 / 3.0, 1e-6);
  const auto* counted = quality->baseline("naive Bayes over words");
  ASSERT_NE(counted, nullptr);
  EXPECT_GT(*counted->outputs.at(classes::probabilities_output).find("accuracy"), 0.9);

  kinds::EvaluationRequest request;
  request.variants = {{"float", &*model}};
  const auto evaluation = task_->evaluate(request);
  ASSERT_THAT(evaluation, IsOk());
  const fs::path png = folder_.path() / evaluation->picture;
  EXPECT_THAT(evaluation->draw("sentences", png), IsOk());
  EXPECT_GT(fs::file_size(png), 2'000U);
}

TEST_F(SmallTextModel, leaves_the_lowest_layers_as_they_are) {
  TextRecipe recipe = small_recipe(folder_.path() / "data");
  recipe.encoder.layers = 2;
  recipe.frozen_layers = 1;
  auto opened = recipe.open(1);
  ASSERT_THAT(opened, IsOk());
  auto& task = static_cast<TextTask&>(**opened);
  EXPECT_EQ(task.phase(1).name, "above layer 1");
  std::map<std::string, Tensor> before;
  for (const auto& [name, tensor] : kinds::state_of(task)) before[name] = tensor.detach().clone();
  train_a_little(task, 1);
  for (const auto& [name, tensor] : kinds::state_of(task)) {
    const bool above = name.starts_with("network.layer2_") || name.starts_with("network.classes.");
    EXPECT_EQ(torch::equal(tensor, before.at(name)), !above) << name;
  }
  recipe.frozen_layers = 3;
  EXPECT_THAT(recipe.open(1), ErrorIs(ErrorCode::invalid_argument, HasSubstr("train.frozen_layers is 3, and the encoder has 2 layers")));
}

TEST_F(SmallTextModel, answers_probabilities_of_as_many_texts_as_it_gets) {
  task_->set_training(false);
  const auto exported = task_->make_export();
  EXPECT_EQ(exported.about.at("classes"), "food, sport, weather");
  auto model = exported.compose({{exported.parts.at(0).network, std::nullopt}});
  const torch::NoGradGuard no_gradient;
  for (const std::int64_t count : {0, 1, 5}) {
    const auto answers = model.forward({torch::ones({count, 24}, torch::kLong)}).toTensor();
    EXPECT_EQ(answers.sizes(), (std::vector<std::int64_t>{count, 3}));
    EXPECT_TRUE(torch::allclose(answers.sum(1), torch::ones({count})));
  }
}

TEST_F(SmallTextModel, hides_words_alike_whenever_the_same_texts_are_drawn_together) {
  const auto& words = task_->tokenizer().vocabulary();
  const EncodedTexts all = encode(task_->texts().training, task_->tokenizer(), 24, task_->texts().classes);
  const std::vector<kinds::Draw> draws{{0, false}, {1, false}, {2, false}};
  const auto once = chosen(all, draws, 0.5, words);
  EXPECT_TRUE(torch::equal(once.ids, chosen(all, draws, 0.5, words).ids));
  const auto plain = chosen(all, draws, 0.0, words).ids;
  const auto hidden = (once.ids != plain);
  EXPECT_TRUE((once.ids.masked_select(hidden) == words.unknown()).all().item<bool>());
  const auto special = (plain == words.begins()) | (plain == words.ends()) | (plain == words.padding());
  EXPECT_FALSE((hidden & special).any().item<bool>());
  const auto share = hidden.sum().item<double>() / (~special).sum().item<double>();
  EXPECT_GT(share, 0.2);
  EXPECT_LT(share, 0.8);
}

TEST_F(SmallTextModel, keeps_its_vocabulary_and_classes_with_its_weights) {
  const fs::path weights = folder_.path() / "weights";
  const models::ModelDescription description{"small", "text", task_->shape(), 1, 1, {}, ""};
  ASSERT_THAT(kinds::save_weights(weights, *task_, description), IsOk());
  write_sentences(folder_.path() / "other", 5, 99);
  const auto recipe = make_kind()->recipe(task_->shape());
  ASSERT_THAT(recipe, IsOk());
  (*recipe)->set_places({.train = {folder_.path() / "other"}});
  const auto other = (*recipe)->open(0);
  ASSERT_THAT(other, IsOk());
  const auto file = models::read_model_file(weights);
  ASSERT_THAT(file, IsOk());
  EXPECT_THAT(kinds::take_weights(*file, **other), IsOk());
  EXPECT_EQ((*other)->shape(), task_->shape());
}

TEST_F(SmallTextModel, takes_a_vocabulary_from_a_file) {
  const fs::path file = folder_.path() / "vocab.txt";
  std::ofstream(file) << "[PAD]\n[UNK]\n[CLS]\n[SEP]\nsoup\nrain\ngoal\n";
  TextRecipe recipe = small_recipe(folder_.path() / "data");
  recipe.vocabulary = file;
  const auto before = recipe.fingerprint();
  EXPECT_THAT(recipe.brought(), ElementsAre(file));
  const auto task = recipe.open(1);
  ASSERT_THAT(task, IsOk());
  EXPECT_EQ(static_cast<TextTask&>(**task).tokenizer().vocabulary().size(), 7U);
  std::ofstream(file) << "[PAD]\n[UNK]\n[CLS]\n[SEP]\nsoup\nrain\nsoup\n";
  EXPECT_NE(recipe.fingerprint(), before);
  EXPECT_THAT(recipe.open(1), ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr(file.string()), HasSubstr("line 7"))));
  fs::remove(file);
  EXPECT_THAT(recipe.open(1), ErrorIs(ErrorCode::not_found, HasSubstr(file.string())));
}

TEST_F(SmallTextModel, tells_boards_how_texts_are_cut) {
  const auto told = messages::parse_text_input(task_->told_with_goldens().at(messages::text_metadata_key));
  ASSERT_THAT(told, IsOk());
  EXPECT_EQ(told->input, "ids");
  EXPECT_EQ(told->length, 24U);
  EXPECT_FALSE(told->cased);
  EXPECT_THAT(told->classes, ElementsAre("food", "sport", "weather"));
  EXPECT_EQ(Vocabulary::parse(told->vocabulary)->pieces(), task_->tokenizer().vocabulary().pieces());
  const TextShape shape{{}, Letters::lowered, {"[PAD]", "[UNK]", "[CLS]", "[SEP]", std::string(1'000'000, 'x')}, {"a", "b"}};
  EXPECT_THAT(check_travels(shape), ErrorIs(ErrorCode::invalid_argument, HasSubstr("take fewer pieces")));
  const TextShape named{{}, Letters::lowered, {"[PAD]", "[UNK]", "[CLS]", "[SEP]"}, {"a", "b\nc"}};
  EXPECT_THAT(check_travels(named), ErrorIs(ErrorCode::invalid_data, HasSubstr("text.classes")));
}

TEST_F(SmallTextModel, names_the_layer_whose_output_is_not_finite) {
  const std::vector<kinds::Draw> draws(2);
  EXPECT_EQ(task_->non_finite_place(draws), std::nullopt);
  const torch::NoGradGuard no_gradient;
  task_->parts().at(0).network.attr("layer1_up").toModule().attr("weight").toTensor().fill_(3e38F);
  EXPECT_EQ(task_->non_finite_place(draws), "the output of network.layer1_up");
}

class TextConfig : public testing::Test {
 protected:
  // What reading these tables says, or "".
  std::string read(const std::string& model, const std::string& data, const std::string& train) {
    const fs::path file = folder_.path() / "a.toml";
    std::ofstream(file) << "[model]\n" << model << "\n[data]\ntrain = \"x\"\n" << data << "\n[train]\n" << train << "\n";
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

TEST_F(TextConfig, says_what_decides_the_weights) {
  EXPECT_EQ(read("layers = 1\nwidth = 64\nheads = 8\nhidden = 99\nlength = 32\npooling = \"first\"\npieces = 500\ncased = true",
                 "ignore = [\"unsup\"]\ntext_column = \"review\"\nlabel_column = \"mark\"", "hidden_words = 0.5"),
            "");
  EXPECT_EQ(recipe_->fingerprint(),
            "model.layers = 1\nmodel.width = 64\nmodel.heads = 8\nmodel.hidden = 99\nmodel.length = 32\n"
            "model.pooling = first\nmodel.cased = true\nmodel.pieces = 500\ndata.text_column = review\n"
            "data.label_column = mark\ndata.ignore = unsup\ntrain.hidden_words = 0.5\n");
  EXPECT_EQ(read("", "", ""), "");
  EXPECT_EQ(read("weights = \"w.safetensors\"\nheads = 3\nactivation = \"gelu\"\nepsilon = 1e-12", "", ""), "");
  EXPECT_THAT(recipe_->fingerprint(), AllOf(HasSubstr("model.heads = 3"), HasSubstr("model.activation = gelu\nmodel.epsilon = ")));
}

TEST_F(TextConfig, refuses_what_makes_no_sense) {
  EXPECT_THAT(read("heads = 3", "", ""), HasSubstr("model.heads is 3, which does not divide model.width, 128"));
  EXPECT_THAT(read("pooling = \"most\"", "", ""), HasSubstr("'most' is no way"));
  EXPECT_THAT(read("length = 513", "", ""), HasSubstr("out of range"));
  EXPECT_THAT(read("pieces = 8", "", ""), HasSubstr("out of range"));
  EXPECT_THAT(read("pieces = 800\nvocabulary = \"v.txt\"", "", ""), HasSubstr("leave one of both out"));
  EXPECT_THAT(read("", "", "hidden_words = 1.0"), HasSubstr("out of range"));
  EXPECT_THAT(read("activation = \"swish\"", "", ""), HasSubstr("'swish' is no activation"));
  EXPECT_THAT(read("epsilon = 0.0", "", ""), HasSubstr("out of range"));
  EXPECT_THAT(read("pieces = 800\nweights = \"w.safetensors\"", "", ""), HasSubstr("leave one of both out"));
}

}  // namespace
}  // namespace outcrop::text
