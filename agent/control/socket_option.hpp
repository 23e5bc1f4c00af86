#pragma once

#include <filesystem>

#include <CLI/CLI.hpp>

#include "protocol/base/error.hpp"

namespace outcrop::agent {

inline constexpr const char* default_config = "/etc/outcrop/agent.toml";

// Where the agent listens: --socket, or what --config says.
struct SocketOption {
  std::filesystem::path config = default_config;
  std::filesystem::path socket;
};

void add_socket_option(CLI::App& verb, SocketOption& option);
[[nodiscard]] Result<std::filesystem::path> find_socket(const SocketOption& option);

}  // namespace outcrop::agent
