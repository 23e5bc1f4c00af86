#pragma once

#include <vector>

#include "agent/slots/slots.hpp"
#include "protocol/messages/manifest.hpp"
#include "runtime/runner/prove.hpp"
#include "runtime/runner/runner.hpp"

namespace outcrop::agent {

// The golden calls of a release that lies here, verified, and just what its manifest describes.
[[nodiscard]] Result<std::vector<runtime::ProofCall>> read_goldens(
    Slots& slots, const messages::Manifest& manifest);

// The request to load a variant: exactly what its manifest allows.
[[nodiscard]] runtime::LoadRequest load_request(const messages::Variant& variant, int threads);
[[nodiscard]] std::vector<runtime::Tolerance> tolerances(const messages::Variant& variant);

}  // namespace outcrop::agent
