#include "agent/deploy/ledger.hpp"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/json_text.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Optional;

Record full_record() {
  Record record;
  record.generation = 7;
  record.held = true;
  record.held_by = "uid 1000";
  record.boot = "a boot";
  Deployment deployment;
  deployment.offer.rollout = "stage-2";
  deployment.offer.generation = 7;
  deployment.offer.model = "curvefault";
  deployment.offer.device_class = "raspberry-pi-4";
  deployment.offer.manifest = trust::sha256("manifest");
  deployment.offer.manifest_size = ByteCount(4000);
  deployment.state = messages::DeploymentState::soaking;
  deployment.reason = "int8-qint8 is the best";
  deployment.variant = "int8-qint8";
  deployment.before = Installed{trust::sha256("before"), ByteCount(3900), "float"};
  deployment.crashes = {{"PROVING", 2}};
  deployment.power_cuts = {{"SOAKING", 1}};
  deployment.soaked = std::chrono::seconds(40);
  messages::ReportedVariant variant;
  variant.name = "int8-qint8";
  variant.outcome = messages::VariantOutcome::measured;
  variant.measurement.emplace();
  variant.measurement->calls = 100;
  variant.measurement->p90_ms = 12.5;
  deployment.variants = {variant};
  record.deployment = deployment;
  return record;
}

const Installed before{trust::sha256("before"), ByteCount(3900), "float"};
const Installed target{trust::sha256("manifest"), ByteCount(4000), "int8-qint8"};

// A release on trial, beside the one that served before.
Decided full() {
  Decided decided;
  decided.record = full_record();
  decided.slots.active = target;
  decided.slots.previous = before;
  decided.slots.kept = {{{trust::sha256("kept"), ByteCount(3800), "float"},
                         SystemClock().now() + std::chrono::hours(1)}};
  decided.report = Outbox::Pending{{3, 4}, "an envelope\nof two lines"};
  return decided;
}

class LedgerTest : public ::testing::Test {
 protected:
  // As an agent does at its start.
  Ledger open() const {
    Ledger ledger = Ledger::open(state_);
    ledger.settle();
    return ledger;
  }
  void put(const std::string& file, const std::string& text) const {
    fs::create_directories((state_ / file).parent_path());
    ASSERT_THAT(write_file_durably(state_ / file, std::string_view(text)), IsOk());
  }
  void write(const Decided& decided) const { ASSERT_THAT(open().commit(decided), IsOk()); }
  bool there(const std::string& file) const { return fs::exists(state_ / file); }

  TemporaryFolder folder_;
  fs::path state_ = folder_.path();
  const fs::path board_ = state_ / "board.json";
  const fs::path spare_ = state_ / "board.json.spare";
};

TEST_F(LedgerTest, gives_back_what_was_decided_as_a_whole) {
  const Decided decided = full();
  write(decided);
  const Ledger ledger = open();
  EXPECT_EQ(ledger.trouble(), std::nullopt);
  EXPECT_EQ(to_text(ledger.found()), to_text(decided));
  EXPECT_EQ(ledger.found().slots, decided.slots);
  EXPECT_EQ(ledger.found().report, decided.report);
  const Deployment& deployment = *ledger.found().record.deployment;
  EXPECT_EQ(deployment.before, before);
  EXPECT_EQ(deployment.variants, decided.record.deployment->variants);
  EXPECT_EQ(deployment.soaked, std::chrono::seconds(40));
}

TEST_F(LedgerTest, keeps_a_cancel) {
  Decided decided = full();
  decided.record.deployment->cancel = messages::Cancel{"stage-2", 7, target.manifest,
                                                       before.manifest, "too slow"};
  write(decided);
  EXPECT_EQ(open().found().record.deployment->cancel, decided.record.deployment->cancel);
}

TEST_F(LedgerTest, is_empty_on_a_new_board) {
  const Ledger ledger = open();
  EXPECT_EQ(ledger.trouble(), std::nullopt);
  EXPECT_EQ(ledger.found().record.generation, 0U);
  EXPECT_FALSE(ledger.found().record.deployment);
  EXPECT_FALSE(ledger.found().slots.forgotten);
}

TEST_F(LedgerTest, refuses_a_copy_in_which_a_byte_changed_or_that_was_cut) {
  const std::string text = to_text(full());
  for (std::size_t at = 0; at < text.size(); at += 41) {
    EXPECT_FALSE(parse_decided(std::string_view(text).substr(0, at)));
    std::string changed = text;
    changed[at] ^= 1;
    EXPECT_FALSE(parse_decided(changed)) << at;
  }
}

TEST_F(LedgerTest, goes_on_from_its_spare) {
  write(full());
  put("board.json", std::string(400, '\0'));
  {
    const Ledger ledger = open();
    EXPECT_THAT(ledger.trouble(), Optional(HasSubstr("board.json is damaged")));
    EXPECT_EQ(ledger.found().slots.active, target);
  }
  EXPECT_TRUE(there("board.json.damaged"));
  EXPECT_EQ(open().trouble(), std::nullopt) << "it was mended";
}

TEST_F(LedgerTest, without_both_copies_serves_what_was_committed_and_never_what_was_on_trial) {
  write(full());
  for (const char* name : {"board.json", "board.json.spare"}) put(name, "means nothing");
  {
    const Ledger ledger = open();
    EXPECT_THAT(ledger.trouble(), Optional(HasSubstr("the release that was committed last serves")));
    EXPECT_EQ(ledger.found().slots.active, before);
    EXPECT_EQ(ledger.found().slots.previous, std::nullopt);
    EXPECT_EQ(ledger.found().record.generation, 7U) << "old offers stay old";
    EXPECT_FALSE(ledger.found().record.deployment);
  }
  EXPECT_TRUE(there("board.json.damaged"));
  EXPECT_EQ(open().trouble(), std::nullopt) << "it was rebuilt";
  EXPECT_EQ(open().found().slots.active, before);
}

TEST_F(LedgerTest, serves_what_was_committed_also_where_its_files_are_gone_or_unreadable) {
  write(full());
  fs::remove(board_);
  fs::remove(spare_);
  EXPECT_EQ(open().found().slots.active, before);
  for (const fs::path& copy : {board_, spare_}) {
    fs::remove(copy);
    fs::create_symlink(copy, copy);  // cannot be opened
  }
  const Ledger ledger = open();
  EXPECT_THAT(ledger.trouble(), Optional(HasSubstr("cannot be read")));
  EXPECT_EQ(ledger.found().slots.active, before);
}

TEST_F(LedgerTest, without_any_file_says_that_nobody_knows_what_served) {
  write(full());
  for (const char* name : {"board.json", "board.json.spare", "committed.json"}) put(name, "{}");
  EXPECT_TRUE(open().found().slots.forgotten);
  EXPECT_EQ(open().found().slots.active, std::nullopt);
  EXPECT_TRUE(open().found().slots.forgotten) << "nor does the next start";
}

TEST_F(LedgerTest, of_a_newer_agent_serves_what_that_one_committed) {
  const std::string newer = "{\"format\": 2, \"generation\": 41, \"trees\": [], \"committed\": {"
                            "\"manifest\": \"" + before.manifest.hex() +
                            "\", \"size\": 3900, \"variant\": \"float\"}}";
  put("board.json", trust::sha256(newer).hex() + "\n" + newer);
  const Ledger ledger = open();
  EXPECT_THAT(ledger.trouble(), Optional(HasSubstr("newer agent")));
  EXPECT_EQ(ledger.found().record.generation, 41U);
  EXPECT_EQ(ledger.found().slots.active, before);
  EXPECT_TRUE(there("board.json.newer"));
}

// A file-size limit stands in for a full disk where a write must fail.
class WritesNothing {
 public:
  explicit WritesNothing(rlim_t most) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit small = before_;
    small.rlim_cur = most;
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  ~WritesNothing() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(LedgerTest, changes_nothing_where_the_disk_takes_nothing) {
  write(full());
  Decided other = full();
  other.slots.active = before;
  Ledger ledger = open();
  {
    const WritesNothing full_disk(16);
    EXPECT_FALSE(ledger.commit(other));
  }
  EXPECT_EQ(open().found().slots.active, target);
  EXPECT_THAT(ledger.commit(other), IsOk());
  EXPECT_EQ(open().found().slots.active, before);
}

TEST_F(LedgerTest, a_kill_at_any_time_leaves_one_of_two_wholes) {
  Decided trial = full();
  Decided ended = full();
  ended.record.deployment->state = messages::DeploymentState::rolled_back;
  ended.slots = {before, std::nullopt, {}, false};
  write(trial);
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      Ledger ledger = Ledger::open(state_);
      while (ledger.commit(ended) && ledger.commit(trial)) {
      }
      ::_exit(1);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1 + round % 7));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
    const Ledger after = open();
    EXPECT_EQ(after.trouble(), std::nullopt);
    const bool on_trial =
        after.found().record.deployment->state == messages::DeploymentState::soaking;
    EXPECT_EQ(after.found().slots.active, on_trial ? target : before);
  }
}

// Files as agents up to 0.1 wrote them.
class EarlierLedger : public LedgerTest {
 protected:
  static std::string installed(const Installed& release) {
    return "{\"manifest\": \"" + release.manifest.hex() + "\", \"size\": " +
           std::to_string(release.manifest_size.value()) + ", \"variant\": \"" +
           release.variant + "\"}";
  }
  void write_earlier(std::uint64_t generation) const {
    Record record = full_record();
    record.generation = generation;
    messages::Json json = to_json(record);
    json["version"] = 1;
    json.erase("boot");
    json["deployment"].erase("power_cuts");
    json["deployment"].erase("soaked_ms");
    for (const char* ending : {"", ".spare"}) {
      put(std::string("deployment.json") + ending, json_text(json));
      put(std::string("releases/slots.json") + ending,
          "{\"format\": 1, \"active\": " + installed(target) + ", \"previous\": " +
              installed(before) + "}");
    }
    put("releases/kept.json", "{\"releases\": []}");
  }
  static constexpr std::array files{"deployment.json", "deployment.json.spare",
                                    "releases/slots.json", "releases/slots.json.spare",
                                    "releases/kept.json"};
};

TEST_F(EarlierLedger, is_taken_over_once) {
  write_earlier(7);
  const Decided found = open().found();
  EXPECT_EQ(found.slots.active, target);
  EXPECT_EQ(found.slots.previous, before);
  EXPECT_EQ(found.record.generation, 7U);
  EXPECT_EQ(found.record.deployment->state, messages::DeploymentState::soaking);
  EXPECT_EQ(found.record.deployment->crashes, (Deployment::Counts{{"PROVING", 2}}));
  EXPECT_EQ(committed(found), before);
  for (const char* file : files) EXPECT_FALSE(there(file)) << file;
  EXPECT_EQ(to_text(open().found()), to_text(found));
}

TEST_F(EarlierLedger, goes_on_wherever_taking_it_over_is_cut_off) {
  for (std::size_t removed = 0; removed <= files.size(); ++removed) {
    fs::remove(board_);
    fs::remove(spare_);
    fs::remove(state_ / "committed.json");
    write_earlier(7);
    // Killed before anything was written: all is there. Killed afterwards, while files went:
    if (removed > 0) {
      ASSERT_THAT(Ledger::open(state_).commit(Ledger::open(state_).found()), IsOk());
    }
    for (std::size_t i = 0; i < removed; ++i) fs::remove(state_ / files[i]);
    const Decided found = open().found();
    EXPECT_EQ(found.slots.active, target) << removed;
    EXPECT_EQ(found.record.generation, 7U) << removed;
    EXPECT_EQ(found.record.deployment->state, messages::DeploymentState::soaking) << removed;
  }
}

TEST_F(EarlierLedger, keeps_its_files_until_they_are_written_down_elsewhere) {
  write_earlier(7);
  {
    const WritesNothing full_disk(16);
    EXPECT_EQ(open().found().slots.active, target) << "it serves all the same";
  }
  for (const char* file : files) EXPECT_TRUE(there(file)) << file;
  EXPECT_FALSE(there("board.json"));
  EXPECT_EQ(open().found().slots.active, target);
  EXPECT_FALSE(there("deployment.json"));
}

TEST_F(EarlierLedger, that_worked_once_more_is_the_newer_one) {
  write(full());
  write_earlier(8);
  EXPECT_EQ(open().found().record.generation, 8U);
  write_earlier(3);
  EXPECT_EQ(open().found().record.generation, 8U);
}

TEST_F(EarlierLedger, is_known_in_part_where_a_document_is_lost_with_its_spare) {
  write_earlier(7);
  for (const char* file : {"releases/slots.json", "releases/slots.json.spare"}) put(file, "lost");
  EXPECT_EQ(open().found().slots.active, before) << "which the deployment on trial had found";
  fs::remove(board_);
  fs::remove(spare_);
  write_earlier(7);
  for (const char* file : {"deployment.json", "deployment.json.spare"}) {
    put(file, "{\"version\": 99, \"generation\": 7}");
  }
  const Decided found = open().found();
  EXPECT_EQ(found.slots.active, before) << "what was on trial is not known";
  EXPECT_EQ(found.record.generation, 7U);
}

}  // namespace
}  // namespace outcrop::agent
