#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/artifact.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/trust/verified_blob.hpp"
#include "runtime/runner/proof_call.hpp"
#include "trainer_host/release/policy.hpp"

namespace outcrop::release {

// A stage folder whose files were read once, into sealed memory, and are what artifact.json says.
struct StageInputs {
  messages::StageArtifact artifact;
  std::vector<trust::VerifiedBlob> variants;  // in the order of artifact.variants
  trust::VerifiedBlob golden_input;
  // Of stages before protocol 4 with the artifact's quality in its metadata.
  trust::VerifiedBlob golden_output;
  messages::Signature signature;  // of stages before protocol 4 without units
  std::vector<messages::GoldenCall> calls;
  std::vector<runtime::ProofCall> proofs;  // the calls with their tensors
};

// untrusted, naming the file, where a digest or length differs; invalid_data where golden files
// are not tensor files, hold numbers that are not finite or anything but what the golden calls name,
// or are not what the signature says.
[[nodiscard]] Result<StageInputs> read_stage_inputs(const std::filesystem::path& folder);

// What is the same when the same release is asked for again.
[[nodiscard]] trust::Sha256Digest identity(const StageInputs& inputs, const Policy& policy,
                                           bool skip_host_proof);

// Signature, goldens, and what else the manifest has by the artifact's protocol.
void describe_goldens(const StageInputs& inputs, const Policy& policy,
                      messages::Manifest& manifest);

// Digest, size and chunk table's digest of a blob.
[[nodiscard]] messages::BlobReference reference(const trust::VerifiedBlob& blob);

}  // namespace outcrop::release
