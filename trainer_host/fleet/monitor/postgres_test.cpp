#include <gmock/gmock.h>

#include <atomic>

#include "tests/support/result_matchers.hpp"
#include "trainer_host/fleet/monitor/file_history.hpp"
#include "trainer_host/fleet/monitor/postgres_server_for_tests.hpp"
#include "trainer_host/fleet/monitor/store.hpp"

namespace outcrop::fleet::monitor {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What is PostgreSQL's alone; the rest is HistoryTest's.
class PostgresTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!PostgresServer::is_here()) GTEST_SKIP() << "no PostgreSQL here: script/bootstrap --postgresql, then build again";
    static int number = 0;
    database_ = "postgres_test_" + std::to_string(++number);
    url_ = server().make_database(database_);
  }
  static PostgresServer& server() { return shared_postgres(); }
  static Timestamp now() { return Timestamp(std::chrono::seconds(1'795'910'400 + 12 * 3600)); }  // 2026-11-29 12:00
  std::unique_ptr<FileHistory> open() {
    HistoryOptions options;
    options.postgres = url_;
    options.now = now;
    options.gather = std::chrono::milliseconds(1);
    auto opened = FileHistory::open(options, [this](const std::vector<HistoryEntry>& entries) { kept_ += entries.size(); });
    EXPECT_THAT(opened, IsOk());
    return std::move(*opened);
  }
  static HistoryEntry sample(std::uint64_t sequence) {
    HistoryEntry entry;
    entry.device = "pi-1";
    entry.id = {7, sequence};
    entry.at = entry.received = now() - std::chrono::hours(1);
    messages::Telemetry& told = entry.telemetry.emplace();
    told.header = {"pi-1", 7, sequence, entry.at, true};
    told.device_class = "raspberry-pi-4";
    told.active_variant = "int8";
    told.served.latency_ms.add(8);
    told.served.calls = 1;
    told.temperature = 50;
    return entry;
  }

  std::string database_;
  std::string url_;
  std::atomic<std::size_t> kept_ = 0;
};

TEST_F(PostgresTest, waits_for_a_server_that_is_away_says_so_and_catches_up) {
  {
    const auto history = open();
    ASSERT_TRUE(history->add(sample(1)));
    history->tend_now();
    EXPECT_EQ(kept_, 1U);
    server().stop();
    ASSERT_TRUE(history->add(sample(2)));
    history->tend_now();
    EXPECT_EQ(kept_, 1U) << "what is not kept is not acknowledged";
    EXPECT_THAT(history->health().problem, HasSubstr("the database " + database_ + " on /"));
    EXPECT_EQ(history->health().waiting, 1U);
    Selection selection;
    selection.from = now() - std::chrono::hours(24);
    selection.to = now();
    EXPECT_FALSE(history->series(selection));
  }
  // Also one that is away from the start.
  kept_ = 0;
  const auto history = open();
  EXPECT_THAT(history->health().problem, HasSubstr("the database " + database_));
  history->each_latest([](const BoardSample& sample) { ADD_FAILURE() << sample.device; });
  ASSERT_TRUE(history->add(sample(3)));
  history->tend_now();
  EXPECT_EQ(kept_, 0U);
  server().start();
  history->tend_now();
  history->tend_now();
  EXPECT_EQ(kept_, 1U);
  EXPECT_EQ(history->health().problem, "");
  EXPECT_EQ(server().sql(database_, "SELECT string_agg(sequence::text, ',' ORDER BY sequence) FROM outcrop.raw"), "1,3\n");
  ASSERT_TRUE(history->latest("pi-1"));
}

TEST_F(PostgresTest, people_ask_it_over_all_days_by_their_own_queries) {
  {
    const auto history = open();
    ASSERT_TRUE(history->add(sample(1)));
    history->tend_now();
  }
  EXPECT_EQ(server().sql(database_, "SELECT device, class, variant, temperature FROM outcrop.raw JOIN outcrop.raw_key k ON (raw.span, "
                                    "raw.key) = (k.span, k.id)"),
            "pi-1|raspberry-pi-4|int8|50\n");
  EXPECT_EQ(server().sql(database_, "SELECT count(*) FROM outcrop.hour"), "2\n") << "of the board, and of its class";
  // What is old goes with its partitions.
  const auto store = open_postgres_store(url_);
  ASSERT_THAT(store, IsOk());
  ASSERT_THAT((*store)->remove(span_of(FileKind::raw, now())), IsOk());
  EXPECT_EQ(server().sql(database_, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'outcrop.raw'::regclass"), "0\n");
}

TEST_F(PostgresTest, one_outcropd_keeps_its_history_in_a_database) {
  const auto first = open();
  ASSERT_TRUE(first->add(sample(1)));
  first->tend_now();
  const auto second = open();
  ASSERT_TRUE(second->add(sample(2)));
  second->tend_now();
  EXPECT_THAT(second->health().problem, HasSubstr("another outcropd keeps its history there"));
  EXPECT_EQ(kept_, 1U);
}

TEST_F(PostgresTest, says_what_is_wrong_before_it_is_used) {
  EXPECT_THAT(check_postgres_store(url_), IsOk());
  EXPECT_EQ(server().sql(database_, "SELECT count(*) FROM pg_namespace WHERE nspname = 'outcrop'"), "0\n") << "looking changes nothing";
  const Status no_url = check_postgres_store("postgresql://a:secret@[x/y");
  EXPECT_THAT(no_url, ErrorIs(ErrorCode::invalid_argument, HasSubstr("write it as postgresql://")));
  EXPECT_THAT(no_url.error().message(), Not(HasSubstr("secret")));
  EXPECT_THAT(check_postgres_store(server().url("nowhere")), ErrorIs(ErrorCode::io, HasSubstr("\"nowhere\" does not exist")));
  EXPECT_THAT(check_postgres_store(server().url(database_, "nobody")), ErrorIs(ErrorCode::io, HasSubstr("role \"nobody\" does not exist")));
  EXPECT_THAT(check_postgres_store("postgresql:///x?host=/nowhere"), ErrorIs(ErrorCode::io, HasSubstr("No such file")));
  EXPECT_THAT(check_postgres_store(server().make_database("latin", "ENCODING 'LATIN1' LOCALE 'C'")),
              ErrorIs(ErrorCode::unsupported, HasSubstr("no UTF-8 encoding")));
  server().sql(database_, "CREATE ROLE looks LOGIN");
  EXPECT_THAT(check_postgres_store(server().url(database_, "looks")), ErrorIs(ErrorCode::refused, HasSubstr("may not make schemas")));
  {
    const auto history = open();
    ASSERT_TRUE(history->add(sample(1)));
    history->tend_now();
  }
  EXPECT_THAT(check_postgres_store(url_), IsOk());
  server().sql(database_, "GRANT CREATE ON DATABASE " + database_ + " TO looks");
  EXPECT_THAT(check_postgres_store(server().url(database_, "looks")), ErrorIs(ErrorCode::refused, HasSubstr("another user's")));
  server().sql(database_,
               "ALTER TABLE outcrop.raw DROP disk_written, DROP disk_worn; ALTER TABLE outcrop.hour DROP h6, DROP h7; ALTER TABLE "
               "outcrop.day DROP h6, DROP h7; UPDATE outcrop.version SET version = 1");
  {
    const auto older = open();
    ASSERT_TRUE(older->add(sample(3)));
    older->tend_now();
    EXPECT_EQ(older->health().problem, "") << "which was brought up to date";
  }
  server().sql(database_, "UPDATE outcrop.version SET version = 9");
  EXPECT_THAT(check_postgres_store(url_), ErrorIs(ErrorCode::unsupported, HasSubstr("newer outcropd (history 9")));
  const auto history = open();
  ASSERT_TRUE(history->add(sample(2)));
  history->tend_now();
  EXPECT_THAT(history->health().problem, HasSubstr("newer outcropd"));
  EXPECT_EQ(history->health().waiting, 1U);
  server().sql(database_, "DROP SCHEMA outcrop CASCADE; CREATE SCHEMA outcrop");
  EXPECT_THAT(check_postgres_store(url_), ErrorIs(ErrorCode::invalid_data, HasSubstr("not a history's")));
}

}  // namespace
}  // namespace outcrop::fleet::monitor
