#include "trainer_host/release/host_prover.hpp"

#include <algorithm>
#include <utility>

#include "runtime/runner/prove.hpp"
#include "runtime/runner/signed_values.hpp"

namespace outcrop::release {
namespace {

Result<ByteCount> memory_of(const runtime::Runner& runner, const runtime::Inspection& inspection) {
  OUTCROP_TRY(peak, runner.peak_memory());
  const std::uint64_t engine = runner.hello().memory.value();
  const std::uint64_t added = peak.value() > engine ? peak.value() - engine : 0;
  return ByteCount(std::max(added, inspection.memory_estimate.value()));
}

Result<HostProof> prove_in_runner(const runtime::RunnerOptions& options,
                                  const HostProofRequest& request) {
  OUTCROP_TRY(runner, runtime::Runner::start(options));
  if (runner.hello().engine != request.engine) {
    return fail(ErrorCode::unsupported, "it asks for the engine '" + request.engine +
                                            "', and the runner here has '" + runner.hello().engine +
                                            "'");
  }
  OUTCROP_TRY(inspection, runner.inspect(request.blob));
  runtime::LoadRequest load;
  load.backend = request.backend;
  // What is listed here becomes the manifest's list, which boards allow and nothing else.
  load.allowed_operators = inspection.operators;
  OUTCROP_TRY(loaded, runner.load(request.blob, load));
  if (request.signature != nullptr) {
    OUTCROP_CHECK(runtime::check_schemas(*request.signature, loaded.methods));
  }
  HostProof proof;
  proof.operators = inspection.operators;
  proof.methods = loaded.methods;
  if (request.compare) {
    OUTCROP_TRY(report, runtime::prove(runner, request.calls));
    for (const runtime::OutputError& output : report.outputs) {
      proof.shown[output.name] = {output.mean_abs_error, output.max_abs_error};
    }
  }
  OUTCROP_TRY(memory, memory_of(runner, inspection));
  proof.memory = memory;
  return proof;
}

}  // namespace

HostProver make_host_prover(runtime::RunnerOptions options) {
  return [options = std::move(options)](const HostProofRequest& request) {
    return prove_in_runner(options, request);
  };
}

}  // namespace outcrop::release
