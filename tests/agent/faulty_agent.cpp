// outcrop-faulty-agent CONFIG BOOT POINT [MIB]: the agent, started in the boot BOOT of its board,
// that ends by SIGKILL when it comes to POINT ("SOAKING written"), and says so in CONFIG.hit
// first. POINT may be "nowhere". What it cannot read it looks at again soon. With MIB its machine has so much memory,
// of which each runner takes 64 MiB; CONFIG.runners has the most that were alive together. It tries a new broker for two seconds.

#include <signal.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include <boost/asio/io_context.hpp>

#include "agent/agent.hpp"
#include "platform/spawn/spawn.hpp"

namespace {

int own_children() {
  int count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "children");
    for (int child = 0; file >> child;) ++count;
  }
  return count;
}

boost::asio::awaitable<void> end(outcrop::agent::Agent& agent, boost::asio::io_context& io) {
  co_await agent.stop();
  io.stop();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace outcrop;
  if (argc != 4 && argc != 5) return 2;
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
  int most_runners = 0;
  if (argc == 5) {
    times.available_memory = [&, all = std::stoull(argv[4])] {
      const int runners = own_children();
      if (runners > most_runners) {
        most_runners = runners;
        std::ofstream(file + ".runners") << runners << std::flush;
      }
      const std::uint64_t taken = 64U * static_cast<std::uint64_t>(runners);
      return ByteCount::mib(all > taken ? all - taken : 1);
    };
  }
  times.trial = std::chrono::seconds(2);
  for (bool anew = true; anew;) {
    anew = false;
    boost::asio::io_context io;
    auto agent = agent::Agent::open(io.get_executor(), *config, times);
    if (!agent) {
      std::fprintf(stderr, "%s\n", agent.error().message().c_str());
      return 1;
    }
    (*agent)->on_begin_again([&] {
      if (!std::exchange(anew, true)) outcrop::platform::spawn(io.get_executor(), end(**agent, io));
    });
    (*agent)->start();
    io.run();
  }
  return 0;
}
