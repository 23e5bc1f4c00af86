#include "agent/report/outbox.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using messages::MessageId;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

class OutboxTest : public ::testing::Test {
 protected:
  Outbox open() const { return Outbox::open(folder_, now_); }
  static std::vector<MessageId> ids(const Outbox& outbox) {
    std::vector<MessageId> found;
    for (const auto& report : outbox.pending()) found.push_back(report.id);
    return found;
  }

  TemporaryFolder temporary_;
  fs::path folder_ = temporary_.path() / "outbox";
  Timestamp now_{};  // a board without a clock
};

TEST_F(OutboxTest, every_start_is_a_new_session) {
  EXPECT_EQ(open().session(), 1U);
  EXPECT_EQ(open().session(), 2U);
  Outbox outbox = open();
  EXPECT_EQ(outbox.session(), 3U);
  EXPECT_EQ(outbox.next_sequence(), 1U);
  EXPECT_EQ(outbox.next_sequence(), 2U);
}

TEST_F(OutboxTest, reports_wait_until_they_are_acknowledged_oldest_first) {
  {
    Outbox outbox = open();
    for (const std::uint64_t sequence : {9, 10, 2}) {
      outbox.add({{1, sequence}, "report " + std::to_string(sequence)});
    }
  }
  Outbox outbox = open();
  outbox.add({{2, 1}, "of this session"});
  EXPECT_THAT(ids(outbox),
              ElementsAre(MessageId{1, 2}, MessageId{1, 9}, MessageId{1, 10}, MessageId{2, 1}));
  EXPECT_EQ(outbox.pending().front().envelope, "report 2");
  ASSERT_THAT(outbox.acknowledge({{1, 9}, {2, 1}, {7, 7}}), IsOk()) << "7-7 is not known: no harm";
  EXPECT_THAT(ids(open()), ElementsAre(MessageId{1, 2}, MessageId{1, 10}));
}

TEST_F(OutboxTest, the_same_report_twice_is_one) {
  Outbox outbox = open();
  outbox.add({{1, 1}, "report"});
  outbox.add({{1, 1}, "report"});
  EXPECT_THAT(ids(outbox), ElementsAre(MessageId{1, 1}));
}

TEST_F(OutboxTest, the_oldest_goes_where_too_many_wait) {
  Outbox outbox = open();
  for (std::uint64_t sequence = 1; sequence <= 258; ++sequence) {
    outbox.add({{1, sequence}, "report"});
  }
  const auto waiting = ids(outbox);
  EXPECT_EQ(waiting.size(), 256U);
  EXPECT_EQ(waiting.front(), (MessageId{1, 3}));
  EXPECT_EQ(waiting.back(), (MessageId{1, 258}));
}

TEST_F(OutboxTest, a_session_is_never_used_twice_even_where_its_file_was_lost) {
  for (int start = 0; start < 4; ++start) (void)open();
  Outbox outbox = open();
  outbox.add({{outbox.session(), 1}, "report"});
  fs::remove(folder_ / "session.json");
  EXPECT_EQ(open().session(), outbox.session() + 1);
}

TEST_F(OutboxTest, one_bad_file_keeps_no_other_report_back) {
  Outbox outbox = open();
  outbox.add({{1, 2}, "report"});
  fs::create_directory(folder_ / "1-1.json");
  ASSERT_THAT(write_file_durably(folder_ / "notes.json", "not a report"), IsOk());
  ASSERT_THAT(write_file_durably(folder_ / "1-x.json", "not a report"), IsOk());
  EXPECT_THAT(ids(outbox), ElementsAre(MessageId{1, 2}));
}

TEST_F(OutboxTest, a_full_disk_loses_no_report_that_waits) {
  Outbox outbox = open();
  outbox.add({{1, 1}, "report"});
  // A file-size limit stands in for a full disk.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 16;
  ::setrlimit(RLIMIT_FSIZE, &small);
  outbox.add({{1, 2}, std::string(5000, 'x')});
  const Outbox start = open();
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(start.trouble(), Optional(HasSubstr("session.json")));
  EXPECT_EQ(start.session(), 2U) << "a full disk keeps no board from serving";
  EXPECT_THAT(ids(outbox), ElementsAre(MessageId{1, 1}, MessageId{1, 2})) << "one in memory";
  ASSERT_THAT(outbox.acknowledge({{1, 2}}), IsOk());
  EXPECT_THAT(ids(outbox), ElementsAre(MessageId{1, 1}));
  EXPECT_EQ(open().session(), 2U);
}

TEST_F(OutboxTest, holds_the_report_that_somebody_else_writes_down) {
  Outbox outbox = open();
  outbox.hold({{1, 2}, "an end"});
  EXPECT_EQ(outbox.held()->envelope, "an end");
  EXPECT_THAT(ids(open()), ElementsAre()) << "its owner has written nothing";
  outbox.hold({{1, 3}, "the next"});
  EXPECT_THAT(ids(outbox), ElementsAre(MessageId{1, 2}, MessageId{1, 3}));
  const Outbox again = Outbox::open(folder_, now_, Outbox::Pending{{7, 3}, "the next"});
  EXPECT_THAT(ids(again), ElementsAre(MessageId{1, 2}, MessageId{7, 3}));
  EXPECT_EQ(again.session(), 8U);
  ASSERT_THAT(outbox.acknowledge({{1, 2}, {1, 3}}), IsOk());
  EXPECT_FALSE(outbox.held());
  EXPECT_THAT(ids(outbox), ElementsAre());
}

TEST_F(OutboxTest, holds_one_report_once_that_was_written_down_twice) {
  Outbox outbox = open();
  outbox.add({{1, 2}, "an end"});
  const Outbox again = Outbox::open(folder_, now_, Outbox::Pending{{1, 2}, "an end"});
  EXPECT_THAT(ids(again), ElementsAre(MessageId{1, 2}));
}

TEST_F(OutboxTest, begins_a_session_though_its_number_cannot_be_read) {
  (void)open();
  now_ = Timestamp(std::chrono::seconds(1'764'360'000));
  for (const char* name : {"session.json", "session.json.spare"}) {
    fs::remove(folder_ / name);
    fs::create_symlink(folder_ / name, folder_ / name);  // cannot be opened
  }
  const Outbox outbox = open();
  EXPECT_GT(outbox.session(), 1'764'360'000U);
  EXPECT_THAT(outbox.trouble(), Optional(HasSubstr("session.json cannot be read")));
  EXPECT_EQ(open().trouble(), std::nullopt) << "it was written anew";
}

TEST_F(OutboxTest, begins_a_session_above_that_of_a_newer_agent_where_it_can_tell) {
  (void)open();
  now_ = Timestamp(std::chrono::seconds(1'764'360'000));
  for (const char* name : {"session.json", "session.json.spare"}) {
    ASSERT_THAT(write_file_durably(folder_ / name, "{\"format\":2,\"epoch\":1}"), IsOk());
  }
  const Outbox outbox = open();
  EXPECT_GT(outbox.session(), 1'764'360'000U);
  EXPECT_THAT(outbox.trouble(), Optional(HasSubstr("newer agent")));
}

TEST_F(OutboxTest, goes_on_from_the_spare_of_a_damaged_session) {
  for (int start = 0; start < 3; ++start) (void)open();
  const std::vector<std::string> damage{
      std::string(40, '\0'), "", "{\"format\":1,\"session\":9007199254740991}"};
  std::uint64_t last = 3;
  for (const std::string& text : damage) {
    ASSERT_THAT(write_file_durably(folder_ / "session.json", text), IsOk());
    const Outbox outbox = open();
    EXPECT_EQ(outbox.session(), ++last);
    EXPECT_THAT(outbox.trouble(), Optional(HasSubstr("session.json is damaged")));
  }
}

TEST_F(OutboxTest, a_restored_card_repeats_no_session_as_long_as_the_clock_goes_on) {
  now_ = Timestamp(std::chrono::seconds(1'764'360'000));
  const std::uint64_t first = open().session();
  EXPECT_GE(first, 1'764'360'000U);
  EXPECT_EQ(open().session(), first + 1) << "within the same second";
  const TemporaryFolder image;
  fs::copy(folder_, image.path() / "outbox", fs::copy_options::recursive);
  now_ += std::chrono::hours(1);
  const std::uint64_t later = open().session();
  EXPECT_GT(later, first + 1);
  fs::remove_all(folder_);
  fs::copy(image.path() / "outbox", folder_, fs::copy_options::recursive);
  now_ += std::chrono::seconds(5);
  EXPECT_GT(open().session(), later);
}

TEST_F(OutboxTest, begins_a_session_above_the_one_that_the_host_has) {
  Outbox outbox = open();
  (void)outbox.next_sequence();
  outbox.begin_session(1000, now_);
  EXPECT_EQ(outbox.session(), 1001U);
  EXPECT_EQ(outbox.next_sequence(), 1U);
  outbox.begin_session((std::uint64_t{1} << 53) - 1, now_);
  EXPECT_EQ(outbox.session(), 1002U) << "nobody may use the numbers up";
  EXPECT_EQ(open().session(), 1003U);
}

}  // namespace
}  // namespace outcrop::agent
