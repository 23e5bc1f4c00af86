#include "platform/cli/strict_numbers.hpp"

#include <gmock/gmock.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace outcrop::cli {
namespace {

using ::testing::HasSubstr;

class StrictNumbers : public ::testing::Test {
 protected:
  StrictNumbers() {
    CLI::App* verb = app_.add_subcommand("make");
    verb->add_option("--seed", seed_);
    verb->add_option("--level", level_)->check(CLI::Range(-5, 100));
    verb->add_option("--rate", rate_);
    in_unit(verb->add_option("--soak", soak_), "SECONDS")->check(CLI::Range(1, 100));
    verb->add_option("--name", name_);
    verb->add_option_group("more")->add_option("--count", count_);
    read_numbers_strictly(app_);
  }
  // What the parser says of it, "" where it takes it.
  std::string say(const std::string& option, const std::string& value) {
    std::vector<std::string> words{value, option, "make"};
    try {
      app_.parse(words);
    } catch (const CLI::ParseError& error) {
      return error.what();
    }
    return "";
  }

  CLI::App app_;
  std::uint64_t seed_ = 5;
  int level_ = 0;
  double rate_ = 0;
  std::optional<std::uint64_t> soak_;
  std::uint16_t count_ = 0;
  std::string name_;
};

TEST_F(StrictNumbers, takes_plain_decimal_notation) {
  EXPECT_EQ(say("--seed", "18446744073709551615"), "");
  EXPECT_EQ(seed_, 18446744073709551615U);
  EXPECT_EQ(say("--seed", "0"), "");
  EXPECT_EQ(say("--level", "-5"), "");
  EXPECT_EQ(level_, -5);
  EXPECT_EQ(say("--rate", "-1.5e-3"), "");
  EXPECT_EQ(rate_, -1.5e-3);
  EXPECT_EQ(say("--soak", "30"), "");
  EXPECT_EQ(soak_, 30U);
  EXPECT_EQ(say("--name", "010"), "");
  EXPECT_EQ(name_, "010");
}

TEST_F(StrictNumbers, refuses_what_a_lenient_reader_takes_for_another_number) {
  for (const char* option : {"--seed", "--level", "--rate", "--soak", "--count"}) {
    for (const char* value : {"", " ", "+1", "1 ", " 1", "010", "0x10", "1e", "ten", "1,5", "--1",
                              "nan", "inf", "99999999999999999999"}) {
      if (std::string(option) == "--rate" && std::string(value).starts_with("999")) continue;
      EXPECT_NE(say(option, value), "") << option << " '" << value << "'";
    }
  }
  EXPECT_THAT(say("--seed", "-1"), HasSubstr("'-1' is not a whole number from 0"));
  EXPECT_THAT(say("--seed", ""), HasSubstr("'' is not a whole number"));
  EXPECT_THAT(say("--soak", "-1"), HasSubstr("'-1' is not a whole number from 0"));
  EXPECT_THAT(say("--soak", "010"), HasSubstr("plain decimal notation"));
  EXPECT_THAT(say("--seed", "1.0"), HasSubstr("not a whole number"));
  EXPECT_NE(say("--count", "65536"), "");
  EXPECT_NE(say("--soak", "101"), "");
  EXPECT_EQ(seed_, 5U);
}

}  // namespace
}  // namespace outcrop::cli
