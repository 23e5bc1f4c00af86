// outcrop-faulty-agent CONFIG BOOT POINT: the agent, started in the boot BOOT of its board,
// that ends by SIGKILL when it comes to POINT ("SOAKING written"), and says so in CONFIG.hit
// first. POINT may be "nowhere". What it cannot read it looks at again soon.

#include <signal.h>

#include <cstdio>
#include <fstream>
#include <string>

#include <boost/asio/io_context.hpp>

#include "agent/agent.hpp"

int main(int argc, char** argv) {
  using namespace outcrop;
  if (argc != 4) return 2;
  const std::string file = argv[1];
  const std::string fatal = argv[3];
  const auto config = agent::read_config(file);
  if (!config) {
    std::fprintf(stderr, "%s\n", config.error().message().c_str());
    return 1;
  }
  agent::DeployTimes times;
  times.soak_interval = std::chrono::milliseconds(200);
  times.first_retry = std::chrono::milliseconds(300);
  times.boot = argv[2];
  times.reached = [&](const std::string& point) -> Status {
    if (point != fatal) return {};
    std::ofstream(file + ".hit") << point << std::flush;
    ::raise(SIGKILL);
    return {};
  };
  boost::asio::io_context io;
  auto agent = agent::Agent::open(io.get_executor(), *config, times);
  if (!agent) {
    std::fprintf(stderr, "%s\n", agent.error().message().c_str());
    return 1;
  }
  (*agent)->start();
  io.run();
  return 0;
}
