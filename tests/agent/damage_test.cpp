// Boards whose state was damaged, or lies on a disk that takes nothing: none of it keeps a board
// from serving, connecting and saying what is wrong.

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>

#include <nlohmann/json.hpp>

#include "agent/deploy/ledger.hpp"
#include "protocol/base/durable_file.hpp"
#include "tests/agent/rig.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DamagedTest : public AgentTest {
 protected:
  // What a power cut leaves on a card that lies about its cache.
  static void damage(const fs::path& file) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    ASSERT_FALSE(error) << file;
    std::ofstream(file, std::ios::trunc | std::ios::binary) << std::string(size, '\0');
  }
  ShellOutcome says(const std::string& verb) {
    return agent_says(verb + " --config " + config_.string());
  }
  std::vector<std::string> troubles() {
    const auto status = nlohmann::json::parse(says("status --json").output, nullptr, false);
    if (!status.is_object()) return {"no status"};
    return status.value("troubles", std::vector<std::string>{"no troubles"});
  }
  bool serves(const ForgedRelease& release) {
    return loop_.until([&] {
      return host_.status() != nullptr && host_.status()->online &&
             host_.status()->active_manifest == release.manifest;
    });
  }
  fs::path blob(const trust::Sha256Digest& digest) const {
    return state_ / "releases/blobs" / digest.hex();
  }
  // Runs the agent in a mount namespace of its own, after `commands`, in which $1 is its state.
  void start_where(const std::string& commands) {
    launcher_ = {"unshare", "-rm", "sh", "-ec", commands + "\nshift\nexec \"$@\"", "sh",
                 state_.string()};
  }
  // On a disk of its own in memory, made with these options and filled by `fill`.
  void start_on_disk(const std::string& options, const std::string& fill) {
    start_where("copy=$(mktemp -d)\ncp -a \"$1\"/. \"$copy\"\nmount -t tmpfs -o " + options + " none \"$1\"\n" +
                "cp -a \"$copy\"/. \"$1\"\nrm -r \"$copy\"\n" + fill);
  }
  static bool may_mount() {
    return std::system("unshare -rm sh -c 'mount -t tmpfs none /mnt' 2>/dev/null") == 0;
  }
  // Serves, is online, says what is wrong, holds nothing that it cannot write, takes no update.
  void expect_service_without_writing(const ForgedRelease& first) {
    agent_is_online();
    EXPECT_TRUE(serves(first));
    EXPECT_THAT(troubles(), ::testing::Not(IsEmpty()));
    const ShellOutcome hold = says("hold");
    EXPECT_EQ(hold.code, 1);
    EXPECT_THAT(hold.output, HasSubstr("not held, as before"));
    EXPECT_THAT(hold.output, ::testing::Not(HasSubstr("is the agent running")));
    EXPECT_FALSE(host_.status()->held);
    const ForgedRelease second = released({.stage = 2});
    host_.send(host_.offer(second, 2, forge_));
    EXPECT_NE(ends(2, State::failed), nullptr);
    EXPECT_TRUE(serves(first));
    EXPECT_EQ(end_agent(), 0);
  }
};

TEST_F(DamagedTest, serves_and_connects_whichever_file_of_its_state_is_damaged) {
  agent_is_online();
  const ForgedRelease first = first_release();
  for (const char* file :
       {"identity/device.key", "identity/enrolment.json", "identity/certificate.pem",
        "identity/authority.pem", "metadata/trusted.json", "outbox/session.json", "board.json"}) {
    ASSERT_EQ(end_agent(), 0);
    damage(state_ / file);
    agent_is_online();
    EXPECT_TRUE(serves(first)) << file;
    const std::string name = fs::path(file).filename().string();
    if (!name.ends_with(".pem")) {
      EXPECT_THAT(troubles(), Contains(HasSubstr(name + " is damaged"))) << file;
      EXPECT_TRUE(fs::exists(state_ / (std::string(file) + ".damaged"))) << file;
    }
  }
  EXPECT_NE(host_.report(1, State::updated), nullptr);
  // The host is told.
  EXPECT_TRUE(loop_.until([&] {
    return host_.reports.back().reason.find("board.json is damaged") != std::string::npos;
  }));
  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, 2, forge_));
  EXPECT_NE(ends(2, State::updated), nullptr);
}

TEST_F(DamagedTest, serves_and_connects_whichever_document_is_lost_with_its_spare) {
  agent_is_online();
  const ForgedRelease first = first_release();
  std::uint64_t generation = 1;
  for (const char* file : {"metadata/trusted.json", "board.json", "outbox/session.json"}) {
    ASSERT_EQ(end_agent(), 0);
    damage(state_ / file);
    damage(state_ / (std::string(file) + ".spare"));
    agent_is_online();
    EXPECT_TRUE(serves(first)) << file;
    EXPECT_THAT(troubles(), Contains(HasSubstr("and so is its spare"))) << file;
  }
  // Trust has come back with the host's metadata.
  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, ++generation, forge_));
  EXPECT_NE(ends(generation, State::updated), nullptr);
}

TEST_F(DamagedTest, without_its_key_it_says_how_to_enrol_anew) {
  agent_is_online();
  ASSERT_EQ(end_agent(), 0);
  for (const char* file : {"identity/device.key", "identity/device.key.spare"}) {
    damage(state_ / file);
  }
  start_agent();
  ASSERT_TRUE(loop_.until([&] { return !agent_runs(); }));
  for (const std::string& said : {log(), says("status").output, says("doctor").output}) {
    EXPECT_THAT(said, HasSubstr("has lost its identity"));
    EXPECT_THAT(said, HasSubstr("outcrop device enroll NAME"));
  }
  const std::string token = "0123456789abcdef-0123456789abcdef0123456789abcdef";
  EXPECT_EQ(says("enroll request --token " + token).code, 0);
  // It waits for the host's answer, and what is left is of the old key.
  EXPECT_THAT(says("status").output, HasSubstr("is the agent running"));
}

TEST_F(DamagedTest, pulls_a_damaged_release_again_where_there_is_none_to_return_to) {
  agent_is_online();
  const ForgedRelease first = first_release();
  ASSERT_EQ(end_agent(), 0);
  for (const auto& [digest, bytes] : first.blobs) {
    if (fs::exists(blob(digest))) damage(blob(digest));
  }
  host_.asked_for.clear();
  agent_is_online();
  EXPECT_TRUE(loop_.until([&] { return troubles().empty(); }));
  EXPECT_TRUE(serves(first));
  EXPECT_THAT(host_.asked_for, Contains(first.manifest));
  EXPECT_THAT(host_.asked_for, Contains(first.variants.begin()->second.sha256));
  EXPECT_EQ(says("infer --out " + (folder_.path() / "map.safetensors").string()).code, 0);
}

TEST_F(DamagedTest, pulls_again_what_two_releases_share_and_does_not_return_to_what_is_damaged) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, 2, forge_));
  ASSERT_NE(ends(2, State::updated), nullptr);
  ASSERT_EQ(end_agent(), 0);
  std::size_t shared = 0;
  for (const auto& [digest, bytes] : first.blobs) {
    if (!second.blobs.contains(digest) || !fs::exists(blob(digest))) continue;
    damage(blob(digest));
    ++shared;
  }
  ASSERT_GT(shared, 0U);
  agent_is_online();
  EXPECT_TRUE(serves(second));
  EXPECT_TRUE(loop_.until([&] { return troubles().empty(); }));
  EXPECT_EQ(host_.status()->deployment->state, State::updated);
  EXPECT_EQ(says("rollback").code, 0);
  EXPECT_TRUE(serves(first));
}

TEST_F(DamagedTest, waits_for_what_cannot_be_read_just_now_and_deletes_nothing) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, 2, forge_));
  ASSERT_NE(ends(2, State::updated), nullptr);
  ASSERT_EQ(end_agent(), 0);
  // A link to itself is there and cannot be opened, like a sector that cannot be read.
  const fs::path file = blob(second.variants.begin()->second.sha256);
  const fs::path elsewhere = folder_.path() / "elsewhere";
  fs::rename(file, elsewhere);
  fs::create_symlink(file, file);
  host_.asked_for.clear();
  fault_ = {"a boot", "nowhere"};  // looks again soon
  agent_is_online();
  ASSERT_TRUE(loop_.until([&] { return !host_.status()->active_manifest; }));
  EXPECT_THAT(troubles(), Contains(HasSubstr("which should serve, cannot be used now")));
  EXPECT_TRUE(fs::is_symlink(file));
  fs::rename(elsewhere, file);
  EXPECT_TRUE(serves(second));
  EXPECT_THAT(troubles(), IsEmpty());
  EXPECT_THAT(host_.asked_for, IsEmpty());
  EXPECT_EQ(host_.report(2, State::rolled_back), nullptr);
}

TEST_F(DamagedTest, keeps_a_release_that_only_a_newer_agent_can_read) {
  agent_is_online();
  const ForgedRelease first = first_release();
  ASSERT_EQ(end_agent(), 0);
  // As a newer agent left it, which was taken back since.
  const ForgedRelease newer = released({.stage = 2, .minimum_agent = "99.0.0"});
  for (const auto& [digest, bytes] : newer.blobs) {
    ASSERT_THAT(write_file_durably(blob(digest), std::string_view(bytes)), IsOk());
  }
  {
    agent::Ledger ledger = agent::Ledger::open(state_);
    agent::Decided decided = ledger.found();
    decided.slots.previous = decided.slots.active;
    decided.slots.active = {newer.manifest, newer.manifest_size, newer.variants.begin()->first};
    ASSERT_THAT(ledger.commit(decided), IsOk());
  }
  agent_is_online();
  EXPECT_TRUE(loop_.until([&] { return !host_.status()->active_manifest; }));
  EXPECT_THAT(troubles(), Contains(HasSubstr("which should serve, cannot be used now")));
  for (const auto& [digest, bytes] : newer.blobs) EXPECT_TRUE(fs::exists(blob(digest)));
  // It may go back, and takes updates.
  EXPECT_EQ(says("rollback").code, 0);
  EXPECT_TRUE(serves(first));
}

TEST_F(DamagedTest, tells_by_fsck_what_is_not_whole_and_changes_nothing) {
  agent_is_online();
  const ForgedRelease first = first_release();
  ASSERT_EQ(end_agent(), 0);
  EXPECT_EQ(says("fsck").code, 0) << says("fsck").output;
  const fs::path model = blob(first.variants.begin()->second.sha256);
  damage(model);
  damage(state_ / "board.json");
  const fs::path nobodys = blob(trust::sha256("nobody's"));
  std::ofstream(nobodys) << "a blob";
  std::ofstream(state_ / "metadata/trusted.json.tmp-17") << "half a file";
  const ShellOutcome told = says("fsck --json");
  EXPECT_EQ(told.code, 1);
  for (const std::string& what :
       {model.string() + ": ", std::string("board.json is damaged"),
        "nobody names " + nobodys.string(), std::string("left unfinished: ")}) {
    EXPECT_THAT(told.output, HasSubstr(what));
  }
  EXPECT_TRUE(fs::exists(model));
  EXPECT_FALSE(fs::exists(state_ / "board.json.damaged"));
  // The agent mends what it can.
  agent_is_online();
  EXPECT_TRUE(loop_.until([&] { return says("fsck").code == 0; })) << says("fsck").output;
}

TEST_F(DamagedTest, says_that_nothing_serves_while_what_should_is_damaged) {
  agent_is_online();
  const ForgedRelease first = first_release();
  ASSERT_EQ(end_agent(), 0);
  broker_.stop_broker();
  damage(blob(first.variants.begin()->second.sha256));
  start_agent();
  ASSERT_TRUE(loop_.until([&] {
    const auto all = troubles();
    return !all.empty() && all.front() != "no status";
  }));
  EXPECT_THAT(troubles(), Contains(HasSubstr("which should serve, is damaged")));
  EXPECT_THAT(says("status").output, HasSubstr("serves       nothing"));
  const ShellOutcome infer =
      says("infer --out " + (folder_.path() / "map.safetensors").string());
  EXPECT_EQ(infer.code, 1);
  EXPECT_THAT(infer.output, HasSubstr("lies here damaged"));
}

TEST_F(DamagedTest, serves_and_connects_from_a_card_that_was_made_read_only) {
  if (!may_mount()) GTEST_SKIP() << "this machine lets nobody mount anything";
  agent_is_online();
  const ForgedRelease first = first_release();
  ASSERT_EQ(end_agent(), 0);
  start_where("mount --bind \"$1\" \"$1\"\nmount -o remount,bind,ro \"$1\"");
  expect_service_without_writing(first);
}

TEST_F(DamagedTest, serves_and_connects_from_a_disk_that_is_full) {
  if (!may_mount()) GTEST_SKIP() << "this machine lets nobody mount anything";
  agent_is_online();
  const ForgedRelease first = first_release();
  ASSERT_EQ(end_agent(), 0);
  start_on_disk("size=2m", "dd if=/dev/zero of=\"$1\"/fill bs=4k 2>/dev/null || true");
  expect_service_without_writing(first);
}

TEST_F(DamagedTest, serves_and_connects_from_a_disk_that_takes_no_more_files) {
  if (!may_mount()) GTEST_SKIP() << "this machine lets nobody mount anything";
  agent_is_online();
  const ForgedRelease first = first_release();
  ASSERT_EQ(end_agent(), 0);
  start_on_disk("size=64m,nr_inodes=300",
                "mkdir \"$1\"/fill\ni=0\nwhile touch \"$1\"/fill/$i 2>/dev/null; do i=$((i + 1)); done");
  expect_service_without_writing(first);
}

TEST_F(DamagedTest, begins_a_session_above_the_one_that_the_host_has) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const std::uint64_t high = host_.status()->session + 1000;
  host_.send(messages::Used{high});
  ASSERT_TRUE(loop_.until([&] { return host_.status()->session > high; }));
  EXPECT_TRUE(serves(first));
  const std::uint64_t now = host_.status()->session;
  kill_agent();  // the will carries the new number
  EXPECT_TRUE(loop_.until(
      [&] { return !host_.status()->online && host_.status()->session == now; }));
}

}  // namespace
}  // namespace outcrop
