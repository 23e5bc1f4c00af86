#include "agent/doctor/machine.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "agent/doctor/clock.hpp"
#include "agent/doctor/finding_matchers.hpp"
#include "protocol/base/kept_clock.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Every file that a check reads.
const std::vector<std::string>& read_files() {
  static const std::vector<std::string> names{
      "proc/device-tree/model",
      "sys/class/dmi/id/product_name",
      "sys/class/dmi/id/sys_vendor",
      "sys/devices/system/cpu/online",
      "proc/cpuinfo",
      "proc/meminfo",
      "sys/block/mmcblk0/device/type",
      "sys/block/mmcblk0/device/life_time",
      "sys/block/mmcblk0/device/pre_eol_info",
      "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
      "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq",
      "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq",
      "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq",
      "sys/class/thermal/thermal_zone0/type",
      "sys/class/thermal/thermal_zone0/temp",
      "sys/devices/platform/soc/soc:firmware/get_throttled"};
  return names;
}

class MachineTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((root_.path() / name).parent_path());
    std::ofstream(root_.path() / name, std::ios::binary) << text;
  }
  TemporaryFolder root_;
  MachineFiles files_{root_.path()};
};

MATCHER(NobodyKnows, "is unknown in every line") {
  for (const Finding& finding : arg) {
    *result_listener << ::testing::PrintToString(finding) << "\n";
    if (finding.verdict != Verdict::unknown || finding.advice.empty()) return false;
  }
  return !arg.empty();
}

TEST_F(MachineTest, says_unknown_where_there_are_no_files) {
  EXPECT_THAT(check_machine(files_, 1, false), NobodyKnows());
}

TEST_F(MachineTest, says_unknown_where_files_are_empty) {
  for (const std::string& name : read_files()) write(name, "");
  EXPECT_THAT(check_machine(files_, 1, false), NobodyKnows());
}

TEST_F(MachineTest, says_unknown_where_files_are_binary) {
  std::string bytes;
  for (int i = 0; i < 4096; ++i) bytes += static_cast<char>(i * 37 + 5);
  for (const std::string& name : read_files()) write(name, bytes);
  EXPECT_THAT(check_machine(files_, 1, false), NobodyKnows());
}

TEST_F(MachineTest, says_unknown_where_files_cannot_be_read) {
  // A folder in a file's place cannot be read by root either.
  for (const std::string& name : read_files()) fs::create_directories(root_.path() / name);
  EXPECT_THAT(check_machine(files_, 1, false), NobodyKnows());
}

TEST_F(MachineTest, waits_for_no_pipe) {
  for (const std::string& name : read_files()) {
    fs::create_directories((root_.path() / name).parent_path());
    ASSERT_EQ(::mkfifo((root_.path() / name).c_str(), 0600), 0);
  }
  EXPECT_THAT(check_machine(files_, 1, false), NobodyKnows());
}

TEST_F(MachineTest, believes_no_nonsense) {
  const std::vector<std::string> nonsense{":",
                                          "::::\n:\n",
                                          "-",
                                          "3-1",
                                          "0-",
                                          "0-99999999999999999999",
                                          "0x",
                                          "0xzz 0xff",
                                          "99999999999999999999999999",
                                          "-99999999999999999999999999",
                                          "MemTotal: -1 kB\nMemAvailable: x kB",
                                          "MemTotal: 1 furlong\nMemAvailable: 1 furlong",
                                          "Features :\nflags :",
                                          std::string(100'000, '9'),
                                          std::string(100'000, ' ') + "x"};
  for (const std::string& text : nonsense) {
    for (const std::string& name : read_files()) {
      if (name.find("model") == std::string::npos && name.find("dmi") == std::string::npos &&
          name.find("governor") == std::string::npos) {
        write(name, text);
      }
    }
    for (const Finding& finding : check_machine(files_, 1, false)) {
      if (finding.check == "processor" || finding.check == "throttling") continue;  // below
      EXPECT_THAT(finding, Finds(Verdict::unknown, ::testing::_)) << text.substr(0, 60);
    }
  }
  write("proc/cpuinfo", "Features :\n");
  EXPECT_THAT(check_processor(files_, true), Finds(Verdict::fail, HasSubstr("without asimd")));
}

TEST_F(MachineTest, counts_cores_and_says_where_a_model_is_given_more) {
  write("sys/devices/system/cpu/online", "0-1,3,6-7\n");
  EXPECT_THAT(check_cores(files_, 5), Finds(Verdict::ok, "5 cores"));
  EXPECT_THAT(check_cores(files_, 6), Finds(Verdict::warn, HasSubstr("6 threads")));
  write("sys/devices/system/cpu/online", "0\n");
  EXPECT_THAT(check_cores(files_, 1), Finds(Verdict::ok, "1 core"));
}

TEST_F(MachineTest, counts_only_what_every_core_can_do) {
  write("proc/cpuinfo",
        "Features\t: fp asimd atomics asimddp\nCPU part\t: 0xd05\n\n"
        "Features\t: fp asimd atomics asimddp i8mm\nCPU part\t: 0xd41\n");
  EXPECT_THAT(
      check_processor(files_, false),
      Finds(Verdict::ok, "Cortex-A55 and Cortex-A78 with atomics and asimddp, without i8mm"));
  write("proc/cpuinfo", "Features\t: half thumb neon vfpv4 crc32\nCPU part\t: 0xd08\n");
  EXPECT_THAT(check_processor(files_, true), Finds(Verdict::fail, HasSubstr("32-bit")));
  write("proc/cpuinfo", "model name\t: QEMU Virtual CPU\nflags\t\t: sse sse2\n");
  EXPECT_THAT(check_processor(files_, true),
              Finds(Verdict::warn, HasSubstr("without avx2, fma and avx512_vnni")));
}

TEST_F(MachineTest, warns_where_little_memory_is_left) {
  write("proc/meminfo", "MemTotal: 900000 kB\nMemAvailable: 500000 kB\n");
  EXPECT_THAT(check_memory(files_), Finds(Verdict::ok, HasSubstr("512.00 MB available")));
  write("proc/meminfo", "MemTotal: 900000 kB\nMemAvailable: 499999 kB\n");
  EXPECT_THAT(check_memory(files_), Finds(Verdict::warn, HasSubstr("of 921.60 MB")));
}

TEST_F(MachineTest, warns_from_75_degrees_and_fails_from_85) {
  const std::string zone = "sys/class/thermal/thermal_zone0/temp";
  write(zone, "74999\n");
  EXPECT_THAT(check_temperature(files_), Finds(Verdict::ok, HasSubstr("75.0 °C (thermal_zone0)")));
  write(zone, "75000\n");
  EXPECT_THAT(check_temperature(files_), Finds(Verdict::warn, HasSubstr("75.0 °C")));
  write("sys/class/thermal/thermal_zone1/temp", "85000\n");
  EXPECT_THAT(check_temperature(files_), Finds(Verdict::fail, HasSubstr("85.0 °C")));
  write("sys/class/thermal/thermal_zone1/temp", "-273000\n");  // not connected
  EXPECT_THAT(check_temperature(files_), Finds(Verdict::warn, HasSubstr("75.0 °C")));
  write(zone, "-12500\n");
  EXPECT_THAT(check_temperature(files_), Finds(Verdict::ok, HasSubstr("-12.5 °C")));
}

TEST_F(MachineTest, puts_the_firmware_s_bits_into_words) {
  const std::string file = "sys/devices/platform/soc/soc:firmware/get_throttled";
  write(file, "0\n");
  EXPECT_THAT(check_throttling(files_), ElementsAre(Finds(Verdict::ok, "none since boot")));
  write(file, "d0005\n");
  EXPECT_THAT(check_throttling(files_),
              ElementsAre(AllOf(
                  Finds(Verdict::fail,
                        "now: under-voltage and throttled; since boot: under-voltage, throttled "
                        "and soft temperature limit (0xd0005)"),
                  Field(&Finding::advice, HasSubstr("power supply")))));
  write(file, "60000\n");
  EXPECT_THAT(check_throttling(files_),
              ElementsAre(AllOf(Finds(Verdict::warn, HasSubstr("frequency capped and throttled")),
                                Field(&Finding::advice, HasSubstr("cool it")))));
  // Bits that nobody has told us of.
  write(file, "80000000\n");
  EXPECT_THAT(check_throttling(files_), ElementsAre(Finds(Verdict::ok, "none since boot")));
  fs::remove(root_.path() / file);
  write("proc/device-tree/model", "Radxa ROCK 5B");
  EXPECT_THAT(check_throttling(files_), IsEmpty());
}

TEST_F(MachineTest, sees_a_lowered_ceiling_and_a_governor_that_keeps_the_processor_slow) {
  const std::string core = "sys/devices/system/cpu/cpu0/cpufreq/";
  write(core + "scaling_governor", "powersave\n");
  write(core + "scaling_max_freq", "1000000\n");
  write(core + "cpuinfo_max_freq", "1500000\n");
  EXPECT_THAT(check_governor(files_), Finds(Verdict::warn, HasSubstr("powersave")));
  EXPECT_THAT(check_frequency(files_),
              Finds(Verdict::warn, "up to 1000 MHz; the processor could 1500 MHz"));
  write(core + "scaling_driver", "amd-pstate-epp\n");
  EXPECT_THAT(check_governor(files_), Finds(Verdict::ok, "powersave"));
  write("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n");
  EXPECT_THAT(check_governor(files_), Finds(Verdict::warn, HasSubstr("cores differ")));
}

TEST_F(MachineTest, reads_how_worn_flash_says_it_is) {
  const auto emmc = [&](const std::string& life, const std::string& blocks) {
    write("sys/block/mmcblk0/device/type", "MMC\n");
    write("sys/block/mmcblk0/device/life_time", life);
    write("sys/block/mmcblk0/device/pre_eol_info", blocks);
    fs::create_directories(root_.path() / "sys/block/mmcblk0boot0/device");
    return check_wear(files_);
  };
  EXPECT_THAT(emmc("0x02 0x01\n", "0x01\n"),
              ElementsAre(Finds(Verdict::ok, "eMMC mmcblk0: 10 to 20 % of its life used")));
  EXPECT_THAT(emmc("0x01 0x0a\n", "0x01\n"),
              ElementsAre(Finds(Verdict::warn, HasSubstr("90 to 100 %"))));
  EXPECT_THAT(emmc("0x03 0x03\n", "0x02\n"),
              ElementsAre(Finds(Verdict::warn, HasSubstr("80 % of its spare blocks"))));
  EXPECT_THAT(emmc("0x0b 0x01\n", "0x01\n"),
              ElementsAre(Finds(Verdict::fail, HasSubstr("beyond its estimated life"))));
  EXPECT_THAT(emmc("0x00 0x00\n", "0x03\n"),
              ElementsAre(Finds(Verdict::fail, HasSubstr("90 % of its spare blocks"))));
  EXPECT_THAT(emmc("0x00 0x00\n", "0x00\n"),
              ElementsAre(Finds(Verdict::unknown, HasSubstr("says nothing"))));
}

TEST_F(MachineTest, measures_the_disk_that_will_hold_a_folder) {
  const fs::path later = root_.path() / "not/yet/there";
  EXPECT_THAT(check_disk(later, ByteCount(0)).found, HasSubstr("free of"));
  EXPECT_THAT(check_disk(later, ByteCount(std::uint64_t{1} << 62)),
              Finds(Verdict::fail, HasSubstr("free of")));
}

TEST_F(MachineTest, says_of_the_clock_whether_it_is_right_and_by_whom) {
  ClockReading clock{*from_rfc3339("2026-11-21T08:00:00Z"), false, 64};
  EXPECT_THAT(check_clock(files_, clock, std::nullopt),
              Finds(Verdict::warn, HasSubstr("kept by nobody, and no real-time clock")));
  write("sys/class/rtc/rtc0/name", "rpi-rtc\n");
  EXPECT_THAT(check_clock(files_, clock, std::nullopt).found, HasSubstr("kept by nobody"));
  clock.synchronised = true;
  EXPECT_THAT(check_clock(files_, clock, std::nullopt),
              Finds(Verdict::ok, "2026-11-21T08:00:00Z, synchronised"));
  write("run/chrony/chronyd.pid", "1\n");
  EXPECT_THAT(check_clock(files_, clock, std::nullopt), Finds(Verdict::ok, HasSubstr("by chrony")));
  write(timesyncd_mark, "");
  EXPECT_THAT(check_clock(files_, clock, std::nullopt),
              Finds(Verdict::ok, HasSubstr("by systemd-timesyncd")));
  const Timestamp signed_at = clock.now + std::chrono::seconds(1);
  EXPECT_THAT(check_clock(files_, clock, signed_at),
              Finds(Verdict::fail, HasSubstr("before what")));
  clock.synchronised = false;
  EXPECT_THAT(check_clock(files_, clock, signed_at),
              Finds(Verdict::warn, HasSubstr("before what")));
}

TEST_F(MachineTest, knows_clocks_of_32_bits_and_clocks_that_were_never_set) {
  ClockReading clock{*from_rfc3339("2037-01-01T00:00:00Z"), true, 32};
  EXPECT_THAT(check_clock(files_, clock, std::nullopt),
              Finds(Verdict::warn, HasSubstr("2038-01-19")));
  // What such a clock goes on with.
  clock.now = Timestamp(std::chrono::seconds(-2'147'483'648LL));
  EXPECT_THAT(check_clock(files_, clock, std::nullopt),
              Finds(Verdict::fail, HasSubstr("1901-12-13T20:45:52Z: it was never set")));
  clock.time_bits = 64;
  clock.now = *from_rfc3339("2039-01-01T00:00:00Z");
  EXPECT_THAT(check_clock(files_, clock, std::nullopt), Finds(Verdict::ok, HasSubstr("2039")));
  clock.now = Timestamp(std::chrono::seconds(17));
  EXPECT_THAT(check_clock(files_, clock, std::nullopt),
              Finds(Verdict::fail, HasSubstr("never set")));
}

TEST(Findings, are_shown_without_what_could_steer_a_terminal) {
  const Findings findings{{"engine", Verdict::fail, "\033[31mred\n", "do\rthis"}};
  EXPECT_THAT(to_table(findings), AllOf(HasSubstr("?[31mred?"), HasSubstr("→ do?this")));
  EXPECT_EQ(to_json(findings)["checks"][0]["found"], "?[31mred?");
  EXPECT_EQ(to_json(findings)["failed"], 1);
}

}  // namespace
}  // namespace outcrop::agent
