#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "bench/fleet/connection.hpp"
#include "protocol/base/unique_fd.hpp"

namespace outcrop::bench {

// An enrolled board's identity in the hands of somebody who is no agent: blocking, without a queue of its own, so that
// what is slow is the other side.
class Intruder {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Door {
    std::uint16_t port = 0;           // of the broker, on this machine
    std::filesystem::path authority;  // whom to believe, PEM
  };
  Intruder(const Door& door, const Identity& identity);
  ~Intruder();
  Intruder(const Intruder&) = delete;
  Intruder& operator=(const Intruder&) = delete;

  // A new connection, accepted by the broker; false where it did not come to that before `end`.
  [[nodiscard]] bool connect(Time end);
  // False where the connection ended, or the packet was not taken before `end`.
  [[nodiscard]] bool send(const std::string& packet, Time end);
  // Reads what is there and forgets it; false where the connection ended.
  bool drain();

 private:
  struct Tls;
  void close();
  std::unique_ptr<Tls> tls_;
  Door door_;
  Identity identity_;
};

// A connection to an address or to a socket of this machine that says nothing yet; none where it was refused.
[[nodiscard]] UniqueFd knock(std::uint16_t port);
[[nodiscard]] UniqueFd knock(const std::filesystem::path& socket);

}  // namespace outcrop::bench
