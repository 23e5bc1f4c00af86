#include <utility>  // before Asio

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>

#include "platform/service/service.hpp"
#include "protocol/base/program.hpp"
#include "protocol/base/version.hpp"
#include "trainer_host/fleet/backup.hpp"
#include "trainer_host/fleet/config/host_config.hpp"
#include "trainer_host/fleet/daemon.hpp"

namespace {

using outcrop::Status;

constexpr int done = 0;
constexpr int failed = 1;
constexpr int wrong_use = 2;

Status serve(const outcrop::fleet::HostConfig& config) {
  outcrop::platform::start_log("outcropd", config.log);
  boost::asio::io_context io(1);
  OUTCROP_TRY(daemon, outcrop::fleet::Daemon::start(io, config));
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int) {
    if (!error) daemon->stop();
  });
  io.run();
  return {};
}

int report(const Status& status) {
  if (status) return done;
  std::fprintf(stderr, "outcropd: %s\n", status.error().message().c_str());
  return status.error().code() == outcrop::ErrorCode::invalid_argument ? wrong_use : failed;
}

int run(int argc, char** argv) {
  CLI::App app{"Serve a fleet of boards: registry, depot, rollouts, and the broker.", "outcropd"};
  app.set_version_flag("--version", "outcropd " + std::string(outcrop::version()));
  std::string config_file = "/etc/outcrop/host.toml";
  bool check = false;
  app.add_option("--config", config_file, "configuration; FILE.d/*.toml adds to it")
      ->capture_default_str();
  app.add_flag("--check-config", check, "only say whether the configuration is right");
  CLI::App* backup =
      app.add_subcommand("backup", "copy the state into a new folder, while outcropd runs or not");
  backup->fallthrough();
  std::string folder;
  backup->add_option("folder", folder, "the new folder")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? done : wrong_use;
  }
  const auto config = outcrop::fleet::read_host_config(config_file);
  if (!config) return report(outcrop::fail(config.error()));
  if (check) {
    if (const auto checked = outcrop::fleet::Daemon::check(*config); !checked) {
      return report(outcrop::fail(checked.error().context(config_file)));
    }
    std::printf("%s is right\n", config_file.c_str());
    return done;
  }
  if (backup->parsed()) return report(outcrop::fleet::back_up_state(config->state, folder));
  return report(serve(*config));
}

}  // namespace

int main(int argc, char** argv) {
  return outcrop::run_main("outcropd", [&] { return run(argc, argv); });
}
