#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"
#include "protocol/messages/artifact.hpp"
#include "protocol/messages/manifest.hpp"
#include "protocol/trust/verified_blob.hpp"
#include "runtime/engine/tensor.hpp"
#include "trainer_host/release/policy.hpp"

namespace outcrop::release {

// A stage folder whose files were read once, into sealed memory, and are what artifact.json says.
struct StageInputs {
  messages::StageArtifact artifact;
  std::vector<trust::VerifiedBlob> variants;  // in the order of artifact.variants
  trust::VerifiedBlob golden_input;
  trust::VerifiedBlob golden_output;  // with the artifact's quality in its metadata
  std::vector<runtime::Tensor> golden_inputs;
  std::vector<runtime::Tensor> golden_outputs;
};

// untrusted, naming the file, where a digest or length differs; invalid_data where golden files
// are not tensor files, hold numbers that are not finite, or disagree on the number of latents.
[[nodiscard]] Result<StageInputs> read_stage_inputs(const std::filesystem::path& folder);

// What is the same when the same release is asked for again.
[[nodiscard]] trust::Sha256Digest identity(const StageInputs& inputs, const Policy& policy,
                                           bool skip_host_proof);

// The golden part of the manifest: tensors without their first dimension, units by the policy.
[[nodiscard]] messages::Golden describe_golden(const StageInputs& inputs, const Policy& policy);

// Digest, size and chunk table's digest of a blob.
[[nodiscard]] messages::BlobReference reference(const trust::VerifiedBlob& blob);

}  // namespace outcrop::release
