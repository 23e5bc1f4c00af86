#pragma once

#include <map>
#include <optional>
#include <string>

#include "protocol/base/bytes.hpp"
#include "runtime/runner/trial.hpp"
#include "trainer_host/cli/trust_options.hpp"

namespace outcrop::cli {

// What a trial was about, beside its results.
struct BenchSubject {
  std::string title;  // "curvefault stage 2" or the file
  std::optional<TrustSource> trust;  // by what it was verified; none: it was not
  bool host_proof_skipped = false;
  std::string method;
  int threads = 1;
  std::map<std::string, ByteCount> sizes;    // by variant
  std::map<std::string, std::string> units;  // by output
};

// A table for people, with a line for everything that a reader of its figures must know, or a
// JSON object, on standard output.
void print_trial(const runtime::Trial& trial, const BenchSubject& subject, bool json);

}  // namespace outcrop::cli
