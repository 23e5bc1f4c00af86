#include "platform/cli/parse.hpp"

#include <gmock/gmock.h>

#include "platform/cli/complete.hpp"
#include "platform/cli/man_page.hpp"
#include "platform/cli/tree.hpp"

namespace outcrop::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// A parser as programs have one.
class ParseTest : public ::testing::Test {
 protected:
  ParseTest() {
    app_.require_subcommand(1);
    add_version(app_, "outcrop");
    add_help_verb(app_);
    CLI::App* rollout = app_.add_subcommand("rollout", "Bring releases to boards");
    rollout->require_subcommand(1);
    CLI::App* start = rollout->add_subcommand("start", "Start one");
    start->add_option("name", name_, "Name of it");
    start->add_option("--release", release_, "What to bring")->required();
    start->add_option("--then", then_, "What then")->check(CLI::IsMember({"hold", "fail"}));
    start->add_option("--soak", soak_, "How long to wait")->type_name("SECONDS");
    start->add_flag("--json", json_, "Print JSON");
    start->footer("It is tried first.\nExample:\n  outcrop rollout start --release 4f2a");
    rollout->add_subcommand("status", "Show them");
    app_.add_subcommand("keys", "Make keys.");
  }
  // The exit code, and what it said, standard error first.
  std::optional<int> run(std::vector<const char*> words) {
    words.insert(words.begin(), "outcrop");
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const auto code = parse(app_, static_cast<int>(words.size()), words.data());
    said_ = ::testing::internal::GetCapturedStderr() + ::testing::internal::GetCapturedStdout();
    return code;
  }
  std::string complaint(std::vector<const char*> words) {
    EXPECT_EQ(run(std::move(words)), 2) << said_;
    return said_;
  }
  std::vector<std::string> complete(const std::vector<std::string>& words) {
    return completions(app_, words);
  }

  CLI::App app_{"Train, ship.", "outcrop"};
  std::string name_, release_, then_;
  int soak_ = 0;
  bool json_ = false;
  std::string said_;
};

TEST_F(ParseTest, a_misspelt_option_is_named_with_its_verb_and_what_was_meant) {
  EXPECT_EQ(complaint({"rollout", "start", "--relaese", "4f2a", "--json"}),
            "outcrop rollout start: '--relaese' is no option; did you mean '--release'?\n"
            "outcrop rollout start --help says what there is\n")
      << "although --release is missing, too";
  EXPECT_THAT(complaint({"rollout", "start", "--release=4f2a", "--verbose"}),
              HasSubstr("'--verbose' is no option; there are: --help, --release, --then, --soak, "
                        "--json"));
}

TEST_F(ParseTest, every_mistake_is_told_with_program_and_verb) {
  EXPECT_THAT(complaint({"rollout", "start"}), HasSubstr("start: --release is required"));
  EXPECT_THAT(complaint({"rollout", "start", "--release"}),
              HasSubstr("outcrop rollout start: --release needs a value\n"));
  EXPECT_THAT(complaint({"rollout", "start", "--release", "x", "a", "b"}),
              HasSubstr("outcrop rollout start: nothing takes 'b': that is one too many\n"));
  EXPECT_THAT(complaint({"rollout", "start", "--release", "x", "--then", "perhaps"}),
              HasSubstr("outcrop rollout start: --then: perhaps not in {hold,fail}"));
  EXPECT_THAT(complaint({"rolout"}), HasSubstr("did you mean 'rollout'?"));
  EXPECT_THAT(complaint({}), HasSubstr("outcrop: A subcommand is required"));
}

TEST_F(ParseTest, help_is_a_verb_too) {
  EXPECT_EQ(run({"help"}), 0);
  EXPECT_THAT(said_, AllOf(HasSubstr("rollout"), HasSubstr("keys")));
  EXPECT_EQ(run({"help", "rollout", "start"}), 0);
  EXPECT_THAT(said_, HasSubstr("--release"));
  EXPECT_THAT(complaint({"help", "rollot"}), HasSubstr("did you mean 'rollout'?"));
}

TEST_F(ParseTest, the_version_names_the_commit) {
  EXPECT_EQ(run({"--version"}), 0);
  EXPECT_THAT(said_, ::testing::MatchesRegex("outcrop [0-9.]+ \\([^ ]+\\)\n"));
}

TEST_F(ParseTest, what_is_right_is_taken) {
  EXPECT_EQ(run({"rollout", "start", "first", "--release", "4f2a", "--soak=60"}), std::nullopt);
  EXPECT_EQ(name_ + " " + release_, "first 4f2a");
  EXPECT_EQ(soak_, 60);
}

TEST_F(ParseTest, shells_are_told_what_may_stand_there) {
  EXPECT_THAT(complete({"ro"}), ElementsAre("rollout\tBring releases to boards"));
  EXPECT_THAT(complete({"rollout", ""}), ElementsAre("start\tStart one", "status\tShow them"));
  EXPECT_THAT(complete({"help", "ke"}), ElementsAre("keys\tMake keys."));
  EXPECT_THAT(complete({"rollout", "start", "--re"}), ElementsAre("--release\tWhat to bring"));
  EXPECT_THAT(complete({"rollout", "start", "--then", "h"}), ElementsAre("hold"));
  EXPECT_THAT(complete({"rollout", "start", "--then", "="}), ElementsAre("hold", "fail"));
  EXPECT_THAT(complete({"rollout", "start", "--then=f"}), ElementsAre("--then=fail"));
  EXPECT_THAT(complete({"rollout", "start", "--release", ""}), ElementsAre(":files"));
  EXPECT_THAT(complete({"rollout", "start", "--release=4f"}), ElementsAre(":files"));
  EXPECT_THAT(complete({"rollout", "start", "--soak=6"}), IsEmpty());
  EXPECT_THAT(complete({"rollout", "start", "--soak", "6"}), IsEmpty());
  EXPECT_THAT(complete({"rollout", "start", "--release", "x", ""}), Contains(":files"));
  EXPECT_THAT(complete({"rollout", "status", ""}), Contains(HasSubstr("--help")));
  EXPECT_THAT(complete({"nothing", "x"}), IsEmpty());
  EXPECT_EQ(run({"--complete", "--", "ro"}), 0);
  EXPECT_EQ(said_, "rollout\tBring releases to boards\n");
}

TEST_F(ParseTest, the_manual_page_has_every_verb_and_option) {
  const std::string page = man_page(app_, "1");
  EXPECT_THAT(page, AllOf(HasSubstr(".TH OUTCROP 1 "), HasSubstr("outcrop \\- train, ship\n"),
                          HasSubstr(".SS outcrop rollout start\nStart one.\n"),
                          HasSubstr(".BI \"\\-\\-release\" \" TEXT\"\nWhat to bring (required)\n"),
                          HasSubstr(".BI \"\\-\\-then\" \" hold|fail\"\n"),
                          HasSubstr(".I name\nName of it\n")));
  EXPECT_THAT(page, HasSubstr("It is tried first.\n.PP\nExample:\n.PP\n.nf\n  outcrop rollout start \\-\\-release 4f2a\n.fi"));
  EXPECT_THAT(page, HasSubstr(".SS outcrop keys\nMake keys.\n"));
  EXPECT_THAT(page, Not(HasSubstr("SUBCOMMAND")));
  EXPECT_EQ(run({"--man-page", "1"}), 0);
  EXPECT_EQ(said_, page);
}

}  // namespace
}  // namespace outcrop::cli
