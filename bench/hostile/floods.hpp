#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/hostile/intruder.hpp"
#include "protocol/base/bytes.hpp"
#include "protocol/trust/digest.hpp"

namespace outcrop::bench {

// What is flooded: a host with its broker, and an agent, that others use meanwhile.
struct Besieged {
  Intruder::Door broker;
  Identity board;  // an enrolled board whose agent is not there
  std::filesystem::path host_socket, agent_socket;
  trust::Sha256Digest blob;  // one that the host has
  ByteCount blob_size;
};

struct Flood {
  std::string name;
  std::string clause;  // of docs/security.md
  // Goes on until `end`; what was sent, in words.
  std::function<std::string(const Besieged&, Intruder::Time end)> run;
};

[[nodiscard]] const std::vector<Flood>& floods();

}  // namespace outcrop::bench
