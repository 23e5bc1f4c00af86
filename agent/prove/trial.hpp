#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "agent/config/config.hpp"
#include "agent/slots/slots.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/messages/report.hpp"
#include "runtime/runner/runner.hpp"

namespace outcrop::agent {

[[nodiscard]] runtime::RunnerOptions runner_options(const AgentConfig& config);

struct TrialRequest {
  messages::Manifest manifest;
  std::vector<std::string> variants;
  // What serves, another release, to be measured beside them.
  std::optional<Installed> incumbent;
  ByteCount engine_memory;  // of a runner without a model
  std::function<ByteCount()> available_memory;  // as runtime::TrialOptions has it
  const AgentConfig* config = nullptr;
  Slots* slots = nullptr;
  // Called from the thread that runs the trial, with what comes next: "measuring int8-qint8".
  std::function<void(const std::string& next)> progress;
  // Called likewise, with why it takes longer than it should: who else measures, what disturbed it.
  std::function<void(const std::string& why)> lasts;
  // Asked to stop, from any thread, where nobody waits for the trial any more: it then ends after the step it
  // is at, and its outcome means nothing.
  std::stop_token abandoned;
};

struct TrialOutcome {
  // An error where nothing could be tried at all (goldens, blobs); what became of the variants
  // stands with them.
  Status status;
  std::vector<messages::ReportedVariant> variants;
  std::optional<messages::ReportedIncumbent> incumbent;
  bool runner_started = false;  // some runner said hello; else nothing here speaks of the release
};

// Proves and measures the variants together, blocking for minutes. Where another load disturbed a
// measurement, or another process kept the measurement lock, tries again, up to the configured
// number of attempts; what is still void then is "not-measurable". The incumbent is measured in
// turns with them; whatever becomes of it is no matter of theirs.
[[nodiscard]] TrialOutcome run_trial(const TrialRequest& request);

}  // namespace outcrop::agent
