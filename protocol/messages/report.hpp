#pragma once

#include <optional>
#include <string>
#include <vector>

#include "protocol/messages/device_message.hpp"

namespace outcrop::messages {

// What a board found out about a release (SCHEMA.md, "Report"). It travels in an envelope signed
// by the board's key; parse the verified payload only.

inline constexpr ByteCount report_limit = ByteCount::kib(256);

enum class VariantOutcome { measured, not_measured, not_measurable, refused, failed };
[[nodiscard]] std::string_view to_string(VariantOutcome outcome);  // "not-measured"

// How far an output was from the golden one, in the output's unit.
struct OutputDistance {
  std::string output;
  double mean_abs = 0;
  double max_abs = 0;
  bool operator==(const OutputDistance&) const = default;
};

// Milliseconds unless the name says otherwise. Counts only where `void_because` is empty.
struct ReportedMeasurement {
  double load_ms = 0;
  double first_ms = 0;
  std::uint64_t calls = 0;
  double mean_ms = 0, min_ms = 0, max_ms = 0, std_ms = 0;
  double p50_ms = 0, p90_ms = 0, p99_ms = 0;
  ByteCount peak_memory;
  ByteCount engine_memory;
  std::vector<std::string> void_because;
  std::vector<std::string> unknown;  // sensors that the board does not have
  bool operator==(const ReportedMeasurement&) const = default;
};

// A set of kernels of the engine, by what its test at start found (runtime/engine/backend.hpp).
struct ReportedBackend {
  std::string name;                 // "qnnpack"
  std::vector<std::string> failed;  // operators that compute wrongly on this board: never used
  bool operator==(const ReportedBackend&) const = default;
};

struct ReportedVariant {
  std::string name;
  VariantOutcome outcome = VariantOutcome::not_measured;
  std::string reason;
  std::vector<OutputDistance> proof;
  std::optional<ReportedMeasurement> measurement;
  bool operator==(const ReportedVariant&) const = default;
};

// What served when the release was measured, measured in turns with it: times of the same minutes, on the same board.
struct ReportedIncumbent {
  trust::Sha256Digest manifest;
  ReportedVariant variant;
  bool operator==(const ReportedIncumbent&) const = default;
};

struct Report {
  DeviceHeader header;
  DeploymentId deployment;
  DeploymentState state = DeploymentState::offered;
  std::string reason;
  std::string device_class;
  std::string agent;  // "0.1.0"
  std::string engine;
  std::string engine_version;
  std::vector<ReportedBackend> backends;  // from protocol 2; none in a report of protocol 1
  bool full_confinement = false;
  std::vector<std::string> confinement_missing;
  std::chrono::seconds metadata_age{0};
  std::optional<trust::Sha256Digest> active_manifest;
  std::string active_variant;
  std::vector<ReportedVariant> variants;
  std::optional<ReportedIncumbent> incumbent;  // from protocol 6; none where nothing else served, or had no room
  bool operator==(const Report&) const = default;
};

// Times of a release by those of what served before, measured in turns: 2 is twice as slow.
struct Slowdown {
  double p90 = 1;
  double p50 = 1;
  bool operator==(const Slowdown&) const = default;
};

// Of what serves by this report, or of the only variant measured, by the incumbent. None where either was not
// measured validly, and where the report does not say yet which variant serves.
[[nodiscard]] std::optional<Slowdown> slowdown(const Report& report);

[[nodiscard]] std::string to_json(const Report& report);
// `payload`: the bytes of a VerifiedPayload (protocol/trust/envelope.hpp) of the kind "report".
[[nodiscard]] Result<Report> parse_report(BytesView payload);

}  // namespace outcrop::messages
