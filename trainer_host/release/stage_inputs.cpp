#include "trainer_host/release/stage_inputs.hpp"

#include <algorithm>
#include <cmath>

#include "protocol/blob/chunk_table.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "trainer_host/release/golden_quality.hpp"

namespace outcrop::release {
namespace fs = std::filesystem;
namespace {

Result<trust::VerifiedBlob> read_blob(const fs::path& folder, const messages::FileReference& file) {
  auto blob = trust::verify_blob(folder / file.file, file.sha256, file.size);
  if (!blob) return fail(blob.error().context("not the file that artifact.json describes"));
  return blob;
}

Status check_golden(const std::vector<runtime::Tensor>& tensors, std::int64_t latents) {
  if (tensors.empty()) return fail(ErrorCode::invalid_data, "holds no tensor");
  for (const runtime::Tensor& tensor : tensors) {
    if (tensor.shape.empty() || tensor.shape.front() != latents || latents < 1) {
      return fail(ErrorCode::invalid_data,
                  "'" + tensor.name + "' is " + runtime::describe(tensor) +
                      ", but every golden tensor has the same number of latents first");
    }
    if (tensor.dtype != runtime::DType::float32) continue;
    const auto values = tensor.floats();
    if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
      return fail(ErrorCode::invalid_data,
                  "'" + tensor.name + "' holds numbers that are not finite");
    }
  }
  return {};
}

Result<std::vector<runtime::Tensor>> read_golden(const trust::VerifiedBlob& blob,
                                                 const std::string& file, std::int64_t& latents) {
  auto tensors = runtime::decode_tensor_file(blob.bytes());
  if (!tensors) return fail(tensors.error().context(file));
  if (latents == 0 && !tensors->empty() && !tensors->front().shape.empty()) {
    latents = tensors->front().shape.front();
  }
  if (auto status = check_golden(*tensors, latents); !status) {
    return fail(status.error().context(file));
  }
  return tensors;
}

messages::TensorSchema schema_of(const runtime::Tensor& tensor) {
  return {tensor.name,
          std::string(runtime::to_string(tensor.dtype)),
          {tensor.shape.begin() + 1, tensor.shape.end()},
          ""};
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
  std::int64_t latents = 0;
  OUTCROP_TRY(inputs, read_golden(golden_input, artifact.golden_input.file, latents));
  OUTCROP_TRY(outputs, read_golden(golden_output, artifact.golden_output.file, latents));
  if (artifact.quality) {
    OUTCROP_TRY(with_quality, add_quality(outputs, *artifact.quality));
    golden_output = std::move(with_quality);
  }
  return StageInputs{std::move(artifact),      std::move(variants), std::move(golden_input),
                     std::move(golden_output), std::move(inputs),   std::move(outputs)};
}

trust::Sha256Digest identity(const StageInputs& inputs, const Policy& policy,
                             bool skip_host_proof) {
  return trust::sha256(to_json(inputs.artifact) + "\n" + describe(policy) + "\n" +
                       (skip_host_proof ? "skip" : "prove"));
}

messages::Golden describe_golden(const StageInputs& inputs, const Policy& policy) {
  messages::Golden golden;
  golden.method = inputs.artifact.golden_method;
  golden.input = reference(inputs.golden_input);
  golden.output = reference(inputs.golden_output);
  golden.latents = static_cast<std::uint64_t>(inputs.golden_inputs.front().shape.front());
  for (const runtime::Tensor& tensor : inputs.golden_inputs) {
    golden.inputs.push_back(schema_of(tensor));
  }
  for (const runtime::Tensor& tensor : inputs.golden_outputs) {
    golden.outputs.push_back(schema_of(tensor));
    const auto output = policy.outputs.find(tensor.name);
    if (output != policy.outputs.end()) golden.outputs.back().unit = output->second.unit;
  }
  return golden;
}

messages::BlobReference reference(const trust::VerifiedBlob& blob) {
  const Bytes table = blob::encode(blob::make_chunk_table(blob.bytes()));
  return {blob.digest(), blob.size(), trust::sha256(table)};
}

}  // namespace outcrop::release
