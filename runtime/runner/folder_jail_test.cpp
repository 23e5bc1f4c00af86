// A program that goes into a folder jail, and what it then can do: as it is started, and, where
// that is root, as nobody.

#include "runtime/runner/folder_jail.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "runtime/runner/landlock.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::runtime {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* worked = "it worked";
constexpr const char* denied = "Permission denied";         // Landlock's word
constexpr const char* forbidden = "Operation not permitted";  // the filter's

struct Expected {
  std::string action;
  std::string operand;
  std::string outcome;
};

std::string in_quotes(const std::string& word) {
  return "'" + word + "'";
}

class FolderJails : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (const std::string lacking = lacks_landlock(); !lacking.empty()) GTEST_SKIP() << lacking;
    if (as_nobody() && ::getuid() != 0) GTEST_SKIP() << "only root becomes nobody";
    for (const char* name : {"in", "out", "secret"}) {
      fs::create_directory(path(name));
      fs::permissions(path(name), fs::perms::all);
    }
    fs::permissions(folder_.path(), fs::perms::all);
    for (const char* name : {"in/a", "secret/s"}) {
      std::ofstream(path(name)) << "words\n";
      fs::permissions(path(name), fs::perms(0666));
    }
  }
  static bool as_nobody() { return std::string(GetParam()) == "nobody"; }
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  // `before` is the shell's.
  std::string command(const std::string& options, const std::string& before = "") const {
    return before + " " OUTCROP_BIN "/../tests/outcrop-jailed " + (as_nobody() ? "--nobody " : "") +
           options;
  }
  std::string jail() const {
    return "--read " + path("in") + " --write " + path("out") + " --run " OUTCROP_BIN;
  }

  // Does everything in one process, and compares outcomes one by one.
  void expect(const std::vector<Expected>& all, const std::string& after = "") const {
    std::string words = jail(), lines;
    for (const Expected& one : all) {
      words += " " + one.action + " " + in_quotes(one.operand);
      lines += one.action + ": " + one.outcome + "\n";
    }
    const ShellOutcome outcome = run_shell(command(words) + after);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.output, lines);
  }

 private:
  TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(As, FolderJails, ::testing::Values("started", "nobody"),
                         [](const auto& user) { return std::string(user.param); });

TEST_P(FolderJails, hold_files_to_what_was_named) {
  const std::string made = path("out/made");
  expect({{"read", path("in/a"), worked},
          {"write", made, worked},
          {"copy", path("in/a") + ":" + path("out/copy"), worked},
          {"move", path("out/copy") + ":" + path("out/moved"), worked},
          {"remove", path("out/moved"), worked},
          {"read", path("secret/s"), denied},
          {"read-early", path("secret/s"), denied},
          {"read", "/etc/hostname", denied},
          {"read", "/etc/shadow", denied},
          {"read", "/var", denied},
          {"read", "/root", denied},
          {"read", fs::path(OUTCROP_SOURCE) / "README.md", denied},
          {"write", path("beside"), denied},
          {"write", path("in/a"), denied},
          {"write", path("in/new"), denied},
          {"remove", path("in/a"), denied},
          {"cut", path("in/a"), forbidden},
          {"cut-open", path("in/a"), forbidden},
          {"change-mode", path("secret/s"), forbidden},
          {"move", made + ":" + path("beside"), denied},
          {"move", path("in/a") + ":" + path("out/stolen"), denied},
          {"link", made + ":" + path("beside"), denied},
          {"link-by-name", path("secret/s") + ":" + path("out/link"), denied},
          {"make-pipe", path("out/pipe"), denied},
          {"make-device", path("out/device"), denied},
          {"make-set-user-id", path("out/program"), forbidden}});
  EXPECT_TRUE(fs::exists(made));
  EXPECT_FALSE(fs::exists(path("beside")));
  EXPECT_EQ(fs::file_size(path("in/a")), 6U);
}

TEST_P(FolderJails, reach_no_other_program) {
  const long abi = ::syscall(444, nullptr, 0, 1);
  expect({{"internet-socket", "", forbidden},
          {"local-socket", "", forbidden},
          {"socket-pair", "", worked},
          {"trace-parent", "", forbidden},
          {"look-into-parent", "", denied},
          {"signal-parent", "", abi >= 6 || as_nobody() ? forbidden : worked},
          {"make-namespace", "", forbidden},
          {"start-in-namespace", "", forbidden},
          {"type-into-terminal", "", forbidden},
          {"call", "io_uring_setup", forbidden},
          {"call", "userfaultfd", forbidden},
          {"call", "bpf", forbidden},
          {"call", "keyctl", forbidden},
          {"call", "process_vm_readv", forbidden},
          {"call", "shmget", forbidden},
          {"call", "personality", forbidden},
          {"call", "move_mount", forbidden},
          {"call", "clone3", "Function not implemented"},
          {"be-killed-by-foreign-call", "", worked},
          {"use-descriptor", "7", "Bad file descriptor"},
          {"dump-core", "", "Success"},
          {"is-called", "outcrop-jailed", worked},
          {"has-capabilities",
           as_nobody() || ::getuid() != 0 ? "0000000000000000" : "0000000000000002", worked}},
         " 7< " + path("secret/s"));
}

TEST_P(FolderJails, keep_arguments_as_they_are) {
  const ShellOutcome outcome =
      run_shell(command(jail() + " say '' say 'two  words' say '\n' say 'ä\"$'"));
  EXPECT_EQ(outcome.output,
            "|say: it worked\ntwo  words|say: it worked\n\n|say: it worked\nä\"$|say: it worked\n");
}

TEST_P(FolderJails, let_a_runner_confine_itself_fully) {
  const fs::path program = fs::path(OUTCROP_BIN) / "outcrop-runner-torch";
  if (!fs::exists(program)) GTEST_SKIP() << "this build has no " << program;
  if (as_nobody() && run_shell("setpriv --reuid 65534 --clear-groups " + program.string() +
                               " --version").code != 0) {
    GTEST_SKIP() << "nobody may not start " << program;
  }
  expect({{"runner", program, worked}});
}

TEST_P(FolderJails, let_gnuplot_draw) {
  if (run_shell("gnuplot --version").code != 0) GTEST_SKIP() << "no gnuplot is installed";
  const std::string png = path("out/chart.png");
  std::ofstream(path("in/chart")) << "set terminal pngcairo font 'DejaVu Sans,10'\nset output '"
                                  << png << "'\nplot x title 'words'\n";
  expect({{"shell", "gnuplot -d " + path("in/chart") + " 2> /dev/null", worked}});
  EXPECT_GT(fs::file_size(png), 1000U);
}

TEST_P(FolderJails, are_not_believed_in_because_a_variable_says_so) {
  const ShellOutcome outcome = run_shell(command(jail() + " read /", "OUTCROP_JAILED=1"));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.output, StartsWith("refused: the variable OUTCROP_JAILED"));
  EXPECT_THAT(outcome.output, HasSubstr("it can list the root folder, write to /dev/full, make a "
                                        "network socket, make a local socket"));
}

TEST_P(FolderJails, are_done_without_only_where_that_is_allowed) {
  const std::string read = jail() + " read " + path("secret/s");
  const ShellOutcome refused = run_shell(command("--old-kernel " + read));
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.output,
              AllOf(StartsWith("unsupported: "), HasSubstr("this kernel offers no Landlock"),
                    HasSubstr("--allow-reduced-confinement")));
  const ShellOutcome reduced =
      run_shell(command("--old-kernel --allow-reduced-confinement " + read));
  EXPECT_EQ(reduced.code, 0);
  EXPECT_THAT(reduced.output, AllOf(StartsWith("note: "), HasSubstr("without a jail"),
                                    EndsWith("read: it worked\n")));
}

TEST_P(FolderJails, want_folders_that_are_there_and_not_all_of_them) {
  const ShellOutcome missing = run_shell(command("--read " + path("nowhere") + " read /"));
  EXPECT_EQ(missing.code, 1);
  EXPECT_THAT(missing.output, HasSubstr("nowhere' in it: No such file"));
  const ShellOutcome all = run_shell(command("--write " + path("in/../../..") + "/../../../../.. read /"));
  EXPECT_EQ(all.code, 1);
  EXPECT_THAT(all.output, HasSubstr("would hold every file"));
}

}  // namespace
}  // namespace outcrop::runtime
