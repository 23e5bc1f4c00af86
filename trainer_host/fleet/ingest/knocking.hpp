#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// Who is shut out and comes all the same: boards that are revoked, by name where one can tell, and others by address. Counted
// since this program started, told in the log at the 1st, 2nd, 4th, 8th time and so on with the rate, and kept in the audit
// log once a day each.
class Knocking {
 public:
  using Record = std::function<void(const std::string& subject, const std::string& detail)>;  // of the audit log
  Knocking(Registry& registry, const Clock& clock, Record record)
      : registry_(&registry), clock_(&clock), record_(std::move(record)) {}

  // A broker that lets it in all the same gave a message of it.
  void by_name(const std::string& board);
  // The broker refused certificates from this address, from where boards of these names were let in before: where one of
  // them alone is revoked and no other is there, it was that one.
  void by_address(const std::string& address, std::uint64_t count, const std::set<std::string>& names);

  // Those of the last hour, a sentence each, and what to do.
  [[nodiscard]] std::vector<std::string> words() const;

 private:
  struct Knocker {
    std::uint64_t count = 0;
    std::uint64_t told = 0;  // how many there were when it was told last
    Timestamp first;
    Timestamp last;
    std::string from;        // "" where its name is sure
    Timestamp recorded{};
  };
  void add(const std::string& who, const std::string& from, std::uint64_t count);
  [[nodiscard]] std::string of_names(const std::set<std::string>& names) const;

  Registry* registry_;
  const Clock* clock_;
  Record record_;
  std::map<std::string, Knocker> knockers_;  // by a board's name, or "an unknown certificate from ADDRESS"
};

}  // namespace outcrop::fleet
