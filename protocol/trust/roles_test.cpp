#include <gmock/gmock.h>

#include <algorithm>

#include "protocol/trust/freshness.hpp"
#include "protocol/trust/trusted_roles.hpp"
#include "protocol/trust/new_key_for_tests.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop::trust {
namespace {

using ::testing::HasSubstr;

constexpr Timestamp now{std::chrono::seconds(1'800'000'000)};

template <class Role>
std::string sign(const Role& role, std::vector<PrivateKey> keys) {
  return sign_envelope(Role::kind, as_bytes(to_json(role)), keys);
}

void name_keys(RootMetadata& root, const std::string& role, const std::vector<PrivateKey>& keys,
               std::uint64_t threshold = 1) {
  RoleKeys role_keys{{}, threshold};
  for (const PrivateKey& key : keys) {
    root.keys.emplace(key.public_key().id(), key.public_key());
    role_keys.keyids.push_back(key.public_key().id());
  }
  root.roles[role] = role_keys;
}

// A small world: one key for each role, two models.
class RolesTest : public ::testing::Test {
 protected:
  RolesTest() {
    root_.expires = targets_.expires = revoked_.expires = stage_.expires =
        now + std::chrono::days(1);
    name_keys(root_, "root", {root_key_});
    name_keys(root_, "targets", {targets_key_});
    name_keys(root_, "revoked", {targets_key_});
    name_keys(root_, "snapshot", {online_key_});
    name_keys(root_, "timestamp", {online_key_});
    delegate("a", stage_key_);
    delegate("b", other_stage_key_);
    stage_.model = "a";
    stage_.releases = {{sha256("manifest"), ByteCount(8), 1, 20}};
  }

  void delegate(const std::string& model, const PrivateKey& key) {
    targets_.keys.emplace(key.public_key().id(), key.public_key());
    targets_.delegations.push_back({model, {{key.public_key().id()}, 1}});
  }

  TrustedRoot root() const { return *TrustedRoot::pin(sign(root_, {root_key_})); }
  Verified<TargetsMetadata> targets() const {
    return *verify_targets(root(), sign(targets_, {targets_key_}));
  }
  Verified<RevokedMetadata> revoked() const {
    return *verify_revoked(root(), sign(revoked_, {targets_key_}));
  }

  PrivateKey root_key_ = new_key();
  PrivateKey targets_key_ = new_key();
  PrivateKey online_key_ = new_key();
  PrivateKey stage_key_ = new_key();
  PrivateKey other_stage_key_ = new_key();
  RootMetadata root_;
  TargetsMetadata targets_;
  RevokedMetadata revoked_;
  StageMetadata stage_;
};

TEST_F(RolesTest, read_back_as_they_were_signed) {
  EXPECT_EQ(*root(), root_);
  EXPECT_EQ(*targets(), targets_);
  revoked_.manifests = {{sha256("bad"), "wrong data", now}};
  EXPECT_EQ(*revoked(), revoked_);
  const auto stage = verify_stage(targets(), revoked(), "a", sign(stage_, {stage_key_}));
  ASSERT_THAT(stage, IsOk());
  EXPECT_EQ(**stage, stage_);
  EXPECT_NE((*stage)->release(sha256("manifest")), nullptr);
  EXPECT_EQ((*stage)->release(sha256("other")), nullptr);
}

TEST_F(RolesTest, refuse_another_roles_key) {
  EXPECT_THAT(verify_targets(root(), sign(targets_, {online_key_})),
              ErrorIs(ErrorCode::untrusted, HasSubstr("role targets does not name")));
  EXPECT_THAT(verify_revoked(root(), sign(revoked_, {online_key_})),
              ErrorIs(ErrorCode::untrusted, HasSubstr("role revoked does not name")));
}

TEST_F(RolesTest, refuse_one_roles_document_in_anothers_place) {
  // The targets key holds the role revoked too: kind and type must still tell them apart.
  EXPECT_THAT(verify_revoked(root(), sign(targets_, {targets_key_})),
              ErrorIs(ErrorCode::untrusted, HasSubstr("payload type")));
  const std::string disguised =
      sign_envelope(RevokedMetadata::kind, as_bytes(to_json(targets_)), std::vector{targets_key_});
  EXPECT_THAT(verify_revoked(root(), disguised),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("type")));
}

TEST_F(RolesTest, a_stage_key_signs_for_its_own_model_only) {
  EXPECT_THAT(verify_stage(targets(), revoked(), "a", sign(stage_, {other_stage_key_})),
              ErrorIs(ErrorCode::untrusted, HasSubstr("signed by the stage key of the model 'b'")));
  EXPECT_THAT(verify_stage(targets(), revoked(), "b", sign(stage_, {other_stage_key_})),
              ErrorIs(ErrorCode::untrusted, HasSubstr("lists releases of the model 'a'")));
  EXPECT_THAT(verify_stage(targets(), revoked(), "c", sign(stage_, {stage_key_})),
              ErrorIs(ErrorCode::untrusted, HasSubstr("no key for the model 'c'")));
}

TEST_F(RolesTest, a_revoked_stage_key_signs_nothing) {
  revoked_.keys = {{stage_key_.public_key().id(), "stolen laptop", now}};
  EXPECT_THAT(verify_stage(targets(), revoked(), "a", sign(stage_, {stage_key_})),
              ErrorIs(ErrorCode::revoked, HasSubstr("stolen laptop")));
}

TEST_F(RolesTest, a_revoked_manifest_is_named_with_its_reason) {
  revoked_.manifests = {{sha256("bad"), "trained on bad data", now}};
  EXPECT_THAT(check_not_revoked(revoked(), sha256("good")), IsOk());
  EXPECT_THAT(check_not_revoked(revoked(), sha256("bad")),
              ErrorIs(ErrorCode::revoked, HasSubstr("trained on bad data")));
}

TEST_F(RolesTest, every_flipped_byte_is_refused) {
  const std::string good = sign(targets_, {targets_key_});
  const TrustedRoot trusted = root();
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(verify_targets(trusted, bad)) << "byte " << i;
  }
}

TEST_F(RolesTest, a_root_must_be_signed_by_its_own_threshold) {
  const PrivateKey second = new_key();
  name_keys(root_, "root", {root_key_, second}, 2);
  EXPECT_THAT(TrustedRoot::pin(sign(root_, {root_key_})),
              ErrorIs(ErrorCode::untrusted, HasSubstr("1 of the 2")));
  EXPECT_THAT(TrustedRoot::pin(sign(root_, {root_key_, second})), IsOk());
  root_.roles["root"].threshold = 3;
  EXPECT_THAT(TrustedRoot::pin(sign(root_, {root_key_, second})),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("threshold")));
}

TEST_F(RolesTest, roots_follow_each_other_by_old_and_new_keys) {
  const TrustedRoot first = root();
  const PrivateKey next_key = new_key();
  RootMetadata next = root_;
  next.version = 2;
  next.keys.erase(root_key_.public_key().id());
  name_keys(next, "root", {next_key});
  EXPECT_THAT(first.follow(sign(next, {root_key_, next_key})), IsOk());
  EXPECT_THAT(first.follow(sign(next, {next_key})),
              ErrorIs(ErrorCode::untrusted, HasSubstr("after version 1")));
  EXPECT_THAT(first.follow(sign(next, {root_key_})), ErrorIs(ErrorCode::untrusted, HasSubstr("")));
  next.version = 3;
  EXPECT_THAT(first.follow(sign(next, {root_key_, next_key})),
              ErrorIs(ErrorCode::untrusted, HasSubstr("without gaps")));
  next.version = 1;
  EXPECT_FALSE(first.follow(sign(next, {root_key_, next_key}))) << "no step back either";
}

TEST_F(RolesTest, a_timestamp_names_exactly_one_snapshot) {
  SnapshotMetadata snapshot;
  snapshot.expires = now + std::chrono::days(1);
  snapshot.versions = {{"targets", 1}, {"revoked", 1}, {"stage-a", 7}};
  const auto verified = verify_snapshot(root(), sign(snapshot, {online_key_}));
  ASSERT_THAT(verified, IsOk());
  EXPECT_EQ(**verified, snapshot);
  TimestampMetadata timestamp;
  timestamp.expires = snapshot.expires;
  timestamp.issued = now;
  timestamp.snapshot = sha256(verified->envelope());
  timestamp.snapshot_size = ByteCount(verified->envelope().size());
  const auto named = verify_timestamp(root(), sign(timestamp, {online_key_}));
  ASSERT_THAT(named, IsOk());
  EXPECT_EQ(**named, timestamp);
  EXPECT_THAT(check_snapshot(*named, *verified), IsOk());
  snapshot.versions["stage-a"] = 8;
  const auto other = verify_snapshot(root(), sign(snapshot, {online_key_}));
  EXPECT_THAT(check_snapshot(*named, *other), ErrorIs(ErrorCode::untrusted, HasSubstr("snapshot")));
}

TEST_F(RolesTest, a_timestamp_is_signed_before_it_expires) {
  TimestampMetadata timestamp;
  timestamp.issued = timestamp.expires = now;
  EXPECT_THAT(verify_timestamp(root(), sign(timestamp, {online_key_})),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("timestamp.issued: must be before")));
  timestamp.issued = now - std::chrono::seconds(1);
  EXPECT_THAT(verify_timestamp(root(), sign(timestamp, {online_key_})), IsOk());
}

TEST(Freshness, expires_at_its_second) {
  RoleHeader header;
  header.expires = now;
  EXPECT_THAT(check_expiry("targets", header, now - std::chrono::seconds(1)), IsOk());
  EXPECT_THAT(check_expiry("targets", header, now),
              ErrorIs(ErrorCode::expired, HasSubstr("targets: expired on 2027-01-15")));
}

TEST_F(RolesTest, versions_never_fall_until_a_new_root_changes_the_keys) {
  VersionFloors floors;
  floors.raise("timestamp", (std::uint64_t{1} << 53) - 1);  // by a thief of the online key
  floors.raise("targets", 4);
  floors.raise("stage-a", 9);
  EXPECT_THAT(floors.check("timestamp", 12), ErrorIs(ErrorCode::untrusted, HasSubstr("older")));
  EXPECT_THAT(floors.check("targets", 4), IsOk());
  RootMetadata next = root_;
  next.version = 2;
  name_keys(next, "timestamp", {new_key()});
  const auto nothing = [](const std::string&) { return false; };
  floors.accept_root(root_, next, nothing);
  EXPECT_THAT(floors.check("timestamp", 1), IsOk());
  EXPECT_FALSE(floors.check("targets", 3));
  EXPECT_FALSE(floors.check("stage-a", 8));
  EXPECT_FALSE(floors.check("root", 1));
  RootMetadata rekeyed = next;
  name_keys(rekeyed, "targets", {new_key()});
  floors.accept_root(next, rekeyed, [](const std::string& role) { return role == "targets"; });
  EXPECT_FALSE(floors.check("stage-a", 8)) << "what is known counts under the new root as well";
  floors.accept_root(next, rekeyed, nothing);
  EXPECT_THAT(floors.check("stage-a", 1), IsOk());
}

}  // namespace
}  // namespace outcrop::trust
