#include "agent/doctor/doctor_verb.hpp"

#include <cstdio>
#include <memory>

#include "agent/control/socket_option.hpp"
#include "agent/doctor/doctor.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop::agent {
namespace {

struct Options {
  std::filesystem::path config = default_config;
  bool json = false;
};

Status run_doctor(const Options& options) {
  const Findings findings = examine({.config = options.config});
  if (options.json) {
    std::printf("%s\n", json_text(to_json(findings), 2).c_str());
  } else {
    std::printf("%s", to_table(findings).c_str());
  }
  const std::size_t failed = count(findings, Verdict::fail);
  if (failed == 0) return {};
  return fail(ErrorCode::refused,
              std::to_string(failed) + " of " + std::to_string(findings.size()) + " checks failed");
}

}  // namespace

void add_doctor(CLI::App& app, cli::Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      app.add_subcommand("doctor", "Look this board over: hardware, clock, engine, broker, trust");
  verb->add_option("--config", options->config, "The agent's configuration")->capture_default_str();
  verb->add_flag("--json", options->json,
                 "Print {\"failed\": n, \"warned\": n, \"checks\": [{\"check\", \"verdict\", "
                 "\"found\", \"advice\"}]}; verdict is ok, warn, fail or unknown, and every value "
                 "beside the counts is text");
  verb->footer(
      "Each check says ok, warn, fail or unknown, what was found, and what to do about it. It "
      "asks\n"
      "an agent that runs for its status, changes nothing, starts the runner once, and connects to the "
      "broker\n"
      "as far as TLS. Exit code 1 where a check failed, else 0. Run it as the agent's user, whose files\n"
      "nobody else may read.\n\n"
      "Examples:\n  sudo -u outcrop-agent outcrop-agent doctor\n"
      "  outcrop-agent doctor --config agent.toml\n"
      "  outcrop-agent doctor --json | jq -r '.checks[] | select(.verdict == \"fail\") | .found'");
  verb->callback([options, &chosen] { chosen = [options] { return run_doctor(*options); }; });
}

}  // namespace outcrop::agent
