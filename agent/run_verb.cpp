#include "agent/run_verb.hpp"

#include <utility>  // before Asio

#include <malloc.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <spdlog/spdlog.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include "agent/agent.hpp"
#include "agent/control/socket_option.hpp"
#include "platform/service/service.hpp"
#include "platform/spawn/spawn.hpp"

namespace outcrop::agent {
namespace asio = boost::asio;
namespace {

constexpr int large = 128 * 1024;  // bytes

struct Options {
  std::filesystem::path config = default_config;
  bool check = false;
};

asio::awaitable<void> end(Agent& agent, asio::io_context& io) {
  co_await agent.stop();
  io.stop();
}

// Until it is ended; whether it is to be opened again, with another identity.
Result<bool> serve(const AgentConfig& config) {
  asio::io_context io(1);
  OUTCROP_TRY(agent, Agent::open(io.get_executor(), config));
  asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int number) {
    if (error) return;
    spdlog::info("ending by signal {}", number);
    platform::notify_stopping();
    platform::spawn(io.get_executor(), end(*agent, io));
    signals.async_wait([](const boost::system::error_code& again, int) {
      if (!again) std::_Exit(static_cast<int>(cli::ExitCode::failed));
    });
  });
  const platform::Watchdog watchdog(io.get_executor());
  bool anew = false;
  agent->on_begin_again([&] {
    if (!std::exchange(anew, true)) platform::spawn(io.get_executor(), end(*agent, io));
  });
  agent->start();
  platform::notify_ready();
  io.run();
  spdlog::info("ended");
  spdlog::default_logger()->flush();
  // A measurement may take minutes more; its runners end with this process.
  if (agent->busy()) std::_Exit(static_cast<int>(cli::ExitCode::done));
  return anew;
}

Status run(const Options& options) {
  OUTCROP_TRY(config, read_config(options.config));
  if (options.check) {
    std::printf("%s: good\n", options.config.c_str());
    return {};
  }
  // Few threads allocate, and little: one heap for all keeps the agent small. What is large (outputs of models, golden files) comes from
  // the kernel and goes back to it at once: by itself, the allocator would take the next of that size from the heap, and keep it.
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_MMAP_THRESHOLD, large);
  ::mallopt(M_TRIM_THRESHOLD, large);
  platform::start_log("outcrop-agent", config.log);
  for (bool anew = true; anew;) {
    OUTCROP_TRY(asked, serve(config));
    anew = asked;
  }
  return {};
}

}  // namespace

void add_run(CLI::App& app, cli::Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = app.add_subcommand("run", "Serve, and take updates from the host, until ended");
  verb->add_option("--config", options->config,
                   "The configuration; FILE.d/*.toml are read after it")
      ->capture_default_str();
  verb->add_flag("--check-config", options->check, "Only say whether the configuration is right");
  verb->footer(
      "Usually systemd runs it: systemctl status outcrop-agent.\n\n"
      "Examples:\n  outcrop-agent run --config agent.toml\n"
      "  outcrop-agent run --config agent.toml --check-config");
  verb->callback([options, &chosen] { chosen = [options] { return run(*options); }; });
}

}  // namespace outcrop::agent
