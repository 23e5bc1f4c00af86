#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "runtime/measure/conditions.hpp"
#include "runtime/measure/disk_wear.hpp"
#include "runtime/measure/frequency.hpp"
#include "runtime/measure/latency.hpp"
#include "runtime/measure/machine_files.hpp"
#include "runtime/measure/measurement_lock.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::runtime {
namespace {

using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Latency, percentiles_are_measured_values_by_nearest_rank) {
  std::vector<Nanoseconds> samples;
  for (int i = 100; i >= 1; --i) samples.emplace_back(i * 1'000'000);  // 100 ... 1 ms
  const auto latency = summarize(samples);
  ASSERT_THAT(latency, IsOk());
  EXPECT_EQ(latency->calls, 100U);
  EXPECT_DOUBLE_EQ(latency->p50.count(), 50);
  EXPECT_DOUBLE_EQ(latency->p90.count(), 90);
  EXPECT_DOUBLE_EQ(latency->p99.count(), 99);
  EXPECT_DOUBLE_EQ(latency->minimum.count(), 1);
  EXPECT_DOUBLE_EQ(latency->maximum.count(), 100);
  EXPECT_DOUBLE_EQ(latency->mean.count(), 50.5);
  EXPECT_NEAR(latency->standard_deviation.count(), 29.0115, 1e-4);  // of a sample: n - 1
}

TEST(Latency, of_few_samples_is_never_a_value_that_was_not_measured) {
  const auto one = summarize(std::vector{Nanoseconds(2'000'000)});
  ASSERT_THAT(one, IsOk());
  EXPECT_DOUBLE_EQ(one->p50.count(), 2);
  EXPECT_DOUBLE_EQ(one->p90.count(), 2);
  EXPECT_DOUBLE_EQ(one->standard_deviation.count(), 0);
  const auto two = summarize(std::vector{Nanoseconds(4'000'000), Nanoseconds(2'000'000)});
  ASSERT_THAT(two, IsOk());
  EXPECT_DOUBLE_EQ(two->p50.count(), 2);
  EXPECT_DOUBLE_EQ(two->p90.count(), 4);
  EXPECT_THAT(summarize({}), ErrorIs(ErrorCode::invalid_argument, HasSubstr("no call")));
}

class DiskWearTest : public ::testing::Test {
 protected:
  // As the kernel shows a card of two partitions: /sys/dev/block has links.
  void SetUp() override {
    std::filesystem::create_directories(root_ / "sys/dev/block");
    std::filesystem::create_directory_symlink("../../block/mmcblk0", root_ / "sys/dev/block/179:0");
    std::filesystem::create_directory_symlink("../../block/mmcblk0/mmcblk0p2", root_ / "sys/dev/block/179:2");
    plant("sys/block/mmcblk0/uevent", "MAJOR=179\nMINOR=0\nDEVNAME=mmcblk0\nDEVTYPE=disk\n");
    plant("sys/block/mmcblk0/mmcblk0p2/uevent", "MAJOR=179\nMINOR=2\nDEVNAME=mmcblk0p2\nDEVTYPE=partition\n");
    plant("sys/fs/ext4/mmcblk0p2/lifetime_write_kbytes", "222146129\n");
  }
  void plant(const std::filesystem::path& file, const std::string& text) {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  const TemporaryFolder folder_;
  const std::filesystem::path root_ = folder_.path();
  const MachineFiles files_{root_};
};

TEST_F(DiskWearTest, is_told_of_the_partition_and_of_the_card_that_it_is_on) {
  EXPECT_EQ(read_disk_wear(files_, 179, 2), (DiskWear{ByteCount::kib(222'146'129), std::nullopt})) << "an SD card knows no wear";
  plant("sys/block/mmcblk0/device/life_time", "0x02 0x01\n");
  EXPECT_EQ(read_disk_wear(files_, 179, 2), (DiskWear{ByteCount::kib(222'146'129), .2})) << "the worse of both";
  EXPECT_EQ(read_disk_wear(files_, 179, 0), (DiskWear{std::nullopt, .2})) << "no file system on the whole card";
  plant("sys/block/mmcblk0/device/life_time", "0x00 0x0b\n");
  EXPECT_EQ(read_disk_wear(files_, 179, 2).worn, 1.1);
  EXPECT_EQ(read_disk_wear(files_, 8, 1), DiskWear());
}

TEST_F(DiskWearTest, takes_nonsense_for_nothing) {
  for (const char* text : {"0x00 0x00", "0x0c 0x01", "new", "0x 0x1", "0x1z"}) {
    plant("sys/block/mmcblk0/device/life_time", text);
    EXPECT_EQ(read_disk_wear(files_, 179, 2).worn, std::nullopt) << text;
  }
  plant("sys/fs/ext4/mmcblk0p2/lifetime_write_kbytes", "-5");
  EXPECT_EQ(read_disk_wear(files_, 179, 2).written, std::nullopt);
  plant("sys/block/mmcblk0/mmcblk0p2/uevent", "DEVNAME=../../etc\n");
  EXPECT_EQ(read_disk_wear(files_, 179, 2), DiskWear()) << "a name is no path";
}

TEST(MeasurementLocks, are_held_by_one_process_at_a_time_and_released_by_its_death) {
  const TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t other = ::fork();
  if (other == 0) {
    const auto held = MeasurementLock::acquire(milliseconds(0), {folder.path()});
    [[maybe_unused]] const auto told = ::write(ready[1], held ? "y" : "n", 1);
    ::pause();
    ::_exit(0);
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  EXPECT_THAT(MeasurementLock::acquire(milliseconds(50), {folder.path()}),
              ErrorIs(ErrorCode::timeout, HasSubstr("process " + std::to_string(other))));
  ::kill(other, SIGKILL);
  ::waitpid(other, nullptr, 0);
  const auto mine = MeasurementLock::acquire(milliseconds(2000), {folder.path()});
  ASSERT_THAT(mine, IsOk());
  EXPECT_EQ(mine->note(), "");
  struct stat status {};
  ASSERT_EQ(::stat(mine->path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666U);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(MeasurementLocks, elsewhere_than_usual_say_so) {
  const TemporaryFolder folder;
  const auto lock =
      MeasurementLock::acquire(milliseconds(0), {folder.path() / "missing", folder.path()});
  ASSERT_THAT(lock, IsOk());
  EXPECT_THAT(lock->note(), HasSubstr((folder.path() / "missing").string()));
  EXPECT_THAT(MeasurementLock::acquire(milliseconds(0), {folder.path() / "missing"}),
              ErrorIs(ErrorCode::io, HasSubstr("no folder can hold")));
}

TEST(MeasurementLocks, do_not_follow_links_that_somebody_else_left) {
  const TemporaryFolder folder;
  std::filesystem::create_symlink(folder.path() / "victim", folder.path() / "outcrop-measure.lock");
  EXPECT_THAT(MeasurementLock::acquire(milliseconds(0), {folder.path()}),
              ErrorIs(ErrorCode::io, HasSubstr("")));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "victim"));
}

// A machine of two cores that did nothing else for a second.
std::pair<MachineState, MachineState> quiet_second() {
  MachineState before;
  before.when = std::chrono::steady_clock::now();
  before.busy = milliseconds(100'000);
  before.stolen = milliseconds(0);
  before.throttled = 0;
  before.frequency_ceiling = 1'800'000;
  before.cores = 2;
  MachineState after = before;
  after.when += std::chrono::seconds(1);
  *after.busy += milliseconds(1000);
  return {before, after};
}

TEST(Runs, are_valid_while_the_model_has_its_cores) {
  auto [before, after] = quiet_second();
  EXPECT_TRUE(judge(before, after, milliseconds(1000), 1).valid());
  *after.busy += milliseconds(1000);  // another program on the other core
  EXPECT_TRUE(judge(before, after, milliseconds(1000), 1).valid());
  EXPECT_THAT(judge(before, after, milliseconds(1000), 2).void_because,
              Contains(HasSubstr("other work")));
}

TEST(Runs, are_void_under_throttling_stolen_time_or_another_frequency) {
  auto [before, after] = quiet_second();
  after.throttled = 0x50005;
  EXPECT_THAT(judge(before, after, milliseconds(1000), 1).void_because,
              Contains(HasSubstr("throttled")));
  std::tie(before, after) = quiet_second();
  after.frequency_ceiling = 600'000;
  EXPECT_THAT(judge(before, after, milliseconds(1000), 1).void_because,
              Contains(HasSubstr("frequency")));
  std::tie(before, after) = quiet_second();
  after.stolen = milliseconds(1500);
  EXPECT_FALSE(judge(before, after, milliseconds(1000), 1).valid());
}

TEST(Runs, are_void_where_the_processor_changed_its_frequency_meanwhile) {
  auto [before, after] = quiet_second();
  before.frequency_times = {{{600'000, milliseconds(9000)}, {1'800'000, milliseconds(5000)}}};
  after.frequency_times = {{{600'000, milliseconds(9080)}, {1'800'000, milliseconds(5920)}}};
  EXPECT_TRUE(judge(before, after, milliseconds(1000), 1).valid());  // the governor's beginning
  after.frequency_times = {{{600'000, milliseconds(9300)}, {1'800'000, milliseconds(5700)}}};
  EXPECT_THAT(judge(before, after, milliseconds(1000), 1).void_because,
              ElementsAre("the processor ran at 1800 MHz, but at others for 30 % of the time"));
}

TEST(Runs, are_judged_by_the_cores_that_worked) {
  auto [before, after] = quiet_second();
  before.frequency_times.assign(2, {{800'000, milliseconds(0)}, {3'000'000, milliseconds(0)}});
  after.frequency_times = {{{800'000, milliseconds(1000)}, {3'000'000, milliseconds(0)}},
                           {{800'000, milliseconds(400)}, {3'000'000, milliseconds(600)}}};
  EXPECT_THAT(judge(before, after, milliseconds(1000), 1).void_because,
              ElementsAre(HasSubstr("3000 MHz")));
  after.frequency_times[1] = {{800'000, milliseconds(10)}, {3'000'000, milliseconds(990)}};
  EXPECT_TRUE(judge(before, after, milliseconds(1000), 1).valid());
}

TEST(Runs, say_nothing_of_counts_that_cannot_be_compared) {
  const std::vector<FrequencyTimes> before = {{{600'000, milliseconds(1000)}}};
  EXPECT_FALSE(frequency_between(before, {}));
  EXPECT_FALSE(frequency_between(before, {{{600'000, milliseconds(10)}}}));    // began anew
  EXPECT_FALSE(frequency_between(before, {{{1'800'000, milliseconds(9)}}}));   // others than before
  EXPECT_FALSE(frequency_between(before, {{{600'000, milliseconds(1100)}}}));  // too short
  EXPECT_TRUE(frequency_between(before, {{{600'000, milliseconds(2000)}}}));
}

TEST(Runs, are_not_void_for_sensors_that_are_not_there) {
  auto [before, after] = quiet_second();
  after.throttled.reset();
  after.frequency_ceiling.reset();
  after.busy.reset();
  const Validity validity = judge(before, after, milliseconds(1000), 1);
  EXPECT_TRUE(validity.valid());
  EXPECT_EQ(validity.unknown.size(), 3U);
}

TEST(MachineStates, are_read_from_recorded_trees_and_missing_files_are_unknown) {
  const TemporaryFolder root;
  const auto write = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root.path() / path).parent_path());
    std::ofstream(root.path() / path) << text;
  };
  EXPECT_FALSE(read_machine_state(root.path()).busy);
  write("proc/stat", "cpu  100 0 50 1000 7 1 2 3 0 0\ncpu0 1 2 3 4\n");
  write("sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n");
  write("sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "1800000\n");
  write("sys/devices/system/cpu/cpu1/cpufreq/scaling_max_freq", "1500000\n");
  MachineState state = read_machine_state(root.path());
  EXPECT_EQ(state.busy, milliseconds(153 * 1000 / ::sysconf(_SC_CLK_TCK)));
  EXPECT_EQ(state.stolen, milliseconds(3 * 1000 / ::sysconf(_SC_CLK_TCK)));
  EXPECT_EQ(state.throttled, 0x50005U);
  EXPECT_EQ(state.frequency_ceiling, 1'500'000U);
  write("sys/devices/system/cpu/cpufreq/policy0/stats/time_in_state", "600000 10\n1800000 2\n");
  const long tick = 1000 / ::sysconf(_SC_CLK_TCK);
  EXPECT_THAT(read_machine_state(root.path()).frequency_times,
              ElementsAre(FrequencyTimes{{600'000, milliseconds(10 * tick)},
                                         {1'800'000, milliseconds(2 * tick)}}));
  write("sys/devices/system/cpu/cpufreq/policy4/stats/time_in_state", "600000 ten\n");
  EXPECT_THAT(read_machine_state(root.path()).frequency_times, ElementsAre());
  write("sys/devices/platform/soc/soc:firmware/get_throttled", "nonsense\n");
  write("proc/stat", "no such thing\n");
  state = read_machine_state(root.path());
  EXPECT_FALSE(state.throttled);
  EXPECT_FALSE(state.busy);
}

TEST(MachineStates, hear_the_firmware_of_every_raspberry_pi) {
  // The device tree's node for the processor has another name on each.
  for (const std::string soc : {"soc", "soc@107c000000"}) {
    const TemporaryFolder root;
    const auto folder = root.path() / "sys/devices/platform" / soc / (soc + ":firmware");
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "get_throttled") << "50005\n";
    EXPECT_EQ(read_machine_state(root.path()).throttled, 0x50005U) << soc;
    std::ofstream(folder / "get_throttled") << "0x8\n";
    EXPECT_EQ(read_machine_state(root.path()).throttled, 8U) << soc;
    std::ofstream(folder / "get_throttled") << "ffffffffff\n";
    EXPECT_FALSE(read_machine_state(root.path()).throttled) << soc;
  }
}

TEST(MachineFilesBelowARoot, are_nothing_where_they_are_no_text) {
  const TemporaryFolder root;
  const MachineFiles files(root.path());
  const auto write = [&](const std::string& text) { std::ofstream(root.path() / "f") << text; };
  EXPECT_FALSE(files.text("f"));
  write("");
  EXPECT_FALSE(files.text("f"));
  write(std::string("Raspberry Pi 4\0", 15));
  EXPECT_EQ(files.text("f"), "Raspberry Pi 4");
  write("\033[31mred");
  EXPECT_FALSE(files.text("f"));
  write(
      std::string("\x7f"
                  "ELF\x02\0\0",
                  7));
  EXPECT_FALSE(files.text("f"));
  write(std::string((1 << 20) + 1, 'x'));
  EXPECT_FALSE(files.text("f"));
  write("-3500\n");
  EXPECT_EQ(files.number("f"), -3500);
  write("12 13\n");
  EXPECT_FALSE(files.number("f"));
  write("99999999999999999999\n");
  EXPECT_FALSE(files.number("f"));
  EXPECT_FALSE(files.text("."));
  ASSERT_EQ(::mkfifo((root.path() / "pipe").c_str(), 0600), 0);
  EXPECT_FALSE(files.text("pipe"));
  EXPECT_EQ(files.matching("*"), (std::vector<std::filesystem::path>{"f", "pipe"}));
}

}  // namespace
}  // namespace outcrop::runtime
