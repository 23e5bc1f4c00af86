#include "agent/deploy/by_hand.hpp"

#include <algorithm>

#include "protocol/messages/names.hpp"

namespace outcrop::agent {

Deployment by_hand(const AgentConfig& config, const Record& record,
                   const trust::PermittedRelease& release, std::uint64_t snapshot_version,
                   std::chrono::seconds soak) {
  Deployment deployment;
  // In the protocol in which the host speaks to this board, or in one that every host reads.
  deployment.offer.protocol = record.deployment ? record.deployment->offer.protocol : first_protocol;
  deployment.offer.rollout = messages::by_hand;
  deployment.offer.generation = std::max<std::uint64_t>(1, record.generation);
  deployment.offer.model = config.model;
  deployment.offer.device_class = config.device_class;
  deployment.offer.manifest = release.manifest;
  deployment.offer.manifest_size = release.size;
  deployment.offer.snapshot_version = snapshot_version;
  deployment.offer.on_unmeasurable = messages::OnUnmeasurable::hold;
  deployment.offer.soak = soak;
  deployment.approved = true;  // by whoever installs it
  return deployment;
}

bool is_by_hand(const Deployment& deployment) {
  return deployment.offer.rollout == messages::by_hand;
}

}  // namespace outcrop::agent
