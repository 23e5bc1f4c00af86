// A board's way from an offer to what serves, with the real program, broker and depot.

#include <gmock/gmock.h>

#include "tests/agent/rig.hpp"

namespace outcrop {
namespace {

using messages::OnUnmeasurable;
using messages::VariantOutcome;
using ::testing::HasSubstr;

TEST_F(AgentTest, pulls_proves_measures_and_serves_a_first_release) {
  agent_is_online();
  const ForgedRelease release = released(
      {.stage = 1,
       .variants = {{.name = "float", .call_ms = 6}, {.name = "int8-qint8", .call_ms = 1}}});
  host_.send(host_.offer(release, 1, forge_));
  const messages::Report* report = ends(1, State::updated);
  ASSERT_NE(report, nullptr);
  ASSERT_EQ(report->variants.size(), 2U);
  EXPECT_EQ(report->variants[0].outcome, VariantOutcome::measured);
  EXPECT_GE(report->variants[0].measurement->p50_ms, 6.0);
  EXPECT_EQ(report->variants[0].proof.at(0).mean_abs, 0.0);
  EXPECT_EQ(report->active_manifest, release.manifest);
  EXPECT_EQ(report->active_variant, "int8-qint8");
  EXPECT_TRUE(report->full_confinement);
  EXPECT_NE(host_.report(1, State::measuring), nullptr);
  EXPECT_EQ(host_.bad_reports, 0U);
  std::vector<State> seen;
  for (const auto& status : host_.statuses) {
    if (status.deployment && (seen.empty() || seen.back() != status.deployment->state)) {
      seen.push_back(status.deployment->state);
    }
  }
  EXPECT_THAT(seen, ::testing::ElementsAre(State::offered, State::downloading, State::downloaded,
                                           State::verified, State::proving, State::measuring,
                                           State::updating, State::soaking, State::updated));
}

}  // namespace
}  // namespace outcrop
