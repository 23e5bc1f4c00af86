#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer_host/fleet/registry/aim.hpp"
#include "trainer_host/fleet/view/fleet_view.hpp"

namespace outcrop::fleet {

// Which variant, and which release, is best for each class of boards, by what boards measured. Each is held against what most
// boards of the class serve (the incumbent), within the boards that measured both: the board is the unit, and what is judged is
// the median of its ratios with the interval and evidence of paired_change.hpp, whose pairs were not measured in turns.

struct Contender {
  trust::Sha256Digest manifest;
  std::string variant;
  std::size_t boards = 0;            // that measured it and the incumbent
  std::optional<double> ratio;       // of the incumbent's figure, in the median: .8 is a fifth less; none without a board
  std::optional<double> low, high;   // of the ratio; none where boards are too few
  double better = 1, worse = 1;      // evidence, of 100
  std::string words;                 // what that is worth
};

struct BestOfClass {
  std::string model;
  std::string device_class;
  std::size_t boards = 0;     // not revoked
  std::size_t serving = 0;    // of these, the incumbent
  std::optional<Contender> incumbent;  // none: no board of the class serves anything
  std::vector<Contender> variants;     // of its release, best first, itself among them
  std::vector<Contender> releases;     // by the variant of each that is best here, best first, its own among them
  std::string words;
};

using SizeOf = std::function<std::optional<std::uint64_t>(const trust::Sha256Digest& manifest, const std::string& variant)>;

// What is to be judged, read from the rows of the view in the time of a list; judging takes longer, and needs no view.
struct Contest {
  struct Pairs {
    trust::Sha256Digest manifest;
    std::string variant;
    std::vector<double> logs;  // of the ratio on each board
  };
  BestOfClass of;
  std::vector<Pairs> variants, others;  // others: of other releases that may be installed
};
[[nodiscard]] std::vector<Contest> contests(const FleetView& view, Aim aim, const SizeOf& size_of);
[[nodiscard]] std::vector<BestOfClass> judge(std::vector<Contest> contests, Aim aim);

}  // namespace outcrop::fleet
