#include <utility>  // before Asio

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>

#include "platform/cli/parse.hpp"
#include "platform/cli/verb.hpp"
#include "platform/service/service.hpp"
#include "protocol/base/program.hpp"
#include "trainer_host/fleet/backup.hpp"
#include "trainer_host/fleet/config/host_config.hpp"
#include "trainer_host/fleet/daemon.hpp"

namespace {

using outcrop::Status;

constexpr int done = 0;

Status serve(const outcrop::fleet::HostConfig& config) {
  outcrop::platform::start_log("outcropd", config.log);
  boost::asio::io_context answers(1), io(1);
  OUTCROP_TRY(daemon, outcrop::fleet::Daemon::start(io, answers, config));
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int) {
    if (!error) daemon->stop();
  });
  io.run();
  return {};
}

Status back_up(const outcrop::fleet::HostConfig& config, const std::string& folder) {
  OUTCROP_TRY(damaged, outcrop::fleet::back_up_state(config.state, folder));
  for (const auto& blob : damaged) {
    std::fprintf(stderr,
                 "outcropd: left out %s, which is damaged: publish its release again, then back up "
                 "anew\n",
                 blob.c_str());
  }
  const bool in_files = config.history.store.empty();
  std::printf("%s has the registry, the releases%s and what the broker needs; no tokens, no keys and no host.toml%s\n", folder.c_str(),
              in_files ? ", the history" : "",
              in_files ? "" : ". The history is in PostgreSQL: back that up there, by pg_dump");
  return {};
}

int report(const Status& status) {
  if (status) return done;
  std::fprintf(stderr, "outcropd: %s\n", status.error().message().c_str());
  return outcrop::cli::exit_code(status.error());
}

int run(int argc, char** argv) {
  CLI::App app{"Serve a fleet of boards: registry, depot, rollouts, and the broker.", "outcropd"};
  outcrop::cli::add_version(app, "outcropd");
  std::string config_file = "/etc/outcrop/host.toml";
  bool check = false;
  app.add_option("--config", config_file, "The configuration; FILE.d/*.toml adds to it")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_flag("--check-config", check, "Only say whether the configuration is right");
  outcrop::cli::add_help_verb(app);
  CLI::App* backup =
      app.add_subcommand("backup", "Copy the state into a new folder, while outcropd runs or not");
  backup->fallthrough();
  std::string folder;
  backup->add_option("folder", folder, "The new folder")->required();
  if (const auto code = outcrop::cli::parse(app, argc, argv)) return *code;
  const auto config = outcrop::fleet::read_host_config(config_file);
  if (!config) return report(outcrop::fail(config.error()));
  if (check) {
    const auto checked = outcrop::fleet::Daemon::check(*config);
    if (!checked) return report(outcrop::fail(checked.error().context(config_file)));
    for (const std::string& soon : *checked) std::printf("%s\n", soon.c_str());
    std::printf("%s is right\n", config_file.c_str());
    return done;
  }
  if (backup->parsed()) return report(back_up(*config, folder));
  return report(serve(*config));
}

}  // namespace

int main(int argc, char** argv) {
  return outcrop::run_main("outcropd", [&] { return run(argc, argv); });
}
