#include "agent/fsck/fsck_verb.hpp"

#include <cstdio>
#include <memory>

#include "agent/config/config.hpp"
#include "agent/control/socket_option.hpp"
#include "agent/fsck/fsck.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/messages/json_reader.hpp"

namespace outcrop::agent {
namespace {

struct Options {
  std::filesystem::path config = default_config;
  bool json = false;
};

Status run_fsck(const Options& options) {
  OUTCROP_TRY(config, read_config(options.config));
  const std::vector<std::string> troubles = check_files(config.state);
  if (options.json) {
    std::printf("%s\n", json_text(messages::Json{{"troubles", troubles}}, 2).c_str());
  } else {
    for (const std::string& trouble : troubles) std::printf("%s\n", trouble.c_str());
    if (troubles.empty()) std::printf("%s: whole\n", config.state.c_str());
  }
  if (troubles.empty()) return {};
  return fail(ErrorCode::invalid_data, std::to_string(troubles.size()) +
                                           " troubles; the agent mends what it can at its next start");
}

}  // namespace

void add_fsck(CLI::App& app, cli::Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("fsck", "Look whether the files that this board lives by are whole");
  verb->add_option("--config", options->config, "The agent's configuration")->capture_default_str();
  verb->add_flag("--json", options->json, "Print {\"troubles\": [\"…\"]}");
  verb->footer(
      "Identity, trust, what was decided, every blob of the releases that may serve, and what\n"
      "nobody names. It changes nothing: the agent mends at its start what can be mended, and\n"
      "pulls a damaged release again. While the agent works, what it is writing may be named.\n"
      "Exit code 1 where there is a trouble, else 0. Run it as the agent's user.\n\n"
      "Examples:\n  sudo -u outcrop-agent outcrop-agent fsck\n"
      "  outcrop-agent fsck --config agent.toml --json");
  verb->callback([options, &chosen] { chosen = [options] { return run_fsck(*options); }; });
}

}  // namespace outcrop::agent
