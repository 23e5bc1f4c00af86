#include "protocol/base/processors.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "protocol/base/number.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop {
namespace {

namespace fs = std::filesystem;

// Files as the kernel shows them to a process in a control group.
class Processors : public ::testing::Test {
 protected:
  Processors() : all_(available_processors(folder_.path())) {}
  void write(const std::string& file, const std::string& text) const {
    fs::create_directories((folder_.path() / file).parent_path());
    std::ofstream(folder_.path() / file) << text;
  }
  void version_2(const std::string& group, const std::string& mount_root = "/") const {
    write("proc/self/cgroup", "0::" + group + "\n");
    write("proc/self/mountinfo", "22 1 0:5 / /proc rw - proc proc rw\n30 23 0:26 " + mount_root +
                                     " /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
  }
  [[nodiscard]] unsigned count() const { return available_processors(folder_.path()); }

  const TemporaryFolder folder_;
  const unsigned all_;
};

TEST_F(Processors, are_those_that_the_process_may_run_on) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  EXPECT_EQ(all_, static_cast<unsigned>(CPU_COUNT(&before)));
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(available_processors(), 1U);
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
}

TEST_F(Processors, are_no_more_than_a_quota_of_the_group_or_of_one_above_it_pays_for) {
  version_2("/user.slice/job.scope");
  EXPECT_EQ(count(), all_);  // no files: no limit
  write("sys/fs/cgroup/user.slice/job.scope/cpu.max", "max 100000\n");
  EXPECT_EQ(count(), all_);
  write("sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n");
  EXPECT_EQ(count(), 1U);
  write("sys/fs/cgroup/user.slice/cpu.max", "150000 100000\n");
  EXPECT_EQ(count(), std::min(all_, 2U));
  write("sys/fs/cgroup/user.slice/job.scope/cpu.max", "100000 100000\n");
  EXPECT_EQ(count(), 1U);
  write("sys/fs/cgroup/user.slice/job.scope/cpu.max", "nonsense\n");
  EXPECT_EQ(count(), std::min(all_, 2U));
}

TEST_F(Processors, of_a_container_are_those_of_what_it_sees_as_the_top) {
  write("sys/fs/cgroup/cpu.max", "100000 100000\n");
  version_2("/");
  EXPECT_EQ(count(), 1U);
  version_2("/../../other");
  EXPECT_EQ(count(), 1U);
  version_2("/docker/0123", "/docker/0123");
  EXPECT_EQ(count(), 1U);
}

TEST_F(Processors, obey_quotas_of_version_1) {
  write("proc/self/cgroup", "11:memory:/docker/0123\n4:cpu,cpuacct:/docker/0123\n");
  write("proc/self/mountinfo",
        "31 30 0:27 /docker/0123 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        "32 30 0:28 /docker/0123 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(count(), all_);
  write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "80000\n");
  EXPECT_EQ(count(), 1U);
}

TEST(Number, is_the_whole_text_in_plain_decimal_notation) {
  EXPECT_EQ(read_number<std::uint64_t>("18446744073709551615"), 18446744073709551615U);
  EXPECT_EQ(read_number<int>("-7"), -7);
  EXPECT_EQ(read_number<double>("2.5e-3"), 2.5e-3);
  for (const char* text : {"", " 1", "1 ", "+1", "-1", "0x1", "1.0", "18446744073709551616"}) {
    EXPECT_EQ(read_number<std::uint64_t>(text), std::nullopt) << text;
  }
  for (const char* text : {"", "nan", "inf", "1e999", "1,5", "0x1p3"}) {
    EXPECT_EQ(read_number<double>(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace outcrop
