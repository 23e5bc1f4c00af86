#pragma once

#include <map>
#include <string>

#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "runtime/runner/first_map.hpp"
#include "trainer_host/fleet/depot/blob_store.hpp"

namespace outcrop::fleet {

// What the float model of a release answered its first golden call with: what boards are to draw, of the same seed.
struct HostsOwn {
  std::string output;
  std::string unit;      // "" where values have none
  bool classes = false;  // values are numbers of classes, of which none is farther off than another
  runtime::FirstMap map;
  double min = 0, max = 0;  // of the map's values
  std::map<std::string, messages::OutputTolerance> allowed;  // by variant, of this output

  // Of the scale of gray from min to max; 0 where all is one value.
  [[nodiscard]] double step() const { return (max - min) / 255; }
};

// Out of the release's blobs; it blocks. Errors: not_found and untrusted where one is not here or damaged; unsupported where the
// release draws no picture.
[[nodiscard]] Result<HostsOwn> hosts_own(const BlobStore& blobs, const trust::Sha256Digest& manifest);

}  // namespace outcrop::fleet
