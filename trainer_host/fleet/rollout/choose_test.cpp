#include <gmock/gmock.h>

#include "trainer_host/fleet/rollout/choose.hpp"

namespace outcrop::fleet {
namespace {

using messages::Objective;
using messages::Report;
using messages::ReportedVariant;
using messages::VariantOutcome;
using ::testing::HasSubstr;

messages::Manifest manifest(Objective objective) {
  messages::Manifest manifest;
  manifest.objective = objective;
  manifest.budgets = {{"pi", 100.0, 200.0}};
  const auto output = [](const char* name) {
    return messages::Output{name, messages::TensorType{"float32", {1, 70, 70}, "", {}}, {}};
  };
  manifest.signature = {"forward", {{"forward", {}, {output("velocity"), output("seismic")}}}};
  manifest.golden.calls = {{"forward", {}, {}}};
  for (const char* name : {"float", "quint8", "qint8"})
    manifest.variants.emplace_back().name = name;
  return manifest;
}

ReportedVariant variant(const std::string& name, double p90, double megabytes = 100,
                        double velocity = 1, double seismic = 1) {
  ReportedVariant variant;
  variant.name = name;
  variant.outcome = VariantOutcome::measured;
  variant.proof = {{"velocity", velocity, velocity}, {"seismic", seismic, seismic}};
  variant.measurement.emplace();
  variant.measurement->p50_ms = 200 - p90;  // the other way round
  variant.measurement->p90_ms = p90;
  variant.measurement->peak_memory = ByteCount(static_cast<std::uint64_t>(megabytes * 1e6));
  return variant;
}

Report report(const std::string& device, std::vector<ReportedVariant> variants) {
  Report report;
  report.header.device = device;
  report.variants = std::move(variants);
  return report;
}

std::string chosen(Objective objective, const std::vector<Report>& reports) {
  return choose_variant(manifest(objective), "pi", reports).variant.value_or("none");
}

TEST(Choose, the_least_by_each_objective) {
  const std::vector<Report> reports{
      report("c", {variant("float", 90, 150, 0, 0), variant("quint8", 60, 120, 5, 4),
                   variant("qint8", 30, 140, 4, 5)})};
  EXPECT_EQ(chosen(Objective::p90_ms, reports), "qint8");
  EXPECT_EQ(chosen(Objective::p50_ms, reports), "float");
  EXPECT_EQ(chosen(Objective::memory_mb, reports), "quint8");
  EXPECT_EQ(chosen(Objective::error, reports), "float");
}

TEST(Choose, by_the_objective_of_the_rollout_where_it_has_one) {
  const std::vector<Report> reports{report("c", {variant("float", 90, 150, 0, 0), variant("quint8", 60, 120, 5, 4),
                                                 variant("qint8", 30, 140, 4, 5)})};
  messages::Manifest release = manifest(Objective::p90_ms);
  release.variants[0].blob.size = ByteCount(4000);
  release.variants[1].blob.size = ByteCount(1200);
  release.variants[2].blob.size = ByteCount(1100);
  const auto chosen_by = [&](const char* word) { return choose_variant(release, "pi", reports, false, *aim_from(word)); };
  EXPECT_EQ(chosen_by("p50_ms").variant, "float");
  EXPECT_EQ(chosen_by("memory").variant, "quint8");
  EXPECT_EQ(chosen_by("size").variant, "qint8");
  EXPECT_EQ(chosen_by("error").variant, "float");
  EXPECT_THAT(chosen_by("size").reason, HasSubstr("least size within the budget"));
  EXPECT_EQ(choose_variant(release, "pi", reports).variant, "qint8") << "by the release's own";
  const auto unknown = aim_from("p99");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(unknown.error().message(), HasSubstr("'p99' is no objective: one of p90_ms, p50_ms, memory_mb, size, error is"));
}

TEST(Choose, operators_of_our_own_where_every_canary_found_them_much_faster) {
  auto release = manifest(Objective::memory_mb);
  release.variants[2].operators = {"outcrop::linear_int4"};
  const auto choose = [&](double second) {
    const std::vector<Report> reports{report("c", {variant("quint8", 60, 120), variant("qint8", 40, 90)}),
                                      report("d", {variant("quint8", 60, 120), variant("qint8", second, 90)})};
    return choose_variant(release, "pi", reports).variant.value_or("none");
  };
  EXPECT_EQ(choose(50), "qint8");
  EXPECT_EQ(choose(51), "quint8");
}

TEST(Choose, only_what_is_within_the_budget_inclusive) {
  EXPECT_EQ(chosen(Objective::p90_ms, {report("c", {variant("float", 100, 200)})}), "float");
  EXPECT_EQ(chosen(Objective::p90_ms, {report("c", {variant("float", 100.1, 200)})}), "none");
  EXPECT_EQ(chosen(Objective::p90_ms, {report("c", {variant("float", 100, 200.1)})}), "none");
}

TEST(Choose, variants_are_compared_on_boards_that_measured_both) {
  // Medians of different boards would say float 50 and qint8 60.
  EXPECT_EQ(chosen(Objective::p90_ms, {report("a", {variant("float", 20)}),
                                       report("b", {variant("float", 80), variant("qint8", 60)})}),
            "qint8");
  const auto apart = choose_variant(manifest(Objective::p90_ms), "pi",
                                    {report("a", {variant("float", 50)}), report("b", {variant("qint8", 10)})});
  EXPECT_EQ(apart.variant, "float");
  EXPECT_THAT(apart.reason, HasSubstr("no canary measured both it and qint8"));
}

TEST(Choose, an_error_that_a_proof_lacks_is_not_none) {
  ReportedVariant lacking = variant("qint8", 10, 100, 5, 5);
  lacking.proof.pop_back();
  EXPECT_EQ(chosen(Objective::error, {report("a", {variant("quint8", 50, 100, 6, 1), lacking})}), "quint8");
}

TEST(Choose, the_board_is_the_unit) {
  // Median over boards: float 50, qint8 45. One board alone would say float.
  const std::vector<Report> reports{report("a", {variant("float", 20), variant("qint8", 45)}),
                                    report("b", {variant("float", 50), variant("qint8", 40)}),
                                    report("c", {variant("float", 80), variant("qint8", 60)})};
  EXPECT_EQ(chosen(Objective::p90_ms, reports), "qint8");
}

TEST(Choose, a_variant_that_one_canary_saw_fail_is_out) {
  ReportedVariant failed = variant("qint8", 10);
  failed.outcome = VariantOutcome::failed;
  EXPECT_EQ(chosen(Objective::p90_ms, {report("a", {variant("float", 50), variant("qint8", 10)}),
                                       report("b", {variant("float", 50), failed})}),
            "float");
}

TEST(Choose, the_newest_word_of_a_board_counts) {
  EXPECT_EQ(chosen(Objective::p90_ms, {report("a", {variant("float", 50), variant("qint8", 60)}),
                                       report("a", {variant("float", 50), variant("qint8", 10)})}),
            "float");
}

TEST(Choose, a_void_run_does_not_count) {
  ReportedVariant disturbed = variant("qint8", 10);
  disturbed.measurement->void_because = {"the machine was busy"};
  EXPECT_EQ(chosen(Objective::p90_ms, {report("a", {variant("float", 50), disturbed})}), "float");
}

TEST(Choose, says_with_which_variants_the_chosen_one_was_not_compared) {
  ReportedVariant disturbed = variant("qint8", 10);
  disturbed.outcome = VariantOutcome::not_measurable;
  disturbed.measurement->void_because = {"the machine was busy"};
  ReportedVariant left = variant("quint8", 10);
  left.outcome = VariantOutcome::not_measured;
  const auto why = [](const std::vector<Report>& reports) {
    return choose_variant(manifest(Objective::p90_ms), "pi", reports).reason;
  };
  const Report one = report("a", {variant("float", 50), left, disturbed});
  EXPECT_THAT(why({one}), HasSubstr("; not compared with qint8 (the machine was busy), which"));
  // Another board, or a later run, could.
  EXPECT_THAT(why({one, report("b", {variant("float", 50), variant("qint8", 60)})}),
              ::testing::Not(HasSubstr("not compared")));
}

TEST(Choose, what_a_canary_serves_where_none_could_measure_and_that_is_allowed) {
  Report unmeasured = report("a", {});
  unmeasured.state = messages::DeploymentState::updated;
  unmeasured.active_manifest = unmeasured.deployment.manifest;
  unmeasured.active_variant = "quint8";
  const auto choice = [&](bool allowed, std::vector<Report> reports) {
    return choose_variant(manifest(Objective::p90_ms), "pi", reports, allowed)
        .variant.value_or("none");
  };
  EXPECT_EQ(choice(true, {unmeasured}), "quint8");
  EXPECT_EQ(choice(false, {unmeasured}), "none");
  // An emulated board serves without a budget for its class: no figure could keep one.
  EXPECT_EQ(choose_variant(manifest(Objective::p90_ms), "emulated", {unmeasured}, true).variant,
            "quint8");
  // A measurement says more, also where it says no.
  EXPECT_EQ(choice(true, {unmeasured, report("b", {variant("qint8", 20)})}), "qint8");
  EXPECT_EQ(choice(true, {unmeasured, report("b", {variant("qint8", 900)})}), "none");
}

TEST(Choose, says_why_there_is_none) {
  const auto why = [](const std::string& device_class, const std::vector<Report>& reports) {
    return choose_variant(manifest(Objective::p90_ms), device_class, reports).reason;
  };
  EXPECT_THAT(why("toaster", {}), HasSubstr("no budget for the class toaster"));
  EXPECT_THAT(why("pi", {}), HasSubstr("no canary of the class pi measured it"));
  EXPECT_THAT(why("pi", {report("a", {variant("float", 500)})}), HasSubstr("within the budget"));
}

}  // namespace
}  // namespace outcrop::fleet
