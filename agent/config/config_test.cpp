#include "agent/config/config.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* device = "[device]\nmodel = \"curvefault\"\nclass = \"raspberry-pi-4\"\n";

class AgentConfigTest : public ::testing::Test {
 protected:
  Result<AgentConfig> read(const std::string& text) {
    EXPECT_THAT(write_file_durably(file_, text), IsOk());
    return read_config(file_);
  }
  // The line that the drop-in stands on is the first.
  Result<AgentConfig> with_drop_in(const std::string& text) {
    fs::create_directories(folder_.path() / "agent.toml.d");
    EXPECT_THAT(write_file_durably(folder_.path() / "agent.toml.d/50.toml", text), IsOk());
    return read(device);
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_.path() / "agent.toml";
};

TEST_F(AgentConfigTest, needs_no_more_than_the_device) {
  const auto config = read(device);
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->model, "curvefault");
  EXPECT_EQ(config->device_class, "raspberry-pi-4");
  EXPECT_EQ(config->state, "/var/lib/outcrop-agent");
  EXPECT_EQ(config->socket, "/run/outcrop-agent/control.sock");
  EXPECT_EQ(config->socket_mode, 0660U);
  EXPECT_EQ(config->broker_port, 0);
  EXPECT_EQ(config->runner_program.filename(), "outcrop-runner-torch");
  EXPECT_TRUE(config->runner_program.is_absolute());
  EXPECT_FALSE(is_emulated(*config));
  EXPECT_FALSE(config->allow_reduced_confinement);
  EXPECT_FALSE(config->approve_updates);
}

TEST_F(AgentConfigTest, the_example_is_right_and_shows_the_defaults) {
  std::ifstream lines(OUTCROP_SOURCE "/configs/agent.toml");
  std::string as_it_is;
  std::string written_out;
  for (std::string line; std::getline(lines, line);) {
    const bool value = line.size() > 1 && line[0] == '#' && line[1] != ' ';
    as_it_is += line + "\n";
    written_out += (value ? line.substr(1) : line) + "\n";
  }
  const auto defaults = read(as_it_is);
  ASSERT_THAT(defaults, IsOk());
  const auto every_key = read(written_out);
  ASSERT_THAT(every_key, IsOk());
  EXPECT_EQ(every_key->state, defaults->state);
  EXPECT_EQ(every_key->socket, defaults->socket);
  EXPECT_EQ(every_key->socket_mode, defaults->socket_mode);
  EXPECT_EQ(every_key->memory_limit, defaults->memory_limit);
  EXPECT_EQ(every_key->measure_calls, defaults->measure_calls);
  EXPECT_EQ(every_key->measure_time, defaults->measure_time);
  EXPECT_EQ(every_key->measure_rounds, defaults->measure_rounds);
  EXPECT_EQ(every_key->measure_attempts, defaults->measure_attempts);
  EXPECT_EQ(every_key->measure_patience, defaults->measure_patience);
  EXPECT_EQ(every_key->measure_again, defaults->measure_again);
  EXPECT_EQ(every_key->disk_reserve, defaults->disk_reserve);
  EXPECT_EQ(every_key->most_a_second, defaults->most_a_second);
  EXPECT_EQ(every_key->most_a_day, defaults->most_a_day);
  EXPECT_EQ(every_key->metered, defaults->metered);
  EXPECT_EQ(every_key->ask_network_manager, defaults->ask_network_manager);
  EXPECT_EQ(every_key->approve_updates, defaults->approve_updates);
  EXPECT_EQ(every_key->tell_telemetry, defaults->tell_telemetry);
  EXPECT_EQ(every_key->broker_host, "fleet.example");
}

TEST_F(AgentConfigTest, reads_every_key) {
  const auto config = read(R"(state = "state"
socket = "/tmp/x.sock"
socket_mode = "0600"
log = "debug"
[device]
model = "curvefault"
class = "raspberry-pi-4"
[broker]
host = "fleet.example"
port = 8884
[runner]
program = "/usr/lib/outcrop/outcrop-runner-torch"
launcher = ["/usr/bin/qemu-aarch64-static", "-L", "/sysroot"]
confinement = "reduced"
threads = 2
memory_limit_mb = 512
[measure]
calls = 50
seconds = 2
rounds = 3
attempts = 1
patience_seconds = 0
[disk]
reserve_mb = 0
keep_mb = 500
[owner]
updates = "approve"
telemetry = "off"
)");
  ASSERT_THAT(config, IsOk());
  EXPECT_FALSE(config->tell_telemetry);
  EXPECT_EQ(config->state, folder_.path() / "state");
  EXPECT_EQ(config->socket, "/tmp/x.sock");
  EXPECT_EQ(config->socket_mode, 0600U);
  EXPECT_EQ(config->log, "debug");
  EXPECT_EQ(config->broker_host, "fleet.example");
  EXPECT_EQ(config->broker_port, 8884);
  EXPECT_EQ(config->runner_program, "/usr/lib/outcrop/outcrop-runner-torch");
  EXPECT_THAT(config->runner_launcher,
              ElementsAre("/usr/bin/qemu-aarch64-static", "-L", "/sysroot"));
  EXPECT_TRUE(is_emulated(*config));
  EXPECT_TRUE(config->allow_reduced_confinement);
  EXPECT_EQ(config->threads, 2);
  EXPECT_EQ(config->memory_limit, ByteCount::mib(512));
  EXPECT_EQ(config->measure_calls, 50U);
  EXPECT_EQ(config->measure_time, std::chrono::seconds(2));
  EXPECT_EQ(config->measure_rounds, 3U);
  EXPECT_EQ(config->measure_attempts, 1U);
  EXPECT_EQ(config->measure_patience, std::chrono::seconds(0));
  EXPECT_EQ(config->disk_reserve, ByteCount(0));
  EXPECT_EQ(config->keep_bytes, ByteCount::mib(500));
  EXPECT_TRUE(config->approve_updates);
}

TEST_F(AgentConfigTest, names_file_line_and_key_of_what_it_refuses) {
  const auto refused = [&](const std::string& text, const std::string& message) {
    EXPECT_THAT(with_drop_in(text),
                ErrorIs(ErrorCode::invalid_argument, HasSubstr("agent.toml.d/50.toml:" + message)))
        << text;
  };
  refused("stat = \"x\"\n", "1: stat: is not known here");
  refused("[device]\nmodel = \"Curve Fault\"\n", "2: device.model: 'Curve Fault' is no name");
  refused("[device]\nmodle = \"a\"\n",
          "2: device.modle: is not known here; did you mean device.model?");
  refused("[runner]\nconfinement = \"none\"\n",
          "2: runner.confinement: 'none' is not known; it must be \"full\" or \"reduced\"");
  refused("[runner]\nthreads = \"2\"\n", "2: runner.threads: this is a string; it must be an");
  refused("[runner]\nthreads = 0\n", "2: runner.threads: 0 is out of range");
  refused("[runner]\nlauncher = \"qemu\"\n", "2: runner.launcher: this is a string");
  refused("[runner]\nlauncher = [\"qemu\"]\n",
          "2: runner.launcher: 'qemu' is no absolute path; it must be that of a program");
  refused("[broker]\nport = 65536\n", "2: broker.port: 65536 is out of range");
  refused("[broker]\nhost = \"\"\n", "2: broker.host: this is empty");
  refused("[measure]\ncalls = 1.5\n", "2: measure.calls: this is a number");
  refused("[owner]\nupdates = true\n", "2: owner.updates: this is true or false");
  refused("log = \"loud\"\n", "1: log: 'loud' is not known");
  refused("socket_mode = 432\n", "1: socket_mode: this is an integer");
  refused("socket_mode = \"0777\"\n", "1: socket_mode: '0777' is no mode of a socket");
  refused("socket_mode = \"rw\"\n", "1: socket_mode: 'rw' is no mode");
  refused("disk = 3\n", "1: disk: this is an integer; it must be a table, [disk]");
}

TEST_F(AgentConfigTest, the_device_must_be_named) {
  EXPECT_THAT(read(""),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("device.model: is missing")));
  EXPECT_THAT(
      read("\n[device]\nmodel = \"a\"\n"),
      ErrorIs(ErrorCode::invalid_argument, HasSubstr("agent.toml:2: device.class: is missing")));
  EXPECT_THAT(read_config(folder_.path() / "none.toml"),
              ErrorIs(ErrorCode::not_found, HasSubstr("none.toml")));
}

TEST_F(AgentConfigTest, is_not_for_everybody_to_write) {
  ASSERT_THAT(with_drop_in("log = \"debug\"\n"), IsOk());
  fs::permissions(folder_.path() / "agent.toml.d/50.toml", fs::perms::others_write,
                  fs::perm_options::add);
  EXPECT_THAT(read_config(file_), ErrorIs(ErrorCode::untrusted, HasSubstr("50.toml")));
}

TEST_F(AgentConfigTest, gives_what_is_right_to_whoever_looks_the_board_over) {
  EXPECT_THAT(
      read("state = \"/srv/outcrop\"\n[runner]\nthreads = \"many\"\nmemory_limit_mb = 99\n"),
      ErrorIs(ErrorCode::invalid_argument, HasSubstr("device.model")));
  const PartialConfig partial = read_partial_config(file_);
  EXPECT_THAT(partial.status, ErrorIs(ErrorCode::invalid_argument, HasSubstr("device.model")));
  EXPECT_EQ(partial.config.state, "/srv/outcrop");
  EXPECT_EQ(partial.config.memory_limit, ByteCount::mib(99));
  EXPECT_EQ(partial.config.threads, 1);
  // Nobody else says which program is started.
  EXPECT_THAT(read(device + std::string("[runner]\nprogram = \"/tmp/mine\"\n")), IsOk());
  fs::permissions(file_, fs::perms::others_write, fs::perm_options::add);
  const PartialConfig untrusted = read_partial_config(file_);
  EXPECT_THAT(untrusted.status, ErrorIs(ErrorCode::untrusted, HasSubstr("everybody may write")));
  EXPECT_EQ(untrusted.config.runner_program.filename(), "outcrop-runner-torch");
}

}  // namespace
}  // namespace outcrop::agent
