#include "trainer_host/fleet/access/tokens.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Tokens, are_known_by_their_secret_which_no_file_holds) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "tokens.json";
  auto tokens = Tokens::open(file);
  ASSERT_THAT(tokens, IsOk());
  const auto secret = tokens->add("ops", Role::fleet_operator, Timestamp{});
  ASSERT_THAT(secret, IsOk());
  EXPECT_THAT(tokens->add("ops", Role::viewer, Timestamp{}),
              ErrorIs(ErrorCode::already_exists, HasSubstr("'ops'")));
  EXPECT_THAT(tokens->add("a b", Role::viewer, Timestamp{}),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("'a b'")));
  EXPECT_THAT(*read_text_file(file), Not(HasSubstr(secret->substr(4))));
  const auto again = Tokens::open(file);
  ASSERT_THAT(again, IsOk());
  const auto token = again->of(*secret);
  ASSERT_TRUE(token);
  EXPECT_EQ(token->name, "ops");
  EXPECT_EQ(token->role, Role::fleet_operator);
  EXPECT_EQ(again->of(*secret + "0"), std::nullopt);
  EXPECT_EQ(again->of(""), std::nullopt);
  ASSERT_THAT(tokens->remove("ops"), IsOk());
  EXPECT_EQ(tokens->of(*secret), std::nullopt);
  EXPECT_THAT(tokens->remove("ops"), ErrorIs(ErrorCode::not_found, HasSubstr("'ops'")));
}

TEST(Tokens, of_a_damaged_file_are_not_taken_for_none) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "tokens.json";
  for (const char* text : {"", "{}", "[{\"name\": \"x\"}]",
                           "[{\"name\":\"x\",\"role\":\"king\",\"sha256\":\"\",\"made\":\"\"}]"}) {
    std::ofstream(file) << text;
    EXPECT_THAT(Tokens::open(file), ErrorIs(ErrorCode::invalid_data, HasSubstr("tokens.json"))) << text;
  }
}

}  // namespace
}  // namespace outcrop::fleet
