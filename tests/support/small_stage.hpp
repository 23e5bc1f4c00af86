#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/durable_file.hpp"
#include "protocol/messages/artifact.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "tests/support/good_quality.hpp"
#include "trainer_host/release/host_proof.hpp"

namespace outcrop::small_stage {

// A stage of the model "curvefault" for boards of the class "raspberry-pi-4", with two variants whose files are no
// models: prover_answer() is what a runner would say of them.

// Folder and variant files, `text` in these; without golden calls.
[[nodiscard]] inline Result<messages::StageArtifact> describe(const std::filesystem::path& folder, std::uint64_t stage,
                                                              const std::string& text) {
  std::filesystem::create_directory(folder);
  messages::StageArtifact artifact;
  artifact.model = "curvefault";
  artifact.stage = stage;
  artifact.epoch = 20 * stage;
  artifact.data_digest = trust::sha256("data");
  artifact.code_version = "0.1.0";
  artifact.about = {{"latent", "gaussian fitted to the encoder's latents"}};
  artifact.budgets = {{"raspberry-pi-4", 400.0, 200.0}};
  artifact.quality = good_quality();
  for (const char* variant : {"float", "int8-qint8"}) {
    const std::string file = std::string("curvefault_") + variant + ".ptl";
    OUTCROP_CHECK(write_file_durably(folder / file, text + variant + std::string(100'000, 'w')));
    OUTCROP_TRY(reference, messages::reference_file(folder, file));
    artifact.variants.push_back(
        {variant, reference, "torch", "qnnpack", {{"velocity", {20.0, 300.0}}, {"seismic", {0.01, 0.2}}}});
  }
  return artifact;
}

[[nodiscard]] inline runtime::Tensor filled(const std::string& name, std::vector<std::int64_t> shape, float value) {
  std::size_t count = 1;
  for (const std::int64_t size : shape) count *= static_cast<std::size_t>(size);
  return runtime::Tensor::of_floats(name, std::move(shape), std::vector<float>(count, value));
}

[[nodiscard]] inline Status write_goldens(const std::filesystem::path& folder,
                                          const std::vector<runtime::Tensor>& inputs,
                                          const std::vector<runtime::Tensor>& outputs,
                                          messages::StageArtifact& artifact) {
  OUTCROP_CHECK(runtime::write_tensor_file(folder / "golden_input.safetensors", inputs));
  OUTCROP_CHECK(runtime::write_tensor_file(folder / "golden_output.safetensors", outputs));
  OUTCROP_TRY(input, messages::reference_file(folder, "golden_input.safetensors"));
  OUTCROP_TRY(output, messages::reference_file(folder, "golden_output.safetensors"));
  artifact.golden_input = input;
  artifact.golden_output = output;
  return messages::write_artifact(folder, artifact);
}

[[nodiscard]] inline messages::Signature signature() {
  using messages::ScalarKind;
  using messages::ScalarType;
  using messages::TensorType;
  const std::vector<messages::Output> pair{
      {"velocity", TensorType{"float32", {"batch", 1, 3, 3}, "m/s", messages::Range{1500, 4500}}, {}},
      {"seismic", TensorType{"float32", {"batch", 1, 3, 2}, "pressure", {}}, {}}};
  messages::Method forward{"forward", {}, pair};
  forward.inputs = {{"batch_size", ScalarType{ScalarKind::integer, {}, {}, "batch"}},
                    {"seed", ScalarType{ScalarKind::integer, std::int64_t{0}, {}, ""}}};
  messages::Method decode{"decode", {}, pair};
  decode.inputs = {{"latent", TensorType{"float32", {"batch", 4}, "", {}}}};
  return {"forward", {forward, decode}};
}

[[nodiscard]] inline Status make(const std::filesystem::path& folder, std::uint64_t stage, const std::string& text) {
  OUTCROP_TRY(artifact, describe(folder, stage, text));
  artifact.signature = signature();
  // What a range of 3000 m/s would come to is left to the range.
  artifact.bounds = {{"seismic", {{0.04, 0.4}, {1.0, 40.0}, {0.004, 0.4}}}};
  artifact.golden_calls = {{"forward", {std::int64_t{1}, std::int64_t{7}}, {{"velocity_1"}, {"seismic_1"}}},
                           {"decode", {messages::TensorReference("latent")}, {{"velocity_2"}, {"seismic_2"}}}};
  return write_goldens(folder, {filled("latent", {1, 4}, 0.5F)},
                       {filled("velocity_1", {1, 1, 3, 3}, 2000), filled("seismic_1", {1, 1, 3, 2}, 1),
                        filled("velocity_2", {1, 1, 3, 3}, 2000), filled("seismic_2", {1, 1, 3, 2}, 1)},
                       artifact);
}

[[nodiscard]] inline release::HostProof prover_answer() {
  release::HostProof proof;
  proof.operators = {"aten::add.Tensor", "quantized::conv2d.new"};
  proof.methods = {{"decode", "decode(Tensor latent) -> Tuple[Tensor, Tensor]"},
                   {"forward", "forward(int batch_size, int seed=0) -> Tuple[Tensor, Tensor]"}};
  proof.memory = ByteCount::mib(30);
  proof.shown = {{"velocity", {20.0, 300.0}}, {"seismic", {0.01, 0.2}}};
  return proof;
}

}  // namespace outcrop::small_stage
