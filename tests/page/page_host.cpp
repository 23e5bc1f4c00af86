#include <utility>  // before Asio

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "platform/http/server.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/number.hpp"
#include "trainer_host/fleet/page/page.hpp"
#include "trainer_host/fleet/view/events.hpp"
#include "trainer_host/fleet/view/seeded_fleet_for_tests.hpp"

// The pages over a seeded registry, without a broker and its boards: page_host FOLDER BOARDS PORT. Says where it
// listens, then does what lines of its standard input say until it ends:
//   offline NAME    that board is silent from now on
//   throttle NAME   and that one measured under heat

namespace {

using namespace outcrop;
using namespace outcrop::fleet;

class FixedClock final : public Clock {
 public:
  explicit FixedClock(Timestamp now) : now_(now) {}
  [[nodiscard]] Timestamp now() const override { return now_; }

 private:
  Timestamp now_;
};

struct Fleet {
  Fleet(const std::filesystem::path& folder, int boards) : seeded(folder / "registry.sqlite") {
    std::vector<std::string> names;
    seeded.at_once([&] {
      for (int i = 0; i < boards; ++i) {
        const std::string device_class =
            boards <= 3 || i % 3 == 0 ? "raspberry-pi-4" : i % 3 == 1 ? "raspberry-pi-5" : "zero-2w";
        names.push_back("pi-" + std::to_string(i + 1));
        seeded.add(names.back(), device_class, device_class == "raspberry-pi-4" ? .08 : .002);
      }
      const std::vector<std::string> some(names.begin(), names.begin() + std::min<long>(60, boards));
      seeded.roll_out("first", 1, RolloutState::done, "every board has it", names,
                      messages::DeploymentState::updated);
      seeded.roll_out("second", 2, RolloutState::widening, "", some, messages::DeploymentState::updated);
    });
    for (int i = 20; i < boards; i += 37) seeded.offline.insert("pi-" + std::to_string(i));
    for (int i = 7; i < boards; i += 61) seeded.throttle("pi-" + std::to_string(i), class_of(i));
  }
  static std::string class_of(int number) {
    const int i = number - 1;
    return i % 3 == 0 ? "raspberry-pi-4" : i % 3 == 1 ? "raspberry-pi-5" : "zero-2w";
  }
  SeededFleet seeded;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  Fleet fleet(argv[1], read_number<int>(argv[2]).value_or(3));
  boost::asio::io_context io;
  boost::asio::thread_pool worker{1};
  const FixedClock clock(fleet.seeded.now);
  FleetView view(fleet.seeded.registry(), fleet.seeded.surroundings());
  Events events(io.get_executor(), std::to_string(::getpid()));
  page::Page pages({view, fleet.seeded.registry(), clock, worker, [] {
                      return std::vector<std::string>{"the stage role of curvefault expires in 9 days"};
                    }});
  do {
    if (const Status read = view.refresh(); !read) {
      std::fprintf(stderr, "%s\n", read.error().message().c_str());
      return 1;
    }
  } while (view.unread() > 0);
  view.on_board = [&](const BoardRow& row) {
    events.publish("board", json_text(nlohmann::json{{"name", row.device.name}}));
  };
  const page::Reader reader{"token ops", true, true};
  http::TcpOptions options;
  options.port = read_number<std::uint16_t>(argv[3]).value_or(0);
  auto server = http::Server::listen_tcp(
      io.get_executor(), options,
      [&](http::Request request) -> boost::asio::awaitable<http::Response> {
        if (request.path == "/login") co_return page::Page::login("That is no token of this host.", 401);
        if (request.path == "/v1/events") {
          http::Response response{200, "text/event-stream"};
          response.pieces = events.listen(request.header("last-event-id"));
          co_return response;
        }
        co_return co_await pages.handle(request, reader);
      });
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message().c_str());
    return 1;
  }
  std::printf("http://127.0.0.1:%d\n", server->port());
  std::fflush(stdout);
  std::thread orders([&] {
    std::string verb, name;
    while (std::cin >> verb >> name) {
      boost::asio::post(io, [&, verb, name] {
        if (verb == "offline") fleet.seeded.offline.insert(name);
        if (verb == "throttle") fleet.seeded.throttle(name, "raspberry-pi-4");
        view.changed(name);
        (void)view.refresh();
      });
    }
    io.stop();
  });
  io.run();
  orders.join();
  return 0;
}
