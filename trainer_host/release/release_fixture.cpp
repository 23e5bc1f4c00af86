#include "trainer_host/release/release_fixture.hpp"

#include "tests/support/small_stage.hpp"

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
  proof_ = small_stage::prover_answer();
}

messages::StageArtifact ReleaseTest::describe_stage(const fs::path& folder, std::uint64_t stage,
                                                    const std::string& text) {
  auto artifact = small_stage::describe(folder, stage, text);
  EXPECT_TRUE(artifact);
  return std::move(*artifact);
}

fs::path ReleaseTest::make_stage(const std::string& name, std::uint64_t stage,
                                 const std::string& text) {
  const fs::path folder = folder_.path() / name;
  EXPECT_TRUE(small_stage::make(folder, stage, text));
  return folder;
}

fs::path ReleaseTest::make_earlier_stage(const std::string& name, std::uint64_t stage) {
  using small_stage::filled;
  const fs::path folder = folder_.path() / name;
  messages::StageArtifact artifact = describe_stage(folder, stage, "weights");
  EXPECT_TRUE(small_stage::write_goldens(
      folder, {filled("latent", {2, 4}, 0.5F)},
      {filled("velocity", {2, 1, 3, 3}, 2000), filled("seismic", {2, 1, 3, 2}, 1)}, artifact));
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
