#include "trainer_host/fleet/registry/rollout_target.hpp"

#include <cmath>
#include <cstdint>
#include <cstdio>

#include "protocol/trust/digest.hpp"

namespace outcrop::fleet {
namespace {

// From 0 to 1, the same on every host.
double place_of(const std::string& board) {
  const auto digest = trust::sha256("share " + board);
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<std::uint64_t>(digest.bytes()[i]);
  return std::ldexp(static_cast<double>(value), -64);
}

}  // namespace

bool RolloutTarget::is_everybody() const {
  return device_class.empty() && tag.empty() && part_of_name.empty() && share >= 1;
}

bool RolloutTarget::holds(const std::string& board, const std::string& its_class,
                          const std::set<std::string>& its_tags) const {
  if (!device_class.empty() && device_class != its_class) return false;
  if (!tag.empty() && !its_tags.contains(tag)) return false;
  if (board.find(part_of_name) == std::string::npos) return false;
  return share >= 1 || place_of(board) < share;
}

std::string in_words(const RolloutTarget& target) {
  std::string words;
  if (target.share < 1) {
    char text[32];
    std::snprintf(text, sizeof text, "%g %% of the boards", 100 * target.share);
    words = text;
  } else {
    words = target.is_everybody() ? "all boards" : "boards";
  }
  if (!target.device_class.empty()) words += " of the class " + target.device_class;
  if (!target.tag.empty()) words += " with the tag " + target.tag;
  if (!target.part_of_name.empty()) words += " named like '" + target.part_of_name + "'";
  if (!target.group.empty()) words += " (group " + target.group + ")";
  return words;
}

}  // namespace outcrop::fleet
