#include "trainer_host/trainer/quantize/variants.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <torch/csrc/jit/mobile/import.h>
#include <torch/csrc/jit/mobile/module.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "protocol/base/durable_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "runtime/runner/described_goldens.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/kinds/generator/decoding.hpp"
#include "trainer_host/trainer/models/lite_model.hpp"
#include "trainer_host/trainer/quantize/performance.hpp"
#include "trainer_host/trainer/quantize/small_generator_for_tests.hpp"

namespace outcrop::quantize {
namespace {

using ::testing::HasSubstr;

Result<ExportedStage> export_small(const std::filesystem::path& folder) {
  const auto latents = small_latents(12);
  return export_variants(small_export(make_small_generator(), latents), folder, "small_stage3");
}

// One export for the tests that only read it.
class Variants : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder;
    stage_ = new Result<ExportedStage>(export_small(folder_->path()));
  }
  static void TearDownTestSuite() {
    delete stage_;
    delete folder_;
  }
  void SetUp() override { ASSERT_THAT(*stage_, IsOk()); }

  static TemporaryFolder* folder_;
  static Result<ExportedStage>* stage_;
};
TemporaryFolder* Variants::folder_ = nullptr;
Result<ExportedStage>* Variants::stage_ = nullptr;

const VariantFile& named(const ExportedStage& stage, const std::string& name) {
  return *std::find_if(stage.variants.begin(), stage.variants.end(),
                       [&](const VariantFile& variant) { return variant.name == name; });
}

TEST_F(Variants, are_exported_with_sizes_errors_and_what_stays_float) {
  const ExportedStage& stage = **stage_;
  ASSERT_EQ(stage.variants.size(), 4U);
  EXPECT_EQ(named(stage, "int8-qint8").file.filename(), "small_stage3_int8-qint8.ptl");
  for (const VariantFile& variant : stage.variants) {
    EXPECT_EQ(std::filesystem::file_size(variant.file), variant.size.value());
    EXPECT_EQ(variant.engine, "torch");
    EXPECT_EQ(variant.backend, "qnnpack");
  }
  EXPECT_EQ(named(stage, "float").outputs.at("velocity").max_abs_error, 0.0);
  EXPECT_LT(named(stage, "float-mobile").outputs.at("velocity").max_abs_error, 0.1);
  for (const char* name : {"int8-quint8", "int8-qint8"}) {
    const VariantFile& variant = named(stage, name);
    EXPECT_GT(variant.outputs.at("velocity").mean_abs_error, 0.0);
    EXPECT_GT(variant.outputs.at("velocity").likeness, 0.9);
    EXPECT_GT(variant.outputs.at("seismic").likeness, 0.9);
    EXPECT_GE(variant.outputs.at("velocity").mean_abs_error, variant.outputs.at("velocity").average_abs_error);
    EXPECT_GT(variant.coverage.multiply_adds, 0.999);
    EXPECT_LT(variant.coverage.multiply_adds, 1.0);
    EXPECT_LT(variant.coverage.modules, 1.0);
    EXPECT_LT(variant.coverage.parameters, 1.0);
    EXPECT_THAT(variant.stays_float.size(), ::testing::Ge(5U));
  }
}

TEST(VariantsOfNothingToAsk, are_refused_in_a_sentence) {
  const TemporaryFolder folder;
  kinds::Export none = small_export(make_small_generator(), small_latents(2));
  none.goldens.clear();
  EXPECT_THAT(export_variants(none, folder.path(), "small"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("exporting small: there are no golden calls")));
  kinds::Export empty = small_export(make_small_generator(), small_latents(2));
  empty.goldens.back().arguments.front() = small_latents(2).slice(0, 0, 0);
  EXPECT_THAT(export_variants(empty, folder.path(), "small"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("golden call of decode has no rows")));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST_F(Variants, have_the_same_bytes_when_exported_again) {
  const TemporaryFolder second;
  ASSERT_THAT(export_small(second.path()), IsOk());
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_->path())) {
    auto before = read_file(entry.path(), ByteCount::mib(64));
    auto after = read_file(second.path() / entry.path().filename(), ByteCount::mib(64));
    ASSERT_THAT(before, IsOk());
    ASSERT_THAT(after, IsOk());
    EXPECT_TRUE(*before == *after) << entry.path().filename();
    ++files;
  }
  EXPECT_EQ(files, 11);
}

// What is proved is what boards serve: samples of seeds, and besides the decoder alone.
TEST_F(Variants, answer_the_golden_calls_as_the_golden_outputs_say) {
  const ExportedStage& stage = **stage_;
  const auto inputs = runtime::read_tensor_file(stage.golden_input);
  const auto outputs = runtime::read_tensor_file(stage.golden_output);
  ASSERT_THAT(inputs, IsOk());
  ASSERT_THAT(outputs, IsOk());
  ASSERT_EQ(stage.golden_calls.size(), 3U);
  EXPECT_EQ(stage.golden_calls[0].method, stage.signature.served);
  const auto calls =
      runtime::proof_calls(stage.signature, stage.golden_calls, *inputs, *outputs);
  ASSERT_THAT(calls, IsOk());
  EXPECT_EQ(std::get<std::int64_t>(calls->at(1).arguments.at(1)), 2);
  EXPECT_EQ(std::get<runtime::Tensor>(calls->at(2).arguments.at(0)).shape,
            (std::vector<std::int64_t>{1, 32}));

  auto model = models::LiteModel::load(named(stage, "float").file);
  ASSERT_THAT(model, IsOk());
  for (const std::size_t k : {0U, 1U}) {
    const auto seed = std::get<std::int64_t>(calls->at(k).arguments.at(1));
    const auto latent = generator::sample_latent(*model, seed);
    ASSERT_THAT(latent, IsOk());
    const auto pair = generator::decode_each(*model, *latent);
    ASSERT_THAT(pair, IsOk());
    const auto& golden = calls->at(k).outputs.at(1);
    EXPECT_EQ(golden.name, "seismic");
    EXPECT_TRUE(std::equal(golden.floats().begin(), golden.floats().end(),
                           pair->seismic.data_ptr<float>()));
  }
}

TEST_F(Variants, in_int8_draw_the_same_row_in_a_larger_batch) {
  for (const char* name : {"int8-quint8", "int8-qint8"}) {
    auto model = torch::jit::_load_for_mobile(named(**stage_, name).file.string());
    const auto one = model.forward({1, 11}).toTuple();
    const auto three = model.forward({3, 11}).toTuple();
    ASSERT_EQ(three->elements()[1].toTensor().sizes(), (std::vector<std::int64_t>{3, 5, 1000, 70}));
    for (std::size_t i = 0; i < 2; ++i) {
      const auto rows = three->elements()[i].toTensor();
      EXPECT_TRUE(torch::equal(rows.slice(0, 0, 1), one->elements()[i].toTensor()))
          << name << ", output " << i;
      EXPECT_FALSE(torch::equal(rows[1], rows[0])) << name << ", output " << i;
    }
  }
}

// What a board or somebody's Python gets must not depend on which variant it happens to run.
TEST_F(Variants, answer_contiguous_rows_and_nothing_for_no_rows) {
  for (const VariantFile& variant : (*stage_)->variants) {
    auto model = torch::jit::_load_for_mobile(variant.file.string());
    for (const std::int64_t rows : {0, 1, 2}) {
      const auto drawn = model.forward({rows, 5}).toTuple();
      const auto decoded = model.get_method("decode")({torch::zeros({rows, 32})}).toTuple();
      for (const auto& pair : {drawn, decoded}) {
        const auto velocity = pair->elements()[0].toTensor();
        const auto seismic = pair->elements()[1].toTensor();
        EXPECT_EQ(velocity.sizes(), (std::vector<std::int64_t>{rows, 1, 70, 70})) << variant.name;
        EXPECT_EQ(seismic.sizes(), (std::vector<std::int64_t>{rows, 5, 1000, 70})) << variant.name;
        EXPECT_TRUE(velocity.is_contiguous()) << variant.name << ", " << rows << " rows";
        EXPECT_TRUE(seismic.is_contiguous()) << variant.name << ", " << rows << " rows";
        EXPECT_EQ(velocity.scalar_type(), torch::kFloat) << variant.name;
        EXPECT_EQ(seismic.scalar_type(), torch::kFloat) << variant.name;
      }
    }
    EXPECT_THROW(model.forward({-1, 5}), std::exception) << variant.name;
  }
}

TEST_F(Variants, draw_no_map_from_a_latent_that_is_not_finite) {
  for (const VariantFile& variant : (*stage_)->variants) {
    auto model = torch::jit::_load_for_mobile(variant.file.string());
    const auto decode = model.get_method("decode");
    const auto latents = small_latents(3);
    const auto whole = decode({latents}).toTuple();
    for (const float broken : {std::nanf(""), INFINITY, -INFINITY}) {
      auto spoilt = latents.clone();
      spoilt[1][7] = broken;
      const auto pair = decode({spoilt}).toTuple();
      for (std::size_t i = 0; i < 2; ++i) {
        const auto rows = pair->elements()[i].toTensor();
        EXPECT_TRUE(rows[1].isnan().all().item<bool>()) << variant.name << ", output " << i;
        for (const std::int64_t other : {0, 2}) {
          EXPECT_TRUE(torch::equal(rows[other], whole->elements()[i].toTensor()[other]))
              << variant.name << ", output " << i;
        }
      }
    }
  }
}

// A plan is data: read back and changed, it makes another variant, whose parts say so.
TEST_F(Variants, are_made_as_a_changed_plan_wants_them) {
  const VariantFile& usual = named(**stage_, "int8-qint8");
  auto plan = read_plan(usual.plan);
  ASSERT_THAT(plan, IsOk());
  const std::string last = "velocity_decoder.map";
  for (LayerDecision& layer : plan->layers) {
    if (layer.layer != last && !layer.layer.starts_with("velocity_decoder.mix")) continue;
    layer.format = "float";
  }
  const TemporaryFolder folder;
  const auto latents = small_latents(12);
  VariantChoice choice{.variants = {"float", "int8-qint8"}, .weights = {}, .plan = *plan};
  const auto stage = export_variants(small_export(make_small_generator(), latents), folder.path(),
                                     "small_stage3", choice);
  ASSERT_THAT(stage, IsOk());
  const VariantFile& changed = named(*stage, "int8-qint8");
  EXPECT_LT(changed.coverage.multiply_adds, usual.coverage.multiply_adds);
  EXPECT_LT(changed.outputs.at("velocity").average_abs_error,
            usual.outputs.at("velocity").average_abs_error);
  EXPECT_TRUE(std::any_of(changed.stays_float.begin(), changed.stays_float.end(),
                          [&](const kinds::FloatPart& part) { return part.name == last; }));
  EXPECT_EQ(read_plan(changed.plan)->layer(last)->format, "float");

  choice.plan->layers.front().layer = "velocity_decoder.nothing";
  EXPECT_THAT(export_variants(small_export(make_small_generator(), latents), folder.path(),
                              "small_stage3", choice),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("velocity_decoder.nothing")));
}

TEST_F(Variants, are_measured_by_the_confined_runner) {
  MeasureOptions options;
  options.runner.program = std::filesystem::path(OUTCROP_BIN) / "outcrop-runner-torch";
  options.runner.confinement = runtime::Confinement::reduced;  // what this machine can is enough
  options.calls = 4;
  options.rounds = 2;
  auto rows = measure_performance(**stage_, "small", 3, options);
  ASSERT_THAT(rows, IsOk());
  ASSERT_EQ(rows->size(), 4U);
  for (const PerformanceRow& row : *rows) {
    EXPECT_EQ(row.stage, 3);
    EXPECT_GE(row.steady.calls, 2U) << row.variant.name;
    EXPECT_GT(row.steady.p50.count(), 0.0);
    EXPECT_GT(row.first.count(), 0.0);
    EXPECT_GT(row.peak_memory, row.engine_memory);
  }
  EXPECT_THAT(performance_table(*rows), HasSubstr("int8-qint8"));
}

TEST_F(Variants, that_do_not_run_have_a_row_that_says_why_and_the_others_have_their_times) {
  const TemporaryFolder folder;
  ExportedStage stage = **stage_;
  stage.variants.erase(stage.variants.begin() + 1, stage.variants.end() - 1);
  VariantFile& cut = stage.variants.back();
  std::filesystem::copy_file(cut.file, folder.path() / "cut.ptl");
  std::filesystem::resize_file(folder.path() / "cut.ptl", cut.size.value() / 2);
  cut.file = folder.path() / "cut.ptl";
  cut.size = ByteCount(cut.size.value() / 2);
  MeasureOptions options;
  options.runner.program = std::filesystem::path(OUTCROP_BIN) / "outcrop-runner-torch";
  options.runner.confinement = runtime::Confinement::reduced;
  options.calls = 1;
  const auto rows = measure_performance(stage, "small", 3, options);
  ASSERT_THAT(rows, IsOk());
  ASSERT_EQ(rows->size(), 2U);
  EXPECT_EQ(rows->front().unmeasured, "");
  EXPECT_GT(rows->front().steady.p50.count(), 0.0);
  EXPECT_NE(rows->back().unmeasured, "");
  EXPECT_EQ(rows->back().steady.calls, 0U);
}

TEST_F(Variants, a_damaged_file_is_a_clear_error) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "cut.ptl";
  const VariantFile& whole = named(**stage_, "int8-qint8");
  std::filesystem::copy_file(whole.file, file);
  std::filesystem::resize_file(file, whole.size.value() / 2);
  EXPECT_THAT(models::LiteModel::load(file), ErrorIs(ErrorCode::invalid_data, HasSubstr("damaged")));
  EXPECT_THAT(models::LiteModel::load(folder.path() / "none.ptl"),
              ErrorIs(ErrorCode::not_found, HasSubstr("none.ptl")));
  ASSERT_EQ(::mkfifo((folder.path() / "pipe.ptl").c_str(), 0600), 0);
  EXPECT_THAT(models::LiteModel::load(folder.path() / "pipe.ptl"),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("not a regular file")));
}

TEST_F(Variants, a_layer_that_cannot_be_int8_leaves_those_variants_out_and_names_network_and_layer) {
  const TemporaryFolder folder;
  auto small = make_small_generator();
  auto& decoder = small.seismic_decoder;
  const std::string first = generator::seismic_decoder_layers(small.shape).front().name;
  torch::jit::Module loop("__torch__.Loop", decoder._ivalue()->compilation_unit(), true);
  loop.register_attribute("training", c10::BoolType::get(), false);
  loop.register_module("step", decoder);
  loop.define(
      "def forward(self, x):\n"
      "    y = x\n"
      "    for i in range(1):\n"
      "        y = self.step.forward(x)\n"
      "    return y\n");
  small.seismic_decoder = loop;
  const auto latents = small_latents(8);
  const auto named_both = ::testing::AllOf(HasSubstr("seismic decoder"), HasSubstr("step." + first));
  const auto stage = export_variants(small_export(small, latents), folder.path(), "small_stage1");
  ASSERT_THAT(stage, IsOk());
  EXPECT_EQ(stage->variants.front().name, "float");
  for (const char* int8 : {"int8-quint8", "int8-qint8"}) {
    const auto left_out = std::find_if(stage->left_out.begin(), stage->left_out.end(),
                                       [&](const auto& one) { return one.first == int8; });
    ASSERT_NE(left_out, stage->left_out.end()) << int8;
    EXPECT_THAT(left_out->second, named_both);
    EXPECT_FALSE(std::filesystem::exists(folder.path() / ("small_stage1_" + std::string(int8) + ".ptl")));
  }
  // Where nothing else is asked for, that is an error.
  const TemporaryFolder alone;
  VariantChoice choice;
  choice.variants = {"float", "int8-qint8"};
  EXPECT_THAT(export_variants(small_export(small, latents), alone.path(), "small_stage1", choice),
              ErrorIs(ErrorCode::unsupported, named_both));
  EXPECT_TRUE(std::filesystem::is_empty(alone.path()));
}

}  // namespace
}  // namespace outcrop::quantize
