#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "agent/updates/window.hpp"
#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop::agent {

// agent.toml and the files of agent.toml.d/*.toml beside it, later ones by name over earlier ones.
// Root-owned on a board: it pins what no message from outside may change. Everything but [device]
// has a default; configs/agent.toml shows every key with it.
struct AgentConfig {
  std::filesystem::path state;
  std::filesystem::path socket;
  unsigned socket_mode = 0660;
  std::string log = "info";
  std::string model;
  std::string device_class;
  std::string broker_host;        // empty: as the enrolment says
  std::uint16_t broker_port = 0;  // 0: as the enrolment says
  std::filesystem::path runner_program;
  std::vector<std::string> runner_launcher;
  bool allow_reduced_confinement = false;
  int threads = 1;
  ByteCount memory_limit = ByteCount::mib(1024);
  std::size_t measure_calls = 100;
  std::chrono::seconds measure_time{5};
  std::size_t measure_rounds = 4;
  std::size_t measure_attempts = 3;
  std::chrono::seconds measure_patience{600};
  std::chrono::seconds measure_again{600};
  std::chrono::seconds prove_again{86'400};
  std::string serve_address = "127.0.0.1";
  std::uint16_t serve_port = 0;  // 0: the owner's socket alone
  ByteCount disk_reserve = ByteCount::mib(64);
  std::size_t keep_releases = 3;  // besides the one that serves
  ByteCount keep_bytes{};         // ... of the disk at most; 0: as there is room
  std::optional<UpdateWindow> update_window;  // none: at any time
  ByteCount most_a_second;                    // of updates; 0: as fast as they come
  ByteCount most_a_day;                       // in 24 hours; 0: as much as there is
  bool metered = false;                       // nothing of a release is pulled
  bool ask_network_manager = false;           // ... while NetworkManager says that the link is
  bool approve_updates = false;
  bool tell_telemetry = true;
};

// Errors name file, line and key, unknown keys included, and what would be right. untrusted where a
// file belongs to neither root nor the user that runs this, or where everybody may write it.
[[nodiscard]] Result<AgentConfig> read_config(const std::filesystem::path& file);

// The runner is started by an emulator: it proves as a board would, and no figure of it is valid.
[[nodiscard]] bool is_emulated(const AgentConfig& config);

// What an agent.toml says that says nothing.
[[nodiscard]] AgentConfig default_agent_config();

// For looking a board over: what is right in the files, defaults for the rest, and the error of
// read_config. Nothing but defaults where a file cannot be read or does not belong to the right
// user.
struct PartialConfig {
  AgentConfig config;
  Status status;
};
[[nodiscard]] PartialConfig read_partial_config(const std::filesystem::path& file);

}  // namespace outcrop::agent
