#include "trainer_host/fleet/monitor/audit.hpp"

#include <gmock/gmock.h>

#include "trainer_host/fleet/monitor/owner_notes.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/fleet/registry/registry.hpp"
#include "trainer_host/fleet/registry/sqlite.hpp"

namespace outcrop::fleet::monitor {
namespace {

using ::testing::HasSubstr;

class AuditTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = open_sqlite_registry(file_);
    ASSERT_THAT(opened, IsOk());
    registry_ = std::move(*opened);
    log_.emplace(*registry_, clock_);
    ASSERT_THAT(log_->record("uid 1000", "rollout-started", "r1", R"({"canaries":["pi-1"]})"), IsOk());
    ASSERT_THAT(log_->record("outcropd", "rollout-decided", "r1", R"({"state":"widening"})"), IsOk());
    ASSERT_THAT(log_->record("uid 1000", "revoked", "pi-9\n"), IsOk());
  }
  // All of it, from the first on.
  Status check() {
    ChainCheck chain;
    const auto entries = log_->after(0, 1000);
    if (!entries) return fail(entries.error());
    for (const AuditEntry& entry : *entries) OUTCROP_CHECK(chain.next(entry));
    return {};
  }
  // As whoever has the file may, the triggers out of the way.
  void tamper(const std::string& sql) {
    auto database = Database::open(file_);
    ASSERT_THAT(database, IsOk());
    ASSERT_THAT(database->script("DROP TRIGGER audit_has_no_gap; DROP TRIGGER audit_does_not_change; "
                                 "DROP TRIGGER audit_does_not_end;" + sql),
                IsOk());
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "registry.sqlite";
  SystemClock clock_;
  std::unique_ptr<Registry> registry_;
  std::optional<RegistryAuditLog> log_;
};

TEST_F(AuditTest, each_entry_goes_on_from_the_one_before) {
  EXPECT_THAT(check(), IsOk());
  const auto page = log_->page(std::nullopt, 2, "", "");
  ASSERT_THAT(page, IsOk());
  ASSERT_EQ(page->entries.size(), 2U);
  EXPECT_EQ(page->entries[0].number, 3U);
  EXPECT_EQ(page->entries[0].before, page->entries[1].hash);
  EXPECT_EQ(page->entries[0].subject.find('\n'), std::string::npos);
  ASSERT_EQ(page->older, 2U);
  const auto rest = log_->page(page->older, 2, "", "");
  ASSERT_THAT(rest, IsOk());
  EXPECT_EQ(rest->entries.size(), 1U);
  EXPECT_EQ(rest->older, std::nullopt);
  EXPECT_EQ(rest->entries[0].before, trust::Sha256Digest());
}

TEST_F(AuditTest, is_asked_by_subject_and_action) {
  EXPECT_EQ(log_->page({}, 10, "r1", "")->entries.size(), 2U);
  EXPECT_EQ(log_->page({}, 10, "r1", "rollout-decided")->entries.size(), 1U);
  EXPECT_EQ(log_->page({}, 10, "", "revoked")->entries.size(), 1U);
  EXPECT_EQ(log_->page({}, 10, "pi-9", "rollout-started")->entries.size(), 0U);
  EXPECT_THAT(log_->page({}, 0, "", ""), ErrorIs(ErrorCode::invalid_argument, HasSubstr("1 to 1000")));
  EXPECT_EQ(log_->last(), 3U);
  EXPECT_EQ(log_->after(2, 10)->size(), 1U);
}

TEST_F(AuditTest, stands_or_falls_with_the_transaction_that_it_tells_of) {
  const Status status = registry_->transaction([&]() -> Status {
    OUTCROP_CHECK(log_->record("uid 0", "revoked", "pi-1"));
    return fail(ErrorCode::refused, "no");
  });
  EXPECT_THAT(status, ErrorIs(ErrorCode::refused, HasSubstr("no")));
  EXPECT_EQ(log_->last(), 3U);
  EXPECT_THAT(check(), IsOk());
}

TEST_F(AuditTest, the_database_changes_and_removes_no_entry_and_leaves_no_gap) {
  auto database = Database::open(file_);
  ASSERT_THAT(database, IsOk());
  EXPECT_THAT(database->run("UPDATE audit SET who = 'nobody' WHERE number = 1"),
              ErrorIs(ErrorCode::refused, HasSubstr("never changed")));
  EXPECT_THAT(database->run("DELETE FROM audit WHERE number = 3"),
              ErrorIs(ErrorCode::refused, HasSubstr("never removed")));
  AuditEntry later;
  later.number = 9;
  EXPECT_THAT(registry_->append(later), ErrorIs(ErrorCode::refused, HasSubstr("another number")));
}

TEST_F(AuditTest, a_changed_word_shows) {
  tamper("UPDATE audit SET who = 'nobody' WHERE number = 2");
  EXPECT_THAT(check(), ErrorIs(ErrorCode::untrusted, HasSubstr("entry 2 of the audit log was changed")));
}

TEST_F(AuditTest, a_removed_entry_shows) {
  tamper("DELETE FROM audit WHERE number = 2");
  EXPECT_THAT(check(), ErrorIs(ErrorCode::untrusted, HasSubstr("is gone")));
}

// Who writes the entry anew with a hash of its own breaks the next one, and at last the head that was noted.
TEST_F(AuditTest, an_entry_that_was_written_anew_shows_in_the_next) {
  AuditEntry forged = log_->after(1, 1)->front();
  forged.detail = "{}";
  tamper("UPDATE audit SET detail = '{}', hash = '" + hash_of(forged).hex() + "' WHERE number = 2");
  EXPECT_THAT(check(), ErrorIs(ErrorCode::untrusted, HasSubstr("entry 3 of the audit log does not go on")));
}

TEST_F(AuditTest, a_board_that_holds_and_holds_no_more_all_the_time_does_not_fill_it) {
  OwnerNotes notes(*log_);
  Allowance::Time now{std::chrono::hours(1)};
  for (int i = 0; i < 1000; ++i) ASSERT_THAT(notes.on_held("pi-1", i % 2 == 0, now += std::chrono::seconds(1)), IsOk());
  EXPECT_LE(log_->page({}, 100, "pi-1", "")->entries.size(), 9U);
  ASSERT_THAT(notes.on_held("pi-2", true, now), IsOk());
  EXPECT_EQ(log_->page({}, 100, "pi-2", "hold")->entries.size(), 1U) << "another owner's word";
  ASSERT_THAT(notes.on_held("pi-1", true, now += std::chrono::hours(2)), IsOk());
  EXPECT_THAT(log_->page({}, 100, "pi-1", "")->entries.front().detail, HasSubstr("\"not_noted\":99"));
}

TEST_F(AuditTest, takes_no_book_for_a_detail) {
  EXPECT_THAT(log_->record("uid 0", "api", "x", std::string(20'000, ' ')),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("16 KiB")));
}

// As an earlier outcropd wrote it, whose texts had C1's control characters as they were.
TEST(AuditHash, stays_what_it_was) {
  AuditEntry entry;
  entry.number = 1;
  entry.time = Timestamp(std::chrono::seconds(1000));
  entry.who = "token ops";
  entry.action = "rollout-started";
  entry.subject = "r";
  entry.detail = "{\"a\":\"\u009b\x7f\u00e4\"}";
  EXPECT_EQ(hash_of(entry).hex(), "6772a9d6863f33b92bf7673c558b712561ca5a3c28c21877cb76dfc5fef7ba42");
}

}  // namespace
}  // namespace outcrop::fleet::monitor
