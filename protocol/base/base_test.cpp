#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <future>

#include <nlohmann/json.hpp>

#include "protocol/base/clock.hpp"
#include "protocol/base/cut_short.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/base/hex.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/median.hpp"
#include "protocol/base/unmounted_disk.hpp"
#include "protocol/base/vacant_folder.hpp"
#include "protocol/base/without_controls.hpp"
#include "tests/support/plain_file_system.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop {
namespace {

namespace fs = std::filesystem;

TEST(Median, is_the_value_in_the_middle_or_the_mean_of_both) {
  EXPECT_EQ(median({3.0, -1.0, 2.0}), 2.0);
  EXPECT_EQ(median({4.0, 1.0, 3.0, 2.0}), 2.5);
  EXPECT_EQ(median({7.0}), 7.0);
  EXPECT_EQ(median({}), 0.0);
}

TEST(Hex, round_trips_and_refuses_upper_case) {
  const Bytes bytes{std::byte{0x00}, std::byte{0x9f}, std::byte{0xff}};
  EXPECT_EQ(to_hex(bytes), "009fff");
  EXPECT_EQ(*from_hex("009fff"), bytes);
  EXPECT_FALSE(from_hex("009FFF"));
  EXPECT_FALSE(from_hex("009"));
}

TEST(UnmountedDisk, is_told_where_a_folder_belongs_on_it) {
  const TemporaryFolder folder;
  const fs::path table = folder.path() / "fstab";
  const fs::path mounts = folder.path() / "mounts";
  std::ofstream(table) << "# the card\nUUID=1 / ext4 defaults 0 1\nUUID=2 /srv/board ext4 nofail 0 2\n"
                          "UUID=3 none swap sw 0 0\n";
  std::ofstream(mounts) << "/dev/mmcblk0p2 / ext4 rw 0 0\n";
  EXPECT_EQ(unmounted_disk_of("/srv/board/state", table, mounts), fs::path("/srv/board"));
  EXPECT_EQ(unmounted_disk_of("/srv/board", table, mounts), fs::path("/srv/board"));
  EXPECT_EQ(unmounted_disk_of("/srv/boards", table, mounts), std::nullopt);
  EXPECT_EQ(unmounted_disk_of("/var/lib", table, mounts), std::nullopt);
  std::ofstream(mounts, std::ios::app) << "/dev/sda1 /srv/board ext4 rw 0 0\n";
  EXPECT_EQ(unmounted_disk_of("/srv/board/state", table, mounts), std::nullopt);
  EXPECT_EQ(unmounted_disk_of("/srv/board", "/no/fstab", mounts), std::nullopt);
  EXPECT_EQ(unmounted_disk_of("/srv/board", table, "/no/mounts"), std::nullopt);
}

TEST(CutShort, ends_behind_a_word_and_says_that_more_was_there) {
  EXPECT_EQ(cut_short("whole", 5), "whole");
  EXPECT_EQ(cut_short("no calibration data", 16), "no...");
  EXPECT_EQ(cut_short("no calibration data", 18), "no calibration...");
  EXPECT_EQ(cut_short(std::string(100, 'x'), 10), "xxxxxxx...");
  EXPECT_EQ(cut_short("ääääääää", 10), "äää...") << "characters stay whole";
}

TEST(JsonText, escapes_what_a_terminal_would_obey_and_stays_the_same_json) {
  const nlohmann::json json{{"a\u009b", "ä \x7f\u0080\u00a0\x1b\xff"}};
  const std::string text = json_text(json);
  EXPECT_EQ(text, R"({"a\u009b":"ä \u007f\u0080)" "\u00a0" R"(\u001b)" "\ufffd\"}");
  EXPECT_EQ(json_text(nlohmann::json::parse(text)), text);
}

TEST(ControlsEscaped, shows_what_was_there) {
  EXPECT_EQ(controls_escaped("a\n\t\x1b\u009bä\xc2", "\t"), "a\\n\t\\u001b\\u009bä\xc2");
}

TEST(Join, puts_the_separator_between_words_only) {
  const std::vector<std::string> words{"a", "b", "c"};
  EXPECT_EQ(join(words), "a, b, c");
  EXPECT_EQ(join(words, "; "), "a; b; c");
  EXPECT_EQ(join(std::span(words).first(1)), "a");
  EXPECT_EQ(join({}), "");
}

TEST(Clock, writes_and_reads_one_form_of_time) {
  const auto time = from_rfc3339("2038-01-19T03:14:08Z");
  ASSERT_TRUE(time);
  EXPECT_EQ(time->time_since_epoch().count(), 2147483648);
  EXPECT_EQ(to_rfc3339(*time), "2038-01-19T03:14:08Z");
  for (const char* bad : {"2026-02-30T00:00:00Z", "2026-11-21T24:00:00Z", "2026-11-21 08:00:00Z",
                          "2026-11-21T08:00:00+01:00", ""}) {
    EXPECT_FALSE(from_rfc3339(bad)) << bad;
  }
}

TEST(FileLock, is_held_by_one_at_a_time) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "lock";
  auto held = try_lock_file(path, 0600, "taken");
  ASSERT_TRUE(held) << held.error().message();
  const auto second = try_lock_file(path, 0600, "taken");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), ErrorCode::refused);
  EXPECT_EQ(second.error().message(), "taken");

  std::future<bool> waiter =
      std::async(std::launch::async, [&] { return lock_file(path, 0600).has_value(); });
  EXPECT_EQ(waiter.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
  held->reset();
  EXPECT_TRUE(waiter.get());
  EXPECT_FALSE(lock_file(folder.path() / "none" / "lock", 0600));
}

TEST(FileLock, excludes_others_where_the_file_system_has_no_locks) {
  const TemporaryFolder folder;
  const PlainFileSystem plain;
  const fs::path path = folder.path() / "lock";
  auto held = try_lock_file(path, 0600, "taken");
  ASSERT_TRUE(held) << held.error().message();
  const auto second = try_lock_file(path, 0600, "taken");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().message(), "taken");
  std::future<bool> waiter =
      std::async(std::launch::async, [&] { return lock_file(path, 0600).has_value(); });
  EXPECT_EQ(waiter.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  held->reset();
  EXPECT_TRUE(waiter.get());
}

TEST(DurableFile, replaces_a_file_and_leaves_nothing_else) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "state";
  ASSERT_TRUE(write_file_durably(path, "old"));
  ASSERT_TRUE(write_file_durably(path, "new"));
  EXPECT_EQ(*read_text_file(path), "new");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(DurableFile, keeps_the_old_file_when_the_disk_is_full) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "state";
  ASSERT_TRUE(write_file_durably(path, "old"));
  // A file-size limit stands in for a full disk: write() fails part of the way.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 1000;
  ::setrlimit(RLIMIT_FSIZE, &small);
  const Status status = write_file_durably(path, std::string(5000, 'x'));
  ::setrlimit(RLIMIT_FSIZE, &before);
  ASSERT_FALSE(status);
  EXPECT_EQ(*read_text_file(path), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(DurableFile, refuses_a_file_above_its_limit_before_reading) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "large";
  ASSERT_TRUE(write_file_durably(path, std::string(2048, 'x')));
  const auto refused = read_file(path, ByteCount::kib(1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::invalid_data);
}

TEST(DurableFile, refuses_a_pipe_instead_of_waiting_for_it) {
  const TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  const auto refused = read_file(folder.path() / "pipe", ByteCount::kib(1));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("not a regular file"), std::string::npos);
}

class PublishFolder : public ::testing::Test {
 protected:
  PublishFolder() {
    fs::create_directory(staged_);
    EXPECT_TRUE(write_file_durably(staged_ / "a", "first"));
  }

  const TemporaryFolder folder_;
  const fs::path staged_ = folder_.path() / "staged";
  const fs::path release_ = folder_.path() / "release";
};

TEST_F(PublishFolder, never_replaces_another) {
  fs::create_directory(release_);
  const Status status = publish_folder(staged_, release_);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::already_exists);
  EXPECT_TRUE(fs::exists(staged_ / "a"));
}

TEST_F(PublishFolder, works_where_the_file_system_refuses_the_flag) {
  const PlainFileSystem plain;
  const Status published = publish_folder(staged_, release_);
  ASSERT_TRUE(published) << published.error().message();
  EXPECT_EQ(*read_text_file(release_ / "a"), "first");
  for (const char* other : {"folder", "file"}) {
    fs::create_directory(staged_);
    const fs::path there = folder_.path() / other;
    if (std::string_view(other) == "folder") {
      fs::create_directory(there);
      ASSERT_TRUE(write_file_durably(there / "thesis", "precious"));
    }
    if (std::string_view(other) == "file") {
      ASSERT_TRUE(write_file_durably(there, "precious"));
    }
    const Status refused = publish_folder(staged_, there);
    ASSERT_FALSE(refused) << other;
    EXPECT_EQ(refused.error().code(), ErrorCode::already_exists) << other;
  }
  EXPECT_EQ(*read_text_file(folder_.path() / "file"), "precious");
}

// An empty folder that is a mount point, a volume or "." keeps its inode: no rename replaces it.
void fill_in_place(const fs::path& release) {
  fs::create_directories(release / "lost+found");
  struct stat before {};
  ASSERT_EQ(::stat(release.c_str(), &before), 0);
  ASSERT_TRUE(is_vacant(release));
  const fs::path staged = filling_place(release, release.parent_path() / "beside");
  ASSERT_EQ(staged, release / ".incomplete");
  fs::create_directories(staged / "folder");
  ASSERT_TRUE(write_file_durably(staged / "folder" / "b", "second"));
  ASSERT_TRUE(write_file_durably(staged / "file", "third"));
  ASSERT_TRUE(is_vacant(release));  // of a killed call: it can be made again
  const Status published = publish_folder(staged, release);
  ASSERT_TRUE(published) << published.error().message();
  EXPECT_EQ(*read_text_file(release / "folder" / "b"), "second");
  EXPECT_EQ(*read_text_file(release / "file"), "third");
  EXPECT_FALSE(fs::exists(staged));
  EXPECT_FALSE(is_vacant(release));
  struct stat after {};
  ASSERT_EQ(::stat(release.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

TEST_F(PublishFolder, fills_an_empty_folder_in_place) {
  fill_in_place(release_);
}

TEST_F(PublishFolder, fills_an_empty_folder_in_place_where_the_flag_is_refused) {
  const PlainFileSystem plain;
  fill_in_place(release_);
}

TEST_F(PublishFolder, leaves_a_folder_alone_that_was_filled_meanwhile) {
  fs::create_directory(release_);
  const fs::path staged = filling_place(release_, staged_);
  fs::create_directory(staged);
  ASSERT_TRUE(write_file_durably(staged / "a", "ours"));
  ASSERT_TRUE(write_file_durably(release_ / "thesis", "precious"));
  const Status status = publish_folder(staged, release_);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::already_exists);
  EXPECT_FALSE(fs::exists(release_ / "a"));
  EXPECT_TRUE(fs::exists(staged / "a"));
}

TEST_F(PublishFolder, what_file_managers_leave_keeps_no_folder_from_being_filled) {
  fs::create_directories(release_ / ".Trash-0");
  ASSERT_TRUE(write_file_durably(release_ / ".DS_Store", "theirs"));
  fill_in_place(release_);
  EXPECT_EQ(*read_text_file(release_ / ".DS_Store"), "theirs");
}

TEST_F(PublishFolder, a_link_that_leads_nowhere_is_no_vacant_place) {
  fs::create_symlink("nowhere", release_);
  EXPECT_FALSE(is_vacant(release_));
  EXPECT_TRUE(is_vacant(folder_.path() / "absent"));
}

}  // namespace
}  // namespace outcrop
