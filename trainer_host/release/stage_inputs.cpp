#include "trainer_host/release/stage_inputs.hpp"

#include <utility>

#include "protocol/base/version.hpp"
#include "protocol/blob/chunk_table.hpp"
#include "protocol/messages/earlier_golden.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "runtime/runner/described_goldens.hpp"
#include "trainer_host/release/golden_quality.hpp"

namespace outcrop::release {
namespace fs = std::filesystem;
namespace {

Result<trust::VerifiedBlob> read_blob(const fs::path& folder, const messages::FileReference& file) {
  auto blob = trust::verify_blob(folder / file.file, file.sha256, file.size);
  if (!blob) return fail(blob.error().context("not the file that artifact.json describes"));
  return blob;
}

using Tensors = std::vector<runtime::Tensor>;

Result<Tensors> read_golden(const trust::VerifiedBlob& blob, const std::string& file) {
  auto tensors = runtime::decode_tensor_file(blob.bytes());
  if (!tensors) return fail(tensors.error().context(file));
  if (tensors->empty()) return fail(ErrorCode::invalid_data, file + ": holds no tensor");
  return tensors;
}

// Without the rows, that is the first dimension.
Result<std::vector<messages::RowSchema>> rows_in(const Tensors& tensors, std::int64_t rows) {
  std::vector<messages::RowSchema> schemas;
  for (const runtime::Tensor& tensor : tensors) {
    if (tensor.shape.empty() || tensor.shape.front() != rows || rows < 1) {
      return fail(ErrorCode::invalid_data,
                  "'" + tensor.name + "' is " + runtime::describe(tensor) +
                      ", but every golden tensor has the same number of latents first");
    }
    schemas.push_back({tensor.name,
                       std::string(runtime::to_string(tensor.dtype)),
                       {tensor.shape.begin() + 1, tensor.shape.end()},
                       ""});
  }
  return schemas;
}

// What a stage before protocol 4 left: rows of the golden tensors.
Result<messages::RowsGolden> earlier_golden(const messages::StageArtifact& artifact,
                                            const Tensors& inputs, const Tensors& outputs) {
  const auto& first = inputs.front().shape;
  const std::int64_t rows = first.empty() ? 0 : first.front();
  messages::RowsGolden golden;
  golden.method = artifact.golden_method;
  golden.latents = static_cast<std::uint64_t>(rows);
  OUTCROP_TRY(input_rows, rows_in(inputs, rows));
  OUTCROP_TRY(output_rows, rows_in(outputs, rows));
  golden.inputs = std::move(input_rows);
  golden.outputs = std::move(output_rows);
  return golden;
}

}  // namespace

Result<StageInputs> read_stage_inputs(const fs::path& folder) {
  OUTCROP_TRY(artifact, messages::read_artifact(folder));
  std::vector<trust::VerifiedBlob> variants;
  for (const messages::ArtifactVariant& variant : artifact.variants) {
    OUTCROP_TRY(blob, read_blob(folder, variant.file));
    variants.push_back(std::move(blob));
  }
  OUTCROP_TRY(golden_input, read_blob(folder, artifact.golden_input));
  OUTCROP_TRY(golden_output, read_blob(folder, artifact.golden_output));
  OUTCROP_TRY(inputs, read_golden(golden_input, artifact.golden_input.file));
  OUTCROP_TRY(outputs, read_golden(golden_output, artifact.golden_output.file));
  messages::Signature signature;
  std::vector<messages::GoldenCall> calls;
  if (artifact.signature) {
    signature = *artifact.signature;
    calls = artifact.golden_calls;
  } else {
    OUTCROP_TRY(rows, earlier_golden(artifact, inputs, outputs));
    signature = signature_of(rows);
    calls = calls_of(rows);
    if (artifact.quality) {
      OUTCROP_TRY(with_quality, add_quality(outputs, *artifact.quality));
      golden_output = std::move(with_quality);
    }
  }
  auto proofs = runtime::proof_calls(signature, calls, inputs, outputs);
  if (!proofs) {
    return fail(ErrorCode::invalid_data, folder.string() + ": " + proofs.error().message());
  }
  return StageInputs{std::move(artifact),      std::move(variants),  std::move(golden_input),
                     std::move(golden_output), std::move(signature), std::move(calls),
                     std::move(*proofs)};
}

trust::Sha256Digest identity(const StageInputs& inputs, const Policy& policy,
                             bool skip_host_proof) {
  return trust::sha256(to_json(inputs.artifact) + "\n" + describe(policy) + "\n" +
                       (skip_host_proof ? "skip" : "prove"));
}

void describe_goldens(const StageInputs& inputs, const Policy& policy,
                      messages::Manifest& manifest) {
  const messages::StageArtifact& artifact = inputs.artifact;
  manifest.signature = inputs.signature;
  manifest.golden = {reference(inputs.golden_input), reference(inputs.golden_output),
                     inputs.calls};
  manifest.minimum_protocol = artifact.signature ? messages::signature_since : first_protocol;
  if (artifact.signature) {
    manifest.quality = artifact.quality;
    return;
  }
  for (messages::Method& method : manifest.signature.methods) {
    for (messages::Output& output : method.outputs) {
      const auto known = policy.outputs.find(output.name);
      if (known != policy.outputs.end()) output.type.unit = known->second.unit;
    }
  }
}

messages::BlobReference reference(const trust::VerifiedBlob& blob) {
  const Bytes table = blob::encode(blob::make_chunk_table(blob.bytes()));
  return {blob.digest(), blob.size(), trust::sha256(table)};
}

}  // namespace outcrop::release
