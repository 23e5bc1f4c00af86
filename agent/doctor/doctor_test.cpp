#include "agent/doctor/doctor.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "agent/doctor/finding_matchers.hpp"
#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

using ::testing::HasSubstr;

class DoctorTest : public ::testing::Test {
 protected:
  Findings examine_board() {
    return examine({config_, OUTCROP_SOURCE "/agent/doctor/boards/raspberry-pi-4"});
  }
  void configure(const std::string& text) {
    EXPECT_THAT(write_file_durably(config_, std::string_view(text)), IsOk());
  }
  static const Finding& line(const Findings& findings, const std::string& check) {
    return *std::find_if(findings.begin(), findings.end(),
                         [&](const Finding& finding) { return finding.check == check; });
  }
  static std::set<std::string> checks(const Findings& findings) {
    std::set<std::string> names;
    for (const Finding& finding : findings) names.insert(finding.check);
    return names;
  }
  const std::set<std::string> all_{
      "board",     "cores",       "processor",   "memory", "wear",          "governor",
      "frequency", "temperature", "throttling",  "clock",  "configuration", "disk",
      "state",     "agent",
      "engine",    "confinement", "certificate", "broker", "metadata"};
  TemporaryFolder folder_;
  std::filesystem::path config_ = folder_.path() / "agent.toml";
};

TEST_F(DoctorTest, looks_at_everything_else_where_there_is_no_configuration) {
  const Findings findings = examine_board();
  EXPECT_EQ(checks(findings), all_);
  EXPECT_THAT(line(findings, "configuration"), Finds(Verdict::warn, HasSubstr("is missing")));
}

TEST_F(DoctorTest, looks_at_everything_else_where_the_configuration_is_wrong) {
  configure(
      "[device]\nmodel = \"curvefault\"\nclass = \"pc\"\n"
      "[runner]\nprogram = \"none\"\nthreads = \"many\"\n");
  const Findings findings = examine_board();
  EXPECT_EQ(checks(findings), all_);
  EXPECT_THAT(line(findings, "configuration"), Finds(Verdict::fail, HasSubstr("runner.threads")));
  EXPECT_THAT(line(findings, "engine").found, HasSubstr((folder_.path() / "none").string()));
}

TEST_F(DoctorTest, looks_at_everything_else_where_the_board_is_not_enrolled) {
  configure("state = \"" + (folder_.path() / "state").string() +
            "\"\n[runner]\nprogram = \"none\"\n");
  const Findings findings = examine_board();
  EXPECT_EQ(checks(findings), all_);
  EXPECT_THAT(line(findings, "configuration"), Finds(Verdict::fail, HasSubstr("device.model")));
  EXPECT_THAT(line(findings, "engine"),
              Finds(Verdict::fail, HasSubstr((folder_.path() / "none").string())));
  EXPECT_THAT(line(findings, "certificate"), Finds(Verdict::warn, HasSubstr("not enrolled")));
  EXPECT_THAT(line(findings, "broker"), Finds(Verdict::unknown, HasSubstr("")));
  EXPECT_THAT(line(findings, "metadata"), Finds(Verdict::unknown, "none yet"));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "state"));
}

}  // namespace
}  // namespace outcrop::agent
