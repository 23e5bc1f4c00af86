#pragma once

#include <chrono>
#include <optional>

#include "agent/config/config.hpp"
#include "agent/doctor/finding.hpp"
#include "agent/enroll/identity.hpp"
#include "agent/verify/expiry.hpp"
#include "agent/verify/trusted_state.hpp"

namespace outcrop::agent {

// What enrolment gave this board, as far as it is enrolled. Nothing here writes, so that whoever
// runs doctor leaves no files of his own in the agent's folder.

[[nodiscard]] Finding check_certificate(const Result<Identity>& identity, Timestamp now);

// Name, TCP and TLS; each takes `patience` at most.
[[nodiscard]] Finding check_broker(const Result<Identity>& identity, const AgentConfig& config,
                                   std::chrono::milliseconds patience);

// Judged by `now`, or by what the metadata themselves say is later.
[[nodiscard]] Finding check_metadata(const Result<ReadTrustedState>& read, Timestamp now);

}  // namespace outcrop::agent
