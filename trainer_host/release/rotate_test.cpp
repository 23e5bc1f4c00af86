#include "trainer_host/release/rotate.hpp"

#include <gmock/gmock.h>

#include <span>

#include "protocol/base/durable_file.hpp"
#include "protocol/trust/envelope.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/release/key_store.hpp"

namespace outcrop::release {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using trust::PrivateKey;

constexpr Timestamp rotated_at{std::chrono::seconds(1'800'000'000)};
constexpr std::chrono::days year{365};

class RotateTest : public ::testing::Test {
 protected:
  RotateTest() {
    KeyStoreOptions options;
    options.models = {"curvefault"};
    EXPECT_THAT(init_key_store(keys_, options, rotated_at), IsOk());
  }
  trust::KeyId id(const fs::path& file) {
    return PrivateKey::read_pem(file).map([](auto key) { return key.public_key().id(); }).value();
  }
  KeyStoreTrust store() {
    auto store = read_key_store(keys_);
    EXPECT_THAT(store, IsOk());
    return std::move(*store);
  }
  // Each key in its place is the one that the newest root names.
  void expect_whole() {
    const auto root = store().root;
    for (const auto& [role, file] : files_) {
      ASSERT_EQ(root->roles.at(role).keyids.size(), 1U);
      EXPECT_EQ(root->roles.at(role).keyids[0], id(file)) << role;
      EXPECT_FALSE(fs::exists(file.string() + ".new"));
    }
  }

  TemporaryFolder folder_;
  fs::path keys_ = folder_.path() / "keys";
  KeyStorePaths paths_{keys_};
  std::map<std::string, fs::path> files_{{"root", paths_.offline_key("root")},
                                         {"targets", paths_.offline_key("targets")},
                                         {"revoked", paths_.offline_key("targets")},
                                         {"snapshot", paths_.online_key("snapshot")},
                                         {"timestamp", paths_.online_key("timestamp")},
                                         {"director", paths_.online_key("director")}};
};

TEST_F(RotateTest, gives_online_roles_new_keys_and_leaves_the_others) {
  const auto before = store();
  const auto timestamp = id(files_["timestamp"]);
  const auto targets = id(files_["targets"]);
  ASSERT_THAT(rotate_keys(keys_, {"timestamp", "snapshot"}, year, rotated_at), IsOk());
  const auto after = store();
  EXPECT_EQ(after.root->version, 2U);
  EXPECT_EQ(after.root->expires, rotated_at + year);
  EXPECT_NE(id(files_["timestamp"]), timestamp);
  EXPECT_EQ(id(files_["targets"]), targets);
  EXPECT_EQ(after.targets->version, before.targets->version);
  EXPECT_FALSE(after.root->keys.contains(timestamp)) << "a key without a role goes";
  expect_whole();
}

TEST_F(RotateTest, every_role_can_be_rotated_and_again) {
  for (std::uint64_t version = 2; version <= 4; ++version) {
    ASSERT_THAT(rotate_keys(keys_, rotatable_roles(), year, rotated_at), IsOk());
    EXPECT_EQ(store().root->version, version);
    EXPECT_EQ(store().targets->version, version);
    EXPECT_EQ(store().revoked->version, version);
    expect_whole();
  }
  ASSERT_THAT(renew_targets(keys_, year, rotated_at), IsOk()) << "the keys still do their work";
}

// A key store from before commands were signed gets its director by rotating it.
TEST_F(RotateTest, names_a_director_where_there_was_none) {
  trust::RootMetadata earlier = *store().root;
  earlier.roles.erase("director");
  earlier.keys.erase(id(files_["director"]));
  const auto root_key = *PrivateKey::read_pem(files_["root"]);
  ASSERT_THAT(write_file_durably(
                  paths_.metadata() / "1.root.json",
                  trust::sign_envelope("root", as_bytes(to_json(earlier)), std::span(&root_key, 1))),
              IsOk());
  fs::remove(files_["director"]);
  ASSERT_FALSE(trust::names_director(*store().root));
  ASSERT_THAT(rotate_keys(keys_, {"timestamp"}, year, rotated_at), IsOk());
  EXPECT_FALSE(trust::names_director(*store().root)) << "only where it was asked for";
  ASSERT_THAT(rotate_keys(keys_, {"director"}, year, rotated_at), IsOk());
  expect_whole();
}

TEST_F(RotateTest, no_roles_renew_the_root) {
  const auto root = id(files_["root"]);
  ASSERT_THAT(rotate_keys(keys_, {}, 2 * year, rotated_at), IsOk());
  EXPECT_EQ(store().root->version, 2U);
  EXPECT_EQ(store().root->expires, rotated_at + 2 * year);
  EXPECT_EQ(id(files_["root"]), root);
}

TEST_F(RotateTest, cut_off_before_the_root_changes_nothing) {
  ASSERT_THAT(PrivateKey::generate()->write_pem(files_["timestamp"].string() + ".new"), IsOk());
  EXPECT_EQ(store().root->version, 1U);
  ASSERT_THAT(rotate_keys(keys_, {}, year, rotated_at), IsOk());
  expect_whole();
}

TEST_F(RotateTest, cut_off_after_the_root_is_finished_by_the_next_call) {
  const auto old_key = *PrivateKey::read_pem(files_["timestamp"]);
  ASSERT_THAT(rotate_keys(keys_, {"timestamp"}, year, rotated_at), IsOk());
  fs::rename(files_["timestamp"], files_["timestamp"].string() + ".new");
  ASSERT_THAT(old_key.write_pem(files_["timestamp"]), IsOk());
  ASSERT_THAT(rotate_keys(keys_, {}, year, rotated_at), IsOk());
  expect_whole();
}

TEST_F(RotateTest, says_what_is_wrong) {
  EXPECT_THAT(rotate_keys(keys_, {"stage"}, year, rotated_at),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("'stage' is no role")));
  EXPECT_THAT(rotate_keys(keys_, {"root", "root"}, year, rotated_at),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("twice")));
  fs::copy_file(files_["targets"], folder_.path() / "other.key");
  fs::rename(folder_.path() / "other.key", files_["root"]);
  EXPECT_THAT(rotate_keys(keys_, {"timestamp"}, year, rotated_at),
              ErrorIs(ErrorCode::untrusted, HasSubstr("root.key is not the key")));
  fs::remove_all(keys_ / "offline");
  EXPECT_THAT(rotate_keys(keys_, {"timestamp"}, year, rotated_at),
              ErrorIs(ErrorCode::not_found, HasSubstr("root.key")));
  EXPECT_EQ(store().root->version, 1U);
  EXPECT_FALSE(fs::exists(files_["timestamp"].string() + ".new"));
}

}  // namespace
}  // namespace outcrop::release
