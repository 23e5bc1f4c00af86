#include "trainer_host/release/key_store.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/plain_file_system.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/release/delegate.hpp"
#include "trainer_host/release/policy.hpp"
#include "trainer_host/release/stage_store.hpp"

namespace outcrop::release {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr Timestamp now{std::chrono::seconds(1'800'000'000)};

KeyStoreOptions models(std::vector<std::string> names) {
  KeyStoreOptions options;
  options.models = std::move(names);
  return options;
}

TEST(KeyStore, keeps_private_keys_to_their_owner) {
  const TemporaryFolder folder;
  const fs::path keys = folder.path() / "keys";
  ASSERT_THAT(init_key_store(keys, models({"a", "b"}), now), IsOk());
  int found = 0;
  for (const auto& entry : fs::recursive_directory_iterator(keys)) {
    if (entry.path().extension() != ".key") continue;
    struct stat info {};
    ASSERT_EQ(::stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600U) << entry.path();
    ++found;
  }
  EXPECT_EQ(found, 7);
  const auto trust = read_key_store(keys);
  ASSERT_THAT(trust, IsOk());
  EXPECT_NE(trust->targets->delegation("a"), nullptr);
  EXPECT_NE(trust->targets->delegation("a")->keys.keyids,
            trust->targets->delegation("b")->keys.keyids);
  EXPECT_EQ(trust->targets->expires, now + std::chrono::days(365));
}

TEST(KeyStore, says_what_expires_before_it_has) {
  const TemporaryFolder folder;
  const fs::path keys = folder.path() / "keys";
  KeyStoreOptions options = models({"a"});
  options.targets_expires = std::chrono::days(12);
  ASSERT_THAT(init_key_store(keys, options, now), IsOk());
  const auto trust = read_key_store(keys);
  ASSERT_THAT(trust, IsOk());
  const auto words = expiring_soon(*trust, now);
  ASSERT_EQ(words.size(), 2U);
  EXPECT_THAT(words[0], AllOf(HasSubstr("targets expires on " + to_rfc3339(trust->targets->expires)),
                              HasSubstr("in 12 days"), HasSubstr("outcrop keys renew")));
  EXPECT_THAT(words[1], HasSubstr("revoked expires on"));
  EXPECT_TRUE(expiring_soon(*trust, now, std::chrono::days(11)).empty());
  EXPECT_THAT(check_fresh(*trust, now), IsOk());
  EXPECT_TRUE(expiring_soon(*trust, now + std::chrono::days(12)).empty());
  EXPECT_THAT(check_fresh(*trust, now + std::chrono::days(12)),
              ErrorIs(ErrorCode::expired, HasSubstr("targets: expired")));
}

TEST(KeyStore, a_further_model_gets_a_key_and_the_others_keep_theirs) {
  const TemporaryFolder folder;
  const fs::path keys = folder.path() / "keys";
  ASSERT_THAT(init_key_store(keys, models({"a"}), now), IsOk());
  const auto before = read_key_store(keys);
  const Timestamp later = now + std::chrono::hours(48);
  EXPECT_THAT(add_models(keys, {"b", "b"}, std::chrono::days(30), later),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("named twice")));
  EXPECT_THAT(add_models(keys, {"a"}, std::chrono::days(30), later),
              ErrorIs(ErrorCode::already_exists, HasSubstr("stages of 'a' already")));
  // Cut off before it was signed for: the key is taken up.
  const KeyStorePaths paths(keys);
  fs::create_directory(paths.stage("c"));
  const auto left = trust::PrivateKey::generate();
  ASSERT_THAT(left->write_pem(paths.stage("c") / "stage.key"), IsOk());
  ASSERT_THAT(add_models(keys, {"b", "c"}, std::chrono::days(30), later), IsOk());
  const auto after = read_key_store(keys);
  ASSERT_THAT(after, IsOk());
  EXPECT_EQ(after->root.digest(), before->root.digest()) << "no new root, host or enrolment";
  EXPECT_EQ(after->targets->version, before->targets->version + 1);
  EXPECT_EQ(after->targets->expires, later + std::chrono::days(30));
  EXPECT_EQ(after->targets->delegation("a")->keys.keyids,
            before->targets->delegation("a")->keys.keyids);
  ASSERT_NE(after->targets->delegation("b"), nullptr);
  EXPECT_EQ(after->targets->delegation("c")->keys.keyids,
            std::vector<trust::KeyId>{left->public_key().id()});
  fs::remove(paths.offline_key("targets"));
  EXPECT_THAT(add_models(keys, {"d"}, std::chrono::days(30), later),
              ErrorIs(ErrorCode::not_found, HasSubstr("targets.key")));
  EXPECT_FALSE(fs::exists(paths.stage("d")));
}

// After a theft: the old key is revoked, and a new one takes over what it had signed.
TEST(KeyStore, gives_a_model_another_stage_key) {
  const TemporaryFolder folder;
  const fs::path keys = folder.path() / "keys";
  ASSERT_THAT(init_key_store(keys, models({"a", "b"}), now), IsOk());
  const KeyStorePaths paths(keys);
  const trust::PermittedRelease release{trust::sha256("m"), ByteCount(1), 1, 1};
  const auto before = read_key_store(keys);
  {
    auto store = StageStore::open(keys, "a", *before);
    ASSERT_THAT(store, IsOk());
    ASSERT_THAT(store->permit(release, std::chrono::days(30), now, *before), IsOk());
  }
  const trust::KeyId stolen = before->targets->delegation("a")->keys.keyids[0];
  ASSERT_THAT(revoke_key(keys, {stolen, "stolen", now}, std::chrono::days(30), now), IsOk());
  EXPECT_THAT(StageStore::open(keys, "a", *read_key_store(keys)),
              ErrorIs(ErrorCode::revoked, HasSubstr("stolen")));
  // Cut off before it counted: the key that waits is thrown away.
  ASSERT_THAT(trust::PrivateKey::generate()->write_pem(paths.stage("a") / "stage.key.new"), IsOk());
  ASSERT_THAT(delegate_anew(keys, "a", std::chrono::days(30), now), IsOk());
  const auto after = read_key_store(keys);
  ASSERT_THAT(after, IsOk());
  EXPECT_EQ(after->root.digest(), before->root.digest());
  EXPECT_FALSE(after->targets->keys.contains(stolen));
  EXPECT_EQ(after->targets->delegation("b")->keys, before->targets->delegation("b")->keys);
  EXPECT_FALSE(fs::exists(paths.stage("a") / "stage.key.new"));
  auto store = StageStore::open(keys, "a", *after);
  ASSERT_THAT(store, IsOk()) << "the new key signs";
  const auto list = store->signed_list(*after);
  ASSERT_THAT(list, IsOk());
  EXPECT_EQ((*list)->metadata->version, 2U);
  EXPECT_NE((*list)->metadata->release(release.manifest), nullptr) << "what was signed still is";
  EXPECT_THAT(delegate_anew(keys, "c", std::chrono::days(30), now),
              ErrorIs(ErrorCode::not_found, HasSubstr("keys add-model")));
}

// What another user makes of the folder: 0 verified with it, 1 failed, 2 was told how to mend it.
int as_somebody_else(const fs::path& keys) {
  constexpr uid_t nobody = 65'534;
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(nobody) != 0 || ::setuid(nobody) != 0) ::_exit(3);
    const auto trust = read_key_store(keys);
    if (trust) ::_exit(0);
    ::_exit(trust.error().message().find("chmod a+x") != std::string::npos ? 2 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST(KeyStore, lets_others_verify_but_not_sign) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
  const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms(0755));
  const fs::path keys = folder.path() / "keys";
  const mode_t before = ::umask(077);
  const Status made = init_key_store(keys, models({"a"}), now);
  ::umask(before);
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(as_somebody_else(keys), 0);
  EXPECT_EQ(fs::status(keys / "offline").permissions(), fs::perms(0700));
  EXPECT_EQ(fs::status(keys / "stages").permissions(), fs::perms(0700));
  fs::permissions(keys, fs::perms(0700));
  EXPECT_EQ(as_somebody_else(keys), 2);
}

TEST(KeyStore, never_overwrites_and_leaves_nothing_half_made) {
  const TemporaryFolder folder;
  const fs::path keys = folder.path() / "keys";
  ASSERT_THAT(init_key_store(keys, models({"a"}), now), IsOk());
  const std::string before = *read_text_file(keys / "offline/root.key");
  EXPECT_THAT(init_key_store(keys, models({"a"}), now),
              ErrorIs(ErrorCode::already_exists, HasSubstr("never overwritten")));
  EXPECT_EQ(*read_text_file(keys / "offline/root.key"), before);
  EXPECT_THAT(init_key_store(folder.path() / "other", models({"Bad Name"}), now),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("Bad Name")));
  EXPECT_THAT(init_key_store(folder.path() / "other", models({"a", "a"}), now),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("twice")));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(KeyStore, works_in_the_working_folder_and_without_flags_of_rename) {
  const TemporaryFolder folder;
  const PlainFileSystem plain;
  ASSERT_THAT(init_key_store(folder.path() / "keys", models({"a"}), now), IsOk());
  const fs::path here = folder.path() / "here";
  fs::create_directory(here);
  const fs::path before = fs::current_path();
  fs::current_path(here);
  const Status made = init_key_store(".", models({"a"}), now);
  fs::current_path(before);
  ASSERT_THAT(made, IsOk());
  EXPECT_THAT(read_key_store(here), IsOk());
  EXPECT_EQ(fs::status(here / "offline").permissions(), fs::perms(0700));
  EXPECT_EQ(std::distance(fs::directory_iterator(here), {}), 4);
}

TEST(KeyStore, says_what_is_missing) {
  const TemporaryFolder folder;
  EXPECT_THAT(read_key_store(folder.path()),
              ErrorIs(ErrorCode::not_found, HasSubstr("outcrop keys init")));
  const fs::path keys = folder.path() / "keys";
  ASSERT_THAT(init_key_store(keys, models({"a"}), now), IsOk());
  fs::remove_all(keys / "offline");
  EXPECT_THAT(renew_targets(keys, std::chrono::days(1), now),
              ErrorIs(ErrorCode::not_found, HasSubstr("targets.key")));
}

class PolicyTest : public ::testing::Test {
 protected:
  Result<Policy> read(std::string_view text) {
    EXPECT_TRUE(write_file_durably(path_, text));
    return read_policy(path_);
  }
  TemporaryFolder folder_;
  fs::path path_ = folder_.path() / "policy.toml";
};

TEST_F(PolicyTest, keeps_defaults_for_what_a_file_does_not_name) {
  const auto policy = read("factor = 2\n[output.velocity]\ncap_mean_abs = 60.0\n");
  ASSERT_THAT(policy, IsOk());
  EXPECT_EQ(policy->factor, 2.0);
  const messages::StageArtifact earlier;  // without a signature
  const auto outputs = policy_for(earlier, *policy)->outputs;
  EXPECT_EQ(outputs.at("velocity").cap.mean_abs, 60.0);
  EXPECT_EQ(outputs.at("velocity").floor.mean_abs, 1.5);
  EXPECT_EQ(outputs.at("seismic").cap.mean_abs, 1.0);
}

TEST_F(PolicyTest, says_how_good_a_model_must_be) {
  EXPECT_EQ(read("")->minimum_quality, 0.0);
  EXPECT_EQ(read("minimum_quality = 0.3")->minimum_quality, 0.3);
  EXPECT_EQ(read("minimum_quality = -inf")->minimum_quality,
            -std::numeric_limits<double>::infinity());
  EXPECT_EQ(read("most_spread = 3")->most_spread, 3.0);
  for (const char* wrong : {"minimum_quality = 1.0", "minimum_quality = nan",
                            "minimum_quality = \"none\"", "most_spread = 0.5"}) {
    EXPECT_THAT(read(wrong), ErrorIs(ErrorCode::invalid_argument, HasSubstr("must be a number")))
        << wrong;
  }
}

// The text is part of what a release is recognised by: one made before these keys stays the same.
TEST_F(PolicyTest, describes_itself_as_earlier_versions_did_where_nothing_new_is_asked) {
  EXPECT_THAT(describe(Policy()), Not(HasSubstr("minimum_quality")));
  EXPECT_THAT(describe(*read("minimum_quality = 0.3")), HasSubstr("\"minimum_quality\":0.3"));
  EXPECT_NE(describe(*read("minimum_quality = -inf")), describe(Policy()));
}

TEST_F(PolicyTest, names_file_line_and_key_of_what_it_refuses) {
  EXPECT_THAT(
      read("factor = 1.5\nfactr = 2\n"),
      ErrorIs(ErrorCode::invalid_argument, HasSubstr("policy.toml:2: factr: is not known")));
  EXPECT_THAT(
      read("\nfactor = \"big\"\n"),
      ErrorIs(ErrorCode::invalid_argument, HasSubstr("policy.toml:2: factor: this is a string")));
  EXPECT_THAT(read("factor = 0.5\n"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("from 1 to 100")));
  EXPECT_THAT(read("[output.velocity]\ncap = 3\n"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("output.velocity.cap: is not known")));
  EXPECT_THAT(policy_for(messages::StageArtifact(),
                         *read("[output.velocity]\nfloor_mean_abs = 100.0\n")),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("100.0 is above its cap")));
  EXPECT_THAT(read("factor = = 1\n"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("policy.toml:1:")));
  EXPECT_THAT(read("[output]\nvelocity = 3\n"),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("policy.toml:2: output.velocity")));
  EXPECT_THAT(read_policy(folder_.path() / "none.toml"),
              ErrorIs(ErrorCode::not_found, HasSubstr("none.toml")));
}

}  // namespace
}  // namespace outcrop::release
