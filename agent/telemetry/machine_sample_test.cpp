#include "agent/telemetry/machine_sample.hpp"

#include <gmock/gmock.h>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;

messages::Telemetry sample_of(const fs::path& root) {
  messages::Telemetry sample;
  sample_machine(runtime::MachineFiles(root), "/tmp", sample);
  return sample;
}

// The files as boards of these kinds have them.
fs::path board(const std::string& name) {
  return fs::path(OUTCROP_SOURCE) / "agent/doctor/boards" / name;
}

TEST(MachineSample, of_a_raspberry_pi_3_that_is_warm_and_was_throttled) {
  const auto sample = sample_of(board("raspberry-pi-3"));
  EXPECT_NEAR(*sample.temperature, 76.284, 1e-9);
  EXPECT_NEAR(*sample.frequency, 1200.0 / 1400, 1e-9);
  EXPECT_EQ(sample.throttled, (messages::ThrottlingBits{0x8, 0x8}));
  EXPECT_EQ(sample.free_memory, ByteCount::kib(402'816));
  EXPECT_GT(sample.free_disk->value(), 0U);
}

TEST(MachineSample, of_a_machine_that_says_nothing_is_empty) {
  const TemporaryFolder folder;
  auto sample = sample_of(folder.path());
  sample.free_disk.reset();
  EXPECT_EQ(sample, messages::Telemetry());
  const auto pc = sample_of(board("pc"));
  EXPECT_EQ(pc.throttled, std::nullopt) << "no firmware of a Raspberry Pi";
  EXPECT_TRUE(pc.temperature.has_value());
}

TEST(MachineSample, takes_nonsense_for_nothing) {
  const TemporaryFolder folder;
  const auto plant = [&](const fs::path& file, const std::string& text) {
    fs::create_directories((folder.path() / file).parent_path());
    ASSERT_THAT(write_file_durably(folder.path() / file, text), IsOk());
  };
  plant("sys/class/thermal/thermal_zone0/temp", "-273150");
  plant("sys/class/thermal/thermal_zone1/temp", "NaN");
  plant("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "0");
  plant("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "1400000");
  plant("proc/uptime", "soon");
  plant("proc/meminfo", "MemTotal: plenty kB\n");
  auto sample = sample_of(folder.path());
  sample.free_disk.reset();
  EXPECT_EQ(sample, messages::Telemetry());
  plant("proc/uptime", "350735.47 234388.90");
  EXPECT_EQ(sample_of(folder.path()).uptime, std::chrono::seconds(350'735));
}

}  // namespace
}  // namespace outcrop::agent
