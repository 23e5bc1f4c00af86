#include "trainer_host/fleet/metadata/metadata_keeper.hpp"

#include <gmock/gmock.h>

#include <span>

#include "protocol/base/durable_file.hpp"
#include "protocol/trust/envelope.hpp"
#include "tests/support/result_matchers.hpp"
#include "trainer_host/fleet/metadata/director.hpp"
#include "trainer_host/fleet/metadata/expiry.hpp"
#include "trainer_host/fleet/metadata/release_states.hpp"
#include "trainer_host/release/delegate.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/release_fixture.hpp"
#include "trainer_host/release/stage_store.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using trust::PrivateKey;

class MetadataKeeperTest : public release::ReleaseTest {
 protected:
  void SetUp() override {
    ReleaseTest::SetUp();
    options_.root = keys_ / "metadata/1.root.json";
    options_.timestamp_key = keys_ / "online/timestamp.key";
    options_.director_key = keys_ / "online/director.key";
    options_.snapshot_key = keys_ / "online/snapshot.key";
    open_registry();
  }
  void open_registry() {
    registry_.reset();
    auto registry = open_sqlite_registry(folder_.path() / "registry.sqlite");
    ASSERT_THAT(registry, IsOk());
    registry_ = std::move(*registry);
  }
  Result<MetadataKeeper> open() { return MetadataKeeper::open(*registry_, clock_, options_); }

  std::string read(const std::string& name) const {
    return *read_text_file(keys_ / "metadata" / name);
  }
  // Targets, revoked and the stage role of a release, made where it is missing.
  MetadataSubmission submission(const std::string& out = "release") {
    EXPECT_THAT(create(request(out)), IsOk());
    const auto metadata = folder_.path() / out / "metadata";
    MetadataSubmission all;
    all.roots = {*read_text_file(metadata / "1.root.json")};
    all.targets = *read_text_file(metadata / "targets.json");
    all.revoked = *read_text_file(metadata / "revoked.json");
    all.stages = {*read_text_file(metadata / "stage-curvefault.json")};
    return all;
  }
  // Root 2 with new keys for the online roles, written over the old ones.
  std::string rotate_online_keys(bool replace_files = true) {
    auto root = **trust::TrustedRoot::pin(read("1.root.json"));
    root.version = 2;
    for (const char* role : {"snapshot", "timestamp"}) {
      const auto key = PrivateKey::generate();
      root.keys.emplace(key->public_key().id(), key->public_key());
      root.roles[role] = {{key->public_key().id()}, 1};
      if (!replace_files) continue;
      std::filesystem::remove(keys_ / "online" / (std::string(role) + ".key"));
      EXPECT_THAT(key->write_pem(keys_ / "online" / (std::string(role) + ".key")), IsOk());
    }
    const auto signer = PrivateKey::read_pem(keys_ / "offline/root.key");
    return trust::sign_envelope("root", as_bytes(trust::to_json(root)), std::span(&*signer, 1));
  }
  static std::vector<std::string> names(const RoleEnvelopes& roles) {
    std::vector<std::string> all;
    for (const auto& [role, envelope] : roles) all.push_back(role);
    return all;
  }

  MetadataOptions options_;
  std::unique_ptr<Registry> registry_;
};

TEST_F(MetadataKeeperTest, signs_nothing_before_something_was_released) {
  auto keeper = open();
  ASSERT_THAT(keeper, IsOk());
  EXPECT_EQ(keeper->snapshot_version(), 0U);
  EXPECT_THAT(names(keeper->roles().envelopes()), ::testing::ElementsAre("root/1"));
}

TEST_F(MetadataKeeperTest, signs_snapshot_and_timestamp_over_what_was_submitted) {
  auto keeper = open();
  ASSERT_THAT(keeper, IsOk());
  const auto changed = keeper->accept(submission());
  ASSERT_THAT(changed, IsOk());
  EXPECT_THAT(names(*changed), ::testing::ElementsAre("targets", "revoked", "stage-curvefault",
                                                      "snapshot", "timestamp"));
  const RoleSet& roles = keeper->roles();
  const auto snapshot = trust::verify_snapshot(roles.root(), (*changed)[3].second);
  const auto timestamp = trust::verify_timestamp(roles.root(), (*changed)[4].second);
  ASSERT_THAT(snapshot, IsOk());
  ASSERT_THAT(timestamp, IsOk());
  EXPECT_THAT(trust::check_snapshot(*timestamp, *snapshot), IsOk());
  EXPECT_EQ((*timestamp)->expires, clock_.now() + std::chrono::days(7));
  EXPECT_EQ((*snapshot)->versions.at("stage-curvefault"), 1U);
  // The same again changes nothing, and is no error.
  const auto again = keeper->accept(submission());
  ASSERT_THAT(again, IsOk());
  EXPECT_TRUE(again->empty());
}

TEST_F(MetadataKeeperTest, a_root_is_read_by_its_whole_number_or_not_at_all) {
  {
    auto keeper = open();
    ASSERT_THAT(keeper->accept(submission()), IsOk());
  }
  // Taken for root 1, 0 or 2 by who reads a number as far as it goes.
  for (const char* name : {"root/1x", "root/", "root/ 2", "root/0x2"}) {
    ASSERT_THAT(registry_->save_metadata(name, "no root"), IsOk());
  }
  EXPECT_THAT(open(), IsOk());
}

TEST_F(MetadataKeeperTest, versions_rise_across_restarts) {
  {
    auto keeper = open();
    ASSERT_THAT(keeper->accept(submission()), IsOk());
    EXPECT_EQ(keeper->snapshot_version(), 1U);
  }
  clock_.advance(std::chrono::days(2));
  open_registry();
  auto keeper = open();
  ASSERT_THAT(keeper, IsOk());
  EXPECT_EQ(keeper->snapshot_version(), 1U);
  const std::uint64_t seconds = clock_.now().time_since_epoch().count();
  EXPECT_EQ((*keeper->roles().timestamp())->version, seconds);  // it was due
  stage_folder_ = make_stage("stage-2", 2, "others");
  ASSERT_THAT(keeper->accept(submission("second")), IsOk());
  EXPECT_EQ(keeper->snapshot_version(), 2U);
  EXPECT_EQ((*keeper->roles().timestamp())->version, seconds + 1);
}

TEST_F(MetadataKeeperTest, signs_above_what_a_board_has_seen_and_a_restored_state_above_itself) {
  const auto backup = folder_.path() / "backup.sqlite";
  std::uint64_t timestamp = 0;
  {
    auto keeper = open();
    ASSERT_THAT(keeper->accept(submission()), IsOk());
    ASSERT_THAT(registry_->back_up(backup), IsOk());
    clock_.advance(std::chrono::days(1));
    for (std::uint64_t stage : {2, 3}) {
      const std::string name = "stage-" + std::to_string(stage);
      stage_folder_ = make_stage(name, stage, name);
      ASSERT_THAT(keeper->accept(submission("release-" + name)), IsOk());
    }
    timestamp = (*keeper->roles().timestamp())->version;
  }
  clock_.advance(std::chrono::days(1));
  registry_.reset();
  std::filesystem::rename(backup, folder_.path() / "registry.sqlite");
  for (const char* rest : {"-wal", "-shm"}) {
    std::filesystem::remove(folder_.path() / ("registry.sqlite" + std::string(rest)));
  }
  open_registry();
  auto keeper = open();
  ASSERT_THAT(keeper, IsOk());
  EXPECT_EQ(keeper->snapshot_version(), 1U);
  const auto changed = keeper->sign_above(3);  // as its boards say
  ASSERT_THAT(changed, IsOk());
  EXPECT_THAT(names(*changed), ::testing::ElementsAre("snapshot", "timestamp"));
  EXPECT_EQ(keeper->snapshot_version(), 4U);
  EXPECT_GT((*keeper->roles().timestamp())->version, timestamp);
  EXPECT_TRUE(keeper->sign_above(4)->empty());
  EXPECT_TRUE(keeper->sign_above(2)->empty());
}

TEST_F(MetadataKeeperTest, renews_the_timestamp_each_day_and_the_snapshot_in_time) {
  auto keeper = open();
  ASSERT_THAT(keeper->accept(submission()), IsOk());
  EXPECT_TRUE(keeper->refresh()->empty());
  clock_.advance(std::chrono::days(1));
  EXPECT_THAT(names(*keeper->refresh()), ::testing::ElementsAre("timestamp"));
  clock_.advance(std::chrono::days(15));
  EXPECT_THAT(names(*keeper->refresh()), ::testing::ElementsAre("snapshot", "timestamp"));
}

TEST_F(MetadataKeeperTest, keeps_the_newer_of_two_lists) {
  auto keeper = open();
  const MetadataSubmission old = submission();
  const auto revoke = [&](const char* what) {
    return release::revoke_manifest(keys_, {trust::sha256(what), "bad", clock_.now()},
                                    std::chrono::days(30), clock_.now());
  };
  ASSERT_THAT(revoke("m"), IsOk());
  MetadataSubmission next;
  next.revoked = read("revoked.json");
  ASSERT_THAT(keeper->accept(old), IsOk());
  ASSERT_THAT(keeper->accept(next), IsOk());
  // A release that was made before comes with the old list.
  ASSERT_THAT(keeper->accept(old), IsOk());
  EXPECT_EQ((*keeper->roles().revoked())->version, 2U);
}

TEST_F(MetadataKeeperTest, refuses_what_is_signed_by_others_or_over_and_keeps_what_it_has) {
  auto keeper = open();
  ASSERT_THAT(keeper->accept(submission()), IsOk());
  MetadataSubmission bad;
  const auto key = PrivateKey::generate();
  trust::TargetsMetadata targets;
  targets.version = 9;
  targets.expires = clock_.now() + std::chrono::days(9);
  bad.targets =
      trust::sign_envelope("targets", as_bytes(trust::to_json(targets)), std::span(&*key, 1));
  EXPECT_THAT(keeper->accept(bad), ErrorIs(ErrorCode::untrusted, HasSubstr("targets")));
  bad.targets = "{}";
  EXPECT_THAT(keeper->accept(bad), ErrorIs(ErrorCode::invalid_data, HasSubstr("")));
  bad.targets.reset();
  bad.stages = {*submission().targets};
  EXPECT_THAT(keeper->accept(bad), ErrorIs(ErrorCode::untrusted, HasSubstr("stage")));
  // Another document of the version that is here.
  const auto signer = PrivateKey::read_pem(keys_ / "offline/targets.key");
  targets.version = 1;
  bad.stages.clear();
  bad.targets =
      trust::sign_envelope("targets", as_bytes(trust::to_json(targets)), std::span(&*signer, 1));
  EXPECT_THAT(keeper->accept(bad), ErrorIs(ErrorCode::untrusted, HasSubstr("another document")));
  targets.version = 2;
  targets.expires = clock_.now() - std::chrono::days(1);
  bad.targets =
      trust::sign_envelope("targets", as_bytes(trust::to_json(targets)), std::span(&*signer, 1));
  EXPECT_THAT(keeper->accept(bad), ErrorIs(ErrorCode::expired, HasSubstr("targets")));
  EXPECT_EQ((*keeper->roles().targets())->version, 1U);
  EXPECT_EQ(keeper->snapshot_version(), 1U);
}

// A thief of the targets key signed the highest version there is: what its owner revokes afterwards
// counts for nothing, and is said to.
TEST_F(MetadataKeeperTest, says_what_it_left_aside) {
  auto keeper = open();
  ASSERT_THAT(keeper->accept(submission()), IsOk());
  EXPECT_THAT(keeper->roles().left_aside(submission()), ::testing::IsEmpty());
  const auto key = PrivateKey::read_pem(keys_ / "offline/targets.key");
  trust::RevokedMetadata highest = **keeper->roles().revoked();
  highest.version = (std::uint64_t{1} << 53) - 1;
  MetadataSubmission stolen;
  stolen.revoked = trust::sign_envelope("revoked", as_bytes(to_json(highest)), std::span(&*key, 1));
  ASSERT_THAT(keeper->accept(stolen), IsOk());
  ASSERT_THAT(release::revoke_key(keys_, {trust::sha256("k"), "stolen", clock_.now()},
                                  std::chrono::days(30), clock_.now()),
              IsOk());
  MetadataSubmission next;
  next.revoked = read("revoked.json");
  ASSERT_THAT(keeper->accept(next), IsOk());
  EXPECT_THAT(keeper->roles().left_aside(next),
              ::testing::ElementsAre("revoked version 2 is older than version 9007199254740991, "
                                     "which outcropd has"));
}

// A stage key that was stolen: its successor's list begins anew here, too.
TEST_F(MetadataKeeperTest, another_stage_key_lets_the_list_of_its_model_begin_anew) {
  auto keeper = open();
  ASSERT_THAT(keeper->accept(submission()), IsOk());
  const auto key = PrivateKey::read_pem(keys_ / "stages/curvefault/stage.key");
  trust::StageMetadata highest = *keeper->roles().stages().at("curvefault");
  highest.version = (std::uint64_t{1} << 53) - 1;
  MetadataSubmission stolen;
  stolen.stages = {
      trust::sign_envelope("stage", as_bytes(to_json(highest)), std::span(&*key, 1))};
  ASSERT_THAT(keeper->accept(stolen), IsOk());
  ASSERT_THAT(release::delegate_anew(keys_, "curvefault", std::chrono::days(300), clock_.now()),
              IsOk());
  MetadataSubmission next;
  next.targets = read("targets.json");
  next.stages = {*read_text_file(keys_ / "stages/curvefault/stage.json")};
  ASSERT_THAT(keeper->accept(next), IsOk());
  EXPECT_LT(keeper->roles().stages().at("curvefault")->version, 10U);
  EXPECT_THAT(keeper->roles().left_aside(next), ::testing::IsEmpty());
}

TEST_F(MetadataKeeperTest, signs_commands_for_boards_whose_root_names_a_director) {
  auto keeper = open();
  const std::filesystem::path file = keys_ / "online/director.key";
  Director director(clock_, file, [&]() -> const RoleSet& { return keeper->roles(); },
                    [&] { return keeper->check_clock(); });
  Device board;
  board.name = "pi-1";
  const messages::Command command = messages::Used{7};
  const auto before = director.write(board, command);
  ASSERT_THAT(before, IsOk());
  EXPECT_EQ(*before, to_json(command)) << "nobody knows what it speaks";
  board.status.emplace();
  board.status->speaks = 4;
  EXPECT_FALSE(director.signs_for(board));
  board.status->speaks = 5;
  EXPECT_TRUE(director.signs_for(board));
  const auto text = director.write(board, command);
  ASSERT_THAT(text, IsOk());
  const auto verified = trust::verify_envelope(*text, "command",
                                               keeper->roles().root().signers("director"));
  ASSERT_THAT(verified, IsOk());
  const auto said = messages::parse_signed_command(verified->bytes());
  ASSERT_THAT(said, IsOk());
  EXPECT_EQ(said->device, "pi-1");
  EXPECT_EQ(said->command, command);
  EXPECT_GT(said->expires, clock_.now());
  // A new key needs no restart, and one that went is not signed by for long.
  std::filesystem::rename(file, keys_ / "aside.key");
  EXPECT_THAT(director.write(board, command), ErrorIs(ErrorCode::not_found, HasSubstr("the key of the director")));
  std::filesystem::copy_file(keys_ / "online/snapshot.key", file);
  EXPECT_THAT(director.write(board, command),
              ErrorIs(ErrorCode::untrusted, HasSubstr("is not the one that root 1 names")));
  std::filesystem::rename(keys_ / "aside.key", file);
  EXPECT_THAT(director.write(board, command), IsOk());
}

TEST_F(MetadataKeeperTest, a_new_root_that_rekeys_the_online_roles_is_followed) {
  auto keeper = open();
  ASSERT_THAT(keeper->accept(submission()), IsOk());
  MetadataSubmission next;
  next.roots = {rotate_online_keys()};
  const auto changed = keeper->accept(next);
  ASSERT_THAT(changed, IsOk());
  EXPECT_THAT(names(*changed), ::testing::ElementsAre("root/2", "snapshot", "timestamp"));
  EXPECT_EQ(keeper->problem(), "");
  EXPECT_THAT(trust::verify_snapshot(keeper->roles().root(), (*changed)[1].second), IsOk());
  // After a restart, still with the first root in the configuration.
  open_registry();
  auto again = open();
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->roles().root()->version, 2U);
  EXPECT_THAT(names(again->roles().envelopes()),
              ::testing::IsSupersetOf({"root/1", "root/2", "snapshot", "timestamp"}));
}

TEST_F(MetadataKeeperTest, says_so_while_it_has_not_got_the_new_keys_and_signs_once_it_has) {
  auto keeper = open();
  ASSERT_THAT(keeper->accept(submission()), IsOk());
  const auto kept = folder_.path() / "kept";
  std::filesystem::copy(keys_ / "online", kept);
  MetadataSubmission next;
  next.roots = {rotate_online_keys()};
  const auto replaced = folder_.path() / "new";
  std::filesystem::rename(keys_ / "online", replaced);
  std::filesystem::rename(kept, keys_ / "online");  // nobody brought the new keys yet
  const auto changed = keeper->accept(next);
  ASSERT_THAT(changed, IsOk());
  EXPECT_THAT(names(*changed), ::testing::ElementsAre("root/2"));  // boards must learn of it
  EXPECT_THAT(keeper->problem(), HasSubstr("snapshot"));
  std::filesystem::remove_all(keys_ / "online");
  std::filesystem::rename(replaced, keys_ / "online");
  EXPECT_THAT(names(*keeper->refresh()), ::testing::ElementsAre("snapshot", "timestamp"));
  EXPECT_EQ(keeper->problem(), "");
}

TEST_F(MetadataKeeperTest, refuses_keys_that_the_root_does_not_name_for_their_roles) {
  std::swap(options_.timestamp_key, options_.snapshot_key);
  EXPECT_THAT(open(),
              ErrorIs(ErrorCode::untrusted,
                      AllOf(HasSubstr("[trust] timestamp_key " + (keys_ / "online/snap").string()),
                            HasSubstr("root 1 names another key for the role timestamp"),
                            HasSubstr("this one is that of snapshot"))));
  std::swap(options_.timestamp_key, options_.snapshot_key);
  const std::string second = rotate_online_keys();  // brought before the root that names them
  EXPECT_THAT(open(), ErrorIs(ErrorCode::untrusted, HasSubstr("not named by it at all")));
  options_.root = folder_.path() / "2.root.json";
  ASSERT_THAT(write_file_durably(options_.root, second), IsOk());
  EXPECT_THAT(open(), IsOk()) << "as the message says";
  std::filesystem::remove(options_.snapshot_key);
  EXPECT_THAT(open(), ErrorIs(ErrorCode::not_found, HasSubstr("[trust] snapshot_key")));
}

TEST_F(MetadataKeeperTest, refuses_a_root_that_does_not_follow_and_a_state_of_another_fleet) {
  auto keeper = open();
  MetadataSubmission bad;
  auto root = **trust::TrustedRoot::pin(read("1.root.json"));
  root.version = 3;
  const auto signer = PrivateKey::read_pem(keys_ / "offline/root.key");
  bad.roots = {
      trust::sign_envelope("root", as_bytes(trust::to_json(root)), std::span(&*signer, 1))};
  EXPECT_THAT(keeper->accept(bad), ErrorIs(ErrorCode::untrusted, HasSubstr("root")));
  release::KeyStoreOptions other;
  other.models = {"curvefault"};
  ASSERT_THAT(release::init_key_store(folder_.path() / "other", other, clock_.now()), IsOk());
  options_.root = folder_.path() / "other/metadata/1.root.json";
  EXPECT_THAT(open(), ErrorIs(ErrorCode::untrusted, HasSubstr("[trust] root")));
}

TEST_F(MetadataKeeperTest, signs_nothing_by_a_clock_that_nobody_keeps_and_that_leapt) {
  bool synchronised = true;
  options_.clock_synchronised = [&] { return synchronised; };
  auto keeper = open();
  ASSERT_THAT(keeper->accept(submission()), IsOk());
  synchronised = false;
  clock_.advance(std::chrono::days(5000));
  EXPECT_TRUE(keeper->refresh()->empty());
  EXPECT_THAT(keeper->problem(), AllOf(HasSubstr("it was set by 120000 hours"),
                                       HasSubstr("believe_clock = true")));
  // A command of a day would be good for years.
  Director director(clock_, keys_ / "online/director.key",
                    [&]() -> const RoleSet& { return keeper->roles(); }, [&] { return keeper->check_clock(); });
  Device board;
  board.name = "pi-1";
  board.signs = true;
  EXPECT_THAT(director.write(board, messages::Used{7}), ErrorIs(ErrorCode::refused, HasSubstr("it was set by")));
  open_registry();
  auto again = open();  // which has only what was signed to go by
  ASSERT_THAT(again, IsOk());
  EXPECT_THAT(again->problem(), HasSubstr("long before"));
  clock_.advance(-std::chrono::days(5002));
  EXPECT_TRUE(again->refresh()->empty());
  EXPECT_THAT(again->problem(), HasSubstr("after that"));
  clock_.advance(std::chrono::days(4));
  EXPECT_THAT(names(*again->refresh()), ::testing::ElementsAre("timestamp")) << "it was put right";
  EXPECT_EQ(again->problem(), "");
  clock_.advance(std::chrono::days(60));
  options_.believe_clock = true;
  open_registry();
  EXPECT_EQ(open()->problem(), "");
}

TEST_F(MetadataKeeperTest, says_what_to_do_about_a_date_that_was_signed_in_the_future) {
  auto keeper = open();
  ASSERT_THAT(keeper->accept(submission()), IsOk());
  const Timestamp issued = (*keeper->roles().timestamp())->issued;
  EXPECT_EQ(future_words(issued, issued), std::nullopt);
  EXPECT_THAT(*future_words(issued - std::chrono::days(400), issued),
              HasSubstr("outcrop keys rotate timestamp"));
}

TEST_F(MetadataKeeperTest, says_what_expires_from_thirty_days_before) {
  auto keeper = open();
  ASSERT_THAT(keeper->accept(submission()), IsOk());
  const Expiry nearest = nearest_expiry(keeper->roles());
  EXPECT_EQ(expiry_words(keeper->roles(), nearest.when - std::chrono::days(31)), std::nullopt);
  EXPECT_THAT(*expiry_words(keeper->roles(), nearest.when - std::chrono::days(30)),
              AllOf(HasSubstr(nearest.role + " expires on"), HasSubstr("in 30 days")));
  EXPECT_THAT(*expiry_words(keeper->roles(), nearest.when), HasSubstr("expired on"));
  EXPECT_THAT(check_fresh(keeper->roles(), "curvefault", clock_.now()), IsOk());
  EXPECT_THAT(check_fresh(keeper->roles(), "curvefault", clock_.now() + std::chrono::days(8)),
              ErrorIs(ErrorCode::expired, HasSubstr("timestamp expired on")));
  EXPECT_THAT(check_fresh(keeper->roles(), "curvefault", nearest.when),
              ErrorIs(ErrorCode::expired, HasSubstr("outcrop")));
}

TEST_F(MetadataKeeperTest, releases_follow_what_is_signed) {
  auto keeper = open();
  ASSERT_THAT(keeper->accept(submission()), IsOk());
  const auto opened = ReleaseTest::open();
  ASSERT_THAT(opened, IsOk());
  ReleaseRecord release;
  release.manifest = opened->manifest_digest();
  release.model = "curvefault";
  ASSERT_THAT(registry_->save(release), IsOk());
  const auto state = [&] {
    EXPECT_THAT(update_release_states(*registry_, keeper->roles()), IsOk());
    return (*registry_->release(release.manifest))->state;
  };
  EXPECT_EQ(state(), ReleaseState::published);
  ASSERT_THAT(release::revoke_manifest(keys_, {release.manifest, "wrong data", clock_.now()},
                                       std::chrono::days(30), clock_.now()),
              IsOk());
  MetadataSubmission next;
  next.revoked = read("revoked.json");
  ASSERT_THAT(keeper->accept(next), IsOk());
  EXPECT_EQ(state(), ReleaseState::revoked);
  EXPECT_EQ((*registry_->release(release.manifest))->reason, "wrong data");
}

}  // namespace
}  // namespace outcrop::fleet
