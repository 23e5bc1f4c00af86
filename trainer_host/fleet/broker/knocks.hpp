#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace outcrop::fleet {

// Connections that the broker refused for their certificate: revoked, expired, of nobody that is known. mosquitto says neither
// whose it was nor from where, in one line; so each counts for the address whose connection came before it, and for the names
// that were let in from there before.
class Knocks {
 public:
  struct Knock {
    std::string address;
    std::uint64_t count = 0;
    std::set<std::string> names;  // of boards that were let in from there
  };

  // `port`: of the listener that boards reach; connections to others are none.
  explicit Knocks(std::uint16_t port) : port_(port) {}

  // What the log says next.
  [[nodiscard]] std::vector<Knock> read(std::string_view log);

 private:
  void read_line(std::string_view line, std::map<std::string, Knock>& knocks);

  std::uint16_t port_;
  std::string latest_;                                // address of the newest connection
  std::map<std::string, std::set<std::string>> let_in_;  // names by address
  std::map<std::string, std::string> place_;             // the newest address by name
};

}  // namespace outcrop::fleet
