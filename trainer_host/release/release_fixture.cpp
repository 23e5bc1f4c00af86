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
  proof_.methods = {{"decode", "decode(Tensor latent) -> Tuple[Tensor, Tensor]"}};
  proof_.memory = ByteCount::mib(30);
  proof_.shown = {{"velocity", {20.0, 300.0}}, {"seismic", {0.01, 0.2}}};
}

fs::path ReleaseTest::make_stage(const std::string& name, std::uint64_t stage,
                                 const std::string& text) {
  const fs::path folder = folder_.path() / name;
  fs::create_directory(folder);
  messages::StageArtifact artifact;
  artifact.model = "curvefault";
  artifact.stage = stage;
  artifact.epoch = 20 * stage;
  artifact.data_digest = trust::sha256("data");
  artifact.code_version = "0.1.0";
  artifact.latent = "gaussian fitted to the encoder's latents";
  artifact.budgets = {{"raspberry-pi-4", 400.0, 200.0}};
  artifact.quality = good_quality();
  const std::vector<float> latents(2 * 4, 0.5F);
  const std::vector<float> maps(2 * 9, 2000.0F);
  const std::vector<float> gathers(2 * 6, 1.0F);
  EXPECT_TRUE(runtime::write_tensor_file(
      folder / "golden_input.safetensors",
      std::vector{runtime::Tensor::of_floats("latent", {2, 4}, latents)}));
  EXPECT_TRUE(runtime::write_tensor_file(
      folder / "golden_output.safetensors",
      std::vector{runtime::Tensor::of_floats("velocity", {2, 1, 3, 3}, maps),
                  runtime::Tensor::of_floats("seismic", {2, 1, 3, 2}, gathers)}));
  artifact.golden_input = *messages::reference_file(folder, "golden_input.safetensors");
  artifact.golden_output = *messages::reference_file(folder, "golden_output.safetensors");
  for (const char* variant : {"float", "int8-qint8"}) {
    const std::string file = std::string("curvefault_") + variant + ".ptl";
    EXPECT_TRUE(write_file_durably(folder / file, text + variant + std::string(100'000, 'w')));
    artifact.variants.push_back({variant,
                                 *messages::reference_file(folder, file),
                                 "torch",
                                 "qnnpack",
                                 {{"velocity", {20.0, 300.0}}, {"seismic", {0.01, 0.2}}}});
  }
  EXPECT_TRUE(messages::write_artifact(folder, artifact));
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
