#pragma once

#include <optional>
#include <string>
#include <vector>

#include "trainer_host/fleet/view/paired_change.hpp"
#include "trainer_host/fleet/view/fleet_view.hpp"

namespace outcrop::fleet {

// Which release is held against which, of one model.
struct ReleasePair {
  trust::Sha256Digest before;
  trust::Sha256Digest after;
};
// The newest release of the model that boards measured, and the one published before it that they measured.
[[nodiscard]] std::optional<ReleasePair> newest_pair(const FleetView& view,
                                                     const std::string& model);

// What became of one variant on one class of boards, from one release to another: pairs within boards that
// measured both.
struct Change {
  std::string model, device_class, variant;
  ReleasePair releases;
  PairedChange p90;
  double before_ms = 0, after_ms = 0;      // medians over those boards
  std::size_t throttled_before = 0;        // boards of the class whose figure heat or supply made void
  std::size_t throttled_after = 0;
  std::size_t served = 0;                  // boards of the class that serve this variant now
  std::vector<std::pair<std::string, double>> boards{};  // name and change, 0.05: slower by 5 %
};

// By verdict, the worst first; in it what boards serve before what they only measured, then by evidence.
[[nodiscard]] std::vector<Change> changes_of(const FleetView& view, const std::string& model,
                                             const ReleasePair& releases);
// Those of the newest pair of each model, until the next call. Worked out anew when figures changed, but never for more
// than a twentieth of the time: of thousands of boards some always tell new ones.
[[nodiscard]] const std::vector<Change>& newest_changes(const FleetView& view);

// Median, 90th percentile and largest of what boards of one class say; `values` not empty.
struct Across {
  double median = 0, p90 = 0, max = 0;
};
[[nodiscard]] Across across(std::vector<double> values);

}  // namespace outcrop::fleet
