#pragma once

#include <string>

#include "protocol/messages/report.hpp"

namespace outcrop {

// What a board says of a variant that it found right and measured undisturbed, each call the same; times in ms.
inline messages::ReportedVariant measured_variant(const std::string& name, double p90) {
  messages::ReportedVariant variant;
  variant.name = name;
  variant.outcome = messages::VariantOutcome::measured;
  variant.proof = {{"velocity", 1.0, 2.0}, {"seismic", 0.001, 0.01}};
  messages::ReportedMeasurement measurement;
  measurement.load_ms = 10;
  measurement.first_ms = p90;
  measurement.calls = 100;
  measurement.p50_ms = measurement.p90_ms = measurement.p99_ms = p90;
  measurement.mean_ms = measurement.min_ms = measurement.max_ms = p90;
  measurement.peak_memory = ByteCount(100'000'000);
  measurement.engine_memory = ByteCount(60'000'000);
  variant.measurement = measurement;
  return variant;
}

}  // namespace outcrop
