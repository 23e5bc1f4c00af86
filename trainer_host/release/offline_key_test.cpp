#include "trainer_host/release/offline_key.hpp"

#include <gmock/gmock.h>

#include <cstdlib>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/rotate.hpp"

namespace outcrop::release {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using trust::PrivateKey;

constexpr Timestamp encrypted_at{std::chrono::seconds(1'800'000'000)};
constexpr std::chrono::days valid{365};

class OfflineKeyTest : public ::testing::Test {
 protected:
  OfflineKeyTest() {
    KeyStoreOptions options;
    options.models = {"curvefault"};
    EXPECT_THAT(init_key_store(keys_, options, encrypted_at), IsOk());
  }
  ~OfflineKeyTest() override { ::unsetenv("OUTCROP_PASSPHRASE_FILE"); }
  void answer(const std::string& passphrase) {
    const fs::path file = folder_.path() / "passphrase";
    ASSERT_THAT(write_file_durably(file, std::string_view(passphrase)), IsOk());
    fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
    ::setenv("OUTCROP_PASSPHRASE_FILE", file.c_str(), 1);
  }

  TemporaryFolder folder_;
  fs::path keys_ = folder_.path() / "keys";
  KeyStorePaths paths_{keys_};
};

TEST_F(OfflineKeyTest, encrypted_keys_sign_as_before_with_their_passphrase_alone) {
  const auto before = PrivateKey::read_pem(paths_.offline_key("targets"));
  ASSERT_THAT(before, IsOk());
  answer("a first passphrase\nand a second line");
  ASSERT_THAT(encrypt_offline_keys(keys_), IsOk());
  for (const char* role : {"root", "targets"}) {
    const fs::path file = paths_.offline_key(role);
    EXPECT_THAT(*read_text_file(file), HasSubstr("BEGIN ENCRYPTED PRIVATE KEY"));
    EXPECT_EQ(fs::status(file).permissions() & fs::perms::all, fs::perms::owner_read | fs::perms::owner_write);
    EXPECT_THAT(PrivateKey::read_pem(file), ErrorIs(ErrorCode::invalid_data, HasSubstr("is encrypted")));
  }
  EXPECT_EQ(read_offline_key(paths_.offline_key("targets"))->public_key(), before->public_key());
  EXPECT_THAT(renew_targets(keys_, valid, encrypted_at), IsOk());
  // What takes the place of an encrypted key is encrypted as well.
  ASSERT_THAT(rotate_keys(keys_, {"root", "targets", "snapshot"}, valid, encrypted_at), IsOk());
  for (const char* role : {"root", "targets"}) {
    EXPECT_THAT(*read_text_file(paths_.offline_key(role)), HasSubstr("BEGIN ENCRYPTED PRIVATE KEY")) << role;
  }
  EXPECT_THAT(PrivateKey::read_pem(paths_.online_key("snapshot")), IsOk());
}

TEST_F(OfflineKeyTest, takes_no_new_passphrase_that_is_short) {
  answer("ab");
  EXPECT_THAT(encrypt_offline_keys(keys_), ErrorIs(ErrorCode::invalid_argument, HasSubstr("has 2 characters; 8 at least")));
  EXPECT_THAT(PrivateKey::read_pem(paths_.offline_key("root")), IsOk()) << "as it was";
  const fs::path file = folder_.path() / "alice.key";
  EXPECT_THAT(make_offline_key(file, true), ErrorIs(ErrorCode::invalid_argument, HasSubstr("8 at least")));
  EXPECT_FALSE(fs::exists(file));
  // One from before is opened all the same.
  ASSERT_THAT(PrivateKey::generate()->write_pem(file, "ab"), IsOk());
  EXPECT_THAT(read_offline_key(file), IsOk());
}

TEST_F(OfflineKeyTest, says_what_would_be_a_public_key) {
  EXPECT_THAT(read_public_key("nonsense"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("64 hexadecimal digits")));
  EXPECT_THAT(read_public_key("pkcs11:object=none;token=none?pin-value=1"), ErrorIs(ErrorCode::refused, HasSubstr("PIN")));
}

TEST_F(OfflineKeyTest, says_what_is_wrong_with_a_passphrase) {
  answer("what opens the key of this test");
  ASSERT_THAT(encrypt_offline_keys(keys_), IsOk());
  const fs::path other = folder_.path() / "other.key";
  ASSERT_THAT(PrivateKey::generate()->write_pem(other, "known to nobody here"), IsOk());
  EXPECT_THAT(read_offline_key(other), ErrorIs(ErrorCode::untrusted, HasSubstr("not its passphrase")));
  answer("\n");
  EXPECT_THAT(read_offline_key(other), ErrorIs(ErrorCode::invalid_data, HasSubstr("its first line")));
  answer("right or not");
  fs::permissions(folder_.path() / "passphrase", fs::perms::group_read, fs::perm_options::add);
  EXPECT_THAT(read_offline_key(other), ErrorIs(ErrorCode::untrusted, HasSubstr("chmod 600")));
  fs::remove(paths_.offline_key("root"));
  EXPECT_THAT(encrypt_offline_keys(keys_), ErrorIs(ErrorCode::not_found, HasSubstr("bring the offline keys back")));
}

}  // namespace
}  // namespace outcrop::release
