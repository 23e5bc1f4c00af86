#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "agent/verify/metadata_fixture.hpp"
#include "protocol/base/durable_file.hpp"

namespace outcrop::agent {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;
using trust::Revocation;

TEST_F(MetadataTest, installs_nothing_before_a_whole_set_is_here) {
  MetadataStore store = open();
  EXPECT_EQ(store.root_version(), 1U);
  EXPECT_EQ(store.snapshot_version(), 0U);
  const Messages all = documents();
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_THAT(store.check_install(manifest("release 1"), 1),
                ErrorIs(ErrorCode::not_found, HasSubstr("wait")));
    const auto changed = store.accept(all[i].first, all[i].second);
    ASSERT_THAT(changed, IsOk());
  }
  EXPECT_EQ(store.snapshot_version(), 1U);
  const auto permitted = store.check_install(manifest("release 1"), 1);
  ASSERT_THAT(permitted, IsOk());
  EXPECT_EQ(*permitted, stage_.releases[0]);
  EXPECT_THAT(store.check_install(manifest("another"), 1),
              ErrorIs(ErrorCode::untrusted, HasSubstr("does not permit the manifest")));
}

TEST_F(MetadataTest, the_order_of_arrival_does_not_matter) {
  Messages all = documents();
  std::sort(all.begin(), all.end());
  do {
    std::filesystem::remove_all(folder_);
    MetadataStore store = open();
    EXPECT_TRUE(accept_all(store, all));
    EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
  } while (std::next_permutation(all.begin(), all.end()));
}

TEST_F(MetadataTest, what_comes_again_changes_nothing) {
  MetadataStore store = open();
  const Messages all = documents();
  EXPECT_TRUE(accept_all(store, all));
  EXPECT_FALSE(accept_all(store, all));
  EXPECT_THAT(store.accept("root/1", root_text_), ::testing::Optional(false));
}

TEST_F(MetadataTest, a_new_release_counts_when_its_set_is_whole_and_the_old_set_until_then) {
  MetadataStore store = open();
  accept_all(store, documents());
  release("release 2");
  Messages next = documents();
  std::reverse(next.begin(), next.end());  // timestamp first, the stage role last but two
  for (const auto& [role, envelope] : next) {
    EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
    ASSERT_THAT(store.accept(role, envelope), IsOk());
  }
  EXPECT_EQ(store.snapshot_version(), 2U);
  EXPECT_THAT(store.check_install(manifest("release 2"), 2), IsOk());
  EXPECT_THAT(store.check_install(manifest("release 2"), 3),
              ErrorIs(ErrorCode::not_found, HasSubstr("wait for 3")));
}

TEST_F(MetadataTest, a_timestamp_waits_for_the_snapshot_that_it_names) {
  MetadataStore store = open();
  accept_all(store, documents());
  release("release 2");
  const Messages second = documents();
  release("release 3");
  const Messages third = documents();
  // Snapshot of the third set, timestamp of the second: they do not belong together.
  EXPECT_THAT(store.accept("stage-curvefault", second[2].second), ::testing::Optional(false));
  EXPECT_THAT(store.accept("timestamp", second[4].second), ::testing::Optional(false));
  EXPECT_THAT(store.accept("snapshot", third[3].second), ::testing::Optional(false));
  EXPECT_EQ(store.snapshot_version(), 1U);
  EXPECT_THAT(store.accept("timestamp", third[4].second), ::testing::Optional(false));
  EXPECT_THAT(store.accept("stage-curvefault", third[2].second), ::testing::Optional(true));
  EXPECT_EQ(store.snapshot_version(), 3U);
}

TEST_F(MetadataTest, old_documents_are_not_accepted_again) {
  MetadataStore store = open();
  const Messages old = documents();
  accept_all(store, old);
  ++targets_.version;
  ++revoked_.version;
  release("release 2");
  accept_all(store, documents());
  for (const auto& [role, envelope] : old) {
    EXPECT_THAT(store.accept(role, envelope),
                ErrorIs(ErrorCode::untrusted, HasSubstr("seen before")))
        << role;
  }
  MetadataStore again = open();
  EXPECT_THAT(again.accept("timestamp", old[4].second),
              ErrorIs(ErrorCode::untrusted, HasSubstr("seen before")));
  EXPECT_EQ(again.snapshot_version(), 2U);
}

TEST_F(MetadataTest, a_stage_role_does_not_vanish_from_the_snapshot) {
  MetadataStore store = open();
  accept_all(store, documents());
  ++snapshot_.version;
  ++timestamp_.version;
  (void)documents();
  snapshot_.versions.erase("stage-curvefault");
  const std::string snapshot = sign(snapshot_, "snapshot");
  timestamp_.snapshot_version = snapshot_.version;
  timestamp_.snapshot = trust::sha256(snapshot);
  timestamp_.snapshot_size = ByteCount(snapshot.size());
  EXPECT_THAT(store.accept("snapshot", snapshot), ::testing::Optional(false));
  EXPECT_THAT(store.accept("timestamp", sign(timestamp_, "timestamp")), ::testing::Optional(false));
  EXPECT_EQ(store.snapshot_version(), 1U);
}

TEST_F(MetadataTest, a_set_without_our_model_permits_nothing_yet) {
  MetadataStore store = open();
  (void)documents();
  snapshot_.versions.erase("stage-curvefault");
  const std::string snapshot = sign(snapshot_, "snapshot");
  timestamp_.snapshot = trust::sha256(snapshot);
  timestamp_.snapshot_size = ByteCount(snapshot.size());
  accept_all(store, {{"timestamp", sign(timestamp_, "timestamp")},
                     {"snapshot", snapshot},
                     {"targets", sign(targets_, "targets")},
                     {"revoked", sign(revoked_, "revoked")}});
  EXPECT_EQ(store.snapshot_version(), 1U);
  EXPECT_THAT(store.check_install(manifest("release 1"), 1),
              ErrorIs(ErrorCode::untrusted, HasSubstr("no release of this model")));
  release("release 2");
  accept_all(store, documents());
  EXPECT_THAT(store.check_install(manifest("release 2"), 2), IsOk());
}

TEST_F(MetadataTest, refuses_other_keys_other_roles_and_rubbish) {
  MetadataStore store = open();
  const auto refused = [&](const char* role, const std::string& envelope, ErrorCode code,
                           const char* message) {
    EXPECT_THAT(store.accept(role, envelope), ErrorIs(code, HasSubstr(message))) << role;
  };
  refused("targets", sign(targets_, "timestamp"), ErrorCode::untrusted, "does not name");
  refused("timestamp", sign(timestamp_, "snapshot"), ErrorCode::untrusted, "does not name");
  refused("targets", sign(revoked_, "targets"), ErrorCode::untrusted, "payload type");
  refused("snapshot", "no envelope", ErrorCode::invalid_data, "");
  refused("snapshot", std::string(2'000'000, '{'), ErrorCode::invalid_data, "2.00 MB");
  refused("mirrors", sign(targets_, "targets"), ErrorCode::invalid_argument, "no role is called");
  refused("root/x", root_text_, ErrorCode::invalid_argument, "no role is called 'root/x'");
  refused("root", root_text_, ErrorCode::invalid_argument, "no role is called 'root'");
  refused("root/2", root_text_, ErrorCode::untrusted, "without gaps");
  refused("root/1000000", root_text_, ErrorCode::refused, "too far ahead");
  EXPECT_THAT(store.accept("stage-other", "whatever"), ::testing::Optional(false));
  // None of it stands in the way of what is right.
  accept_all(store, documents());
  refused("stage-curvefault", sign(stage_, "targets"), ErrorCode::untrusted, "does not name");
  EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
}

TEST_F(MetadataTest, a_flood_of_rubbish_does_not_displace_what_waits) {
  MetadataStore store = open();
  Messages all = documents();
  const auto last = all.back();
  all.pop_back();
  accept_all(store, all);
  for (int i = 0; i < 20; ++i) {
    for (const auto& [role, envelope] : all) {
      (void)store.accept(role, "rubbish " + std::to_string(i));
    }
  }
  EXPECT_THAT(store.accept(last.first, last.second), ::testing::Optional(true));
  EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
}

TEST_F(MetadataTest, a_revoked_list_counts_at_once) {
  MetadataStore store = open();
  accept_all(store, documents());
  EXPECT_THAT(store.check_run(manifest("release 1")), IsOk());
  ++revoked_.version;
  revoked_.manifests = {{manifest("release 1"), "wrong data", start}};
  EXPECT_THAT(store.accept("revoked", sign(revoked_, "revoked")), ::testing::Optional(true));
  EXPECT_THAT(store.check_run(manifest("release 1")),
              ErrorIs(ErrorCode::revoked, HasSubstr("wrong data")));
  EXPECT_THAT(open().check_install(manifest("release 1"), 1),
              ErrorIs(ErrorCode::revoked, HasSubstr("wrong data")));
  // The set goes on: the timestamp is renewed without naming the new list yet.
  --revoked_.version;
  ++timestamp_.version;
  const Messages renewed = documents();
  EXPECT_THAT(store.accept("timestamp", renewed.back().second), ::testing::Optional(true));
  EXPECT_THAT(store.check_run(manifest("release 1")), ErrorIs(ErrorCode::revoked, HasSubstr("")));
}

TEST_F(MetadataTest, a_revoked_stage_key_permits_nothing_more) {
  MetadataStore store = open();
  accept_all(store, documents());
  ++revoked_.version;
  revoked_.keys = {{key("stage").public_key().id(), "stolen laptop", start}};
  EXPECT_THAT(store.accept("revoked", sign(revoked_, "revoked")), ::testing::Optional(true));
  EXPECT_THAT(store.check_install(manifest("release 1"), 1),
              ErrorIs(ErrorCode::revoked, HasSubstr("stolen laptop")));
  EXPECT_THAT(open().check_install(manifest("release 1"), 1),
              ErrorIs(ErrorCode::revoked, HasSubstr("stolen laptop")));
  EXPECT_THAT(store.check_run(manifest("release 1")), IsOk()) << "what was committed goes on";
  // A new key for the model, named by targets.
  keys_.erase("stage");
  delegate(key("stage"));
  ++targets_.version;
  release("release 2");
  Messages next = documents();
  std::rotate(next.begin(), next.begin() + 2, next.end());  // the stage role before its targets
  for (const auto& [role, envelope] : next) (void)store.accept(role, envelope);
  EXPECT_THAT(store.check_install(manifest("release 2"), 2), IsOk());
}

TEST_F(MetadataTest, what_has_expired_installs_nothing_and_still_runs) {
  MetadataStore store = open();
  accept_all(store, documents());
  clock_.time = timestamp_.expires;
  EXPECT_THAT(store.check_install(manifest("release 1"), 1),
              ErrorIs(ErrorCode::expired, HasSubstr("timestamp: expired on")));
  EXPECT_THAT(store.check_run(manifest("release 1")), IsOk());
  ++timestamp_.version;
  accept_all(store, documents());
  EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
  for (const auto& [role, expires] :
       std::map<std::string, Timestamp>{{"snapshot", snapshot_.expires},
                                        {"targets", targets_.expires},
                                        {"root", root_.expires}}) {
    clock_.time = expires;
    ++timestamp_.version;
    accept_all(store, documents());
    EXPECT_THAT(store.check_install(manifest("release 1"), 1),
                ErrorIs(ErrorCode::expired, HasSubstr("expired on")))
        << role;
  }
}

TEST_F(MetadataTest, a_full_disk_changes_nothing) {
  MetadataStore store = open();
  accept_all(store, documents());
  release("release 2");
  const Messages next = documents();
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 100;
  ::setrlimit(RLIMIT_FSIZE, &small);
  std::size_t failures = 0;
  for (const auto& [role, envelope] : next) {
    if (!store.accept(role, envelope)) ++failures;
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(failures, 1U);
  EXPECT_EQ(store.snapshot_version(), 1U);
  EXPECT_EQ(open().snapshot_version(), 1U);
  EXPECT_TRUE(accept_all(store, next)) << "it is tried again";
  EXPECT_EQ(open().snapshot_version(), 2U);
}

TEST_F(MetadataTest, survives_a_damaged_state_by_its_spare) {
  {
    MetadataStore store = open();
    accept_all(store, documents());
  }
  const std::filesystem::path file = folder_ / "trusted.json";
  const std::string good = *read_text_file(file);
  std::string changed = good;
  const auto targets = good.find("payload", good.find("\"targets\""));
  changed[targets + 20] = changed[targets + 20] == 'A' ? 'B' : 'A';
  for (const std::string& text :
       {good.substr(0, good.size() / 2), std::string(), std::string(good.size(), '\0'), changed}) {
    ASSERT_THAT(write_file_durably(file, text), IsOk());
    const MetadataStore store = open();
    EXPECT_EQ(store.snapshot_version(), 1U);
    EXPECT_THAT(store.trouble(), Optional(HasSubstr("trusted.json is damaged")));
    EXPECT_EQ(*read_text_file(file), good);
    EXPECT_EQ(open().trouble(), std::nullopt);
  }
}

TEST_F(MetadataTest, trusts_the_root_of_the_enrolment_where_all_else_is_lost) {
  {
    MetadataStore store = open();
    accept_all(store, documents());
  }
  for (const char* name : {"trusted.json", "trusted.json.spare"}) {
    ASSERT_THAT(write_file_durably(folder_ / name, std::string(100, '\0')), IsOk());
  }
  MetadataStore store = open();
  EXPECT_THAT(store.trouble(), Optional(HasSubstr("trust begins with the root of the enrolment")));
  EXPECT_THAT(store.check_install(manifest("release 1"), 1),
              ErrorIs(ErrorCode::not_found, HasSubstr("no whole set of metadata")));
  EXPECT_THAT(store.check_run(manifest("release 1")), IsOk());
  accept_all(store, documents());
  EXPECT_THAT(store.check_install(manifest("release 1"), 1), IsOk());
}

TEST_F(MetadataTest, leaves_a_state_of_a_newer_agent_as_it_is) {
  (void)open();
  ASSERT_THAT(write_file_durably(folder_ / "trusted.json", std::string_view("{\"format\":2}")), IsOk());
  EXPECT_THAT(try_open(), ErrorIs(ErrorCode::unsupported, HasSubstr("newer agent")));
  EXPECT_EQ(*read_text_file(folder_ / "trusted.json"), "{\"format\":2}");
}

TEST_F(MetadataTest, a_disk_that_takes_nothing_keeps_no_board_from_starting_nor_a_revocation_out) {
  MetadataStore store = open();
  accept_all(store, documents());
  // A folder where the temporary file belongs refuses root as well.
  const std::filesystem::path in_the_way =
      folder_ / ("trusted.json.tmp-" + std::to_string(::getpid()));
  std::filesystem::create_directory(in_the_way);
  ++revoked_.version;
  revoked_.manifests = {{manifest("release 1"), "wrong data", start}};
  EXPECT_THAT(store.accept("revoked", sign(revoked_, "revoked")), Optional(true));
  EXPECT_THAT(store.check_run(manifest("release 1")), ErrorIs(ErrorCode::revoked, HasSubstr("")));
  EXPECT_TRUE(store.trouble());
  EXPECT_EQ(store.snapshot_version(), 1U);
  const MetadataStore again = open();
  EXPECT_EQ(again.snapshot_version(), 1U);
  std::filesystem::remove(in_the_way);
  ++snapshot_.version;
  ++timestamp_.version;
  accept_all(store, documents());
  EXPECT_EQ(store.trouble(), std::nullopt);
  EXPECT_THAT(open().check_run(manifest("release 1")), ErrorIs(ErrorCode::revoked, HasSubstr("")));
}

TEST_F(MetadataTest, a_new_board_takes_nothing_older_than_its_enrolment) {
  const auto enrolled = [&](const std::string& name, std::uint64_t snapshot, Timestamp time) {
    auto store = MetadataStore::open(folder_ / name, root_text_, "curvefault", clock_, [] { return false; }, {{"snapshot", snapshot}}, time);
    EXPECT_THAT(store, IsOk());
    return std::move(*store);
  };
  const Timestamp then = timestamp_.issued + std::chrono::hours(1);
  MetadataStore behind = enrolled("behind", snapshot_.version + 1, then);
  for (const auto& [role, envelope] : documents()) (void)behind.accept(role, envelope);
  EXPECT_EQ(behind.snapshot_version(), 0U) << "replayed: the host had signed a newer one when the board was enrolled";
  EXPECT_EQ(behind.now(), then) << "without a clock, time is what the enrolment said";
  MetadataStore current = enrolled("current", snapshot_.version, then);
  for (const auto& [role, envelope] : documents()) (void)current.accept(role, envelope);
  EXPECT_EQ(current.snapshot_version(), snapshot_.version);
}

TEST_F(MetadataTest, another_model_or_enrolment_begins_anew) {
  {
    MetadataStore store = open();
    accept_all(store, documents());
  }
  const auto other = MetadataStore::open(folder_, root_text_, "other", clock_, [] { return true; });
  ASSERT_THAT(other, IsOk());
  EXPECT_EQ(other->snapshot_version(), 0U);
  root_.version = 1;
  rekey("root");
  root_text_ = sign_root({"root"});
  EXPECT_EQ(open().root_version(), 1U);
  EXPECT_THAT(open().check_install(manifest("release 1"), 1),
              ErrorIs(ErrorCode::not_found, HasSubstr("")));
  root_text_ = "no envelope";
  EXPECT_THAT(try_open(), ErrorIs(ErrorCode::invalid_data, HasSubstr("root of the enrolment")));
}

}  // namespace
}  // namespace outcrop::agent
