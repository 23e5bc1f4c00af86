#include "agent/verify/expiry.hpp"

#include <algorithm>

namespace outcrop::agent {

std::optional<Timestamp> floor_ahead(const TrustedState& state) {
  if (!state.set || !state.time_floor) return std::nullopt;
  const bool ahead = state.set->timestamp->issued + std::chrono::days(1) < *state.time_floor;
  return ahead ? state.time_floor : std::nullopt;
}

std::vector<Expiry> expiries(const TrustedState& state) {
  std::vector<Expiry> all{{"root", state.root->expires}};
  if (state.revoked) all.push_back({"revoked", state.revoked->list->expires});
  if (state.set) {
    all.push_back({"targets", state.set->targets->expires});
    all.push_back({"snapshot", state.set->snapshot->expires, true});
    all.push_back({"timestamp", state.set->timestamp->expires, true});
  }
  if (state.set && state.revoked && !state.set->stage_envelope.empty()) {
    const auto stage = trust::verify_stage(state.set->targets, state.revoked->list, state.model,
                                           state.set->stage_envelope);
    if (stage) all.push_back({trust::stage_role(state.model), (*stage)->expires});
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Expiry& a, const Expiry& b) { return a.when < b.when; });
  return all;
}

}  // namespace outcrop::agent
