#include "agent/decide/decide.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace outcrop::agent {
namespace {

using messages::ReportedVariant;
using messages::VariantOutcome;
using ::testing::HasSubstr;
using Verdict = Decision::Verdict;

ReportedVariant measured(const std::string& name, double p50, double p90, std::uint64_t megabytes,
                         double error = 1) {
  ReportedVariant variant;
  variant.name = name;
  variant.outcome = VariantOutcome::measured;
  variant.proof = {{"velocity", error, 10 * error}};
  variant.measurement.emplace();
  variant.measurement->p50_ms = p50;
  variant.measurement->p90_ms = p90;
  variant.measurement->peak_memory = ByteCount(megabytes * 1'000'000);
  return variant;
}

class Decide : public ::testing::Test {
 protected:
  Decide() {
    manifest_.budgets = {{"pi", 100.0, 200.0}};
    manifest_.variants.resize(2);
    manifest_.variants[0].name = "float";
    manifest_.variants[1].name = "int8";
  }
  Decision decided() { return decide(manifest_, "pi", variants_); }

  messages::Manifest manifest_;
  std::vector<ReportedVariant> variants_{measured("float", 10, 90, 150, 1),
                                         measured("int8", 40, 50, 120, 2)};
};

TEST_F(Decide, the_least_of_the_objective_wins) {
  manifest_.objective = messages::Objective::p90_ms;
  EXPECT_EQ(decided().variant, "int8");
  manifest_.objective = messages::Objective::p50_ms;
  EXPECT_EQ(decided().variant, "float");
  manifest_.objective = messages::Objective::memory_mb;
  EXPECT_EQ(decided().variant, "int8");
  manifest_.objective = messages::Objective::error;
  EXPECT_EQ(decided().variant, "float");
}

// A kernel of our own has to be worth it, whatever the objective.
TEST_F(Decide, operators_of_our_own_count_where_they_are_much_faster_than_all_others) {
  manifest_.variants.emplace_back().name = "int4-native";
  manifest_.variants[2].operators = {"aten::add", "outcrop::linear_int4"};
  manifest_.objective = messages::Objective::memory_mb;
  variants_.push_back(measured("int4-native", 30, 42, 60));
  EXPECT_EQ(decided().variant, "int8");
  variants_.back() = measured("int4-native", 30, 41.5, 60);
  EXPECT_EQ(decided().variant, "int4-native");
  for (auto& variant : variants_) variant.outcome = VariantOutcome::not_measurable;
  EXPECT_EQ(first_proved(manifest_, variants_), "float");
  variants_.erase(variants_.begin(), variants_.begin() + 2);
  EXPECT_EQ(first_proved(manifest_, variants_), "");
  variants_ = {measured("int4-native", 30, 41.5, 60)};
  EXPECT_EQ(decided().verdict, Verdict::fail);  // slower than what, nobody knows
}

TEST_F(Decide, the_first_of_equals_wins) {
  variants_[1] = measured("int8", 10, 90, 150, 1);
  for (const auto objective : {messages::Objective::p50_ms, messages::Objective::p90_ms,
                               messages::Objective::memory_mb, messages::Objective::error}) {
    manifest_.objective = objective;
    EXPECT_EQ(decided().variant, "float");
  }
}

TEST_F(Decide, what_exceeds_the_budget_in_time_or_memory_is_left_out) {
  manifest_.objective = messages::Objective::p50_ms;
  manifest_.budgets[0].p90_ms = 89;
  EXPECT_EQ(decided().variant, "int8");
  manifest_.budgets[0] = {"pi", 90.0, 150.0};  // both bounds are inclusive
  EXPECT_EQ(decided().variant, "float");
  manifest_.budgets[0] = {"pi", 90.0, 149.0};
  EXPECT_EQ(decided().variant, "int8");
  manifest_.budgets[0] = {"pi", 49.0, 200.0};
  const Decision none = decided();
  EXPECT_EQ(none.verdict, Verdict::fail);
  EXPECT_THAT(none.reason, HasSubstr("p90 49 ms"));
  EXPECT_THAT(none.reason, HasSubstr("int8 p90 50 ms"));
}

TEST_F(Decide, a_failed_proof_speaks_against_the_whole_release) {
  variants_[0].outcome = VariantOutcome::refused;
  variants_[0].reason = "the proof failed";
  const Decision decision = decided();
  EXPECT_EQ(decision.verdict, Verdict::fail);
  EXPECT_EQ(decision.reason, "float: the proof failed");
}

TEST_F(Decide, a_class_without_a_budget_gets_nothing) {
  const Decision decision = decide(manifest_, "workstation", variants_);
  EXPECT_EQ(decision.verdict, Verdict::no_budget);
  EXPECT_THAT(decision.reason, HasSubstr("workstation"));
}

TEST_F(Decide, void_measurements_do_not_count) {
  variants_[1].outcome = VariantOutcome::not_measurable;
  variants_[1].reason = "throttled";
  EXPECT_EQ(decided().variant, "float");
  variants_[0].outcome = VariantOutcome::not_measurable;
  EXPECT_EQ(decided().verdict, Verdict::unmeasurable);
  EXPECT_EQ(first_proved(manifest_, variants_), "float");
  variants_[0].proof.clear();
  EXPECT_EQ(first_proved(manifest_, variants_), "int8");
}

TEST_F(Decide, variants_that_were_left_out_do_no_harm) {
  ReportedVariant left_out;
  left_out.name = "int4";
  variants_.push_back(left_out);
  EXPECT_EQ(decided().verdict, Verdict::activate);
  variants_ = {left_out};
  EXPECT_EQ(decided().verdict, Verdict::unmeasurable);
}

}  // namespace
}  // namespace outcrop::agent
