#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <limits>

#include "protocol/base/durable_file.hpp"
#include "protocol/messages/artifact.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "tests/support/good_quality.hpp"
#include "tests/support/plain_file_system.hpp"
#include "tests/support/result_matchers.hpp"
#include "trainer_host/release/release_fixture.hpp"
#include "trainer_host/release/stage_store.hpp"

namespace outcrop::release {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

TEST_F(ReleaseTest, makes_a_release_that_verifies_without_offline_keys) {
  fs::remove_all(keys_ / "offline");
  const auto created = create(request());
  ASSERT_THAT(created, IsOk());
  EXPECT_FALSE(created->existed);
  const auto release = open();
  ASSERT_THAT(release, IsOk());
  EXPECT_EQ(release->manifest_digest(), created->manifest_digest);
  for (const Check& check : check_blobs(*release)) EXPECT_THAT(check.status, IsOk()) << check.what;
  const messages::Manifest& manifest = release->manifest();
  EXPECT_EQ(manifest.model, "curvefault");
  EXPECT_FALSE(manifest.host_proof_skipped);
  EXPECT_EQ(manifest.minimum_protocol, messages::signature_since);
  EXPECT_EQ(manifest.signature.served, "forward");
  EXPECT_EQ(manifest.golden.calls.size(), 2U);
  EXPECT_EQ(manifest.about.at("latent"), "gaussian fitted to the encoder's latents");
  ASSERT_EQ(manifest.outputs().size(), 2U);
  EXPECT_EQ(manifest.outputs()[0].type.unit, "m/s");
  EXPECT_EQ(manifest.variant("int8-qint8")->operators, proof_.operators);
  const auto blob = release->blob(manifest.variant("float")->blob);
  ASSERT_THAT(blob, IsOk());
  EXPECT_THAT(std::string(as_text(blob->bytes())), HasSubstr("weightsfloat"));
}

TEST_F(ReleaseTest, allows_half_more_than_shown_and_never_less_than_the_floor) {
  const auto created = create(request());
  ASSERT_THAT(created, IsOk());
  const auto& tolerance = created->manifest.variants[0].tolerance;
  ASSERT_EQ(tolerance.size(), 2U);
  EXPECT_DOUBLE_EQ(tolerance[0].mean_abs, 30.0);
  EXPECT_DOUBLE_EQ(tolerance[0].max_abs, 450.0);
  EXPECT_DOUBLE_EQ(tolerance[1].mean_abs, 0.04) << "the floor";
  EXPECT_DOUBLE_EQ(tolerance[1].max_abs, 0.4) << "the floor";
}

TEST_F(ReleaseTest, refuses_an_error_above_the_cap) {
  proof_.shown["velocity"].mean_abs = 61.0;
  auto artifact = *messages::read_artifact(stage_folder_);
  for (auto& variant : artifact.variants) variant.shown["velocity"].mean_abs = 61.0;
  ASSERT_TRUE(messages::write_artifact(stage_folder_, artifact));
  EXPECT_THAT(create(request()),
              ErrorIs(ErrorCode::refused, HasSubstr("above the policy's cap of 90")));
  EXPECT_FALSE(fs::exists(folder_.path() / "release"));
}

// Everything else is signed all the same, and a second call says the same again.
TEST_F(ReleaseTest, leaves_a_variant_above_the_cap_out_and_says_why) {
  auto artifact = *messages::read_artifact(stage_folder_);
  artifact.variants[1].shown["velocity"].mean_abs = 61.0;
  ASSERT_TRUE(messages::write_artifact(stage_folder_, artifact));
  const HostProver prover = [&](const HostProofRequest& asked) -> Result<HostProof> {
    HostProof proof = proof_;
    if (asked.variant == "int8-qint8") proof.shown["velocity"].mean_abs = 61.0;
    return proof;
  };
  for (const bool existed : {false, true}) {
    const auto created = create_release(request(), prover, clock_);
    ASSERT_THAT(created, IsOk());
    EXPECT_EQ(created->existed, existed);
    ASSERT_EQ(created->left_out.size(), 1U);
    EXPECT_EQ(created->left_out[0].variant, "int8-qint8");
    EXPECT_THAT(created->left_out[0].reason, HasSubstr("61.0 m/s"));
    EXPECT_THAT(created->left_out[0].reason, HasSubstr("above the policy's cap of 90"));
    EXPECT_EQ(created->manifest.variants.size(), 1U);
  }
  const auto release = open();
  ASSERT_THAT(release, IsOk());
  EXPECT_EQ(release->manifest().variant("int8-qint8"), nullptr);
  for (const Check& check : check_blobs(*release)) EXPECT_THAT(check.status, IsOk()) << check.what;
}

TEST_F(ReleaseTest, leaves_a_variant_out_that_does_not_run_but_waits_for_one_that_had_no_time) {
  ErrorCode code = ErrorCode::timeout;
  const HostProver prover = [&](const HostProofRequest& asked) -> Result<HostProof> {
    if (asked.variant == "int8-qint8") return fail(code, "the runner ended");
    return proof_;
  };
  EXPECT_THAT(create_release(request(), prover, clock_),
              ErrorIs(ErrorCode::timeout, HasSubstr("variant int8-qint8")));
  code = ErrorCode::crashed;
  const auto created = create_release(request(), prover, clock_);
  ASSERT_THAT(created, IsOk());
  ASSERT_EQ(created->left_out.size(), 1U);
  EXPECT_THAT(created->left_out[0].reason, HasSubstr("the runner ended"));
}

TEST_F(ReleaseTest, refuses_a_stage_of_which_no_variant_passes_with_every_reason) {
  auto artifact = *messages::read_artifact(stage_folder_);
  artifact.variants.erase(artifact.variants.begin());
  artifact.variants[0].shown["velocity"].mean_abs = 61.0;
  ASSERT_TRUE(messages::write_artifact(stage_folder_, artifact));
  proof_.shown["velocity"].mean_abs = 61.0;
  EXPECT_THAT(create(request()),
              ErrorIs(ErrorCode::refused, AllOf(HasSubstr("no variant passes"),
                                                HasSubstr("int8-qint8"), HasSubstr("cap of 90"))));
}

TEST_F(ReleaseTest, refuses_a_model_no_better_than_the_mean_of_its_training_data) {
  auto artifact = *messages::read_artifact(stage_folder_);
  *artifact.quality->model.outputs["seismic"].find("rmse") = 1.503;
  ASSERT_TRUE(messages::write_artifact(stage_folder_, artifact));
  EXPECT_THAT(create(request()),
              ErrorIs(ErrorCode::refused,
                      AllOf(HasSubstr("variant float is not good enough"), HasSubstr("64 held-out"),
                            HasSubstr("1.503 pressure"), HasSubstr("0.929 pressure"),
                            HasSubstr("minimum_quality"))));
  EXPECT_EQ(proofs_, 0) << "nothing is proved that is not released";
  EXPECT_FALSE(fs::exists(folder_.path() / "release"));
  auto lenient = request();
  lenient.policy.minimum_quality = -std::numeric_limits<double>::infinity();
  EXPECT_THAT(create(lenient), IsOk());
}

TEST_F(ReleaseTest, asks_for_as_much_quality_as_its_policy_says) {
  auto strict = request();
  strict.policy.minimum_quality = 0.1;  // saves 0.118 of the mean's RMSE in seismic
  EXPECT_THAT(create(strict), IsOk());
  strict = request("stricter");
  strict.policy.minimum_quality = 0.2;
  EXPECT_THAT(create(strict),
              ErrorIs(ErrorCode::refused, HasSubstr("asks for less than 0.7432 pressure")));
}

// All maps are 3000 m/s: reconstructed well enough, but drawn as 1500 and 4500.
TEST_F(ReleaseTest, refuses_a_model_that_draws_what_its_training_data_are_not) {
  auto artifact = *messages::read_artifact(stage_folder_);
  *artifact.quality->model.outputs["velocity"].find("rmse") = 1.0;
  *artifact.quality->baselines[0].outputs["velocity"].find("rmse") = 0.0;
  artifact.quality->spread["velocity"] = {1500.0, 0.0};
  ASSERT_TRUE(messages::write_artifact(stage_folder_, artifact));
  EXPECT_THAT(
      create(request()),
      ErrorIs(ErrorCode::refused, AllOf(HasSubstr("variant float draws what its training data are"),
                                        HasSubstr("velocity"), HasSubstr("1500 m/s"))));
  artifact.quality->spread["velocity"].drawn = 1.0;  // below the floor: nothing beats an exact mean
  ASSERT_TRUE(messages::write_artifact(stage_folder_, artifact));
  EXPECT_THAT(create(request()), IsOk());
}

TEST_F(ReleaseTest, refuses_a_stage_of_which_nobody_knows_how_good_it_is) {
  auto artifact = *messages::read_artifact(stage_folder_);
  artifact.quality.reset();
  ASSERT_TRUE(messages::write_artifact(stage_folder_, artifact));
  EXPECT_THAT(create(request()), ErrorIs(ErrorCode::refused, HasSubstr("minimum_quality = -inf")));
  auto lenient = request();
  lenient.policy.minimum_quality = -std::numeric_limits<double>::infinity();
  ASSERT_THAT(create(lenient), IsOk());
  const auto quality = open()->quality();
  ASSERT_THAT(quality, IsOk());
  EXPECT_FALSE(quality->has_value());
  EXPECT_EQ(open()->manifest().golden.output.sha256, artifact.golden_output.sha256);
}

TEST_F(ReleaseTest, tells_its_quality) {
  const auto created = create(request());
  ASSERT_THAT(created, IsOk());
  EXPECT_EQ(created->quality, good_quality());
  EXPECT_EQ(open()->manifest().quality, good_quality());
  EXPECT_EQ(*open()->quality(), good_quality());
}

// What an earlier version left is released as that version did: for boards of every protocol, with
// the quality where they pass over it.
TEST_F(ReleaseTest, of_an_earlier_stage_is_one_that_earlier_boards_take) {
  stage_folder_ = make_earlier_stage("earlier", 1);
  const auto created = create(request());
  ASSERT_THAT(created, IsOk());
  EXPECT_EQ(created->quality, good_quality());
  const auto release = open();
  ASSERT_THAT(release, IsOk());
  const auto quality = release->quality();
  ASSERT_THAT(quality, IsOk());
  EXPECT_EQ(*quality, good_quality());
  EXPECT_EQ(release->manifest().minimum_protocol, 1);
  EXPECT_EQ(release->manifest().golden.calls.size(), 2U) << "a call for each latent";
  EXPECT_EQ(release->manifest().outputs().at(1).type.unit, "pressure");
  EXPECT_THAT(release->manifest().variants[0].tolerance[1].mean_abs, 0.04);
  const auto blob = release->blob(release->manifest().golden.output);
  ASSERT_THAT(blob, IsOk());
  const auto tensors = runtime::decode_tensor_file(blob->bytes());
  ASSERT_THAT(tensors, IsOk());
  EXPECT_EQ(tensors->size(), 2U);
}

TEST_F(ReleaseTest, refuses_a_variant_that_runs_unlike_what_was_quantized) {
  proof_.shown["velocity"].mean_abs = 20.8;  // 4 % more than recorded
  EXPECT_THAT(create(request()), ErrorIs(ErrorCode::refused, HasSubstr("not what was quantized")));
  proof_.shown.erase("velocity");
  EXPECT_THAT(create(request()), ErrorIs(ErrorCode::refused, HasSubstr("shows no error")));
}

TEST_F(ReleaseTest, names_a_golden_that_is_not_finite_or_not_what_its_signature_says) {
  const auto with = [&](std::vector<float> values, std::vector<std::int64_t> shape) {
    auto artifact = *messages::read_artifact(stage_folder_);
    auto outputs = *runtime::read_tensor_file(stage_folder_ / artifact.golden_output.file);
    outputs[1] = runtime::Tensor::of_floats("seismic_1", std::move(shape), values);
    EXPECT_TRUE(runtime::write_tensor_file(stage_folder_ / artifact.golden_output.file, outputs));
    artifact.golden_output = *messages::reference_file(stage_folder_, artifact.golden_output.file);
    EXPECT_TRUE(messages::write_artifact(stage_folder_, artifact));
    return create(request());
  };
  const float nothing = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(with({1, nothing, 3, 4, 5, 6}, {1, 1, 3, 2}),
              ErrorIs(ErrorCode::invalid_data,
                      HasSubstr("'seismic_1' holds a value that is not finite, at element 1")));
  EXPECT_THAT(with({1, 2, 3, 4, 5, 6}, {1, 1, 2, 3}),
              ErrorIs(ErrorCode::invalid_data,
                      HasSubstr("forward gave float32 [1, 1, 2, 3] for 'seismic'; its signature says "
                                "float32 [batch, 1, 3, 2] pressure")));
  EXPECT_EQ(proofs_, 0);
}

TEST_F(ReleaseTest, takes_bounds_from_the_artifact_or_the_range_unless_the_policy_says_otherwise) {
  const auto artifact = *messages::read_artifact(stage_folder_);
  const auto plain = policy_for(artifact, Policy());
  ASSERT_THAT(plain, IsOk());
  EXPECT_DOUBLE_EQ(plain->outputs.at("velocity").cap.mean_abs, 90.0) << "3 % of 3000 m/s";
  EXPECT_DOUBLE_EQ(plain->outputs.at("velocity").agreement.mean_abs, 0.15);
  EXPECT_EQ(plain->outputs.at("seismic").cap.mean_abs, 1.0);
  Policy policy;
  policy.changes["seismic"].cap_mean_abs = 2.0;
  EXPECT_EQ(policy_for(artifact, policy)->outputs.at("seismic").cap.mean_abs, 2.0);
  EXPECT_EQ(policy_for(artifact, policy)->outputs.at("seismic").floor.mean_abs, 0.04);
  const auto refused = [](const char* why) {
    return ErrorIs(ErrorCode::invalid_argument, HasSubstr(why));
  };
  policy.changes["seismic"].floor_mean_abs = 3.0;
  EXPECT_THAT(policy_for(artifact, policy), refused("output.seismic.floor_mean_abs: 3.0 is above"));
  policy.changes = {};
  policy.changes["velocity"].unit = "km/s";
  EXPECT_THAT(policy_for(artifact, policy), refused("\"km/s\", and the model gives \"m/s\""));
  policy.changes = {};
  policy.changes["veloctiy"].cap_mean_abs = 2.0;
  EXPECT_THAT(policy_for(artifact, policy),
              refused("[output.veloctiy], and the model has no such output: it has velocity, seismic"));
}

TEST_F(ReleaseTest, refuses_a_file_that_changed_after_the_stage_ended) {
  std::fstream file(stage_folder_ / "curvefault_int8-qint8.ptl",
                    std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(50);
  file.put('!');
  file.close();
  EXPECT_THAT(create(request()),
              ErrorIs(ErrorCode::untrusted, HasSubstr("not the file that artifact.json")));
}

TEST_F(ReleaseTest, says_when_the_host_proof_was_skipped) {
  auto skipping = request();
  skipping.skip_host_proof = true;
  const auto created = create(skipping);
  ASSERT_THAT(created, IsOk());
  EXPECT_TRUE(created->manifest.host_proof_skipped);
  EXPECT_TRUE(open()->manifest().host_proof_skipped);
}

TEST_F(ReleaseTest, leaves_nothing_when_the_proof_fails) {
  prover_status_ = fail(ErrorCode::crashed, "signal 11");
  EXPECT_THAT(create(request()), ErrorIs(ErrorCode::crashed, HasSubstr("variant float")));
  EXPECT_FALSE(fs::exists(folder_.path() / "release"));
}

TEST_F(ReleaseTest, recognises_what_it_made_before) {
  const auto first = create(request());
  ASSERT_THAT(first, IsOk());
  proof_.memory = ByteCount::mib(31);  // measured anew, it would be another manifest
  const auto second = create(request());
  ASSERT_THAT(second, IsOk());
  EXPECT_TRUE(second->existed);
  EXPECT_EQ(second->manifest_digest, first->manifest_digest);
  const auto elsewhere = create(request("copy"));
  ASSERT_THAT(elsewhere, IsOk());
  EXPECT_EQ(elsewhere->manifest_digest, first->manifest_digest);
  EXPECT_EQ(open("copy")->stage()->releases.size(), 1U);
  EXPECT_EQ(open("copy")->stage()->version, 1U);
}

TEST_F(ReleaseTest, never_overwrites_another_release_or_folder) {
  ASSERT_THAT(create(request()), IsOk());
  stage_folder_ = make_stage("stage-2", 2, "better");
  EXPECT_THAT(create(request()),
              ErrorIs(ErrorCode::already_exists, HasSubstr("holds another release")));
  fs::create_directories(folder_.path() / "things" / "of mine");
  prover_status_ = fail(ErrorCode::crashed, "refused after the work");
  EXPECT_THAT(create(request("things")),
              ErrorIs(ErrorCode::already_exists, HasSubstr("not a good release")));
}

TEST_F(ReleaseTest, fills_an_empty_folder_that_may_be_a_volume) {
  const PlainFileSystem plain;
  fs::create_directories(folder_.path() / "release" / "lost+found");
  ASSERT_THAT(create(request()), IsOk());
  EXPECT_TRUE(create(request())->existed);
  ASSERT_THAT(open(), IsOk());
}

TEST_F(ReleaseTest, lists_every_release_that_is_still_permitted) {
  const auto first = create(request());
  ASSERT_THAT(first, IsOk());
  stage_folder_ = make_stage("stage-2", 2, "better");
  const auto second = create(request("release-2"));
  ASSERT_THAT(second, IsOk());
  const auto release = open("release-2");
  ASSERT_THAT(release, IsOk());
  EXPECT_EQ(release->stage()->version, 2U);
  ASSERT_EQ(release->stage()->releases.size(), 2U);
  EXPECT_EQ(release->stage()->releases[0].manifest, first->manifest_digest);
  EXPECT_EQ(release->stage()->releases[1].manifest, second->manifest_digest);
}

TEST_F(ReleaseTest, takes_no_stage_key_that_targets_does_not_name) {
  fs::remove(keys_ / "stages/curvefault/stage.key");
  fs::copy_file(keys_ / "stages/flatvel/stage.key", keys_ / "stages/curvefault/stage.key");
  EXPECT_THAT(create(request()),
              ErrorIs(ErrorCode::untrusted, HasSubstr("not the one that targets delegates")));
}

TEST_F(ReleaseTest, a_full_disk_leaves_no_release) {
  // A file-size limit stands in for a full disk: variants (100 kB) do not fit, manifests do.
  // In a child, since the limit holds for sealed memory, too, and could not be raised again.
  proof_.memory = ByteCount::mib(30);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const HostProver prover = [this](const HostProofRequest&) -> Result<HostProof> {
      rlimit limit{60'000, RLIM_INFINITY};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      return proof_;
    };
    const auto created = create_release(request(), prover, clock_);
    ::_exit(created                                                                 ? 0
            : created.error().message().find("File too large") == std::string::npos ? 1
                                                                                    : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 2);
  EXPECT_FALSE(fs::exists(folder_.path() / "release"));
  EXPECT_FALSE(fs::exists(folder_.path() / ".release.making"));
  EXPECT_FALSE(fs::exists(keys_ / "stages/curvefault/stage.json")) << "nothing was permitted";
  EXPECT_THAT(create(request()), IsOk());
  EXPECT_EQ(proofs_, 0) << "the manifest that was made before is used";
}

// Killed by signal at many moments of its making, and started again.
TEST_F(ReleaseTest, a_killed_create_ends_with_the_same_release_and_not_a_second_one) {
  int unfinished = 0;
  for (int round = 0; round < 12; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto created = create(request());
      ::_exit(created ? 0 : 1);
    }
    ::usleep(static_cast<useconds_t>(round) * 1500);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    if (!fs::exists(folder_.path() / "release")) {
      ++unfinished;
    } else {
      EXPECT_THAT(open(), IsOk()) << "a folder of that name is a whole release";
    }
  }
  EXPECT_GT(unfinished, 0);
  const auto created = create(request());
  ASSERT_THAT(created, IsOk());
  const auto release = open();
  ASSERT_THAT(release, IsOk());
  EXPECT_EQ(release->stage()->releases.size(), 1U);
  EXPECT_EQ(release->stage()->version, 1U);
  EXPECT_FALSE(fs::exists(folder_.path() / ".release.making"));
  for (const Check& check : check_blobs(*release)) EXPECT_THAT(check.status, IsOk()) << check.what;
}

TEST_F(ReleaseTest, says_where_a_stage_was_signed_before) {
  EXPECT_TRUE(create(request("first"))->notices.empty());
  EXPECT_TRUE(create(request("first"))->notices.empty()) << "the same call again";
  const auto same = create(request("second"));
  ASSERT_EQ(same->notices.size(), 1U);
  EXPECT_THAT(same->notices[0], HasSubstr("the same release in another folder"));
  EXPECT_THAT(same->notices[0], HasSubstr((folder_.path() / "first").string()));
  auto other_terms = request("third");
  other_terms.skip_host_proof = true;
  const auto second = create(other_terms);
  ASSERT_EQ(second->notices.size(), 1U);
  EXPECT_THAT(second->notices[0], HasSubstr("a second release of it"));
}

TEST_F(ReleaseTest, a_withdrawn_release_is_permitted_no_more) {
  const auto created = create(request());
  const auto trust = read_key_store(keys_);
  const auto withdraw = [&] {
    auto store = StageStore::open(keys_, "curvefault", *trust);
    return store->withdraw(created->manifest_digest, std::chrono::days(30), clock_.now(), *trust);
  };
  const auto list = withdraw();
  ASSERT_THAT(list, IsOk());
  EXPECT_EQ(*withdraw(), *list) << "nothing new is signed the second time";
  const auto read = read_signed_list(keys_, "curvefault", *trust);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ((*read)->metadata->version, 2U);
  EXPECT_TRUE((*read)->metadata->releases.empty());
  auto other = StageStore::open(keys_, "flatvel", *trust);
  EXPECT_THAT(
      other->withdraw(created->manifest_digest, std::chrono::days(30), clock_.now(), *trust),
      ErrorIs(ErrorCode::not_found, HasSubstr("no release of 'flatvel'")));
}

}  // namespace
}  // namespace outcrop::release
