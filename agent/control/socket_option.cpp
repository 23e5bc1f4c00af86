#include "agent/control/socket_option.hpp"

#include "agent/config/config.hpp"

namespace outcrop::agent {

void add_socket_option(CLI::App& verb, SocketOption& option) {
  CLI::Option* config = verb.add_option("--config", option.config, "The agent's configuration")
                            ->capture_default_str();
  verb.add_option("--socket", option.socket,
                  "The agent's socket, instead of asking the configuration")
      ->excludes(config);
}

Result<std::filesystem::path> find_socket(const SocketOption& option) {
  if (!option.socket.empty()) return option.socket;
  OUTCROP_TRY(config, read_config(option.config));
  return config.socket;
}

}  // namespace outcrop::agent
