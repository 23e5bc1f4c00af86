#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace outcrop::fleet {

// Notices that two machines use one identity, by mosquitto's log: each takes the other's connection
// over as soon as it is back, from addresses that take turns. Their sessions may be equal (two cards
// with one image, switched on together), and then nothing that agents before protocol 6 say gives them away. Two that
// reach the broker from one address, behind a router say, it cannot tell from a link that breaks: those the instances
// in their statuses show (Ingest).
class Twins {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Twin {
    std::string client;
    std::vector<std::string> addresses;  // the last two
  };

  // What the log says next; returns who takes turns by it, each once in an hour.
  [[nodiscard]] std::vector<Twin> read(std::string_view log,
                                       Time now = std::chrono::steady_clock::now());

  // One line of mosquitto's log, where it is one of these two.
  struct Line {
    std::string client;
    std::string address;  // it connected from there; "": another connection of its name was open
  };
  [[nodiscard]] static std::optional<Line> parse(std::string_view line);

 private:
  struct Client {
    bool taken_over = false;  // its next connection takes over
    std::string address;      // of its latest connection
    std::vector<Time> turns;  // take-overs from another address
    std::optional<Time> told;
  };
  std::map<std::string, Client> clients_;
};

}  // namespace outcrop::fleet
