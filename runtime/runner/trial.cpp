#include "runtime/runner/trial.hpp"

#include <algorithm>
#include <random>

namespace outcrop::runtime {
namespace {

// A candidate on its way.
struct Entry {
  const Candidate& candidate;
  TrialResult result;
  std::optional<Runner> runner;  // none: not started yet, made way for another, or given up
  ByteCount memory;              // of its runner: what was seen, else what was said
  std::size_t used_at = 0;       // a later use has a higher number
  bool given_up = false;
  bool warm = false;             // this runner was measured before
};

const std::vector<ProofCall>& goldens_of(const Candidate& candidate, const TrialOptions& options) {
  return candidate.goldens.empty() ? options.goldens : candidate.goldens;
}

// The runners of a trial, as many alive together as memory allows.
class Runners {
 public:
  Runners(std::vector<Entry>& entries, const TrialOptions& options)
      : entries_(entries), options_(options) {}

  // Starts and loads the candidate's runner where it is not alive, then does `work` with it. Once more, alone, where the
  // kernel killed it beside others.
  Status with(Entry& entry, const std::function<Status(Runner&)>& work) {
    bool alone = false;
    for (;;) {
      if (!entry.runner) alone = make_room(entry);
      Status done = entry.runner ? Status() : start(entry);
      if (done) done = work(*entry.runner);
      see_memory(entry);
      if (done) return done;
      const bool killed = entry.runner && entry.runner->killed();
      alone = alone || others_alive(entry) == nullptr;
      if (!killed || alone) {
        entry.result.no_memory = killed;
        return done;
      }
      entry.runner.reset();
      while (Entry* other = others_alive(entry)) other->runner.reset();
    }
  }

 private:
  // Whether no other is alive.
  bool make_room(const Entry& entry) {
    Entry* other = others_alive(entry);
    while (other != nullptr && !fits(entry)) {
      other->runner.reset();
      other = others_alive(entry);
    }
    return other == nullptr;
  }

  [[nodiscard]] bool fits(const Entry& entry) const {
    if (!options_.available_memory) return true;
    const ByteCount available = options_.available_memory();
    return available == ByteCount() || entry.memory <= available;
  }

  // The one that was not used for longest; none where there is none.
  [[nodiscard]] Entry* others_alive(const Entry& entry) const {
    Entry* oldest = nullptr;
    for (Entry& other : entries_) {
      if (&other == &entry || !other.runner) continue;
      if (oldest == nullptr || other.used_at < oldest->used_at) oldest = &other;
    }
    return oldest;
  }

  Status start(Entry& entry) {
    auto runner = Runner::start(options_.runner);
    if (!runner) return fail(std::move(runner).error());
    entry.runner.emplace(std::move(*runner));
    entry.warm = false;
    entry.result.hello = entry.runner->hello();
    LoadRequest request = entry.candidate.load;
    if (entry.candidate.allow_all_operators) {
      OUTCROP_TRY(inspection, entry.runner->inspect(*entry.candidate.blob));
      request.allowed_operators = inspection.operators;
    }
    OUTCROP_TRY(load, entry.runner->load(*entry.candidate.blob, request));
    if (!entry.result.load) entry.result.load = std::move(load);
    return {};
  }

  void see_memory(Entry& entry) {
    entry.used_at = ++uses_;
    if (!entry.runner) return;
    if (const auto peak = entry.runner->peak_memory()) entry.memory = std::max(entry.memory, *peak);
  }

  std::vector<Entry>& entries_;
  const TrialOptions& options_;
  std::size_t uses_ = 0;
};

Status prove_entry(Entry& entry, Runner& runner, const TrialOptions& options) {
  const std::vector<ProofCall>& goldens = goldens_of(entry.candidate, options);
  if (goldens.empty()) {
    OUTCROP_TRY(outputs, runner.infer(options.measured->method, options.measured->arguments));
    // It can be measured all the same.
    entry.result.outcome = check_finite(options.measured->method, outputs);
    return {};
  }
  OUTCROP_TRY(proof, prove(runner, goldens));
  entry.result.proof = std::move(proof);
  if (entry.candidate.tolerances.empty()) return {};
  return check_tolerances(*entry.result.proof, entry.candidate.tolerances);
}

void give_up(Entry& entry, Status why) {
  entry.result.outcome = std::move(why);
  entry.given_up = true;
  entry.runner.reset();
}

Status measure_round(Entry& entry, Runner& runner, const MeasurementLock& lock, MeasureRequest request) {
  if (entry.warm) request.warm_up_calls = 1;  // the turn before evicted its caches
  OUTCROP_TRY(round, runner.measure(lock, request));
  entry.warm = true;
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

Status measure_in_turns(std::vector<Entry>& entries, Runners& runners, const MeasurementLock& lock,
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
      if (entry->given_up) continue;
      Status measured = runners.with(*entry, [&](Runner& runner) {
        return measure_round(*entry, runner, lock, round_request(entry->candidate, options, rounds));
      });
      if (!measured) give_up(*entry, std::move(measured));
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
    entries.push_back({candidate, {}, std::nullopt, candidate.memory});
    entries.back().result.name = candidate.name;
  }
  Runners runners(entries, options);
  for (Entry& entry : entries) {
    OUTCROP_CHECK(check_wanted(options));
    next("proving " + entry.candidate.name);
    Status proved = runners.with(entry, [&](Runner& runner) { return prove_entry(entry, runner, options); });
    if (!proved) give_up(entry, std::move(proved));
  }

  Trial trial;
  const auto lock = wait_for_lock(options);
  if (lock) {
    trial.lock_note = lock->note();
    OUTCROP_CHECK(measure_in_turns(entries, runners, *lock, options, rounds, next));
  }
  OUTCROP_CHECK(check_wanted(options));
  for (Entry& entry : entries) {
    if (lock || entry.given_up) continue;
    entry.result.unmeasured = true;
    entry.result.outcome = fail(lock.error());
  }
  for (Entry& entry : entries) trial.results.push_back(std::move(entry.result));
  if (options.progress) options.progress(steps, steps, "done");
  return trial;
}

}  // namespace outcrop::runtime
