#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <future>

#include "protocol/base/clock.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/file_lock.hpp"
#include "protocol/base/hex.hpp"
#include "protocol/base/join.hpp"
#include "protocol/base/unmounted_disk.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop {
namespace {

namespace fs = std::filesystem;

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

TEST(DurableFile, never_publishes_a_folder_over_another) {
  const TemporaryFolder folder;
  for (const char* name : {"staged", "release"}) fs::create_directory(folder.path() / name);
  const Status status = publish_folder(folder.path() / "staged", folder.path() / "release");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::already_exists);
  EXPECT_TRUE(fs::exists(folder.path() / "staged"));
}

}  // namespace
}  // namespace outcrop
