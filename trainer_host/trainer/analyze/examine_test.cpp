#include "trainer_host/trainer/analyze/examine.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <cmath>

#include "protocol/base/durable_file.hpp"
#include "protocol/messages/text_input.hpp"
#include "runtime/engine/npy_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "runtime/runner/landlock.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/analyze/class_comparison.hpp"
#include "trainer_host/trainer/kinds/answers_classes.hpp"
#include "trainer_host/trainer/analyze/plan_change.hpp"
#include "trainer_host/trainer/analyze/text_questions.hpp"
#include "trainer_host/trainer/kinds/module/exporting.hpp"
#include "trainer_host/trainer/models/plain_tensor.hpp"
#include "trainer_host/trainer/quantize/small_generator_for_tests.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::analyze {
namespace fs = std::filesystem;
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using torch::Tensor;

Tensor drawn(std::vector<std::int64_t> shape, std::uint64_t seed = 5) {
  at::Generator random = at::detail::createCPUGenerator(seed);
  return torch::empty(shape).normal_(0.0, 1.0, random);
}

// A module with a parameter w [4, 4], from its methods.
void save_module(const fs::path& file, const std::string& source, const Tensor& w) {
  torch::jit::Module module("__torch__.Small", std::make_shared<torch::jit::CompilationUnit>(), true);
  module.register_parameter("w", w, false);
  module.define(source);
  module.save(file.string());
}

Questions questions_of(const AnalyzedModel& model, std::vector<Tensor> inputs) {
  return {model.methods().at(0), "rows", {std::move(inputs)}, {}};
}

class Examined : public ::testing::Test {
 protected:
  [[nodiscard]] fs::path saved(const std::string& name, const std::string& body, double factor = 1.0,
                               const std::string& arguments = "x") const {
    const fs::path file = folder_.path() / (name + ".pt");
    save_module(file, "def forward(self, " + arguments + "):\n" + body, factor * drawn({4, 4}));
    return file;
  }
  [[nodiscard]] Result<Analysis> examined(const fs::path& one, const fs::path& other, std::vector<Tensor> inputs) const {
    OUTCROP_TRY(original, AnalyzedModel::load(one));
    OUTCROP_TRY(quantized, AnalyzedModel::load(other));
    return examine(original, quantized, questions_of(original, std::move(inputs)), {});
  }
  TemporaryFolder folder_;
};

constexpr const char* two_linears = "    return torch.linear(torch.relu(torch.linear(x, self.w)), self.w)\n";

TEST_F(Examined, layers_are_compared_by_the_definition) {
  const char* once = "    return torch.linear(x, self.w)\n";
  // Weights that are a tenth off: noise is a hundredth of the signal.
  const auto analysis = examined(saved("a", once), saved("b", once, 1.1), {drawn({6, 4})});
  ASSERT_THAT(analysis, IsOk());
  ASSERT_EQ(analysis->layers.size(), 1U);
  const Layer& layer = analysis->layers[0];
  EXPECT_NEAR(*layer.output->sqnr_db(), 20.0, 1e-3);
  EXPECT_NEAR(*layer.weight->sqnr_db(), 20.0, 1e-3);
  EXPECT_NEAR(*analysis->outputs[0].distance.sqnr_db(), 20.0, 1e-3);
  EXPECT_EQ(layer.output->values, 24);
  EXPECT_EQ(layer.multiply_adds, 16);  // of one row
  EXPECT_EQ(layer.weights, 16);
  EXPECT_EQ(layer.activations->before.total(), 24U);
  EXPECT_EQ(layer.activations->after.total(), 24U);
  EXPECT_FALSE(layer.computes_in_codes);
  EXPECT_EQ(analysis->rows, 6U);
}

TEST_F(Examined, products_without_weights_are_counted_as_they_ran) {
  const char* attention =
      "    y = torch.linear(x, self.w)\n    return torch.matmul(torch.softmax(torch.matmul(y, y.transpose(1, 2)), -1), y)\n";
  const auto file = saved("a", attention);
  const auto analysis = examined(file, file, {drawn({2, 5, 4})});
  ASSERT_THAT(analysis, IsOk());
  // For one row of five places: 5·4·4 of the layer, twice 5·5·4 of the products.
  EXPECT_EQ(analysis->coverage.multiply_adds, 80 + 200);
  EXPECT_EQ(analysis->coverage.product_multiply_adds, 200);
  EXPECT_EQ(analysis->float_operators.at("aten::matmul"), 2);
  EXPECT_FALSE(analysis->float_operators.contains("aten::bmm"));  // called by another, not by the model
  EXPECT_TRUE(analysis->outputs[0].distance.exact());
}

TEST_F(Examined, layers_that_cannot_be_matched_are_named_and_the_rest_is_told) {
  const auto analysis = examined(saved("a", two_linears), saved("b", "    return torch.linear(x, self.w)\n"), {drawn({3, 4})});
  ASSERT_THAT(analysis, IsOk());
  EXPECT_TRUE(analysis->layers.empty());
  EXPECT_THAT(analysis->unmatched, AllOf(HasSubstr("2 layers ran in the float model (2 linear)"),
                                         HasSubstr("1 in the quantized one (1 linear)")));
  EXPECT_EQ(analysis->outputs[0].distance.values, 12);
}

TEST_F(Examined, what_are_not_two_forms_of_one_model_is_refused_before_the_work) {
  const auto one = saved("one", "    return torch.linear(x, self.w)\n");
  const auto refused = [&](const fs::path& other) { return examined(one, other, {drawn({3, 4})}); };
  EXPECT_THAT(refused(saved("two", "    return torch.linear(x, self.w) + y\n", 1.0, "x, y")),
              ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("not two forms of one model"),
                                                         HasSubstr("forward(Tensor x, Tensor y)"))));
  EXPECT_THAT(refused(saved("narrow", "    return torch.linear(x, self.w)[:, :2]\n")),
              ErrorIs(ErrorCode::invalid_argument, AllOf(HasSubstr("[1, 4]"), HasSubstr("[1, 2]"))));
  EXPECT_THAT(refused(saved("more", "    return torch.linear(x, self.w), x\n")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("1 outputs, and more.pt 2")));
  EXPECT_THAT(examined(one, one, {drawn({3, 5})}),
              ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr("first row of rows"), HasSubstr("one.pt"))));
  EXPECT_THAT(examined(saved("nan", two_linears, std::nan("")), saved("nan2", two_linears), {drawn({3, 4})}),
              ErrorIs(ErrorCode::diverged, HasSubstr("not finite")));
}

TEST_F(Examined, a_file_that_is_no_model_is_refused_by_name) {
  const fs::path file = folder_.path() / "text.ptl";
  ASSERT_THAT(write_file_durably(file, std::string_view("no model")), IsOk());
  EXPECT_THAT(AnalyzedModel::load(file), ErrorIs(ErrorCode::invalid_data, HasSubstr("text.ptl is no model")));
  EXPECT_THAT(AnalyzedModel::load(folder_.path() / "none.pt"), ErrorIs(ErrorCode::not_found, HasSubstr("none.pt")));
}

// A module that Python wrote, with its variants.
class OfDigits : public ::testing::Test {
 protected:
  static fs::path module() { return fs::path(OUTCROP_SOURCE) / "tests/modules/digits.pt"; }
  void SetUp() override {
    auto bytes = read_file(module(), ByteCount::mib(1));
    ASSERT_THAT(bytes, IsOk());
    auto foreign = user_module::load_foreign(*bytes, "digits.pt");
    ASSERT_THAT(foreign, IsOk());
    foreign->module.eval();
    user_module::Rows rows;
    rows.inputs = {drawn({24, 1, 8, 8})};
    quantize::VariantChoice choice;
    choice.variants = {"float", "float-mobile", "int8-qint8"};
    ASSERT_THAT(quantize::export_variants(user_module::make_export(*foreign, rows, rows, std::nullopt), folder_.path(), "d", choice),
                IsOk());
  }
  [[nodiscard]] fs::path variant(const std::string& name) const { return folder_.path() / ("d_" + name + ".ptl"); }
  TemporaryFolder folder_;
};

TEST_F(OfDigits, layers_are_compared_behind_what_was_folded_into_them) {
  auto original = AnalyzedModel::load(module());
  auto quantized = AnalyzedModel::load(variant("int8-qint8"));
  ASSERT_THAT(original, IsOk());
  ASSERT_THAT(quantized, IsOk());
  ASSERT_TRUE(quantized->is_lite());
  const auto plan = read_plan_beside(variant("int8-qint8"));
  ASSERT_THAT(plan, IsOk());
  ExamineOptions options;
  options.plan = *plan;
  const auto analysis = examine(*original, *quantized, questions_of(*original, {drawn({16, 1, 8, 8})}), options);
  ASSERT_THAT(analysis, IsOk());
  ASSERT_EQ(analysis->layers.size(), 3U);
  EXPECT_EQ(analysis->layers[0].name, "module.first");
  EXPECT_EQ(analysis->layers[0].quantized_operator, "quantized::conv2d_relu");
  EXPECT_EQ(analysis->layers[0].compared_after, "batch_norm, relu");
  EXPECT_EQ(analysis->layers[1].compared_after, "batch_norm");  // the sum behind it has the relu
  for (const Layer& layer : analysis->layers) EXPECT_GT(*layer.output->sqnr_db(), 25.0) << layer.name;
  EXPECT_GT(*analysis->layers[2].weight->sqnr_db(), 30.0);
  EXPECT_EQ(analysis->coverage.multiply_adds_in_codes, 1.0);
  EXPECT_EQ(analysis->quantizations, 1);
  EXPECT_TRUE(analysis->remarks.empty());
  // A plan with all below a bound float is one that quantize takes.
  const auto changed = with_worst_float(**plan, *analysis, 200);
  EXPECT_EQ(changed.layer("module.first")->format, "float");
  EXPECT_THAT(changed.layer("module.first")->reason, HasSubstr("below 200"));
  EXPECT_EQ(with_worst_float(**plan, *analysis, -50).layer("module.first")->format, "int8");
}

TEST_F(OfDigits, the_optimized_float_form_is_compared_as_any_other_and_is_no_original) {
  auto original = AnalyzedModel::load(variant("float"));
  auto mobile = AnalyzedModel::load(variant("float-mobile"));
  ASSERT_THAT(original, IsOk());
  ASSERT_THAT(mobile, IsOk());
  const Questions questions = questions_of(*original, {drawn({4, 1, 8, 8})});
  const auto analysis = examine(*original, *mobile, questions, {});
  ASSERT_THAT(analysis, IsOk());
  EXPECT_EQ(analysis->unmatched, "");
  for (const Layer& layer : analysis->layers) {
    EXPECT_TRUE(layer.output->exact() || *layer.output->sqnr_db() > 100.0) << layer.name << " " << layer.compared_after;
    EXPECT_EQ(layer.format, "float");
  }
  EXPECT_THAT(examine(*mobile, *original, questions, {}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("prepacked::")));
  auto quantized = AnalyzedModel::load(variant("int8-qint8"));
  ASSERT_THAT(quantized, IsOk());
  EXPECT_THAT(examine(*quantized, *original, questions, {}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("is quantized itself")));
}

// The whole way, by the real program in its jail, with the rows that quantize left and with rows of one's own.
TEST_F(OfDigits, are_reported_by_the_program) {
  const std::string lacking = runtime::lacks_landlock();
  if (!lacking.empty()) GTEST_SKIP() << "no jail on this machine: " << lacking;
  const fs::path report = folder_.path() / "report";
  const std::string analyze = OUTCROP_BIN "/outcrop-trainer analyze ";
  const std::string files = variant("float").string() + " " + variant("int8-qint8").string() + " ";
  const ShellOutcome first = run_shell(analyze + files + report.string() + " --no-measure");
  ASSERT_EQ(first.code, 0) << first.output;
  EXPECT_THAT(first.output, AllOf(HasSubstr("3 of 3 layers"), HasSubstr("report.html")));
  for (const char* name : {"metrics.json", "comparison.csv", "summary_report.md", "plan.toml", "report.html"}) {
    EXPECT_TRUE(fs::exists(report / name)) << name;
  }
  EXPECT_THAT(quantize::read_plan(report / "plan.toml"), IsOk());
  fs::create_directories(folder_.path() / "rows");
  const auto write_rows = [&](const std::string& name, const runtime::Tensor& tensor) {
    ASSERT_THAT(write_file_durably(folder_.path() / "rows" / (name + ".npy"), runtime::encode_npy(tensor)), IsOk());
  };
  const Tensor images = drawn({20, 1, 8, 8}, 9);
  write_rows("images", runtime::Tensor::of_floats("images", {20, 1, 8, 8}, {images.data_ptr<float>(), 20 * 64}));
  const std::vector<std::int64_t> classes(20, 1);
  write_rows("target", runtime::Tensor::of_integers("target", {20}, classes));
  const std::string data = " --no-measure --data " + (folder_.path() / "rows").string();
  // Again into the same folder, of the file as Python wrote it.
  const ShellOutcome second = run_shell(analyze + module().string() + " " + variant("int8-qint8").string() + " " +
                                        report.string() + data + " --loss cross-entropy");
  ASSERT_EQ(second.code, 0) << second.output;
  EXPECT_THAT(second.output, AllOf(HasSubstr("On 20 rows its accuracy"), HasSubstr("McNemar")));
  for (const auto& entry : fs::directory_iterator(report)) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".form-")) << entry.path();
  }
}

// Two parts, methods of tensors and of numbers: the one that golden tensors fit is called.
TEST(OfAGenerator, the_method_is_chosen_by_the_golden_inputs) {
  const TemporaryFolder folder;
  const auto latents = quantize::small_latents(32);
  quantize::VariantChoice choice;
  choice.variants = {"float", "int8-qint8"};
  ASSERT_THAT(quantize::export_variants(quantize::small_export(quantize::make_small_generator(), latents), folder.path(), "s",
                                        choice),
              IsOk());
  auto original = AnalyzedModel::load(folder.path() / "s_float.ptl");
  auto quantized = AnalyzedModel::load(folder.path() / "s_int8-qint8.ptl");
  ASSERT_THAT(original, IsOk());
  ASSERT_THAT(quantized, IsOk());
  const auto questions = read_goldens(*original, {folder.path()}, "");
  ASSERT_THAT(questions, IsOk());
  EXPECT_EQ(questions->method.name, "decode");
  const auto plan = read_plan_beside(folder.path() / "s_int8-qint8.ptl");
  ASSERT_THAT(plan, IsOk());
  ExamineOptions options;
  options.plan = *plan;
  const auto analysis = examine(*original, *quantized, *questions, options);
  ASSERT_THAT(analysis, IsOk());
  ASSERT_EQ(analysis->unmatched, "");
  EXPECT_EQ(analysis->layers.size(), (*plan)->layers.size());
  EXPECT_GT(analysis->coverage.multiply_adds_in_codes, 0.99);
  int compared = 0;
  for (const Layer& layer : analysis->layers) {
    EXPECT_NE((*plan)->layer(layer.name), nullptr) << layer.name;
    EXPECT_EQ(layer.format, "int8");
    EXPECT_TRUE(layer.output || !layer.not_compared.empty()) << layer.name;
    if (!layer.output) continue;
    ++compared;
    EXPECT_GT(*layer.output->sqnr_db(), 8.0) << layer.name << " " << layer.quantized_operator << " " << layer.compared_after;
  }
  EXPECT_EQ(compared, static_cast<int>(analysis->layers.size()) - 2);  // two lie otherwise in integers, and say so
  EXPECT_EQ(analysis->layers[0].compared_after, "relu");  // in a range of codes that begins at 0
  EXPECT_THAT(read_goldens(*original, {folder.path() / "none"}, ""), ErrorIs(ErrorCode::not_found, HasSubstr("--data")));
  const TemporaryFolder without;
  const std::vector<runtime::Tensor> no_rows{models::plain_tensor("latent_1", latents.slice(0, 0, 0).contiguous())};
  ASSERT_THAT(runtime::write_tensor_file(without.path() / "golden_input.safetensors", no_rows), IsOk());
  EXPECT_THAT(read_goldens(*original, {without.path()}, ""),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("without a single row; give rows with --data")));
}

TEST_F(Examined, texts_are_cut_as_the_golden_inputs_say) {
  const auto model = AnalyzedModel::load(saved("a", "    return torch.linear(ids.to(6), self.w)\n", 1.0, "ids"));
  ASSERT_THAT(model, IsOk());
  const auto write = [&](const char* name, const std::string& text) {
    EXPECT_THAT(write_file_durably(folder_.path() / name, std::string_view(text)), IsOk());
    return folder_.path() / name;
  };
  const fs::path texts = write("texts.tsv", "text\tlabel\nSoup!\tfood\nrain\tweather\n");
  EXPECT_TRUE(are_texts(texts));
  EXPECT_FALSE(are_texts(folder_.path())) << "rows";
  EXPECT_THAT(read_texts(*model, texts, {folder_.path()}, ""), ErrorIs(ErrorCode::not_found, HasSubstr("golden_input.safetensors")));

  const messages::TextInput told{"ids", 4, false, "[PAD]\n[UNK]\n[CLS]\n[SEP]\nsoup\n", "probabilities", {"food", "weather"}};
  const std::vector<runtime::Tensor> golden{runtime::Tensor::of_integers("ids", {1, 4}, std::vector<std::int64_t>{2, 4, 3, 0})};
  const auto bytes = runtime::encode_tensor_file(golden, {{messages::text_metadata_key, messages::to_json(told)}});
  ASSERT_THAT(bytes, IsOk());
  ASSERT_THAT(write_file_durably(folder_.path() / golden_inputs_file, *bytes), IsOk());
  const auto questions = read_texts(*model, texts, {folder_.path() / "nowhere", folder_.path()}, "");
  ASSERT_THAT(questions, IsOk());
  ASSERT_EQ(questions->batches.size(), 1U);
  EXPECT_TRUE(torch::equal(questions->batches[0][0], torch::tensor({{2, 4, 1, 3}, {2, 1, 3, 0}}, torch::kLong)));
  EXPECT_TRUE(torch::equal(questions->targets[0], torch::tensor({0, 1}, torch::kLong)));
  EXPECT_THAT(read_texts(*model, write("others.tsv", "text\tlabel\ngoal\tsport\nsoup\tfood\n"), {folder_.path()}, ""),
              ErrorIs(ErrorCode::invalid_data, AllOf(HasSubstr("others.tsv:2"), HasSubstr("'sport'"), HasSubstr("food, weather"))));
  const auto two = AnalyzedModel::load(saved("two", "    return torch.linear(ids.to(6), self.w) + x\n", 1.0, "ids, x"));
  ASSERT_THAT(two, IsOk());
  EXPECT_THAT(read_texts(*two, texts, {folder_.path()}, ""), ErrorIs(ErrorCode::invalid_argument, HasSubstr("takes more than the ids")));
  EXPECT_THAT(read_texts(*model, texts, {folder_.path()}, "backward"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("'backward'")));
}

TEST(ClassComparison, counts_what_one_alone_has_right_and_measures_logits) {
  const auto before = torch::tensor({{0.9F, 0.1F}, {0.8F, 0.2F}, {0.3F, 0.7F}, {0.6F, 0.4F}});
  const auto after = torch::tensor({{0.9F, 0.1F}, {0.4F, 0.6F}, {0.3F, 0.7F}, {0.6F, 0.4F}});
  const auto labels = torch::tensor({0, 0, 0, 1}, torch::kLong);
  const ClassComparison comparison = compare_classes(before, after, labels);
  EXPECT_EQ(comparison.mcnemar.only_before, 1U);
  EXPECT_EQ(comparison.mcnemar.only_after, 0U);
  EXPECT_DOUBLE_EQ(comparison.mcnemar.p, 1.0);
  // Two classes: a row's logits are ± half of log(p / q).
  const auto half = [](double p) { return std::log(p / (1 - p)) / 2; };
  const double signal = half(0.9) * half(0.9) + half(0.8) * half(0.8) + half(0.7) * half(0.7) + half(0.6) * half(0.6);
  const double noise = std::pow(half(0.8) + half(0.6), 2);
  EXPECT_NEAR(*comparison.logits_db, 10 * std::log10(signal / noise), 1e-4);
  EXPECT_FALSE(compare_classes(before, before, labels).logits_db) << "no noise";
  EXPECT_TRUE(kinds::are_probabilities(before));
  EXPECT_FALSE(kinds::are_probabilities(before * 2.0));
  EXPECT_FALSE(kinds::are_probabilities(torch::tensor({{1.5F, -0.5F}})));
  const auto sure = torch::tensor({{1.0F, 0.0F}, {0.0F, 1.0F}});
  EXPECT_TRUE(std::isfinite(*compare_classes(sure, after.slice(0, 0, 2), labels.slice(0, 0, 2)).logits_db));
}

}  // namespace
}  // namespace outcrop::analyze
