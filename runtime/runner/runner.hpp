#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "runtime/engine/backend.hpp"
#include "runtime/engine/engine.hpp"
#include "runtime/engine/tensor.hpp"
#include "runtime/inspect/inspection.hpp"
#include "runtime/measure/conditions.hpp"
#include "runtime/measure/latency.hpp"
#include "runtime/measure/measurement_lock.hpp"

namespace outcrop::trust {
class VerifiedBlob;  // protocol/trust/verified_blob.hpp
}

namespace outcrop::runtime {

// How tightly the runner is held. `full`: no new privileges, system calls by allow-list, no
// files (Landlock or an empty mount namespace), no network, a memory limit that was probed to
// hold, limits on CPU time, file size, descriptors and core files, a wall-clock deadline held by
// the parent. `reduced`: anything less.
enum class Confinement { full, reduced };

[[nodiscard]] std::string_view to_string(Confinement confinement);

struct RunnerOptions {
  // Empty: outcrop-runner-torch beside the calling program.
  std::filesystem::path program;
  // Put in front of the program, as an emulator needs ({"/usr/bin/qemu-aarch64-static", "-cpu",
  // ...}). What is measured so is void.
  std::vector<std::string> launcher;
  // The least that is accepted. With `full`, start() refuses on a machine that cannot.
  Confinement confinement = Confinement::full;
  // Private memory that a model may take beyond what the engine itself holds after its start:
  // weights, packed weights and activations.
  ByteCount memory_limit = ByteCount::mib(1024);
  // Wall-clock deadlines for each exchange; past it the child is killed.
  std::chrono::milliseconds start_deadline{30'000};
  std::chrono::milliseconds load_deadline{60'000};
  std::chrono::milliseconds call_deadline{60'000};
};

// What the child said of itself before it was given anything to load.
struct Hello {
  std::string engine;          // "torch"
  std::string engine_version;  // "1.13.1"
  std::vector<Backend> backends;
  Confinement confinement = Confinement::reduced;
  std::vector<std::string> missing;  // what keeps it from `full`, in words
  Milliseconds start_time{};         // from fork to hello, by the parent's clock
  Milliseconds engine_start_time{};  // of that, the library's own start and its self-test
  ByteCount memory;                  // resident before any model
};

struct LoadRequest {
  std::string backend = "qnnpack";
  int threads = 1;
  // Operators that the file may name; any other is refused before loading. An empty list
  // allows none.
  std::vector<std::string> allowed_operators;
  // Method name -> schema as LoadReport shows it. Empty: not checked.
  std::map<std::string, std::string> expected_methods;
};

struct LoadReport {
  Inspection inspection;
  // "decode" -> "decode(Tensor latent) -> Tuple[Tensor, Tensor]".
  std::map<std::string, std::string> methods;
  Milliseconds load_time{};
};

struct MeasureRequest {
  std::string method;
  std::vector<Value> arguments;
  std::size_t warm_up_calls = 3;  // after the first call
  std::size_t maximum_calls = 100;
  std::chrono::milliseconds maximum_time{5'000};  // for the steady calls; at least one is made
};

struct Measurement {
  // The first call ever of this method in this child, whichever request made it.
  Milliseconds first{};
  std::vector<Nanoseconds> samples;  // steady calls in order
  Latency steady;                    // of `samples`
  ByteCount peak_memory;             // resident, read by the parent from /proc
  ByteCount engine_memory;           // of that, resident before the model was loaded
  Validity validity;
};

// What a call spends its time on, apart from Measurement: watching takes time of its own.
struct OperatorTimings {
  std::vector<OperatorTime> operators;  // in the order in which they ran; medians of the calls
  std::size_t calls = 0;
  Validity validity;
};

// Adds the samples of a later round to `total`: variants are measured in turn, so that what
// disturbs one disturbs all. Memory is the larger, validity that of both.
[[nodiscard]] Status append(Measurement& total, const Measurement& round);

// Something that the confinement forbids, as a runner really tried it.
struct ProbedAttempt {
  std::string what;  // "write a file"
  bool refused = false;
  std::string detail;
};

// One confined child process and the model in it. The parent believes nothing the child sends:
// frames are bounded, every exchange has a deadline, and a child that breaks the protocol, hangs
// or dies is killed with its process group and reaped; the call then fails with timeout,
// crashed (naming the signal and the child's last words) or out_of_memory, and so does every
// later call. runtime/runner/PROTOCOL.md describes the exchange.
//
// Movable. One thread at a time. The thread that called start() must outlive the runner: the
// kernel kills the child when that thread ends, so that no orphan stays behind. Destruction ends
// the child.
class Runner {
 public:
  [[nodiscard]] static Result<Runner> start(const RunnerOptions& options = {});

  Runner(Runner&&) noexcept;
  Runner& operator=(Runner&&) noexcept;
  ~Runner();

  [[nodiscard]] const Hello& hello() const;
  [[nodiscard]] int process_id() const;
  // Another than this object ended it by SIGKILL, as the kernel does when memory runs out.
  [[nodiscard]] bool killed() const;

  // Lists what the blob would execute; loads nothing.
  [[nodiscard]] Result<Inspection> inspect(const trust::VerifiedBlob& blob);

  // Which of these operators ("quantized::conv2d.new") the engine does not have at all.
  [[nodiscard]] Result<std::vector<std::string>> lacking(const std::vector<std::string>& operators);

  // Inspects, checks the operators against the request, then loads exactly the sealed bytes.
  // One model a runner: a second load fails with invalid_argument. A refusal (operator,
  // backend, schema) leaves the runner usable for another try.
  [[nodiscard]] Result<LoadReport> load(const trust::VerifiedBlob& blob,
                                        const LoadRequest& request);

  // Tensors of a tuple or a single tensor come back in order, without names.
  [[nodiscard]] Result<std::vector<Tensor>> infer(std::string_view method,
                                                  std::span<const Value> arguments);

  // Whoever measures holds the machine's lock, hence the argument.
  [[nodiscard]] Result<Measurement> measure(const MeasurementLock& lock,
                                            const MeasureRequest& request);

  // Each operator of a call, watched `maximum_calls` times at most. unsupported, naming the engine, where it cannot
  // tell, or where a call runs more than most_operator_times or others each time.
  [[nodiscard]] Result<OperatorTimings> time_operators(const MeasurementLock& lock,
                                                       const MeasureRequest& request);

  // Has the child try what it must not be able to do, for tests and a board's check-up. `file`
  // must be a path that could be created, `port` a TCP port that listens on loopback; an
  // attempt that is not refused leaves the file behind.
  [[nodiscard]] Result<std::vector<ProbedAttempt>> probe_confinement(
      const std::filesystem::path& file, int port);

  // Resident peak so far, by /proc.
  [[nodiscard]] Result<ByteCount> peak_memory() const;

 private:
  class Impl;
  explicit Runner(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace outcrop::runtime
