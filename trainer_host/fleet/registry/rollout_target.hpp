#pragma once

#include <set>
#include <string>

namespace outcrop::fleet {

// Which boards of its model a rollout is for: those of which all holds that is said here. What changes while a release
// rolls out, health say, is no part of it.
struct RolloutTarget {
  std::string device_class;  // "": any
  std::string tag;
  std::string part_of_name;
  // Of these boards so many, chosen by their names: a larger share has all of a smaller one.
  double share = 1;
  std::string group;  // whose filter this was when the rollout began; "": none
  bool operator==(const RolloutTarget&) const = default;

  [[nodiscard]] bool is_everybody() const;
  [[nodiscard]] bool holds(const std::string& board, const std::string& its_class,
                           const std::set<std::string>& its_tags) const;
};

// "10 % of the boards of the class pi with the tag lab"; "all boards".
[[nodiscard]] std::string in_words(const RolloutTarget& target);

}  // namespace outcrop::fleet
