#include <gmock/gmock.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/classes/class_answers.hpp"
#include "trainer_host/trainer/kinds/text/trained_for_tests.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/aware_training.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::quantize {
namespace {

class VariantsOfTexts : public testing::Test {
 protected:
  VariantsOfTexts() {
    auto opened = text::small_task(folder_.path() / "data");
    EXPECT_THAT(opened, IsOk());
    task_ = std::move(*opened);
    text::train_a_little(*task_, 12);
  }
  // Each answers nearly as float does.
  void expect_alike(const std::vector<VariantFile>& variants) {
    const torch::NoGradGuard no_gradient;
    const auto truth = answers_of(variants.front());
    for (const VariantFile& variant : variants) {
      SCOPED_TRACE(variant.name);
      const auto answers = answers_of(variant);
      EXPECT_LT((answers - truth).abs().mean().item<double>(), 0.05);
      EXPECT_GE((answers.argmax(1) == truth.argmax(1)).to(torch::kFloat).mean().item<double>(), 0.9);
    }
  }
  torch::Tensor answers_of(const VariantFile& variant) {
    auto model = models::LiteModel::load(variant.file);
    EXPECT_THAT(model, IsOk());
    const auto answers = task_->answers_of(*model);
    EXPECT_THAT(answers, IsOk());
    return *answers;
  }

  TemporaryFolder folder_;
  std::unique_ptr<text::TextTask> task_;
};

TEST_F(VariantsOfTexts, answer_as_float_does_whatever_the_method) {
  std::vector<std::string> all;
  for (const VariantKind& kind : variant_kinds()) {
    const auto trained = trained_variants();
    if (std::find(trained.begin(), trained.end(), kind.name) == trained.end()) all.push_back(kind.name);
  }
  const auto stage = export_variants(task_->make_export(), folder_.path(), "sentences", {.variants = all});
  ASSERT_THAT(stage, IsOk());
  EXPECT_EQ(stage->variants.size() + stage->left_out.size(), all.size());
  EXPECT_GT(stage->variants.size(), 2 * stage->left_out.size());
  for (const auto& [name, why] : stage->left_out) std::printf("left out: %s: %s\n", name.c_str(), why.c_str());
  expect_alike(stage->variants);
}

TEST_F(VariantsOfTexts, have_their_tables_in_bytes_and_their_layers_in_int8) {
  const auto stage = export_variants(task_->make_export(), folder_.path(), "sentences",
                                     {.variants = {"float", "int8-qint8", "int8-quint8", "int8-dynamic"}});
  ASSERT_THAT(stage, IsOk());
  for (const VariantFile& variant : stage->variants) {
    if (variant.name == "float") continue;
    SCOPED_TRACE(variant.name);
    EXPECT_GT(variant.coverage.parameters, 0.9) << "tables are most of it";
    EXPECT_GT(variant.coverage.multiply_adds, 0.7);
  }
}

// The six layers of MiniLM took more than 20 GB.
TEST_F(VariantsOfTexts, of_a_deep_encoder_take_no_more_memory_than_others) {
  const auto deep = text::small_task(folder_.path() / "data", 5);
  ASSERT_THAT(deep, IsOk());
  const auto peak = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return ByteCount::kib(static_cast<std::uint64_t>(usage.ru_maxrss));
  };
  const auto before = peak();
  const auto stage = export_variants((*deep)->make_export(), folder_.path(), "deep", {.variants = {"float", "int8-dynamic"}});
  ASSERT_THAT(stage, IsOk());
  EXPECT_LT(peak().value(), before.value() + ByteCount::mib(300).value());
}

TEST_F(VariantsOfTexts, are_what_was_trained_for_int8) {
  AwareTraining for_int8;
  ASSERT_THAT(for_int8.choose_ranges(*task_), IsOk());
  text::train_a_little(*task_, 2);
  const auto stage = export_variants(kinds::export_of(*task_), folder_.path(), "sentences",
                                     {.variants = {"float", "int8-qat", "int8-qat-quint8"}});
  ASSERT_THAT(stage, IsOk());
  for (const auto& [name, why] : stage->left_out) ADD_FAILURE() << name << ": " << why;
  expect_alike(stage->variants);
}

}  // namespace
}  // namespace outcrop::quantize
