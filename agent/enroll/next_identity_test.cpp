#include "agent/enroll/next_identity.hpp"

#include <gmock/gmock.h>

#include "agent/doctor/test_authority.hpp"
#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class NextIdentityTest : public ::testing::Test {
 protected:
  NextIdentityTest() { fs::create_directories(folder_.path() / "identity"); }
  std::string issue(const std::string& name, const trust::PublicKey& key) {
    return authority_.issue({name, "", *from_rfc3339("2020-01-01T00:00:00Z"), *from_rfc3339("2120-01-01T00:00:00Z")}, key);
  }
  TemporaryFolder folder_;
  TestAuthority authority_{"devices"};
  NextIdentity next_{folder_.path()};
};

TEST_F(NextIdentityTest, is_nothing_before_it_is_begun) {
  EXPECT_FALSE(next_.key());
  EXPECT_FALSE(next_.certificate());
  EXPECT_FALSE(next_.on_trial());
  EXPECT_THAT(next_.take(issue("pi-1", trust::PrivateKey::generate()->public_key()), "pi-1"), ErrorIs(ErrorCode::refused, HasSubstr("asks for no")));
}

TEST_F(NextIdentityTest, takes_a_certificate_of_its_key_and_its_board_alone) {
  ASSERT_THAT(next_.begin(), IsOk());
  const trust::PublicKey key = next_.key()->public_key();
  ASSERT_THAT(next_.begin(), IsOk());
  EXPECT_EQ(next_.key()->public_key(), key) << "the first stays";
  EXPECT_THAT(next_.take(issue("pi-2", key), "pi-1"), ErrorIs(ErrorCode::untrusted, HasSubstr("'pi-2'")));
  EXPECT_THAT(next_.take(issue("pi-1", trust::PrivateKey::generate()->public_key()), "pi-1"), ErrorIs(ErrorCode::untrusted, HasSubstr("another key")));
  EXPECT_THAT(next_.take("nothing", "pi-1"), ErrorIs(ErrorCode::invalid_data, HasSubstr("")));
  EXPECT_FALSE(next_.on_trial());
  ASSERT_THAT(next_.take(issue("pi-1", key), "pi-1"), IsOk());
  EXPECT_TRUE(next_.on_trial());
  EXPECT_THAT(next_.take(issue("pi-1", key), "pi-1"), ErrorIs(ErrorCode::refused, HasSubstr("tries it")));
  ASSERT_THAT(next_.give_up(), IsOk());
  EXPECT_FALSE(next_.on_trial());
  EXPECT_EQ(next_.key()->public_key(), key);
}

TEST_F(NextIdentityTest, goes_on_wherever_it_was_cut_off) {
  ASSERT_THAT(next_.begin(), IsOk());
  const trust::PublicKey key = next_.key()->public_key();
  ASSERT_THAT(write_file_durably(next_.certificate_file(), std::string_view("torn")), IsOk());
  EXPECT_FALSE(next_.on_trial());
  ASSERT_THAT(next_.take(issue("pi-1", key), "pi-1"), IsOk());
  ASSERT_THAT(next_.become_known(), IsOk());
  EXPECT_FALSE(next_.on_trial());
  EXPECT_TRUE(next_.is_known());
  fs::remove(next_.certificate_file());  // as a removal that was cut off leaves it
  EXPECT_FALSE(next_.certificate());
  ASSERT_THAT(next_.clear(), IsOk());
  EXPECT_FALSE(fs::exists(folder_.path() / "identity" / "next"));
  ASSERT_THAT(next_.begin(), IsOk());
  EXPECT_NE(next_.key()->public_key(), key);
  EXPECT_FALSE(next_.is_known());
}

TEST_F(NextIdentityTest, makes_another_key_in_place_of_one_that_is_damaged) {
  ASSERT_THAT(next_.begin(), IsOk());
  ASSERT_THAT(next_.take(issue("pi-1", next_.key()->public_key()), "pi-1"), IsOk());
  ASSERT_THAT(write_file_durably(next_.key_file(), std::string_view("\0\0\0")), IsOk());
  EXPECT_FALSE(next_.on_trial());
  ASSERT_THAT(next_.begin(), IsOk());
  EXPECT_TRUE(next_.key());
  EXPECT_FALSE(next_.certificate());
}

}  // namespace
}  // namespace outcrop::agent
