#include "trainer_host/trainer/quantize/plan.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/trainer/quantize/method.hpp"
#include "trainer_host/trainer/quantize/quantize_config.hpp"
#include "trainer_host/trainer/quantize/targets.hpp"
#include "trainer_host/trainer/quantize/variants.hpp"

namespace outcrop::quantize {
namespace {

using ::testing::HasSubstr;

Plan some_plan() {
  return {.variant = "int8-qint8",
          .method = "static",
          .observer = "squared-error",
          .layers = {{.layer = "decoder.mix1",
                      .operation = "conv2d",
                      .format = "int8",
                      .reason = "",
                      .weights = 144,
                      .multiply_adds = 705600,
                      .formats = {"int8", "float"}},
                     {.layer = "decoder.out",
                      .operation = "conv2d",
                      .format = "float",
                      .reason = "its \"codes\" are too coarse",
                      .weights = 16,
                      .multiply_adds = 78400,
                      .formats = {"int8", "float"}}}};
}

class PlanFile : public ::testing::Test {
 protected:
  Result<Plan> read(const std::string& text) {
    const auto path = folder_.path() / "plan.toml";
    std::ofstream(path) << text;
    return read_plan(path);
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(PlanFile, comes_back_as_it_was_written) {
  const Plan plan = some_plan();
  const auto read_back = read(to_toml(plan));
  ASSERT_THAT(read_back, IsOk());
  EXPECT_EQ(read_back->variant, plan.variant);
  EXPECT_EQ(read_back->method, plan.method);
  EXPECT_EQ(read_back->observer, plan.observer);
  ASSERT_EQ(read_back->layers.size(), 2U);
  const LayerDecision* out = read_back->layer("decoder.out");
  ASSERT_NE(out, nullptr);
  EXPECT_EQ(out->format, "float");
  EXPECT_EQ(out->reason, "its \"codes\" are too coarse");
  EXPECT_EQ(out->multiply_adds, 78400);
}

TEST_F(PlanFile, says_that_layers_may_be_made_float_where_one_may) {
  Plan plan = some_plan();
  EXPECT_THAT(to_toml(plan), HasSubstr("A layer may be made float"));
  plan.layers.front().formats = {"int8"};
  plan.layers.back().formats = {"float"};
  EXPECT_THAT(to_toml(plan), testing::Not(HasSubstr("made float")));
  EXPECT_THAT(read(to_toml(plan)), IsOk());
}

TEST_F(PlanFile, holds_what_layers_cost) {
  Plan plan = some_plan();
  plan.layers.front().cost = LayerCost{1.5, 2.25, 0.125, 0.25, 0.5, 31.5};
  plan.other_ms = 0.75;
  const auto read_back = read(to_toml(plan));
  ASSERT_THAT(read_back, IsOk());
  EXPECT_EQ(read_back->layer("decoder.mix1")->cost, plan.layers.front().cost);
  EXPECT_EQ(read_back->layer("decoder.out")->cost, std::nullopt);
  EXPECT_EQ(read_back->other_ms, 0.75);
  EXPECT_THAT(read(to_toml(some_plan()) + "int8_ms = -1\nfloat_ms = 1\n"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("int8_ms")));
}

TEST_F(PlanFile, that_names_a_layer_twice_or_an_unknown_key_is_refused_with_its_line) {
  const std::string plan = to_toml(some_plan());
  EXPECT_THAT(read(plan + "\n[layers.\"decoder.out\"]\noperation = \"conv2d\"\nformat = \"int8\"\n"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("decoder.out")));
  EXPECT_THAT(read(plan + "formatt = \"int8\"\n"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("formatt")));
}

TEST(QuantizeConfiguration, knows_ways_by_the_names_and_keys_of_others_programs) {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& text, const char* name = "q.toml") {
    std::ofstream(folder.path() / name) << text;
    return read_quantize_config(folder.path() / name);
  };
  for (const char* method : {"dynamic", "static", "qat", "gptq-4bit", "bnb-8bit", "bnb-4bit"}) {
    EXPECT_THAT(read("method = \"" + std::string(method) + "\"\n"), IsOk()) << method;
  }
  const auto gptq = read("method = \"gptq-4bit\"\nbits = 4\ngroup_size = 64\ndamp_percent = 0.02\ndesc_act = true\nsym = true\n");
  ASSERT_THAT(gptq, IsOk());
  EXPECT_EQ(gptq->weights, (WeightOptions{.group_size = 64, .sym = true, .damp_percent = 0.02, .desc_act = true}));
  const auto bnb = read("method = \"bnb-4bit\"\nbnb_4bit_quant_type = \"nf4\"\nbnb_4bit_use_double_quant = false\n");
  ASSERT_THAT(bnb, IsOk());
  EXPECT_FALSE(bnb->weights->double_quant);
  EXPECT_THAT(read("method = \"bnb-4bit\"\nbnb_4bit_quant_type = \"fp4\"\n"),
              ErrorIs(ErrorCode::invalid_argument, testing::AllOf(HasSubstr("bnb_4bit_quant_type"), HasSubstr("'fp4'"))));
  EXPECT_THAT(read("method = \"gptq\"\nbits = 3\n"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("bits")));
  EXPECT_THAT(read("method: gptq-4bit\n", "q.yaml"),
              ErrorIs(ErrorCode::invalid_argument, testing::AllOf(HasSubstr("q.yaml is YAML"), HasSubstr("method = \"gptq-4bit\""))));
}

TEST(Decisions, on_layers_or_formats_that_there_are_not_are_refused) {
  const Plan possible = some_plan();
  Plan wanted = possible;
  EXPECT_THAT(check_decisions(wanted, possible), IsOk());
  wanted.layers.back().format = "int4";
  EXPECT_THAT(check_decisions(wanted, possible),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("'int4'")));
  wanted.layers.back().layer = "decoder.mix9";
  EXPECT_THAT(check_decisions(wanted, possible),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("decoder.mix1")));
}

TEST(Decisions, on_a_layer_of_another_operation_are_refused) {
  Plan wanted = some_plan();
  wanted.layers.front().operation = "linear";
  EXPECT_THAT(check_decisions(wanted, some_plan()),
              ErrorIs(ErrorCode::invalid_argument, testing::AllOf(HasSubstr("decoder.mix1"), HasSubstr("is linear"), HasSubstr("conv2d"))));
}

TEST(Targets, say_by_layer_what_they_cannot_run) {
  const auto refusal = [](const char* target, const char* variant) {
    const auto checked = check_target(**find_target(target), **find_variant(variant), some_plan());
    return checked ? std::string() : checked.error().message();
  };
  EXPECT_EQ(refusal("xnnpack", "int8-qint8"), "");
  EXPECT_EQ(refusal("qnnpack", "int8-quint8"), "");
  EXPECT_EQ(refusal("qnnpack", "int8-dynamic"), "");
  EXPECT_THAT(refusal("xnnpack", "int8-quint8"), testing::AllOf(HasSubstr("'decoder.mix1' (conv2d)"), HasSubstr("quint8 activations"),
                                                                testing::Not(HasSubstr("decoder.out"))));
  EXPECT_THAT(refusal("xnnpack", "int8-dynamic"), HasSubstr("each call"));
  EXPECT_THAT(refusal("qnnpack", "int8-mixed"), HasSubstr("qint8 activations"));
  EXPECT_THAT(refusal("onednn", "int8-quint8"), HasSubstr("no variant is made for it"));
  EXPECT_THAT(refusal("qnnpack", "int8-qat"), HasSubstr("QNNPACK's are int8-qat-quint8"));
  EXPECT_THAT(refusal("xnnpack", "int8-qat-quint8"), testing::EndsWith("XNNPACK's are int8-qat"));
  Plan native = some_plan();
  for (LayerDecision& layer : native.layers) layer.format = "4-bit-native";
  for (const char* target : {"qnnpack", "xnnpack"}) {
    EXPECT_THAT(check_target(**find_target(target), **find_variant("int4-native"), native),
                ErrorIs(ErrorCode::refused, HasSubstr("'decoder.mix1' (conv2d), 'decoder.out' (conv2d) have weights that stay in 4 bits")));
  }
  native.layers.back().format = "4-bit";
  EXPECT_THAT(check_target(**find_target("qnnpack"), **find_variant("int4-native"), native),
              ErrorIs(ErrorCode::refused, HasSubstr("'decoder.mix1' (conv2d) has weights")));
  EXPECT_THAT(find_target("cuda"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("qnnpack, xnnpack, onednn")));
}

TEST(VariantList, has_float_first_and_nothing_twice) {
  EXPECT_THAT(check_variants(usual_variants()), IsOk());
  EXPECT_THAT(check_variants({"float", "int8-qint8"}), IsOk());
  EXPECT_THAT(check_variants({"int8-qint8"}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("float")));
  EXPECT_THAT(check_variants({"float", "int8-qint8", "int8-qint8"}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("twice")));
  EXPECT_THAT(check_variants({"float", "int9"}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("there are: float, float-mobile")));
}

}  // namespace
}  // namespace outcrop::quantize
