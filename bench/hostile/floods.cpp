#include "bench/hostile/floods.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <random>
#include <thread>

#include "protocol/base/clock.hpp"
#include "protocol/base/version.hpp"
#include "protocol/blob/chunk_frame.hpp"
#include "protocol/blob/chunk_table.hpp"
#include "protocol/messages/device_message.hpp"
#include "protocol/messages/status.hpp"
#include "protocol/transport/topics.hpp"
#include "protocol/trust/envelope.hpp"

namespace outcrop::bench {
namespace {

namespace topics = transport::topics;
using Time = Intruder::Time;

bool over(Time end) {
  return std::chrono::steady_clock::now() >= end;
}

std::string counted(std::uint64_t count, const std::string& what, std::uint64_t connections) {
  return std::to_string(count) + " " + what + (connections > 1 ? ", thrown out " + std::to_string(connections - 1) + " times" : "");
}

// Sends what `next` makes, again and again, and comes back where it is thrown out.
std::string send_all(const Besieged& besieged, Time end, const std::string& what, const std::function<std::string(std::uint64_t)>& next,
                     bool reads = true) {
  Intruder intruder(besieged.broker, besieged.board);
  std::uint64_t sent = 0, connections = 0;
  while (!over(end)) {
    if (!intruder.connect(end)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      continue;
    }
    ++connections;
    while (!over(end) && intruder.send(next(sent), end)) {
      ++sent;
      if (reads && sent % 64 == 0 && !intruder.drain()) break;
    }
  }
  return counted(sent, what, connections);
}

std::string statuses(const Besieged& besieged, Time end) {
  messages::DeviceStatus status;
  status.device = besieged.board.name;
  status.session = static_cast<std::uint64_t>(SystemClock().now().time_since_epoch().count() % 1'000'000) + 1000;
  status.online = true;
  status.agent = "0.1.0";
  status.speaks = protocol_version;
  status.model = "curvefault";
  status.device_class = "workstation";
  return send_all(besieged, end, "signed statuses", [&](std::uint64_t sent) {
    status.generation = sent;
    const std::string text = trust::sign_envelope(messages::status_kind, as_bytes(to_json(status)), std::span(&besieged.board.key, 1));
    return mqtt::publish_at_most_once({topics::status(besieged.board.name), text, true});
  });
}

std::string progress(const Besieged& besieged, Time end) {
  messages::Progress said;
  said.header = {besieged.board.name, 5000, 0, SystemClock().now(), true};
  said.deployment = {"flood", 1, besieged.blob};
  said.state = messages::DeploymentState::downloading;
  return send_all(besieged, end, "messages of progress", [&](std::uint64_t sent) {
    said.header.sequence = sent + 1;
    return mqtt::publish_at_most_once({topics::up(besieged.board.name, "progress"), to_json(said), false});
  });
}

std::string retained(const Besieged& besieged, Time end) {
  const std::string megabyte(1'000'000, 'x');
  const std::vector<std::string> own{topics::status(besieged.board.name), topics::request(besieged.board.name), topics::request(besieged.board.name, "host"),
                                     topics::up(besieged.board.name, "report"), topics::up(besieged.board.name, "telemetry"), topics::up(besieged.board.name, "progress")};
  return send_all(besieged, end, "retained messages of 1 MB", [&](std::uint64_t sent) {
    const std::string& topic = sent % 2 == 0 ? own[sent / 2 % own.size()] : topics::request(besieged.board.name, std::to_string(sent));
    return mqtt::publish_at_most_once({topic, megabyte, true});
  });
}

// Asks for chunks all the time and reads nothing that comes.
std::string slow_reader(const Besieged& besieged, Time end) {
  blob::ChunkRequest request;
  request.blob = besieged.blob;
  const auto chunks = static_cast<std::uint32_t>((besieged.blob_size.value() + blob::chunk_size.value() - 1) / blob::chunk_size.value());
  for (std::uint32_t i = 0; i < blob::most_indexes; ++i) request.indexes.push_back(i % chunks);
  bool subscribed = false;
  const std::string subscribe = mqtt::subscribe(1, {topics::receive(besieged.board.name), topics::command(besieged.board.name), "outcrop/v1/blob/+", "outcrop/v1/meta/#"});
  return send_all(
      besieged, end, "requests for 64 chunks, nothing read", [&](std::uint64_t sent) {
        if (!std::exchange(subscribed, true)) return subscribe;
        request.transfer = static_cast<std::uint32_t>(sent);
        return mqtt::publish_at_most_once({topics::request(besieged.board.name), encode(request), false});
      },
      false);
}

std::string subscriptions(const Besieged& besieged, Time end) {
  constexpr std::size_t together = 100;
  const auto asked = send_all(besieged, end, "times 100 subscriptions", [&](std::uint64_t sent) {
    std::vector<std::string> filters;
    for (std::size_t i = 0; i < together; ++i) filters.push_back("outcrop/v1/meta/" + std::to_string(sent * together + i) + "/#");
    return mqtt::subscribe(static_cast<std::uint16_t>(sent % 65'535 + 1), filters);
  });
  return asked;
}

// So many connections that say nothing; whoever is thrown out comes back.
template <class Knock>
std::string silent(std::size_t count, Time end, Knock open) {
  std::vector<UniqueFd> held(count);
  std::uint64_t opened = 0;
  while (!over(end)) {
    for (UniqueFd& one : held) {
      pollfd state{one ? one.get() : -1, POLLIN | POLLRDHUP, 0};
      if (one && ::poll(&state, 1, 0) <= 0) continue;
      one = open();
      if (one) ++opened;
      if (over(end)) break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return std::to_string(count) + " held, " + std::to_string(opened) + " opened";
}

// So many callers that ask as fast as they may and read nothing.
std::string deaf(std::size_t count, Time end, const std::filesystem::path& socket, const std::string& request) {
  struct Caller {
    UniqueFd fd;
    std::size_t at = 0;
  };
  std::vector<Caller> callers(count);
  std::uint64_t asked = 0;
  while (!over(end)) {
    for (Caller& caller : callers) {
      if (!caller.fd) caller = {knock(socket), 0};
      if (!caller.fd) continue;
      const ssize_t put = ::send(caller.fd.get(), request.data() + caller.at, request.size() - caller.at, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (put < 0 && errno != EAGAIN) caller.fd = {};
      if (put > 0) caller.at += static_cast<std::size_t>(put);
      if (caller.at == request.size()) {
        ++asked;
        caller.at = 0;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return std::to_string(count) + " callers, " + std::to_string(asked) + " calls, nothing read";
}

// So many callers that each send a body that begins so and has `size` bytes of `piece` again and again behind it, leave when it is sent or refused, and come back.
std::string bodies(std::size_t count, Time end, const std::filesystem::path& socket, const std::string& target, const std::string& begin, std::string_view piece,
                   ByteCount size) {
  const std::string head = "POST " + target + " HTTP/1.1\r\nHost: local\r\nContent-Type: application/json\r\nContent-Length: " +
                           std::to_string(begin.size() + size.value()) + "\r\n\r\n" + begin;
  std::string many;
  while (many.size() < ByteCount::kib(64).value()) many += piece;
  struct Caller {
    UniqueFd fd;
    std::uint64_t sent = 0;  // of the body; the head goes at once
  };
  std::vector<Caller> callers(count);
  std::uint64_t whole = 0, cut_off = 0, bytes = 0;
  while (!over(end)) {
    bool any = false;
    for (Caller& caller : callers) {
      if (!caller.fd) {
        caller = {knock(socket), 0};
        if (!caller.fd || ::send(caller.fd.get(), head.data(), head.size(), MSG_NOSIGNAL) < 0) {
          caller.fd = {};
          continue;
        }
      }
      const std::uint64_t left = size.value() - caller.sent;
      const std::size_t at = caller.sent % many.size();
      const ssize_t put = ::send(caller.fd.get(), many.data() + at, std::min<std::uint64_t>(left, many.size() - at), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (put < 0 && errno == EAGAIN) continue;
      any = true;
      if (put > 0) {
        caller.sent += static_cast<std::uint64_t>(put);
        bytes += static_cast<std::uint64_t>(put);
      }
      if (put > 0 && caller.sent < size.value()) continue;
      ++(put > 0 ? whole : cut_off);
      caller.fd = {};
    }
    if (!any) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return std::to_string(count) + " callers, " + ByteCount(bytes).human() + ": " + std::to_string(whole) + " bodies whole, " + std::to_string(cut_off) + " cut off";
}

std::string get(const std::string& target) {
  return "GET " + target + " HTTP/1.1\r\nHost: local\r\n\r\n";
}

}  // namespace

const std::vector<Flood>& floods() {
  constexpr std::size_t silent_boards = 900, silent_callers = 300, deaf_callers = 32, senders = 48;
  static const std::vector<Flood> all{
      {"nothing", "", [](const Besieged&, Time end) { std::this_thread::sleep_until(end); return std::string(); }},
      {"statuses that rise", "3", statuses},
      {"progress", "2, 3", progress},
      {"1 MB retained", "4", retained},
      {"a slow reader", "4", slow_reader},
      {"subscriptions", "4", subscriptions},
      {"silent TCP", "4", [](const Besieged& besieged, Time end) { return silent(silent_boards, end, [&] { return knock(besieged.broker.port); }); }},
      {"silent callers of the host", "12", [](const Besieged& besieged, Time end) { return silent(silent_callers, end, [&] { return knock(besieged.host_socket); }); }},
      {"silent callers of the agent", "12", [](const Besieged& besieged, Time end) { return silent(silent_callers, end, [&] { return knock(besieged.agent_socket); }); }},
      {"the host's callers do not read", "12", [](const Besieged& besieged, Time end) { return deaf(deaf_callers, end, besieged.host_socket, get("/v1/openapi.json")); }},
      {"the agent's callers do not read", "12",
       [](const Besieged& besieged, Time end) {
         return deaf(deaf_callers, end, besieged.agent_socket, "POST /v1/infer?seed=7&count=128 HTTP/1.1\r\nHost: local\r\nContent-Length: 0\r\n\r\n");
       }},
      {"bodies for the host", "12",
       [](const Besieged& besieged, Time end) { return bodies(senders, end, besieged.host_socket, "/v1/nothing", "", "a=b&", ByteCount::mib(10)); }},
      {"bodies for the agent", "12",
       [](const Besieged& besieged, Time end) {
         return bodies(senders, end, besieged.agent_socket, "/v2/models/curvefault/infer", R"({"inputs":[{"name":"batch_size","data":[)", "[[],[]],", ByteCount(8'000'000));
       }},
  };
  return all;
}

}  // namespace outcrop::bench
