#include "agent/doctor/doctor.hpp"

#include "agent/config/config.hpp"
#include "agent/doctor/clock.hpp"
#include "agent/doctor/enrolled.hpp"
#include "agent/doctor/machine.hpp"
#include "agent/doctor/runner.hpp"
#include "agent/doctor/running.hpp"
#include "agent/doctor/state.hpp"

namespace outcrop::agent {
namespace {

Finding check_config(const std::filesystem::path& file, const PartialConfig& read) {
  std::error_code ignored;
  if (read.status) {
    return {"configuration",
            Verdict::ok,
            file.string() + ": " + read.config.model + " on " + read.config.device_class,
            {}};
  }
  if (read.status.error().code() == ErrorCode::not_found &&
      !std::filesystem::exists(file, ignored)) {
    return {"configuration", Verdict::warn, file.string() + " is missing; defaults are assumed",
            "write it: [device] with model and class is all that it needs"};
  }
  return {"configuration", Verdict::fail, read.status.error().message(),
          "correct it until outcrop-agent run --check-config --config " + file.string() +
              " finds it good; where it says nothing that is right, defaults are assumed here"};
}

}  // namespace

Findings examine(const DoctorOptions& options) {
  const MachineFiles files(options.root);
  const PartialConfig read = read_partial_config(options.config);
  const AgentConfig& config = read.config;
  const auto identity = Identity::read(config.state);
  const auto trusted = read_trusted_state(config.state / "metadata" / "trusted.json");
  const ClockReading clock = read_clock();
  const auto signed_at = trusted && trusted->state ? trusted->state->time_floor : std::nullopt;
  RunnerFindings runner = check_runner(config);

  Findings findings = check_machine(files, config.threads, runner.runs);
  findings.push_back(check_clock(files, clock, signed_at));
  findings.push_back(check_running(options.status ? *options.status : ask_status(config.socket), clock));
  findings.push_back(check_config(options.config, read));
  findings.push_back(check_disk(config.state, config.disk_reserve));
  findings.push_back(check_state(config.state));
  add(findings, std::move(runner.findings));
  findings.push_back(check_certificate(identity, clock.now));
  findings.push_back(check_broker(identity, config, options.patience));
  findings.push_back(check_metadata(trusted, clock.now));
  return findings;
}

}  // namespace outcrop::agent
