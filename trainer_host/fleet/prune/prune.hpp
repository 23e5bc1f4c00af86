#pragma once

#include <chrono>
#include <cstddef>

#include "protocol/base/bytes.hpp"
#include "protocol/base/clock.hpp"
#include "protocol/base/error.hpp"
#include "trainer_host/fleet/depot/blob_store.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// How long what nobody may want any more is kept.
struct PruneTimes {
  std::chrono::hours blobs = std::chrono::days(7);     // of releases, since nobody wants them
  std::chrono::hours uploads = std::chrono::days(7);   // since their last piece
  std::chrono::hours rollouts = std::chrono::days(180);  // since they ended
};

struct Pruned {
  std::size_t blobs = 0;
  ByteCount bytes;  // of them
  std::size_t uploads = 0;
  std::size_t rollouts = 0;
};

// Removes, and says in the log:
//   blobs of releases that are withdrawn or revoked and that no board serves, is to serve or to return
//   to. Their manifests stay, so that what was released can be read; a release that is permitted again is
//   to be published again, which `outcrop fleet status` says;
//   uploads that nobody went on with;
//   rollouts that ended long ago and no board is at. The audit log keeps what was decided in them.
// On the thread of the registry; reads every board's status once.
[[nodiscard]] Result<Pruned> prune(Registry& registry, const BlobStore& blobs, Timestamp now,
                                   const PruneTimes& times = {});

}  // namespace outcrop::fleet
