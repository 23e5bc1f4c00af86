#include "agent/collect/collect_verb.hpp"

#include <cstdio>
#include <memory>

#include "agent/collect/collect.hpp"
#include "agent/control/socket_option.hpp"
#include "protocol/base/durable_file.hpp"

namespace outcrop::agent {
namespace {

struct Options {
  std::filesystem::path config = default_config;
  std::filesystem::path out;
};

Status run_collect(const Options& options) {
  OUTCROP_CHECK(write_file_durably(options.out, collect(options.config)));
  std::printf("%s: read it before you give it away; the journal is not in it:\n  journalctl -u outcrop-agent\n",
              options.out.c_str());
  return {};
}

}  // namespace

void add_collect(CLI::App& app, cli::Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("collect", "Write all that helps others to see what is wrong here, without secrets");
  verb->add_option("--config", options->config, "The agent's configuration")->capture_default_str();
  verb->add_option("--out", options->out, "The file to be written, JSON")->required();
  verb->footer(
      "Versions, configuration, what doctor and fsck find, the status of an agent that runs, what it\n"
      "wrote down, names and sizes of its files, and the machine's memory and load. The board's key is\n"
      "not read. Run it as the agent's user.\n\n"
      "Example:\n  sudo -u outcrop-agent outcrop-agent collect --out /tmp/board.json");
  verb->callback([options, &chosen] { chosen = [options] { return run_collect(*options); }; });
}

}  // namespace outcrop::agent
