#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::agent {

// Envelopes that arrived and do not count yet: their set is not whole, or the root that vouches for
// them is still to come. In memory only: a broker retains them and sends them again. Bounded, so
// that a hostile broker cannot fill the memory.
class Candidates {
 public:
  // Keeps the envelope. Where too many of the role are there, one that `is_good` denies goes first,
  // else the one that came first.
  void add(const std::string& role, std::string_view envelope,
           const std::function<bool(const std::string& envelope)>& is_good);
  // In the order they came.
  [[nodiscard]] const std::vector<std::string>& of(const std::string& role) const;
  void forget(const std::string& role, const std::string& envelope);

 private:
  std::map<std::string, std::vector<std::string>> envelopes_;
};

// Roots that came before the ones they follow.
class RootCandidates {
 public:
  // refused where it is too far ahead of `current` or too many wait.
  [[nodiscard]] Status add(std::uint64_t version, std::string_view envelope, std::uint64_t current);
  // Removes and returns the root of that version; forgets all before it.
  [[nodiscard]] std::optional<std::string> take(std::uint64_t version);

 private:
  std::map<std::uint64_t, std::string> envelopes_;
};

}  // namespace outcrop::agent
