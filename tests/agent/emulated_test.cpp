// A board whose runner an emulator starts: what it proves holds, what it measures does not.

#include <gmock/gmock.h>

#include "protocol/base/durable_file.hpp"
#include "tests/agent/rig.hpp"

namespace outcrop {
namespace {

using messages::OnUnmeasurable;
using messages::VariantOutcome;
using ::testing::HasSubstr;

class EmulatedBoard : public AgentTest {
 protected:
  EmulatedBoard() {
    // Any program that starts another is a launcher.
    std::filesystem::create_directories(folder_.path() / "agent.toml.d");
    const auto written =
        write_file_durably(folder_.path() / "agent.toml.d/emulator.toml",
                           std::string_view("[runner]\nlauncher = [\"/usr/bin/env\"]\n"));
    if (!written) throw std::runtime_error(written.error().message());
    agent_is_online();
  }
  void offer(const ForgedRelease& release, std::uint64_t generation, OnUnmeasurable wanted) {
    auto offer = host_.offer(release, generation, forge_);
    offer.on_unmeasurable = wanted;
    host_.send(offer);
  }
};

TEST_F(EmulatedBoard, takes_what_it_proved_and_marks_every_figure_as_void) {
  offer(released({.stage = 1}), 1, OnUnmeasurable::activate);
  ASSERT_NE(ends(1, State::updated), nullptr);
  // An update, too, and without a budget: no figure could keep one.
  const ForgedRelease second = released({.stage = 2, .budgets = {{"workstation", 100.0, 1000.0}}});
  offer(second, 2, OnUnmeasurable::activate);
  const auto* report = ends(2, State::updated);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->active_manifest, second.manifest);
  EXPECT_THAT(report->reason, HasSubstr("proved, and activated without a measurement"));
  const messages::ReportedVariant& variant = report->variants.at(0);
  EXPECT_EQ(variant.outcome, VariantOutcome::not_measurable);
  EXPECT_EQ(variant.proof.at(0).mean_abs, 0.0);
  ASSERT_TRUE(variant.measurement);
  EXPECT_THAT(variant.measurement->void_because,
              ::testing::Contains(HasSubstr("emulated: env runs the runner here")));
}

TEST_F(EmulatedBoard, refuses_wrong_outputs_and_waits_where_the_offer_does_not_say_activate) {
  offer(released({.stage = 1}), 1, OnUnmeasurable::activate);
  ASSERT_NE(ends(1, State::updated), nullptr);
  offer(released({.stage = 2, .variants = {{.offset = 400}}}), 2, OnUnmeasurable::activate);
  const auto* refused = ends(2, State::failed);
  ASSERT_NE(refused, nullptr);
  EXPECT_THAT(refused->reason, HasSubstr("the proof failed"));
  offer(released({.stage = 3}), 3, OnUnmeasurable::hold);
  const auto* held = ends(3, State::not_measurable);
  ASSERT_NE(held, nullptr);
  EXPECT_THAT(held->reason, HasSubstr("emulated"));
}

}  // namespace
}  // namespace outcrop
