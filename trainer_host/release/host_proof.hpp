#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/trust/verified_blob.hpp"
#include "runtime/engine/tensor.hpp"
#include "trainer_host/release/policy.hpp"

namespace outcrop::release {

// One variant to be loaded on this host, as a board would load it.
struct HostProofRequest {
  const trust::VerifiedBlob& blob;
  std::string variant;
  std::string engine;
  std::string backend;
  std::string method;  // that the golden tensors belong to
  const std::vector<runtime::Tensor>& golden_inputs;
  const std::vector<runtime::Tensor>& golden_outputs;
  bool compare = true;  // false: load and describe, do not judge the outputs
};

struct HostProof {
  std::vector<std::string> operators;          // sorted
  std::map<std::string, std::string> methods;  // method -> schema
  ByteCount memory;
  ShownErrors shown;  // by golden output, worst of all latents; empty without `compare`
};

// How create_release sees a variant run. The real one is make_host_prover() (host_prover.hpp);
// tests bring their own.
using HostProver = std::function<Result<HostProof>(const HostProofRequest&)>;

}  // namespace outcrop::release
