#include <gmock/gmock.h>

#include <algorithm>

#include "agent/verify/metadata_fixture.hpp"

namespace outcrop::agent {
namespace {

using std::chrono::days;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Optional;

constexpr std::uint64_t highest = (std::uint64_t{1} << 53) - 1;

TEST_F(MetadataTest, a_board_three_roots_behind_catches_up_in_any_order) {
  MetadataStore store = open();
  accept_all(store, documents());
  const std::string second = next_root({"root"});
  const std::string third = next_root({"timestamp", "snapshot"});
  const std::string fourth = next_root({"root", "targets", "revoked"});
  ++targets_.version;
  ++revoked_.version;
  release("release 2");
  const Messages all = documents();
  // By keys that this board does not know yet: kept aside.
  for (const auto& [role, envelope] : all) (void)store.accept(role, envelope);
  EXPECT_EQ(store.snapshot_version(), 1U);
  EXPECT_THAT(store.accept("root/4", fourth), Optional(false));
  EXPECT_THAT(store.accept("root/3", third), Optional(false));
  EXPECT_EQ(store.root_version(), 1U);
  EXPECT_THAT(store.accept("root/2", second), Optional(true));
  EXPECT_EQ(store.root_version(), 4U);
  EXPECT_THAT(store.check_install(manifest("release 2"), 2), IsOk());
  const MetadataStore again = open();
  EXPECT_EQ(again.root_version(), 4U);
  EXPECT_EQ(again.snapshot_version(), 2U);
}

TEST_F(MetadataTest, roots_of_strangers_are_not_followed) {
  MetadataStore store = open();
  trust::RootMetadata next = root_;
  next.version = 2;
  const auto stranger = *trust::PrivateKey::generate();
  const auto sign_by = [&](const trust::PrivateKey& by) {
    return trust::sign_envelope("root", as_bytes(to_json(next)), std::vector{by});
  };
  EXPECT_THAT(store.accept("root/2", sign_by(stranger)),
              ErrorIs(ErrorCode::untrusted, HasSubstr("after version 1")));
  next.version = 3;
  EXPECT_THAT(store.accept("root/3", sign_by(stranger)), Optional(false)) << "not judged yet";
  next.version = 2;
  EXPECT_THAT(store.accept("root/2", sign_by(key("root"))), Optional(true));
  EXPECT_EQ(store.root_version(), 2U) << "the stranger's third is not followed";
  next.version = 3;
  EXPECT_THAT(store.accept("root/3", sign_by(key("root"))), Optional(true));
  EXPECT_EQ(store.root_version(), 3U);
}

TEST_F(MetadataTest, a_new_root_of_the_same_keys_leaves_the_set) {
  MetadataStore store = open();
  accept_all(store, documents());
  EXPECT_THAT(store.accept("root/2", next_root({})), Optional(true));
  EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
}

TEST_F(MetadataTest, a_version_far_in_the_future_is_undone_by_a_root_with_new_online_keys) {
  MetadataStore store = open();
  timestamp_.version = snapshot_.version = highest;  // a thief of the online keys
  accept_all(store, documents());
  EXPECT_EQ(store.snapshot_version(), highest);
  timestamp_.version = snapshot_.version = 2;
  for (const auto& [role, envelope] : documents()) {
    if (role == "timestamp" || role == "snapshot") {
      EXPECT_THAT(store.accept(role, envelope), ErrorIs(ErrorCode::untrusted, HasSubstr("")));
    }
  }
  EXPECT_THAT(store.accept("root/2", next_root({"timestamp", "snapshot"})), Optional(true));
  EXPECT_EQ(store.snapshot_version(), 0U);
  timestamp_.version = snapshot_.version = 1;
  EXPECT_TRUE(accept_all(store, documents()));
  EXPECT_EQ(store.snapshot_version(), 1U);
  EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
}

TEST_F(MetadataTest, what_a_new_root_does_not_touch_need_not_come_again) {
  MetadataStore store = open();
  accept_all(store, documents());
  EXPECT_THAT(store.accept("root/2", next_root({"timestamp"})), Optional(true));
  EXPECT_EQ(store.snapshot_version(), 0U);
  ++timestamp_.version;
  EXPECT_THAT(store.accept("timestamp", documents().back().second), Optional(true));
  EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());

  EXPECT_THAT(store.accept("root/3", next_root({"timestamp", "snapshot"})), Optional(true));
  ++timestamp_.version;
  const Messages online = documents();
  EXPECT_THAT(store.accept("snapshot", online[3].second), Optional(false));
  EXPECT_THAT(store.accept("timestamp", online[4].second), Optional(true));
  EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
}

// What is known counts under both roots: an older one does not count again.
TEST_F(MetadataTest, versions_go_on_where_the_old_key_stays_beside_the_new) {
  MetadataStore store = open();
  timestamp_.version = 50;
  accept_all(store, documents());
  const auto second = *trust::PrivateKey::generate();
  ++root_.version;
  root_.keys[second.public_key().id()] = second.public_key();
  root_.roles["timestamp"].keyids.push_back(second.public_key().id());
  EXPECT_THAT(store.accept("root/2", sign_root({"root"})), Optional(true));
  EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
  timestamp_.version = 1;
  EXPECT_THAT(store.accept("timestamp", documents().back().second),
              ErrorIs(ErrorCode::untrusted, HasSubstr("older than version 50")));
  timestamp_.version = 51;
  EXPECT_TRUE(accept_all(store, documents()));
}

// Else whoever holds the broker brings back the list of before the last revocation.
TEST_F(MetadataTest, a_root_that_adds_a_key_lets_no_older_list_count) {
  auto store = open();
  revoked_.version = 5;
  const std::string older = sign(revoked_, "revoked");
  revoked_.version = 6;
  revoked_.manifests = {{manifest("release 1"), "wrong data", start}};
  accept_all(store, documents());
  const trust::PublicKey second = key("second revoked").public_key();
  root_.keys[second.id()] = second;
  root_.roles["revoked"].keyids.push_back(second.id());
  EXPECT_THAT(store.accept("root/2", next_root({})), Optional(true));
  EXPECT_THAT(store.accept("revoked", older), ErrorIs(ErrorCode::untrusted, HasSubstr("older")));
  EXPECT_THAT(store.check_run(manifest("release 1")), ErrorIs(ErrorCode::revoked, HasSubstr("")));
  // The same for every role: what was believed still is.
  EXPECT_EQ(store.snapshot_version(), snapshot_.version);
  ++revoked_.version;
  EXPECT_THAT(store.accept("revoked", sign(revoked_, "second revoked")), Optional(true));
}

// A stolen stage key signs the highest version there is; its successor begins anew.
TEST_F(MetadataTest, another_stage_key_lets_the_list_of_its_model_begin_anew) {
  auto store = open();
  accept_all(store, documents());
  stage_.version = (std::uint64_t{1} << 53) - 1;
  stage_.releases = {{trust::sha256("of a thief"), ByteCount(9), 1, 20}};
  ++snapshot_.version;
  ++timestamp_.version;
  accept_all(store, documents());
  EXPECT_THAT(store.check_install(manifest("of a thief"), 1), IsOk());
  const trust::KeyId stolen = key("stage").public_key().id();
  keys_.erase("stage");
  delegate(key("stage"));
  ++targets_.version;
  revoked_.keys = {{stolen, "stolen", start}};
  ++revoked_.version;
  stage_.version = 2;
  stage_.releases = {{trust::sha256("release 1"), ByteCount(9), 1, 20}};
  ++snapshot_.version;
  ++timestamp_.version;
  for (const auto& [role, envelope] : documents()) (void)store.accept(role, envelope);
  EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
  EXPECT_THAT(store.check_install(manifest("of a thief"), 1),
              ErrorIs(ErrorCode::untrusted, HasSubstr("does not permit")));
  EXPECT_THAT(open().check_install(manifest("release 1"), 1), IsOk());
  stage_.version = 1;
  ++snapshot_.version;
  ++timestamp_.version;
  for (const auto& [role, envelope] : documents()) (void)store.accept(role, envelope);
  EXPECT_EQ(store.snapshot_version(), snapshot_.version - 1) << "from then on they only rise";
}

TEST_F(MetadataTest, a_revoked_list_outlives_its_keys_until_the_new_ones_have_signed) {
  MetadataStore store = open();
  revoked_.version = 9;
  revoked_.manifests = {{manifest("release 1"), "wrong data", start}};
  accept_all(store, documents());
  EXPECT_THAT(store.accept("root/2", next_root({"revoked"})), Optional(true));
  EXPECT_THAT(store.check_run(manifest("release 1")), ErrorIs(ErrorCode::revoked, HasSubstr("")));
  EXPECT_THAT(open().check_run(manifest("release 1")), ErrorIs(ErrorCode::revoked, HasSubstr("")));
  // A thief had revoked all: the new keys take it back.
  revoked_.version = 1;
  revoked_.manifests.clear();
  EXPECT_THAT(store.accept("revoked", sign(revoked_, "revoked")), Optional(true));
  EXPECT_THAT(open().check_run(manifest("release 1")), IsOk());
}

TEST_F(MetadataTest, a_board_without_a_clock_believes_the_newest_timestamp) {
  synchronised_ = false;
  clock_.time = start + days(40);  // of the host
  MetadataStore store = open();
  EXPECT_EQ(store.now(), Timestamp{}) << "the machine's clock is not believed";
  accept_all(store, documents());
  EXPECT_EQ(store.now(), start + days(40));
  EXPECT_EQ(open().now(), start + days(40));
  EXPECT_THAT(store.check_install(manifest("release 1"), 1),
              ErrorIs(ErrorCode::expired, HasSubstr("snapshot: expired")));
  clock_.time = start + days(20);
  ++timestamp_.version;
  accept_all(store, documents());
  EXPECT_EQ(store.now(), start + days(40)) << "the floor never falls";
}

TEST_F(MetadataTest, refused_metadata_does_not_move_the_time) {
  synchronised_ = false;
  MetadataStore store = open();
  accept_all(store, documents());
  timestamp_.issued = start + days(20);
  timestamp_.expires = start + days(27);
  ++timestamp_.version;
  EXPECT_FALSE(store.accept("timestamp", sign(timestamp_, "targets")));
  EXPECT_EQ(store.now(), start);
  clock_.time = start + days(900);
  EXPECT_EQ(store.now(), start);
}

TEST_F(MetadataTest, a_time_far_in_the_future_is_undone_by_a_root_with_new_online_keys) {
  synchronised_ = false;
  MetadataStore store = open();
  accept_all(store, documents());
  clock_.time = start + days(100'000);  // a thief of the online key
  timestamp_.version = 7;
  accept_all(store, documents());
  EXPECT_EQ(store.now(), targets_.expires - std::chrono::seconds(1))
      << "never beyond what offline keys signed";
  clock_.time = start + days(1);
  EXPECT_THAT(store.accept("root/2", next_root({"timestamp", "snapshot"})), Optional(true));
  EXPECT_EQ(store.now(), Timestamp{});
  timestamp_.version = 1;
  EXPECT_TRUE(accept_all(store, documents()));
  EXPECT_EQ(store.now(), start + days(1));
  EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
}

TEST_F(MetadataTest, a_host_whose_clock_was_ahead_once_is_told_how_to_let_boards_in_again) {
  synchronised_ = false;
  MetadataStore store = open();
  clock_.time = start + days(60);
  accept_all(store, documents());
  clock_.time = start;  // set right
  ++timestamp_.version;
  accept_all(store, documents());
  EXPECT_THAT(store.check_install(manifest("release 1"), 1),
              ErrorIs(ErrorCode::expired, AllOf(HasSubstr("timestamp: expired on"),
                                                HasSubstr("with a clock that was ahead"),
                                                HasSubstr("keys rotate snapshot timestamp"))));
  EXPECT_THAT(store.accept("root/2", next_root({"timestamp", "snapshot"})), Optional(true));
  timestamp_.version = 1;
  accept_all(store, documents());
  EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
}

TEST_F(MetadataTest, the_first_to_end_comes_first) {
  MetadataStore store = open();
  accept_all(store, documents());
  const auto all = store.expiries();
  std::vector<std::string> names;
  for (const Expiry& expiry : all) names.push_back(expiry.what);
  EXPECT_THAT(names, ::testing::ElementsAre("timestamp", "snapshot", "revoked", "targets",
                                            "stage-curvefault", "root"));
  EXPECT_TRUE(all[0].renewed_by_host && all[1].renewed_by_host && !all[2].renewed_by_host);
}

TEST_F(MetadataTest, a_board_with_a_clock_refuses_a_time_far_in_the_future) {
  MetadataStore store = open();
  accept_all(store, documents());
  clock_.time = start + days(50);
  ++timestamp_.version;
  const Messages future = documents();
  clock_.time = start;
  EXPECT_THAT(store.accept("timestamp", future.back().second),
              ErrorIs(ErrorCode::untrusted, HasSubstr("in the future")));
  EXPECT_EQ(store.now(), start);
  EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
}

TEST_F(MetadataTest, the_age_shows_withheld_metadata) {
  MetadataStore store = open();
  EXPECT_EQ(store.age(), std::chrono::seconds(0));
  accept_all(store, documents());
  clock_.time = start + days(3);
  EXPECT_EQ(store.age(), days(3));
  synchronised_ = false;
  EXPECT_EQ(store.age(), days(3)) << "since it came, by the machine's own clock";
  ++timestamp_.version;
  accept_all(store, documents());
  EXPECT_EQ(store.age(), std::chrono::seconds(0));
  clock_.time = start;
  EXPECT_EQ(store.age(), std::chrono::seconds(0)) << "a clock that went back";
}

}  // namespace
}  // namespace outcrop::agent
