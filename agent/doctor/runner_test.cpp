#include "agent/doctor/runner.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "agent/doctor/finding_matchers.hpp"
#include "runtime/runner/architecture.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;

class RunnerCheckTest : public ::testing::Test {
 protected:
  // A child that behaves as its first argument says.
  static AgentConfig fake(const std::string& mode) {
    AgentConfig config = default_agent_config();
    config.runner_launcher = {OUTCROP_BIN "/../tests/outcrop-fake-runner", mode};
    config.runner_program = "/proc/self/exe";  // there, and never started
    return config;
  }
  AgentConfig program(const std::string& text) const {
    AgentConfig config = default_agent_config();
    config.runner_program = folder_.path() / "runner";
    std::ofstream(config.runner_program, std::ios::binary) << text;
    ::chmod(config.runner_program.c_str(), 0755);
    return config;
  }
  static auto fails(const std::string& found, const std::string& advice) {
    return AllOf(Field(&RunnerFindings::runs, false),
                 Field(&RunnerFindings::findings,
                       ElementsAre(AllOf(Finds(Verdict::fail, HasSubstr(found)),
                                         Field(&Finding::advice, HasSubstr(advice))),
                                   Finds(Verdict::unknown, ::testing::_))));
  }
  TemporaryFolder folder_;
};

TEST_F(RunnerCheckTest, names_the_signal_and_what_it_means) {
  EXPECT_THAT(check_runner(fake("illegal-instruction")),
              fails("SIGILL", "needs instructions that this processor has not"));
  EXPECT_THAT(check_runner(fake("segmentation-fault")),
              fails("SIGSEGV", "built for another processor"));
}

TEST_F(RunnerCheckTest, tells_a_runner_that_is_missing_from_one_for_another_machine) {
  AgentConfig config = default_agent_config();
  config.runner_program = folder_.path() / "none";
  EXPECT_THAT(check_runner(config), fails("No such file", "install the runner"));
  EXPECT_THAT(check_runner(program("#!/no/such/loader\n")), fails("No such file", "loader"));
  EXPECT_THAT(check_runner(program("neither a script nor a program")),
              fails("Exec format error", "no program for this processor"));
  config = program("");
  ::chmod(config.runner_program.c_str(), 0644);
  EXPECT_THAT(check_runner(config), fails("Permission denied", "may this user start it"));
}

// The head of an ELF program, which is all that the kernel looks at first.
std::string program_for(unsigned char machine) {
  std::string head(64, '\0');
  head.replace(0, 7,
               "\x7f"
               "ELF\x02\x01\x01");
  head[16] = 2;
  head[18] = static_cast<char>(machine);
  return head;
}

TEST_F(RunnerCheckTest, names_the_processor_that_a_runner_is_for) {
  const bool arm = runtime::own_architecture() == "aarch64";
  const std::string theirs = arm ? "x86-64" : "aarch64";
  EXPECT_THAT(check_runner(program(program_for(arm ? 62 : 183))),
              fails("it is for " + theirs + ", this machine is " + runtime::own_architecture(),
                    "which emulator is its launcher"));
  EXPECT_EQ(runtime::architecture_of(folder_.path() / "none"), "");
}

TEST_F(RunnerCheckTest, tells_a_bad_launcher_from_a_bad_runner) {
  AgentConfig config = program("#!/bin/sh\nexit 3\n");
  config.runner_launcher = {folder_.path() / "emulator"};
  EXPECT_THAT(check_runner(config), fails("emulator: No such file", "launcher in [runner]"));
  std::ofstream(config.runner_launcher[0]) << "#!/bin/sh\n";
  EXPECT_THAT(check_runner(config), fails("Permission denied", "this user may start"));
  config.runner_launcher = {"/usr/bin/env"};
  EXPECT_THAT(check_runner(config), fails("exited with status 3", "of this version"));
  config.runner_program = folder_.path() / "none";
  EXPECT_THAT(check_runner(config), fails("No such file", "install the runner"));
  config.runner_launcher = {"/bin/false"};  // qemu says nothing of a program that is missing
  EXPECT_THAT(check_runner(config), fails("exited with status 1", "install the runner"));
}

TEST_F(RunnerCheckTest, passes_on_which_library_is_missing) {
  EXPECT_THAT(
      check_runner(program("#!/bin/sh\necho \"runner: error while loading shared libraries: "
                           "libtorch_cpu.so.1.13: cannot open shared object file\" >&2\n"
                           "exit 127\n")),
      fails("libtorch_cpu.so.1.13", "ldd "));
  EXPECT_THAT(
      check_runner(program("#!/bin/sh\necho \"runner: /lib/libc.so.6: version "
                           "\\`GLIBC_2.99' not found (required by runner)\" >&2\nexit 1\n")),
      fails("GLIBC_2.99", "newer system"));
}

TEST_F(RunnerCheckTest, survives_a_runner_that_talks_nonsense_or_nothing) {
  EXPECT_THAT(check_runner(program("#!/bin/sh\nhead -c 64 /dev/zero >&3\nsleep 9\n")),
              fails("broke its protocol", "of this version"));
  EXPECT_THAT(check_runner(fake("exits")), fails("exited with status 3", "of this version"));
  EXPECT_THAT(check_runner(fake("slow-start")), fails("broke its protocol", "of this version"));
}

TEST_F(RunnerCheckTest, says_what_the_confinement_lacks_and_whether_that_is_accepted) {
  // It claims to be confined; the kernel says otherwise.
  AgentConfig config = fake("");
  const RunnerFindings refused = check_runner(config);
  EXPECT_TRUE(refused.runs);
  EXPECT_THAT(refused.findings,
              ElementsAre(Finds(Verdict::warn, HasSubstr("torch 1 under outcrop-fake-runner")),
                          Finds(Verdict::fail, HasSubstr("no system call filter"))));
  config.allow_reduced_confinement = true;
  EXPECT_THAT(check_runner(config).findings.back(), Finds(Verdict::warn, HasSubstr("reduced: ")));
}

TEST_F(RunnerCheckTest, names_the_operators_that_compute_wrongly) {
  const RunnerFindings found = check_runner(fake("wrong-kernels"));
  EXPECT_THAT(found.findings[0], Finds(Verdict::ok, HasSubstr(" with good and bad")));
  EXPECT_THAT(
      found.findings[1],
      Finds(Verdict::ok, "quantized operators agree with float; it has not quantized::add qint8"));
  EXPECT_THAT(found.findings[2],
              Finds(Verdict::warn, "computes wrongly: quantized::linear and quantized::mul"));
}

}  // namespace
}  // namespace outcrop::agent
