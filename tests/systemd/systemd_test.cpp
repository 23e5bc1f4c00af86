#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "runtime/measure/measurement_lock.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"

// The units as a machine with systemd would judge them, and our programs under what the units
// forbid, applied by under_unit.cpp: no systemd runs where tests do.
namespace outcrop {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string read(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

class Units : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (run_shell("systemd-analyze --version").code != 0) {
      GTEST_SKIP() << "systemd-analyze is not installed: the units were not judged";
    }
  }

  // A unit with its programs where a test can put some.
  fs::path installed(const std::string& name) const {
    for (const char* program : {"outcrop-agent", "outcropd"}) {
      std::error_code ignored;
      fs::create_symlink("/bin/true", folder_.path() / program, ignored);
    }
    std::string text = read(fs::path(OUTCROP_SOURCE) / "systemd" / (name + ".in"));
    replace_all(text, "@CMAKE_INSTALL_FULL_BINDIR@", folder_.path());
    replace_all(text, "@CMAKE_INSTALL_FULL_DOCDIR@", "/usr/share/doc/outcrop");
    EXPECT_THAT(text, Not(HasSubstr("@CMAKE")));
    std::ofstream(folder_.path() / name) << text;
    return folder_.path() / name;
  }

  // The names in the lines KEY=... of a unit, in order.
  static std::vector<std::string> words(const fs::path& unit, const std::string& key) {
    std::vector<std::string> found;
    std::istringstream text(read(unit));
    for (std::string line; std::getline(text, line);) {
      if (!line.starts_with(key + "=")) continue;
      std::istringstream rest(line.substr(key.size() + 1));
      for (std::string word; rest >> word;) found.push_back(word);
      found.emplace_back("\n");
    }
    return found;
  }

  // The calls behind a name or a group, as this machine's systemd has them.
  static void expand(const std::string& name, std::set<std::string>& calls) {
    if (!name.starts_with('@')) {
      calls.insert(name);
      return;
    }
    std::istringstream text(run_shell("systemd-analyze syscall-filter " + name).output);
    for (std::string line; std::getline(text, line);) {
      std::istringstream words(line);
      std::string word;
      words >> word;
      if (word.empty() || word == "#" || word == name) continue;
      expand(word, calls);
    }
  }

  static std::set<std::string> allowed_calls(const fs::path& unit) {
    std::set<std::string> allowed;
    bool denying = false;
    bool at_start = true;
    for (std::string word : words(unit, "SystemCallFilter")) {
      if (at_start) {
        denying = word.starts_with('~');
        if (denying) word.erase(0, 1);
      }
      at_start = word == "\n";
      if (at_start) continue;
      std::set<std::string> calls;
      expand(word, calls);
      for (const std::string& call : calls) {
        if (denying) {
          allowed.erase(call);
        } else {
          allowed.insert(call);
        }
      }
    }
    // systemd adds these always, so that the program can be started at all.
    expand("@default", allowed);
    allowed.insert({"execve", "brk"});
    return allowed;
  }

  // The rules that under_unit.cpp reads.
  fs::path rules_of(const fs::path& unit, const std::string& further = "") const {
    const fs::path path = unit.string() + ".rules";
    std::ofstream file(path);
    for (const std::string& call : allowed_calls(unit)) file << "call " << call << "\n";
    const auto list = [&](const char* rule, const char* key) {
      for (const std::string& word : words(unit, key)) {
        if (word != "\n" && word != "yes") file << rule << " " << word << "\n";
      }
    };
    list("family", "RestrictAddressFamilies");
    list("namespace", "RestrictNamespaces");
    // PrivateTmp stands for the folders of the unit's own: tests keep theirs there.
    for (const char* place : {"/tmp", "/run/lock", "/dev", "/proc", "/sys"}) {
      file << "write " << place << "\n";
    }
    if (read(unit).find("PrivateUsers=yes") != std::string::npos) file << "users private\n";
    list("proc", "ProtectProc");
    file << further;
    return path;
  }

  static ShellOutcome run_under(const fs::path& rules, const std::string& command) {
    return run_shell("timeout -k 5 100 " OUTCROP_UNDER_UNIT " " + rules.string() + " " + command);
  }

 private:
  TemporaryFolder folder_;
};

TEST_P(Units, pass_the_check_of_systemd_without_a_word) {
  const ShellOutcome outcome =
      run_shell("systemd-analyze verify " + installed(GetParam()).string());
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.output, IsEmpty());
}

// systemd counts what only reads the clock as if it could set it.
TEST_P(Units, expose_little) {
  const ShellOutcome outcome =
      run_shell("systemd-analyze security --offline=true --threshold=22 --no-pager " +
                installed(GetParam()).string());
  EXPECT_EQ(outcome.code, 0) << outcome.output;
}

INSTANTIATE_TEST_SUITE_P(All, Units, ::testing::Values("outcrop-agent.service", "outcropd.service"),
                         [](const auto& unit) {
                           std::string name = unit.param;
                           std::erase_if(name, [](char c) { return c == '-' || c == '.'; });
                           return name;
                         });

TEST_F(Units, restrictions_are_really_applied_here) {
  const fs::path rules = rules_of(installed("outcropd.service"));
  EXPECT_EQ(run_under(rules, "/bin/true").code, 0);
  EXPECT_NE(run_under(rules, "/usr/bin/touch /usr/outcrop-must-not-be").code, 0);
  EXPECT_NE(run_under(rules, "/usr/bin/unshare --user /bin/true").code, 0);
  EXPECT_NE(run_under(rules, "/usr/bin/nice -n 1 /bin/sh -c 'test $(nice) = 1'").code, 0);
  EXPECT_THAT(run_under(rules, "/bin/cat /proc/self/status").output,
              ::testing::AllOf(HasSubstr("NoNewPrivs:\t1"), HasSubstr("CapBnd:\t0000000000000000"),
                               HasSubstr("CapEff:\t0000000000000000")));
  const auto calls = allowed_calls(installed("outcrop-agent.service"));
  EXPECT_THAT(calls, Contains("landlock_restrict_self"));
  EXPECT_THAT(calls, Not(Contains("reboot")));
}

TEST_P(Units, see_whether_the_clock_is_kept_and_cannot_set_it) {
  const fs::path unit = installed(GetParam());
  const auto calls = allowed_calls(unit);
  EXPECT_THAT(calls, ::testing::IsSupersetOf({"adjtimex", "clock_adjtime"}));
  EXPECT_THAT(calls, Not(Contains("clock_settime")));
  EXPECT_THAT(calls, Not(Contains("settimeofday")));
  // Where this is set, the calls above are refused whatever the list says.
  EXPECT_THAT(words(unit, "ProtectClock"), IsEmpty());
  EXPECT_THAT(words(unit, "CapabilityBoundingSet"), ::testing::ElementsAre("\n"));
}

TEST_F(Units, the_hosts_restrictions_let_its_broker_serve) {
  const ShellOutcome outcome =
      run_under(rules_of(installed("outcropd.service")),
                OUTCROP_BROKER_TEST " --gtest_filter=BrokerTest.boards_and_host_talk*");
  EXPECT_EQ(outcome.code, 0) << outcome.output;
}

TEST_F(Units, the_boards_restrictions_let_the_agent_take_a_release) {
  const ShellOutcome outcome =
      run_under(rules_of(installed("outcrop-agent.service")),
                OUTCROP_AGENT_TEST " --gtest_filter=AgentTest.pulls_proves*");
  EXPECT_EQ(outcome.code, 0) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("1 test from 1 test suite ran"));
}

TEST_F(Units, the_boards_restrictions_let_the_agent_hear_of_its_link) {
  const ShellOutcome outcome =
      run_under(rules_of(installed("outcrop-agent.service")),
                OUTCROP_UPDATES_TEST " --gtest_filter=MeteredLinkTest.*");
  EXPECT_EQ(outcome.code, 0) << outcome.output;
  EXPECT_THAT(outcome.output, HasSubstr("2 tests from 1 test suite ran"));
}

TEST_F(Units, the_measurement_lock_is_shared_in_spite_of_a_private_tmp) {
  const fs::path unit = installed("outcrop-agent.service");
  ASSERT_THAT(words(unit, "ReadWritePaths"), Contains("-/run/lock"));
  auto lock = runtime::MeasurementLock::acquire(std::chrono::minutes(1));
  ASSERT_THAT(lock, IsOk());
  ASSERT_EQ(lock->path().parent_path(), "/run/lock");
  const std::string try_it = "/usr/bin/flock --nonblock " + lock->path().string() + " /bin/true";
  EXPECT_EQ(run_under(rules_of(unit), try_it).code, 1);
}

#ifdef OUTCROP_RUNNER_TEST
// Parent and runner, from verifying a model to measuring it, as the agent does it.
constexpr const char* runner_works =
    OUTCROP_RUNNER_TEST " --gtest_filter=Runners.start_fully*:Runners.really_cannot*:*EveryForm*";

TEST_F(Units, the_boards_restrictions_let_the_runner_confine_itself_and_work) {
  const ShellOutcome outcome =
      run_under(rules_of(installed("outcrop-agent.service")), runner_works);
  EXPECT_EQ(outcome.code, 0) << outcome.output;
}

TEST_F(Units, the_boards_restrictions_are_enough_on_a_kernel_without_landlock) {
  const ShellOutcome outcome =
      run_under(rules_of(installed("outcrop-agent.service"), "no-landlock yes\n"), runner_works);
  EXPECT_EQ(outcome.code, 0) << outcome.output;
}
#endif

}  // namespace
}  // namespace outcrop
