#include "trainer_host/release/release_fixture.hpp"

#include "protocol/base/durable_file.hpp"
#include "protocol/messages/artifact.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "tests/support/good_quality.hpp"

namespace outcrop::release {
namespace fs = std::filesystem;

void ReleaseTest::SetUp() {
  // Made once: syncing so many small files takes longer than the tests do.
  static const TemporaryFolder made;
  const fs::path master = made.path() / "keys";
  if (!fs::exists(master)) {
    KeyStoreOptions options;
    options.models = {"curvefault", "flatvel"};
    ASSERT_TRUE(init_key_store(master, options, clock_.now()));
  }
  fs::copy(master, keys_, fs::copy_options::recursive);
  stage_folder_ = make_stage("stage-1", 1);
  proof_.operators = {"aten::add.Tensor", "quantized::conv2d.new"};
  proof_.methods = {{"decode", "decode(Tensor latent) -> Tuple[Tensor, Tensor]"},
                    {"forward", "forward(int batch_size, int seed=0) -> Tuple[Tensor, Tensor]"}};
  proof_.memory = ByteCount::mib(30);
  proof_.shown = {{"velocity", {20.0, 300.0}}, {"seismic", {0.01, 0.2}}};
}

messages::StageArtifact ReleaseTest::describe_stage(const fs::path& folder, std::uint64_t stage,
                                                    const std::string& text) {
  fs::create_directory(folder);
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
    EXPECT_TRUE(write_file_durably(folder / file, text + variant + std::string(100'000, 'w')));
    artifact.variants.push_back({variant,
                                 *messages::reference_file(folder, file),
                                 "torch",
                                 "qnnpack",
                                 {{"velocity", {20.0, 300.0}}, {"seismic", {0.01, 0.2}}}});
  }
  return artifact;
}

namespace {

runtime::Tensor filled(const std::string& name, std::vector<std::int64_t> shape, float value) {
  std::size_t count = 1;
  for (const std::int64_t size : shape) count *= static_cast<std::size_t>(size);
  return runtime::Tensor::of_floats(name, std::move(shape), std::vector<float>(count, value));
}

void write_goldens(const fs::path& folder, const std::vector<runtime::Tensor>& inputs,
                   const std::vector<runtime::Tensor>& outputs, messages::StageArtifact& artifact) {
  EXPECT_TRUE(runtime::write_tensor_file(folder / "golden_input.safetensors", inputs));
  EXPECT_TRUE(runtime::write_tensor_file(folder / "golden_output.safetensors", outputs));
  artifact.golden_input = *messages::reference_file(folder, "golden_input.safetensors");
  artifact.golden_output = *messages::reference_file(folder, "golden_output.safetensors");
  EXPECT_TRUE(messages::write_artifact(folder, artifact));
}

messages::Signature small_signature() {
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

}  // namespace

fs::path ReleaseTest::make_stage(const std::string& name, std::uint64_t stage,
                                 const std::string& text) {
  const fs::path folder = folder_.path() / name;
  messages::StageArtifact artifact = describe_stage(folder, stage, text);
  artifact.signature = small_signature();
  // What a range of 3000 m/s would come to is left to the range.
  artifact.bounds = {{"seismic", {{0.04, 0.4}, {1.0, 40.0}, {0.004, 0.4}}}};
  artifact.golden_calls = {
      {"forward", {std::int64_t{1}, std::int64_t{7}}, {{"velocity_1"}, {"seismic_1"}}},
      {"decode", {messages::TensorReference("latent")}, {{"velocity_2"}, {"seismic_2"}}}};
  write_goldens(folder, {filled("latent", {1, 4}, 0.5F)},
                {filled("velocity_1", {1, 1, 3, 3}, 2000), filled("seismic_1", {1, 1, 3, 2}, 1),
                 filled("velocity_2", {1, 1, 3, 3}, 2000), filled("seismic_2", {1, 1, 3, 2}, 1)},
                artifact);
  return folder;
}

fs::path ReleaseTest::make_earlier_stage(const std::string& name, std::uint64_t stage) {
  const fs::path folder = folder_.path() / name;
  messages::StageArtifact artifact = describe_stage(folder, stage, "weights");
  write_goldens(folder, {filled("latent", {2, 4}, 0.5F)},
                {filled("velocity", {2, 1, 3, 3}, 2000), filled("seismic", {2, 1, 3, 2}, 1)},
                artifact);
  return folder;
}

CreateRequest ReleaseTest::request(const std::string& out) const {
  return {stage_folder_, keys_, folder_.path() / out, Policy(), false};
}

Result<CreatedRelease> ReleaseTest::create(const CreateRequest& request) {
  const HostProver prover = [this](const HostProofRequest& asked) -> Result<HostProof> {
    ++proofs_;
    OUTCROP_CHECK(prover_status_);
    HostProof proof = proof_;
    if (!asked.compare) proof.shown.clear();
    return proof;
  };
  return create_release(request, prover, clock_);
}

Result<VerifiedRelease> ReleaseTest::open(const std::string& out, Checks* checks) const {
  OUTCROP_TRY(trust, read_key_store(keys_));
  return open_release(folder_.path() / out, trust.root, clock_, {trust.revoked}, checks);
}

}  // namespace outcrop::release
