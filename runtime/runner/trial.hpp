#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "runtime/engine/tensor.hpp"
#include "runtime/runner/prove.hpp"
#include "runtime/runner/runner.hpp"

namespace outcrop::runtime {

// One variant of a model that is to be tried on this machine.
struct Candidate {
  std::string name;                           // "int8-qint8"
  const trust::VerifiedBlob* blob = nullptr;  // must outlive the trial
  LoadRequest load;
  // Lists the operators itself and allows them all, instead of load.allowed_operators: for a
  // file of one's own that no manifest describes.
  bool allow_all_operators = false;
  std::vector<Tolerance> tolerances;  // empty: errors are shown and not judged
  std::vector<ProofCall> goldens;     // its own, where it is of another release than the others
  ByteCount memory;                   // that its runner may take, engine and model; 0: unknown
};

// A call that is timed.
struct MeasuredCall {
  std::string method;
  std::vector<Value> arguments;
};

struct TrialOptions {
  RunnerOptions runner;
  // Empty: nothing is proved, which is an error where a candidate has tolerances; of the measured call it
  // is asked only whether its numbers are finite.
  std::vector<ProofCall> goldens;
  std::optional<MeasuredCall> measured;         // none: the first of the goldens
  std::size_t calls = 100;                      // steady calls of each candidate
  std::chrono::milliseconds time{5'000};        // for these calls; whichever ends first
  std::size_t rounds = 4;                       // candidates take turns this often
  std::chrono::milliseconds patience{600'000};  // for another process that is measuring
  // Called before each step with what comes next.
  std::function<void(std::size_t done, std::size_t total, const std::string& next)> progress;
  // Called where another process holds the machine's lock, before it is waited for, with who does.
  std::function<void(const std::string& why)> waits;
  // What the machine could give to one more runner now; 0: unknown. None: it has enough for all together.
  std::function<ByteCount()> available_memory;
  // Asked between steps and while it waits for the lock: whether nobody waits for the trial any
  // more, which then ends with interrupted. Called from the thread of the trial.
  std::function<bool()> stopped;
};

// What became of one candidate. `outcome` is the first thing that went wrong: a candidate that
// failed does not stop the others, and what was found before stays. One whose numbers are not finite is measured
// all the same.
struct TrialResult {
  std::string name;
  Status outcome;
  std::optional<Hello> hello;
  std::optional<LoadReport> load;
  std::optional<ProofReport> proof;
  std::optional<Measurement> measurement;
  bool unmeasured = false;  // it was proved; `outcome` says why the lock could not be had
  bool no_memory = false;   // the kernel killed its runner, as it does when memory runs out
};

struct Trial {
  std::vector<TrialResult> results;  // in the order of the candidates
  std::string lock_note;             // of MeasurementLock
};

// Starts, loads and proves every candidate in a runner of its own, then measures those that
// passed in turns under the machine's lock, so that what disturbs one disturbs all: each first round in an
// order drawn by chance, the next in the reverse of it (ABBA), so that neither heat nor a drift favours
// one of them. As many runners are alive together as memory allows, by what each was seen to take; one that had to make way
// is started and loaded again for its next turn, and one that the kernel kills beside others tries once more alone.
// Where the lock cannot be had, what was proved stays and nothing is measured.
// Fails as a whole with interrupted where it was stopped, and with invalid_argument where there are
// tolerances without goldens, or neither goldens nor a call to be measured.
[[nodiscard]] Result<Trial> try_candidates(const std::vector<Candidate>& candidates,
                                           const TrialOptions& options);

}  // namespace outcrop::runtime
