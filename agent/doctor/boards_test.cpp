// What doctor says of the machines in boards/<name>/: proc, sys and run as plain files, and the
// table that is expected of them. They were put together from values that owners of such boards
// have published, not recorded on one board.

#include <gmock/gmock.h>

#include "agent/doctor/clock.hpp"
#include "agent/doctor/finding_matchers.hpp"
#include "agent/doctor/machine.hpp"
#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::agent {
namespace {

const std::filesystem::path boards = OUTCROP_SOURCE "/agent/doctor/boards";

class KnownBoards : public ::testing::TestWithParam<const char*> {};

TEST_P(KnownBoards, are_described_as_expected) {
  const MachineFiles files(boards / GetParam());
  Findings findings = check_machine(files, 1, false);
  const ClockReading clock{*from_rfc3339("2026-11-21T08:00:00Z"), true, 64};
  findings.push_back(check_clock(files, clock, std::nullopt));
  const auto expected = read_text_file(boards / GetParam() / "expected");
  ASSERT_THAT(expected, IsOk());
  const std::string table = to_table(findings);
  EXPECT_EQ(table, *expected) << "it says:\n" << table << "---";
}

INSTANTIATE_TEST_SUITE_P(All, KnownBoards,
                         ::testing::Values("raspberry-pi-3", "raspberry-pi-4", "raspberry-pi-5",
                                           "pc"));

TEST(RaspberryPi4, is_not_warned_of_instructions_that_its_engine_does_without) {
  const MachineFiles files(boards / "raspberry-pi-4");
  EXPECT_THAT(check_processor(files, false),
              Finds(Verdict::warn, ::testing::HasSubstr("without atomics")));
  EXPECT_THAT(check_processor(files, true),
              Finds(Verdict::ok, ::testing::HasSubstr("does without")));
}

}  // namespace
}  // namespace outcrop::agent
