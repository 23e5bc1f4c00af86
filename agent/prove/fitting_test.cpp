#include "agent/prove/fitting.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace outcrop::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Fit : public ::testing::Test {
 protected:
  Fit() {
    engine_.engine = "torch";
    engine_.backends = {{"qnnpack", {}, {}}};
    engine_.memory = ByteCount::mib(100);
    for (const char* name : {"float", "int8"}) {
      messages::Variant variant;
      variant.name = name;
      variant.engine = "torch";
      variant.backend = "qnnpack";
      variant.memory = ByteCount::mib(50);
      variant.operators = {"aten::add.Tensor", "quantized::conv_transpose2d"};
      manifest_.variants.push_back(variant);
    }
  }
  Fitting fitting() { return fit(manifest_, asked_, engine_, limits_); }

  messages::Manifest manifest_;
  std::vector<std::string> asked_;
  runtime::Hello engine_;
  BoardLimits limits_{ByteCount::mib(1024), ByteCount::mib(512), {}};
};

TEST_F(Fit, every_variant_is_tried_where_none_is_asked_for) {
  EXPECT_THAT(fitting().variants, ElementsAre("float", "int8"));
}

TEST_F(Fit, only_what_is_asked_for_is_tried) {
  asked_ = {"int8"};
  const Fitting result = fitting();
  EXPECT_THAT(result.variants, ElementsAre("int8"));
  ASSERT_EQ(result.left_out.size(), 1U);
  EXPECT_EQ(result.left_out[0].outcome, messages::VariantOutcome::not_measured);
}

TEST_F(Fit, a_variant_is_never_run_on_an_engine_that_cannot) {
  manifest_.variants[0].engine = "xnnpack";
  manifest_.variants[1].backend = "onednn";
  const Fitting result = fitting();
  EXPECT_TRUE(result.variants.empty());
  EXPECT_THAT(result.left_out[0].reason, HasSubstr("'xnnpack'"));
  EXPECT_THAT(result.left_out[1].reason, HasSubstr("'onednn'"));
}

TEST_F(Fit, what_names_an_operator_that_the_engine_lacks_stays_out) {
  engine_.engine_version = "1.13.1-lite";
  limits_.missing_operators = {"aten::new", "quantized::other"};
  manifest_.variants[1].operators.push_back("aten::new");
  Fitting result = fitting();
  EXPECT_THAT(result.variants, ElementsAre("float"));
  EXPECT_EQ(result.left_out.at(0).reason,
            "needs the operator aten::new, which this board's torch 1.13.1-lite has not");
  manifest_.variants[1].operators.push_back("quantized::other");
  result = fitting();
  EXPECT_THAT(result.left_out.at(0).reason,
              HasSubstr("needs the operators aten::new, quantized::other, which"));
}

TEST_F(Fit, operators_that_the_board_computes_wrongly_are_not_used) {
  engine_.backends[0].failed = {"quantized::conv_transpose2d"};
  manifest_.variants[0].operators = {"aten::add.Tensor"};
  const Fitting result = fitting();
  EXPECT_THAT(result.variants, ElementsAre("float"));
  EXPECT_THAT(result.left_out.at(0).reason, HasSubstr("computes wrongly"));
}

TEST_F(Fit, what_needs_more_memory_than_there_is_stays_out) {
  manifest_.variants[0].memory = ByteCount::mib(2000);
  EXPECT_THAT(fitting().variants, ElementsAre("int8"));
  limits_.memory_available = ByteCount::mib(149);
  EXPECT_TRUE(fitting().variants.empty());
  limits_.memory_available = ByteCount();  // unknown
  EXPECT_THAT(fitting().variants, ElementsAre("int8"));
}

TEST(AvailableMemory, is_read_from_the_kernel) {
  EXPECT_GT(available_memory(), ByteCount::mib(16));
}

}  // namespace
}  // namespace outcrop::agent
