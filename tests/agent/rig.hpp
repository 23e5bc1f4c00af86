#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/agent/forge.hpp"
#include "tests/agent/scripted_host.hpp"
#include "tests/support/fleet_broker.hpp"
#include "tests/support/mqtt_client.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop {

// The program outcrop-agent on a board of its own, beside a real broker and a host that the test
// plays.
class AgentTest : public ::testing::Test {
 protected:
  using State = messages::DeploymentState;

  explicit AgentTest(bool directed = true);  // forge.hpp
  ~AgentTest() override;

  void enroll();  // anew, too
  // agent.toml: `extra` comes last.
  void configure(const std::string& extra = "");
  void start_agent();
  void kill_agent();                // SIGKILL
  [[nodiscard]] int end_agent();    // SIGTERM; the exit status
  [[nodiscard]] bool agent_runs();  // has not ended by itself
  void agent_is_online();

  // outcrop-agent VERB
  ShellOutcome agent_says(const std::string& verb_and_options);

  // Makes, permits, publishes and stores a release.
  ForgedRelease released(const Forge::ReleaseOptions& options);
  [[nodiscard]] bool reaches(std::uint64_t generation, State state,
                             std::chrono::seconds patience = std::chrono::seconds(60));
  // ... and the signed report of it has come.
  [[nodiscard]] const messages::Report* ends(
      std::uint64_t generation, State state,
      std::chrono::seconds patience = std::chrono::seconds(60));
  // A release of stage 1 that serves, by generation 1.
  ForgedRelease first_release();
  // A release folder with what the forge permits now, as `outcrop release export` writes it.
  std::filesystem::path carried(const ForgedRelease& release);

  // What the agent has written down, "2 SOAKING"; empty where there is nothing.
  [[nodiscard]] std::string written_state() const;
  [[nodiscard]] std::string log() const;

  static const std::filesystem::path scripted_runner;

  transport::Loop loop_;
  FleetBroker broker_{loop_.executor()};
  Forge forge_;
  ScriptedHost host_{loop_, broker_, "pi-1"};
  TemporaryFolder folder_;
  std::filesystem::path state_ = folder_.path() / "state";
  std::filesystem::path config_ = folder_.path() / "agent.toml";
  pid_t agent_ = 0;
  std::vector<std::string> launcher_;  // starts the agent; its own command follows these words
  // Where not empty, what outcrop-faulty-agent does is started instead: its words after the
  // configuration.
  std::vector<std::string> fault_;
};

}  // namespace outcrop
