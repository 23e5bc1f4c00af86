#pragma once

#include "runtime/runner/runner.hpp"
#include "trainer_host/release/host_proof.hpp"

namespace outcrop::release {

// The real prover: each variant in a confined runner of its own, one thread, as boards load it.
// Memory is the larger of the runner's estimate and what the variant added to the engine's peak.
// Errors are those of the runner; unsupported where the runner has another engine.
[[nodiscard]] HostProver make_host_prover(runtime::RunnerOptions options = {});

}  // namespace outcrop::release
