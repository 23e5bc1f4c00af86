#include "trainer_host/trainer/kinds/text/pretrained_encoder.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <limits>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/text/bert_for_tests.hpp"
#include "trainer_host/trainer/kinds/text/sentences_for_tests.hpp"
#include "trainer_host/trainer/kinds/text/text_task.hpp"

namespace outcrop::text {
namespace fs = std::filesystem;
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

WantedEncoder of_length(std::int64_t length, std::optional<std::int64_t> heads = std::nullopt) {
  WantedEncoder wanted;
  wanted.length = length;
  wanted.heads = heads;
  return wanted;
}

class FromPretrained : public testing::Test {
 protected:
  FromPretrained() {
    write_sentences(folder_.path() / "texts", 4, 1);
    bert_.save(home_);
  }
  void write(const char* name, const std::string& text) { std::ofstream(home_ / name) << text; }
  TextRecipe recipe(std::int64_t length = 10) {
    TextRecipe recipe;
    recipe.encoder.length = length;
    recipe.encoder.pooling = Pooling::first;
    recipe.weights = home_ / "model.safetensors";
    recipe.data = {.train = {folder_.path() / "texts"}};
    return recipe;
  }
  // What opening it says, with these weights saved.
  Result<std::unique_ptr<kinds::Task>> opened(const TextRecipe& recipe) {
    bert_.save(home_);
    return recipe.open(1);
  }
  void expect_refused(const std::string& what) { EXPECT_THAT(opened(recipe()), ErrorIs(ErrorCode::invalid_data, HasSubstr(what))); }

  TemporaryFolder folder_;
  fs::path home_ = folder_.path() / "bert";
  SmallBert bert_{1};
};

TEST_F(FromPretrained, answers_as_the_model_that_it_begins_with) {
  const torch::NoGradGuard no_gradient;
  const auto task = opened(recipe());
  ASSERT_THAT(task, IsOk());
  torch::jit::Module network = (*task)->parts().front().network;
  network.eval();
  const auto ids = torch::tensor({2, 4, 6, 5, 3}, torch::kLong);
  const auto classes = network.attr("classes").toModule();
  const auto expected = torch::linear(bert_.answer(ids).select(0, 0), classes.attr("weight").toTensor(), classes.attr("bias").toTensor());
  const auto filled = torch::constant_pad_nd(ids, {0, 5}).unsqueeze(0);
  EXPECT_TRUE(torch::allclose(network.forward({filled}).toTensor().select(0, 0), expected, 1e-4, 1e-5));
}

TEST_F(FromPretrained, takes_its_sizes_from_the_shapes_where_nothing_says_them) {
  fs::remove(home_ / "config.json");
  const auto read = read_pretrained(home_ / "model.safetensors", of_length(10, 2));
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(read->shape, (EncoderShape{2, 8, 2, 12, 10, Pooling::mean, Activation::gelu, 1e-12}));
  EXPECT_EQ(read->pieces, 7);
  EXPECT_THAT(read_pretrained(home_ / "model.safetensors", {}),
              ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("model.heads is missing"), HasSubstr("config.json"))));
}

TEST_F(FromPretrained, knows_weights_by_the_names_that_older_files_have) {
  SmallBert older = bert_;
  older.tensors.clear();
  for (const auto& [name, tensor] : bert_.tensors) {
    std::string other = "bert." + name;
    if (const auto at = other.find("LayerNorm.weight"); at != std::string::npos) other.replace(at, 16, "LayerNorm.gamma");
    if (const auto at = other.find("LayerNorm.bias"); at != std::string::npos) other.replace(at, 14, "LayerNorm.beta");
    older.tensors[other] = tensor;
  }
  older.tensors["cls.predictions.bias"] = torch::zeros({7});
  older.save(folder_.path() / "older");
  const auto same = read_pretrained(folder_.path() / "older" / "model.safetensors", of_length(10));
  const auto usual = read_pretrained(home_ / "model.safetensors", of_length(10));
  ASSERT_THAT(same, IsOk());
  ASSERT_THAT(usual, IsOk());
  ASSERT_EQ(same->tensors.size(), usual->tensors.size());
  for (std::size_t i = 0; i < same->tensors.size(); ++i) {
    EXPECT_EQ(same->tensors[i].first, usual->tensors[i].first);
    EXPECT_TRUE(torch::equal(same->tensors[i].second, usual->tensors[i].second));
  }
  older.tensors["embeddings.LayerNorm.bias"] = torch::zeros({8});
  older.save(folder_.path() / "older");
  EXPECT_THAT(read_pretrained(folder_.path() / "older" / "model.safetensors", of_length(10)),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("'embeddings.LayerNorm.bias' twice")));
}

TEST_F(FromPretrained, names_the_tensor_that_is_missing_or_one_too_many_or_of_another_shape) {
  const auto good = bert_.tensors;
  bert_.tensors.erase("encoder.layer.1.output.dense.weight");
  expect_refused("no tensor 'encoder.layer.1.output.dense.weight'; an encoder of 2 layers, 8 wide, has it as [8, 12]");
  bert_.tensors = good;
  bert_.tensors["classifier.weight"] = torch::zeros({2, 8});
  expect_refused("a tensor 'classifier.weight', which an encoder of 2 layers as BERT's has not");
  bert_.tensors = good;
  bert_.tensors["encoder.layer.2.output.dense.bias"] = torch::zeros({8});
  expect_refused("'encoder.layer.2.output.dense.bias'");
  bert_.tensors = good;
  bert_.tensors["encoder.layer.0.attention.self.key.weight"] = torch::zeros({8, 9});
  expect_refused("'encoder.layer.0.attention.self.key.weight' is [8, 9]; expected is [8, 8]");
  bert_.tensors = good;
  bert_.tensors["embeddings.word_embeddings.weight"] = torch::zeros({7, 8}, torch::kLong);
  expect_refused("'embeddings.word_embeddings.weight' holds whole numbers");
  bert_.tensors = good;
  bert_.tensors["pooler.dense.bias"].fill_(std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(opened(recipe()), IsOk()) << "passed over";
  bert_.tensors["embeddings.LayerNorm.bias"] = torch::full({8}, std::numeric_limits<float>::infinity());
  expect_refused("'embeddings.LayerNorm.bias' holds a value that is not finite");
  fs::remove(home_ / "model.safetensors");
  EXPECT_THAT(recipe().open(1), ErrorIs(ErrorCode::not_found, HasSubstr("model.safetensors")));
}

TEST_F(FromPretrained, refuses_a_size_that_is_not_the_weights_own) {
  TextRecipe other = recipe();
  other.encoder.layers = 3;
  EXPECT_THAT(opened(other), ErrorIs(ErrorCode::invalid_argument, HasSubstr("model.layers is 3, and config.json beside the weights has 2")));
  other = recipe();
  other.encoder.epsilon = 1e-5;
  EXPECT_THAT(opened(other), ErrorIs(ErrorCode::invalid_argument, HasSubstr("model.epsilon is 1e-05")));
  other = recipe();
  other.encoder.activation = Activation::relu;
  EXPECT_THAT(opened(other), ErrorIs(ErrorCode::invalid_argument, HasSubstr("model.activation is 'relu'")));
  other = recipe();
  other.encoder.hidden = 13;
  EXPECT_THAT(opened(other), ErrorIs(ErrorCode::invalid_data, HasSubstr("intermediate.dense.weight' is [12, 8]; expected is [13, 8]")));
  EXPECT_THAT(opened(recipe(21)), ErrorIs(ErrorCode::invalid_argument, HasSubstr("model.length is 21, and")));
  EXPECT_THAT(opened(recipe(20)), IsOk());
}

TEST_F(FromPretrained, wants_the_vocabulary_that_the_weights_were_trained_with) {
  write("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nsoup\n");
  EXPECT_THAT(recipe().open(1), ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr("vocab.txt has 5 pieces"), HasSubstr("is of 7"))));
  fs::remove(home_ / "vocab.txt");
  EXPECT_THAT(recipe().open(1), ErrorIs(ErrorCode::not_found, HasSubstr("vocab.txt")));
  TextRecipe elsewhere = recipe();
  elsewhere.vocabulary = folder_.path() / "pieces.txt";
  std::ofstream(elsewhere.vocabulary) << "[PAD]\n[UNK]\n[CLS]\n[SEP]\nsoup\nrain\ngoal\n";
  EXPECT_THAT(elsewhere.open(1), IsOk());
}

TEST_F(FromPretrained, writes_texts_as_its_tokenizer_was_told_to) {
  write("tokenizer_config.json", R"({"do_lower_case": false, "strip_accents": null})");
  const auto task = recipe().open(1);
  ASSERT_THAT(task, IsOk());
  EXPECT_EQ(static_cast<TextTask&>(**task).tokenizer().letters(), Letters::as_written);
  TextRecipe other = recipe();
  other.letters = Letters::lowered;
  EXPECT_THAT(other.open(1), ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("model.cased is false"), HasSubstr("do_lower_case"))));
  write("tokenizer_config.json", R"({"do_lower_case": true, "strip_accents": false})");
  EXPECT_THAT(recipe().open(1), ErrorIs(ErrorCode::unsupported, HasSubstr("strip_accents")));
  write("tokenizer_config.json", R"({"tokenize_chinese_chars": false})");
  EXPECT_THAT(recipe().open(1), ErrorIs(ErrorCode::unsupported, HasSubstr("tokenize_chinese_chars")));
}

TEST_F(FromPretrained, refuses_what_is_beside_the_weights_and_no_bert) {
  const auto expect = [&](const std::string& text, ErrorCode code, const std::string& what) {
    write("config.json", text);
    EXPECT_THAT(recipe().open(1), ErrorIs(code, AllOf(HasSubstr("config.json"), HasSubstr(what)))) << text;
  };
  expect(R"({"model_type": "roberta"})", ErrorCode::unsupported, "model_type is 'roberta'; only 'bert'");
  expect(R"({"position_embedding_type": "relative_key"})", ErrorCode::unsupported, "position_embedding_type");
  expect(R"({"hidden_act": "gelu_new"})", ErrorCode::unsupported, "'gelu_new' is no activation");
  expect(R"({"hidden_act": 3})", ErrorCode::invalid_data, "hidden_act is no text");
  expect(R"({"num_hidden_layers": 2.5})", ErrorCode::invalid_data, "num_hidden_layers");
  expect(R"({"num_hidden_layers": 1000000})", ErrorCode::invalid_data, "num_hidden_layers");
  expect(R"({"layer_norm_eps": "small"})", ErrorCode::invalid_data, "layer_norm_eps is no number");
  expect("[]", ErrorCode::invalid_data, "no JSON object");
  expect("{\"num", ErrorCode::invalid_data, "no JSON object");
  expect(std::string(40, '['), ErrorCode::invalid_data, "nests too deeply");
  write("config.json", R"({"num_attention_heads": 3})");
  EXPECT_THAT(recipe().open(1), ErrorIs(ErrorCode::invalid_argument, HasSubstr("model.heads is 3")));
}

TEST_F(FromPretrained, is_another_run_with_other_weights) {
  const auto before = recipe().fingerprint();
  EXPECT_THAT(before, AllOf(HasSubstr("model.length = 10"), HasSubstr("model.weights = "), HasSubstr("model.vocabulary = "),
                            testing::Not(HasSubstr("model.layers")), testing::Not(HasSubstr("model.cased"))));
  EXPECT_THAT(recipe().brought(), ElementsAre(home_ / "model.safetensors", home_ / "config.json", home_ / "vocab.txt"));
  bert_.tensors["embeddings.LayerNorm.bias"].add_(1.0);
  bert_.save(home_);
  EXPECT_NE(recipe().fingerprint(), before);
}

}  // namespace
}  // namespace outcrop::text
