#include <utility>  // before Asio

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <iostream>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include "platform/http/server.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/number.hpp"
#include "trainer_host/fleet/monitor/audit.hpp"
#include "trainer_host/fleet/monitor/file_history.hpp"
#include "trainer_host/fleet/page/page.hpp"
#include "trainer_host/fleet/picture/pictures.hpp"
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
      for (int i = 0; i < boards; i += 5) {
        if (!seeded.registry().save_tags(names[static_cast<std::size_t>(i)], {"lab", "roof"})) throw std::runtime_error("tags");
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

// A day of pi-1: a sample every ten minutes, hot for two hours, and what others were before that.
std::unique_ptr<monitor::FileHistory> make_history(const std::filesystem::path& folder, const Fleet& fleet) {
  monitor::HistoryOptions options;
  options.folder = folder / "history";
  options.gather = std::chrono::milliseconds(1);
  options.now = [now = fleet.seeded.now] { return now; };
  auto history = monitor::FileHistory::open(options, [](const auto&) {});
  if (!history) throw std::runtime_error(history.error().message());
  for (int i = 143; i >= 0; --i) {
    monitor::HistoryEntry entry;
    entry.device = "pi-1";
    entry.id = {1, static_cast<std::uint64_t>(200 - i)};
    entry.at = entry.received = fleet.seeded.now - std::chrono::minutes(10) * i;
    messages::Telemetry& told = entry.telemetry.emplace();
    told.header = {"pi-1", 1, entry.id.sequence, entry.at, true};
    told.interval = std::chrono::minutes(10);
    told.device_class = "raspberry-pi-4";
    told.active_manifest = i > 12 ? fleet.seeded.before() : fleet.seeded.after();
    told.active_variant = "int8-qint8";
    const bool hot = i > 60 && i <= 72;
    told.temperature = (hot ? 82 : 58) + 4 * std::sin(i * .3);
    told.throttled = messages::ThrottlingBits{hot ? 0xCU : 0U, hot ? 0xCU : 0U};
    for (int call = 0; call < 20; ++call) {
      told.served.latency_ms.add((hot ? 52 : i > 12 ? 38.5 : 41.5) + .2 * call + std::sin(i * 1.7));
    }
    told.served.calls = 20;
    told.free_memory = ByteCount(1'400'000'000);
    told.free_disk = ByteCount(21'000'000'000);
    told.frequency = hot ? .6 : 1.0;
    if (!(*history)->add(std::move(entry))) throw std::runtime_error("the history takes nothing");
  }
  for (int board = 2; board <= 40; ++board) {
    for (int i = 11; i >= 0; --i) {
      monitor::HistoryEntry entry;
      entry.device = "pi-" + std::to_string(board);
      entry.id = {1, static_cast<std::uint64_t>(200 - i)};
      entry.at = entry.received = fleet.seeded.now - std::chrono::minutes(10) * i;
      messages::Telemetry& told = entry.telemetry.emplace();
      told.header = {entry.device, 1, entry.id.sequence, entry.at, true};
      told.interval = std::chrono::minutes(10);
      told.device_class = Fleet::class_of(board);
      told.served.latency_ms.add(40 + 3 * std::sin(i * .9 + board) + (board % 9 == 0 && i < 4 ? 18 : 0));
      told.served.calls = 1;
      if (!(*history)->add(std::move(entry))) throw std::runtime_error("the history takes nothing");
    }
  }
  (*history)->tend_now();
  return std::move(*history);
}

// Layers that a fault cuts, as the release has them.
HostsOwn layers() {
  HostsOwn own{"velocity", "m/s", false, {{1, 1, 70, 70}, *messages::grid_of({1, 1, 70, 70}), {}}, 1500, 4500,
               {{"int8-qint8", {"velocity", 15, 120}}}};
  for (int row = 0; row < 70; ++row) {
    for (int column = 0; column < 70; ++column) {
      const double depth = row + 4 * std::sin(column * .09) + (column > 30 + row / 3 ? 8 : 0);
      own.map.values.push_back(1500 + 500 * std::clamp(std::floor(depth / 12), 0.0, 6.0));
    }
  }
  return own;
}

// What pi-1 and pi-2 drew of that, one as int8 does and the other with a kernel that computes wrongly; pi-3 drew nothing.
void draw(const Fleet& fleet, Registry& registry) {
  const HostsOwn own = layers();
  for (const std::string name : {"pi-1", "pi-2", "pi-3"}) {
    messages::Picture picture;
    picture.header = {name, 1, 9000, fleet.seeded.now - std::chrono::minutes(12), true};
    picture.manifest = fleet.seeded.after();
    if (name == "pi-3") {
      picture.why = "there was no rest";
    } else {
      runtime::FirstMap map = own.map;
      for (std::size_t i = 0; i < map.values.size(); ++i) {
        const double column = static_cast<double>(i % 70);
        map.values[i] += name == "pi-1" ? 25 * std::sin(static_cast<double>(i) * .37) : 700 * std::sin(column * .45);
      }
      picture.variant = "int8-qint8";
      picture.drawn = runtime::draw("velocity", map);
    }
    const bool kept = registry.ask_picture(name, picture.header.time - std::chrono::minutes(1)) &&
                      registry.save(picture, picture.header.time).value_or(false);
    if (!kept || (name == "pi-1" && !registry.ask_picture(name, fleet.seeded.now - std::chrono::seconds(40)))) {
      throw std::runtime_error("no picture is kept");
    }
  }
}

// "pi-1" of "/v1/devices/pi-1/picture.png"; "" where it is another path.
std::string drawer_in(const std::string& path) {
  constexpr std::string_view before = "/v1/devices/", behind = "/picture.png";
  if (!path.starts_with(before) || !path.ends_with(behind)) return "";
  return path.substr(before.size(), path.size() - before.size() - behind.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  Fleet fleet(argv[1], read_number<int>(argv[2]).value_or(3));
  boost::asio::io_context io;
  boost::asio::thread_pool worker{1};
  const FixedClock clock(fleet.seeded.now);
  FleetView view(fleet.seeded.registry(), fleet.seeded.surroundings());
  const auto history = make_history(argv[1], fleet);
  monitor::RegistryAuditLog audit(fleet.seeded.registry(), clock);
  for (const auto& [who, action, subject] :
       {std::tuple("uid 1000", "release-published", "curvefault stage 2"),
        std::tuple("token ops", "rollout-started", "second"),
        std::tuple("outcropd", "rollout-decided", "second"), std::tuple("owner of pi-2", "hold", "pi-2")}) {
    if (!audit.record(who, action, subject, R"({"evidence": 212})")) return 1;
  }
  draw(fleet, fleet.seeded.registry());
  Pictures pictures(fleet.seeded.registry(), worker, [](const trust::Sha256Digest&) -> Result<HostsOwn> { return layers(); });
  Events events(io.get_executor(), std::to_string(::getpid()));
  page::Page pages({view, fleet.seeded.registry(), clock, worker,
                    []() -> boost::asio::awaitable<std::vector<std::string>> {
                      co_return std::vector<std::string>{"the stage role of curvefault expires in 9 days"};
                    },
                    history.get(), &audit, &pictures});
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
        if (const std::string drawer = drawer_in(request.path); !drawer.empty()) {
          const auto shown = co_await pictures.of(drawer);
          const auto which = picture_view_from(request.query["of"]);
          auto file = shown && *shown && which ? png_of(**shown, *which) : fail(ErrorCode::not_found, "no such picture");
          if (!file) co_return http::error_response(file.error());
          co_return http::Response{200, "image/png", std::move(*file)};
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
