#include "trainer_host/release/host_prover.hpp"

#include <gmock/gmock.h>

#include "protocol/messages/artifact.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "tests/hostile/hostile_models.hpp"
#include "tests/support/good_quality.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/release/create.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/open.hpp"

namespace outcrop::release {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;

// A stage folder with a small real generator in two forms, and the real confined runner.
class HostProverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    KeyStoreOptions options;
    options.models = {"small"};
    ASSERT_THAT(init_key_store(folder_.path() / "keys", options, SystemClock().now()), IsOk());
    fs::create_directory(stage_);
    goldens_ = hostile::write_small_generator(stage_ / "float.ptl", hostile::Form::float32);
    hostile::write_small_generator(stage_ / "quint8.ptl", hostile::Form::quint8);
    ASSERT_THAT(runtime::write_tensor_file(stage_ / "in.safetensors", goldens_.golden_inputs),
                IsOk());
    ASSERT_THAT(runtime::write_tensor_file(stage_ / "out.safetensors", goldens_.golden_outputs),
                IsOk());
  }

  static runtime::RunnerOptions options() {
    runtime::RunnerOptions options;
    options.program = OUTCROP_BIN "/outcrop-runner-torch";
    options.confinement = runtime::Confinement::reduced;
    return options;
  }

  Result<HostProof> prove(const std::string& file) const {
    OUTCROP_TRY(reference, messages::reference_file(stage_, file));
    OUTCROP_TRY(blob, trust::verify_blob(stage_ / file, reference.sha256, reference.size));
    return make_host_prover(options())({blob, "variant", "torch", "qnnpack",
                                        &goldens_.signature, goldens_.proofs, true});
  }

  // artifact.json for these files, with the errors that a quantizer would have recorded.
  void write_artifact(const std::string& int8_file, const ShownErrors& int8_errors) {
    messages::StageArtifact artifact;
    artifact.model = "small";
    artifact.stage = 1;
    artifact.epoch = 20;
    artifact.data_digest = trust::sha256("data");
    artifact.code_version = "0.1.0";
    artifact.about = {{"latent", "gaussian fitted to the encoder's latents"}};
    artifact.signature = goldens_.signature;
    artifact.golden_calls = goldens_.golden_calls;
    artifact.quality = good_quality();
    artifact.golden_input = *messages::reference_file(stage_, "in.safetensors");
    artifact.golden_output = *messages::reference_file(stage_, "out.safetensors");
    const ShownErrors none{{"velocity", {0, 0}}, {"seismic", {0, 0}}};
    artifact.variants = {
        {"float", *messages::reference_file(stage_, "float.ptl"), "torch", "qnnpack", none},
        {"int8-quint8", *messages::reference_file(stage_, int8_file), "torch", "qnnpack",
         int8_errors}};
    ASSERT_THAT(messages::write_artifact(stage_, artifact), IsOk());
  }

  Result<CreatedRelease> create(const std::string& out, bool skip = false) const {
    CreateRequest request{stage_, folder_.path() / "keys", folder_.path() / out, Policy(), skip};
    return create_release(request, make_host_prover(options()), SystemClock());
  }

  TemporaryFolder folder_;
  fs::path stage_ = folder_.path() / "stage";
  hostile::SmallGenerator goldens_;
};

TEST_F(HostProverTest, describes_and_proves_variants_in_the_confined_runner) {
  const auto shown = prove("quint8.ptl");
  ASSERT_THAT(shown, IsOk());
  write_artifact("quint8.ptl", shown->shown);
  const auto created = create("release");
  ASSERT_THAT(created, IsOk());
  const messages::Variant& int8 = *created->manifest.variant("int8-quint8");
  EXPECT_THAT(int8.operators, Contains(HasSubstr("quantized::conv2d")));
  EXPECT_THAT(int8.methods.at("decode"), HasSubstr("Tensor"));
  EXPECT_GT(int8.memory.value(), 0U);
  const auto trust = read_key_store(folder_.path() / "keys");
  ASSERT_THAT(trust, IsOk());
  EXPECT_THAT(open_release(folder_.path() / "release", trust->root, SystemClock()), IsOk());
}

TEST_F(HostProverTest, refuses_a_quantized_weight_changed_before_signing) {
  const auto shown = prove("quint8.ptl");
  ASSERT_THAT(shown, IsOk());
  hostile::write_tampered_generator(stage_ / "tampered.ptl");
  // Whoever changed the weights described the new file, too; what it shows still gives it away.
  write_artifact("tampered.ptl", shown->shown);
  EXPECT_THAT(create("release"), ErrorIs(ErrorCode::refused, HasSubstr("not what was quantized")));
  EXPECT_FALSE(fs::exists(folder_.path() / "release"));
  EXPECT_THAT(create("unproved", true), IsOk()) << "--skip-host-proof lets it pass, and says so";
}

// Its decode answers as it should: it is what boards serve that does not.
TEST_F(HostProverTest, refuses_a_sampler_changed_before_signing) {
  const auto honest = prove("float.ptl");
  ASSERT_THAT(honest, IsOk());
  hostile::write_missampling_generator(stage_ / "missampling.ptl");
  write_artifact("missampling.ptl", honest->shown);
  EXPECT_THAT(create("release"), ErrorIs(ErrorCode::refused, HasSubstr("not what was quantized")));
}

TEST_F(HostProverTest, refuses_a_signature_that_does_not_fit_the_file) {
  const auto shown = prove("quint8.ptl");
  ASSERT_THAT(shown, IsOk());
  goldens_.signature.methods[0].inputs[1].name = "number";
  write_artifact("quint8.ptl", shown->shown);
  EXPECT_THAT(create("release"),
              ErrorIs(ErrorCode::invalid_data,
                      HasSubstr("the file's forward(int batch_size, int seed=0) -> Tuple[Tensor, "
                                "Tensor] is not what its signature says: forward(batch_size: int, "
                                "number: int = 0)")));
}

TEST_F(HostProverTest, survives_a_variant_that_crashes_when_loaded) {
  hostile::write_crashing(stage_ / "crashing.ptl", hostile::When::load);
  write_artifact("crashing.ptl", {{"velocity", {0, 0}}, {"seismic", {0, 0}}});
  const auto created = create("release");
  ASSERT_THAT(created, IsOk());
  ASSERT_EQ(created->left_out.size(), 1U);
  EXPECT_EQ(created->left_out[0].variant, "int8-quint8");
  EXPECT_EQ(created->manifest.variant("int8-quint8"), nullptr);
  EXPECT_NE(created->manifest.variant("float"), nullptr);
}

}  // namespace
}  // namespace outcrop::release
