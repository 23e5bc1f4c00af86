#include <gtest/gtest.h>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/classes/class_answers.hpp"
#include "trainer_host/trainer/kinds/classifier/trained_for_tests.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::quantize {
namespace {

Result<torch::Tensor> answers_of_file(const classifier::ClassifierTask& task,
                                      const std::filesystem::path& file) {
  OUTCROP_TRY(model, models::LiteModel::load(file));
  return task.answers_of(model);
}

// Pooling, and a kernel as large as its input, in int8.
TEST(VariantsOfAClassifier, answer_as_float_does_and_multiply_in_int8) {
  const TemporaryFolder folder;
  auto opened = classifier::small_task(folder.path() / "data");
  ASSERT_THAT(opened, IsOk());
  classifier::ClassifierTask& task = **opened;
  classifier::train_a_little(task, 20);
  const auto stage = export_variants(task.make_export(), folder.path(), "stripes");
  ASSERT_THAT(stage, IsOk());
  ASSERT_EQ(stage->variants.size(), 4U);
  const torch::NoGradGuard no_gradient;
  const auto truth = answers_of_file(task, stage->variants.front().file);
  ASSERT_THAT(truth, IsOk());
  for (const VariantFile& variant : stage->variants) {
    SCOPED_TRACE(variant.name);
    const auto answers = answers_of_file(task, variant.file);
    ASSERT_THAT(answers, IsOk());
    const auto distance = (*answers - *truth).abs();
    EXPECT_LT(distance.mean().item<double>(), 0.03);
    const auto same = (answers->argmax(1) == truth->argmax(1)).to(torch::kFloat).mean();
    EXPECT_GE(same.item<double>(), 0.9);
    if (!variant.name.starts_with("int8")) continue;
    EXPECT_GT(distance.max().item<double>(), 0.0);
    EXPECT_EQ(variant.coverage.multiply_adds, 1.0);
    EXPECT_GT(variant.outputs.at(classes::probabilities_output).likeness, 0.8);
  }
}

}  // namespace
}  // namespace outcrop::quantize
