#pragma once

#include <optional>
#include <string>

#include "protocol/base/error.hpp"
#include "protocol/messages/layers.hpp"
#include "trainer_host/fleet/registry/registry.hpp"

namespace outcrop::fleet {

// What boards spend a call of a release on: of each release and class the newest that one told, as a note of the registry.

// As the board wrote it; none where none of that class told.
[[nodiscard]] Result<std::optional<std::string>> layer_times(Registry& registry, const trust::Sha256Digest& manifest,
                                                             const std::string& device_class);

// not_found where it is about no release of this host, refused where it is of another class than `board`, expired where it is
// no newer than what is kept.
[[nodiscard]] Status keep_layer_times(Registry& registry, const messages::Layers& layers, const Device& board);

}  // namespace outcrop::fleet
