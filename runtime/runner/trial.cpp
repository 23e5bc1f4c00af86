#include "runtime/runner/trial.hpp"

#include <algorithm>
#include <random>

namespace outcrop::runtime {
namespace {

// A candidate on its way: its runner lives until all are measured.
struct Entry {
  const Candidate& candidate;
  TrialResult result;
  std::optional<Runner> runner;
};

const std::vector<ProofCall>& goldens_of(const Candidate& candidate, const TrialOptions& options) {
  return candidate.goldens.empty() ? options.goldens : candidate.goldens;
}

Status admit(Entry& entry, const TrialOptions& options) {
  auto runner = Runner::start(options.runner);
  if (!runner) return fail(std::move(runner).error());
  entry.runner.emplace(std::move(*runner));
  entry.result.hello = entry.runner->hello();
  LoadRequest request = entry.candidate.load;
  if (entry.candidate.allow_all_operators) {
    OUTCROP_TRY(inspection, entry.runner->inspect(*entry.candidate.blob));
    request.allowed_operators = inspection.operators;
  }
  OUTCROP_TRY(load, entry.runner->load(*entry.candidate.blob, request));
  entry.result.load = std::move(load);
  const std::vector<ProofCall>& goldens = goldens_of(entry.candidate, options);
  if (goldens.empty()) {
    OUTCROP_TRY(outputs, entry.runner->infer(options.measured->method, options.measured->arguments));
    // It can be measured all the same.
    entry.result.outcome = check_finite(options.measured->method, outputs);
    return {};
  }
  OUTCROP_TRY(proof, prove(*entry.runner, goldens));
  entry.result.proof = std::move(proof);
  if (entry.candidate.tolerances.empty()) return {};
  return check_tolerances(*entry.result.proof, entry.candidate.tolerances);
}

void end_runner(Entry& entry) {
  entry.result.no_memory = entry.runner && entry.runner->killed();
  entry.runner.reset();
}

Status measure_round(Entry& entry, const MeasurementLock& lock, const MeasureRequest& request) {
  OUTCROP_TRY(round, entry.runner->measure(lock, request));
  if (entry.result.measurement) return append(*entry.result.measurement, round);
  entry.result.measurement = std::move(round);
  return {};
}

MeasureRequest round_request(const Candidate& candidate, const TrialOptions& options, std::size_t rounds) {
  MeasureRequest request;
  if (options.measured) {
    request.method = options.measured->method;
    request.arguments = options.measured->arguments;
  } else {
    const ProofCall& golden = goldens_of(candidate, options).front();
    request.method = golden.method;
    request.arguments = golden.arguments;
  }
  request.maximum_calls = std::max<std::size_t>(1, (options.calls + rounds - 1) / rounds);
  request.maximum_time = options.time / static_cast<std::int64_t>(rounds);
  return request;
}

Status check_wanted(const TrialOptions& options) {
  if (!options.stopped || !options.stopped()) return {};
  return fail(ErrorCode::interrupted, "nobody waits for the trial any more");
}

// Nothing passes because nothing was asked of it.
Status check_proof_is_possible(const std::vector<Candidate>& candidates,
                               const TrialOptions& options) {
  if (!options.goldens.empty()) return {};
  for (const Candidate& candidate : candidates) {
    if (candidate.tolerances.empty()) continue;
    return fail(ErrorCode::invalid_argument,
                "'" + candidate.name + "' has tolerances, and there are no goldens to prove it by");
  }
  if (!options.measured) {
    return fail(ErrorCode::invalid_argument, "there is neither a golden call nor one to be measured");
  }
  return {};
}

Status measure_in_turns(std::vector<Entry>& entries, const MeasurementLock& lock,
                        const TrialOptions& options, std::size_t rounds,
                        const std::function<void(const std::string&)>& next) {
  std::vector<Entry*> order;
  for (Entry& entry : entries) order.push_back(&entry);
  std::minstd_rand chance{std::random_device{}()};
  for (std::size_t round = 0; round < rounds; ++round) {
    if (round % 2 == 0) {
      std::shuffle(order.begin(), order.end(), chance);
    } else {
      std::reverse(order.begin(), order.end());
    }
    for (Entry* entry : order) {
      OUTCROP_CHECK(check_wanted(options));
      next("measuring " + entry->candidate.name);
      if (!entry->runner) continue;
      MeasureRequest request = round_request(entry->candidate, options, rounds);
      if (round > 0) request.warm_up_calls = 1;  // it is warm; the turn before evicted its caches
      if (auto measured = measure_round(*entry, lock, request); !measured) {
        entry->result.outcome = std::move(measured);
        end_runner(*entry);
      }
    }
  }
  return {};
}

Result<MeasurementLock> wait_for_lock(const TrialOptions& options) {
  const auto acquire = [&](std::chrono::milliseconds patience) {
    return MeasurementLock::acquire(patience, MeasurementLock::default_folders(), options.stopped);
  };
  auto lock = acquire(std::chrono::milliseconds(0));
  if (lock || lock.error().code() != ErrorCode::timeout || options.patience.count() == 0) {
    return lock;
  }
  if (options.waits) options.waits(lock.error().message());
  return acquire(options.patience);
}

}  // namespace

Result<Trial> try_candidates(const std::vector<Candidate>& candidates,
                             const TrialOptions& options) {
  OUTCROP_CHECK(check_proof_is_possible(candidates, options));
  const std::size_t rounds =
      std::clamp<std::size_t>(options.rounds, 1, std::max<std::size_t>(1, options.calls));
  const std::size_t steps = candidates.size() * (1 + rounds);
  std::size_t done = 0;
  const auto next = [&](const std::string& what) {
    if (options.progress) options.progress(done, steps, what);
    ++done;
  };

  std::vector<Entry> entries;
  for (const Candidate& candidate : candidates) {
    entries.push_back({candidate, {}, std::nullopt});
    entries.back().result.name = candidate.name;
  }
  for (Entry& entry : entries) {
    OUTCROP_CHECK(check_wanted(options));
    next("proving " + entry.candidate.name);
    if (auto admitted = admit(entry, options); !admitted) {
      entry.result.outcome = std::move(admitted);
      end_runner(entry);
    }
  }

  Trial trial;
  const auto lock = wait_for_lock(options);
  if (lock) {
    trial.lock_note = lock->note();
    OUTCROP_CHECK(measure_in_turns(entries, *lock, options, rounds, next));
  }
  OUTCROP_CHECK(check_wanted(options));
  for (Entry& entry : entries) {
    if (lock || !entry.runner) continue;
    entry.result.unmeasured = true;
    entry.result.outcome = fail(lock.error());
  }
  for (Entry& entry : entries) trial.results.push_back(std::move(entry.result));
  if (options.progress) options.progress(steps, steps, "done");
  return trial;
}

}  // namespace outcrop::runtime
