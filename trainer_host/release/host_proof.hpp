#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/trust/verified_blob.hpp"
#include "runtime/runner/proof_call.hpp"
#include "trainer_host/release/policy.hpp"

namespace outcrop::release {

// One variant to be loaded on this host, as a board would load it.
struct HostProofRequest {
  const trust::VerifiedBlob& blob;
  std::string variant;
  std::string engine;
  std::string backend;
  // That the file's methods must fit; null for a stage that says none (before protocol 4).
  const messages::Signature* signature = nullptr;
  const std::vector<runtime::ProofCall>& calls;  // every one is made
  bool compare = true;  // false: load and describe, do not judge the outputs
};

struct HostProof {
  std::vector<std::string> operators;          // sorted
  std::map<std::string, std::string> methods;  // method -> schema
  ByteCount memory;
  ShownErrors shown;  // by output, worst of all calls; empty without `compare`
};

// How create_release sees a variant run. The real one is make_host_prover() (host_prover.hpp);
// tests bring their own.
using HostProver = std::function<Result<HostProof>(const HostProofRequest&)>;

}  // namespace outcrop::release
