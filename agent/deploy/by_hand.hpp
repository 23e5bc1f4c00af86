#pragma once

#include <chrono>
#include <cstdint>

#include "agent/config/config.hpp"
#include "agent/deploy/record.hpp"
#include "protocol/trust/roles.hpp"

namespace outcrop::agent {

// What a board's owner installs from a folder is a deployment as of an offer, of the rollout "by-hand". It has the generation that the
// board saw last, so that whatever the host says next counts, and may receive nothing: a folder holds all of a release. Measured or not
// taken, as by an offer that says "hold".
[[nodiscard]] Deployment by_hand(const AgentConfig& config, const Record& record,
                                 const trust::PermittedRelease& release, std::uint64_t snapshot_version,
                                 std::chrono::seconds soak);
[[nodiscard]] bool is_by_hand(const Deployment& deployment);

}  // namespace outcrop::agent
