#include "agent/doctor/broker_probe.hpp"

#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "agent/doctor/tls_handshake.hpp"
#include "protocol/base/unique_fd.hpp"
#include "protocol/transport/name_lookup.hpp"

namespace outcrop::agent {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

std::string seconds(milliseconds patience) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g s",
                std::chrono::duration<double>(patience).count());
  return text.data();
}

// 0, or the errno of what went wrong.
int connect_to(const std::string& address, std::uint16_t port, milliseconds patience,
               UniqueFd& socket) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &list) != 0) {
    return EADDRNOTAVAIL;
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> where(list, ::freeaddrinfo);
  socket.reset(::socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return errno;
  if (::connect(socket.get(), where->ai_addr, where->ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  if (!wait_for(socket.get(), POLLOUT, SteadyClock::now() + patience)) return ETIMEDOUT;
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

BrokerProblem no_connection(const std::string& where, int error, milliseconds patience) {
  if (error == ECONNREFUSED) {
    return {where + ": nobody listens there (connection refused)",
            "does outcropd run on the host, and is this its port? systemctl status outcropd"};
  }
  if (error == ETIMEDOUT) {
    return {where + ": no answer within " + seconds(patience),
            "is the host switched on, in this network, and its firewall open for the port?"};
  }
  return {where + ": " + std::strerror(error), "has this board a network, and a way to the host?"};
}

}  // namespace

tl::expected<std::string, BrokerProblem> probe_broker(const BrokerTarget& target,
                                                      milliseconds patience) {
  ::signal(SIGPIPE, SIG_IGN);
  const std::string name = target.host + ":" + std::to_string(target.port);
  const auto addresses = transport::look_up(target.host, patience);
  if (!addresses) {
    return tl::unexpected(BrokerProblem{
        "the name " + target.host + " is not known: " + addresses.error().message(),
        "is it spelt right ([broker] host in agent.toml, else the enrolment), and has this board a "
        "name server?"});
  }
  const milliseconds share = patience / static_cast<int>(addresses->size());
  std::optional<BrokerProblem> unreached;
  std::optional<BrokerProblem> refused;  // says more than that nobody listens at another address
  for (const std::string& address : *addresses) {
    const std::string where = name + " at " + address;
    if (const auto zone = transport::zone_of(address); !zone) {
      unreached = BrokerProblem{where + ": " + zone.error().message(),
                                "behind the % stands the interface by which this board reaches the "
                                "host: `ip link` lists them"};
      continue;
    }
    UniqueFd socket;
    if (const int error = connect_to(address, target.port, share, socket); error != 0) {
      unreached = no_connection(where, error, share);
      continue;
    }
    auto spoken = shake_hands(socket.get(), target, patience);
    if (spoken) return where + ", " + *spoken;
    refused = BrokerProblem{where + ": " + spoken.error().found, spoken.error().advice};
  }
  return tl::unexpected(refused ? *refused : *unreached);
}

}  // namespace outcrop::agent
