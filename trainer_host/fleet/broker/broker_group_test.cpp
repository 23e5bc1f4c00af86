#include "trainer_host/fleet/broker/broker_group.hpp"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::fleet {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr ByteCount most = ByteCount::mib(64);

// A folder as the kernel would show it: what it makes by itself in a new group is there already.
class BrokerGroupTest : public ::testing::Test {
 protected:
  BrokerGroupTest() {
    for (const char* name : {"host", "broker"}) fs::create_directories(unit_ / name);
    write(own_, "12:memory:/elsewhere\n0::/system.slice/outcropd.service\n");
    write(unit_ / "cgroup.controllers", "cpu memory pids\n");
    write(unit_ / "cgroup.procs", std::to_string(::getpid()) + "\n");
    write(unit_ / "cgroup.subtree_control", "");
    for (const char* name : {"host", "broker"}) write(unit_ / name / "cgroup.procs", "");
    write(unit_ / "broker/memory.max", "");
  }
  static void write(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }
  static std::string read(const fs::path& file) { return read_text_file(file).value_or("?"); }
  Result<BrokerGroup> make() { return BrokerGroup::make(most, {folder_.path(), own_}); }

  TemporaryFolder folder_;
  fs::path unit_ = folder_.path() / "system.slice/outcropd.service";
  fs::path own_ = folder_.path() / "own";
};

TEST_F(BrokerGroupTest, is_beside_the_one_that_outcropd_moves_into) {
  const auto group = make();
  ASSERT_THAT(group, IsOk());
  EXPECT_EQ(group->folder(), unit_ / "broker");
  EXPECT_EQ(read(unit_ / "host/cgroup.procs"), std::to_string(::getpid()));
  EXPECT_EQ(read(unit_ / "cgroup.subtree_control"), "+memory");
  EXPECT_EQ(read(unit_ / "broker/memory.max"), "67108864");
  ASSERT_THAT(group->take(4711), IsOk());
  EXPECT_EQ(read(unit_ / "broker/cgroup.procs"), "4711");
  EXPECT_EQ(group->killed(), 0U);
  write(unit_ / "broker/memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n");
  EXPECT_EQ(group->killed(), 2U);
  // The same process again, which is in host/ by now.
  write(own_, "0::/system.slice/outcropd.service/host\n");
  EXPECT_EQ(make()->folder(), unit_ / "broker");
}

TEST_F(BrokerGroupTest, that_cannot_be_had_says_what_is_missing_and_changes_nothing) {
  const auto refused = [&](const std::string& why) {
    EXPECT_THAT(make(), ErrorIs(ErrorCode::unsupported, HasSubstr(why)));
    EXPECT_THAT(read(unit_ / "host/cgroup.procs"), IsEmpty()) << why;
  };
  write(unit_ / "cgroup.procs", "1\n" + std::to_string(::getpid()) + "\n");
  refused("others work in the control group");
  write(unit_ / "cgroup.procs", "");
  write(unit_ / "cgroup.controllers", "pids\n");
  refused("has no controller of memory (Delegate=memory");
  write(unit_ / "cgroup.controllers", "memory\n");
  fs::remove(unit_ / "cgroup.subtree_control");
  refused("may not be divided by this user");
  write(own_, "0::/\n");
  refused("the uppermost control group");
  write(own_, "4:memory:/a\n");
  refused("not those of version 2");
}

TEST_F(BrokerGroupTest, whose_limit_the_kernel_does_not_take_is_given_up) {
  fs::remove(unit_ / "broker/memory.max");
  EXPECT_THAT(make(), ErrorIs(ErrorCode::unsupported, HasSubstr("memory.max")));
  EXPECT_THAT(read(unit_ / "cgroup.procs"), HasSubstr(std::to_string(::getpid()))) << "outcropd is where it was";
}

// By the kernel, where this process may make groups.
TEST(BrokerGroupOfTheKernel, ends_who_takes_more_memory_than_it_may) {
  const fs::path unit = "/sys/fs/cgroup/outcrop-test-" + std::to_string(::getpid());
  std::error_code error;
  if (!fs::exists("/sys/fs/cgroup/cgroup.controllers") || !fs::create_directory(unit, error)) {
    GTEST_SKIP() << "no control group of version 2 can be made here";
  }
  const auto write = [](const fs::path& file, const std::string& text) { return static_cast<bool>(std::ofstream(file) << text << std::flush); };
  const bool memory = write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
  const pid_t child = memory ? ::fork() : 0;
  if (memory && child == 0) {
    if (!write(unit / "cgroup.procs", std::to_string(::getpid()))) ::_exit(77);
    const auto group = BrokerGroup::make(most);
    if (!group) ::_exit(78);
    const pid_t greedy = ::fork();
    if (greedy == 0) {
      if (!group->take(::getpid())) ::_exit(79);
      std::string all;
      for (;;) all.append(1'000'000, 'x');
    }
    int ended = 0;
    ::waitpid(greedy, &ended, 0);
    ::_exit(WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL && group->killed() == 1 ? 0 : 80);
  }
  int ended = 0;
  if (memory) ::waitpid(child, &ended, 0);
  for (const char* name : {"host", "broker", ""}) fs::remove(unit / name, error);
  if (!memory || WEXITSTATUS(ended) == 77) GTEST_SKIP() << "the memory controller cannot be had here";
  EXPECT_EQ(WEXITSTATUS(ended), 0);
}

}  // namespace
}  // namespace outcrop::fleet
