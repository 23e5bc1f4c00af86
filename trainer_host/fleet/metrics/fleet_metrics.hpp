#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "trainer_host/fleet/ingest/ingest.hpp"
#include "trainer_host/fleet/metrics/exposition.hpp"
#include "trainer_host/fleet/monitor/history.hpp"
#include "trainer_host/fleet/rollout/decision_counts.hpp"
#include "trainer_host/fleet/view/events.hpp"
#include "trainer_host/fleet/view/fleet_view.hpp"

namespace outcrop::fleet {

// What is exposed of the fleet (docs/fleet-page.md lists it). Labels hold closed lists, and names that a person
// gave to classes, models and variants; never those of boards, rollouts, digests, addresses or words of errors.
struct MetricsParts {
  const FleetView& view;  // refreshed
  const IngestStatistics& ingest;
  const Events& events;
  const monitor::History* history = nullptr;  // none: no telemetry is kept
  Timestamp now;
  std::filesystem::path database{};  // of the registry; its write-ahead log lies beside it
  const DecisionCounts* decisions = nullptr;
};

void expose_fleet(Exposition& exposition, const MetricsParts& parts);

// The one exception: a few figures of each board by its name, of the first `most` by name; how many were left out is one of them.
void expose_each_board(Exposition& exposition, const MetricsParts& parts, std::size_t most);

// "Content-Type" of either form, and the form that a scraper wants by its "Accept".
[[nodiscard]] std::string_view content_type(Exposition::Form form);
[[nodiscard]] Exposition::Form form_for(std::string_view accept);

}  // namespace outcrop::fleet
