#include "platform/cli/unknown_verb.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace outcrop::cli {
namespace {

class UnknownVerb : public ::testing::Test {
 protected:
  UnknownVerb() {
    app_.require_subcommand(1);
    CLI::App* rollout = app_.add_subcommand("rollout");
    rollout->require_subcommand(1);
    rollout->add_subcommand("start");
    rollout->add_subcommand("status");
    app_.add_subcommand("synth");
  }
  std::optional<std::string> of(const std::vector<std::string>& words) {
    return unknown_verb(app_, words);
  }
  CLI::App app_{"", "outcrop"};
};

TEST_F(UnknownVerb, names_the_word_and_the_verb_that_was_meant) {
  EXPECT_EQ(of({"rolout", "status"}), "'rolout' is no verb; did you mean 'rollout'?");
  EXPECT_EQ(of({"rollout", "statu"}), "'rollout statu' is no verb; did you mean 'rollout status'?");
}

TEST_F(UnknownVerb, lists_the_verbs_where_none_is_near) {
  EXPECT_EQ(of({"rollout", "list"}), "'rollout list' is no verb; there are: start, status");
}

TEST_F(UnknownVerb, leaves_everything_else_to_the_parser) {
  EXPECT_EQ(of({}), std::nullopt);
  EXPECT_EQ(of({"--help"}), std::nullopt);
  EXPECT_EQ(of({"rollout"}), std::nullopt);
  EXPECT_EQ(of({"rollout", "--help"}), std::nullopt);
  EXPECT_EQ(of({"synth", "anything"}), std::nullopt);
  EXPECT_EQ(of({"rollout", "start", "anything"}), std::nullopt);
}

}  // namespace
}  // namespace outcrop::cli
