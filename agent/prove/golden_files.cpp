#include "agent/prove/golden_files.hpp"

#include "runtime/engine/tensor_file.hpp"
#include "runtime/runner/described_goldens.hpp"

namespace outcrop::agent {
namespace {

Result<std::vector<runtime::Tensor>> read(Slots& slots, const messages::BlobReference& reference) {
  OUTCROP_TRY(blob, slots.blob(reference.sha256, reference.size));
  return runtime::decode_tensor_file(blob.bytes());
}

}  // namespace

Result<std::vector<runtime::ProofCall>> read_goldens(Slots& slots,
                                                     const messages::Manifest& manifest) {
  OUTCROP_TRY(inputs, read(slots, manifest.golden.input));
  OUTCROP_TRY(outputs, read(slots, manifest.golden.output));
  return runtime::proof_calls(manifest.signature, manifest.golden.calls, inputs, outputs);
}

runtime::LoadRequest load_request(const messages::Variant& variant, int threads) {
  runtime::LoadRequest request;
  request.backend = variant.backend;
  request.threads = threads;
  request.allowed_operators = variant.operators;
  request.expected_methods = variant.methods;
  return request;
}

std::vector<runtime::Tolerance> tolerances(const messages::Variant& variant) {
  std::vector<runtime::Tolerance> result;
  for (const messages::OutputTolerance& tolerance : variant.tolerance) {
    result.push_back({tolerance.output, tolerance.mean_abs, tolerance.max_abs});
  }
  return result;
}

}  // namespace outcrop::agent
