// `outcrop bench` from a signed release of real quantized models to its table and JSON.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "protocol/base/clock.hpp"
#include "protocol/messages/artifact.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "runtime/runner/prove.hpp"
#include "runtime/runner/runner.hpp"
#include "tests/hostile/hostile_models.hpp"
#include "tests/support/good_quality.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/release/create.hpp"
#include "trainer_host/release/host_prover.hpp"
#include "trainer_host/release/key_store.hpp"
#include "trainer_host/release/stage_inputs.hpp"
#include "trainer_host/release/stage_store.hpp"

namespace outcrop {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

runtime::RunnerOptions runner_options() {
  runtime::RunnerOptions options;
  options.program = fs::path(OUTCROP_BIN) / "outcrop-runner-torch";
  return options;
}

ShellOutcome outcrop(const std::string& arguments) {
  return run_shell(OUTCROP_BIN "/outcrop " + arguments);
}

// Keys, and a stage folder with small real generators as a trainer leaves it.
class Bench : public ::testing::Test {
 protected:
  // Made once; each test works on a copy.
  void SetUp() override {
    static const TemporaryFolder made;
    if (fs::is_empty(made.path())) make(made.path());
    if (HasFatalFailure()) return;
    fs::copy(made.path(), folder_.path(), fs::copy_options::recursive);
  }

  void make(const fs::path& folder) {
    release::KeyStoreOptions options;
    options.models = {"small"};
    ASSERT_THAT(release::init_key_store(folder / "keys", options, SystemClock().now()), IsOk());
    const fs::path stage = folder / "stage";
    fs::create_directory(stage);
    hostile::write_small_generator(stage / "float.ptl", hostile::Form::float32);
    const auto goldens =
        hostile::write_small_generator(stage / "int8-qint8.ptl", hostile::Form::qint8);
    ASSERT_THAT(
        runtime::write_tensor_file(stage / "golden_input.safetensors", goldens.golden_inputs),
        IsOk());
    ASSERT_THAT(
        runtime::write_tensor_file(stage / "golden_output.safetensors", goldens.golden_outputs),
        IsOk());
    describe(stage, goldens);
  }

  // artifact.json with the errors that the variants really show.
  void describe(const fs::path& stage, const hostile::SmallGenerator& goldens) {
    messages::StageArtifact artifact;
    artifact.model = "small";
    artifact.stage = 1;
    artifact.epoch = 20;
    artifact.data_digest = trust::sha256("data");
    artifact.code_version = "0.1.0";
    artifact.about = {{"latent", "fixed numbers"}};
    artifact.signature = goldens.signature;
    artifact.golden_calls = goldens.golden_calls;
    artifact.quality = good_quality();
    artifact.golden_input = messages::reference_file(stage, "golden_input.safetensors").value();
    artifact.golden_output = messages::reference_file(stage, "golden_output.safetensors").value();
    for (const char* name : {"float", "int8-qint8"}) {
      artifact.variants.push_back(
          {name, messages::reference_file(stage, std::string(name) + ".ptl").value(), "torch",
           "qnnpack", shown(stage, name, goldens)});
    }
    ASSERT_THAT(messages::write_artifact(stage, artifact), IsOk());
  }

  std::map<std::string, messages::ShownError> shown(const fs::path& stage,
                                                    const std::string& variant,
                                                    const hostile::SmallGenerator& goldens) {
    const auto reference = messages::reference_file(stage, variant + ".ptl").value();
    const auto blob = trust::verify_blob(stage / reference.file, reference.sha256, reference.size);
    auto runner = runtime::Runner::start(runner_options());
    if (!blob || !runner) throw std::runtime_error("no runner");
    runtime::LoadRequest load;
    load.allowed_operators = runner->inspect(*blob).value().operators;
    if (!runner->load(*blob, load)) throw std::runtime_error("not loaded");
    std::map<std::string, messages::ShownError> errors;
    const auto proof = runtime::prove(*runner, goldens.proofs);
    if (!proof) throw std::runtime_error(proof.error().message());
    for (const auto& output : proof->outputs) {
      errors[output.name] = {output.mean_abs_error, output.max_abs_error};
    }
    return errors;
  }

  // Has the next release be signed with this manifest instead of what the stage folder says.
  void replace_manifest(const messages::Manifest& manifest) {
    const auto trust = release::read_key_store(keys());
    ASSERT_THAT(trust, IsOk());
    const auto inputs = release::read_stage_inputs(stage());
    ASSERT_THAT(inputs, IsOk());
    auto store = release::StageStore::open(keys(), "small", *trust);
    ASSERT_THAT(store, IsOk());
    ASSERT_THAT(store->remember(release::identity(
                                    *inputs, *release::policy_for(inputs->artifact, {}), true),
                                messages::to_json(manifest)),
                IsOk());
  }

  Result<release::CreatedRelease> create(bool skip_host_proof = false) {
    return release::create_release(
        {stage(), keys(), release_folder(), release::Policy(), skip_host_proof},
        release::make_host_prover(runner_options()), SystemClock());
  }

  [[nodiscard]] fs::path scratch() const { return folder_.path() / "scratch"; }
  [[nodiscard]] fs::path keys() const { return folder_.path() / "keys"; }
  [[nodiscard]] fs::path stage() const { return folder_.path() / "stage"; }
  [[nodiscard]] fs::path release_folder() const { return folder_.path() / "release"; }
  [[nodiscard]] std::string bench_release() const {
    return "bench " + release_folder().string() + " --keys " + keys().string() + " --calls 20";
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(Bench, proves_and_measures_every_variant_of_a_release) {
  ASSERT_THAT(create(), IsOk());
  const ShellOutcome run = outcrop(bench_release() + " --json 2>/dev/null");
  ASSERT_EQ(run.code, 0) << run.output;
  const auto json = nlohmann::json::parse(run.output);
  EXPECT_EQ(json["subject"], "small stage 1");
  ASSERT_EQ(json["variants"].size(), 2U);
  for (const auto& variant : json["variants"]) {
    EXPECT_EQ(variant["verdict"], "ok");
    EXPECT_EQ(variant["confinement"], "full");
    EXPECT_EQ(variant["calls"], 20);
    EXPECT_EQ(variant["golden_calls"], 3);
    EXPECT_GT(variant["first_ms"].get<double>(), 0);
    EXPECT_LE(variant["p50_ms"].get<double>(), variant["p90_ms"].get<double>());
  }
  EXPECT_LT(json["variants"][0]["errors"]["velocity"]["mean_abs"].get<double>(), 0.01);
  EXPECT_GT(json["variants"][1]["errors"]["velocity"]["mean_abs"].get<double>(), 0.01);

  const ShellOutcome table = outcrop(bench_release() + " --variant int8-qint8");
  EXPECT_EQ(table.code, 0);
  EXPECT_THAT(table.output, HasSubstr("velocity against float (m/s)"));
  EXPECT_THAT(table.output, ::testing::Not(HasSubstr("\nfloat ")));
}

TEST_F(Bench, fails_a_release_of_a_tampered_weight_and_create_refuses_it_first) {
  // After the errors were recorded: what is signed is not what was quantized.
  const auto artifact = messages::read_artifact(stage());
  ASSERT_THAT(artifact, IsOk());
  hostile::write_tampered_generator(stage() / "int8-qint8.ptl");
  auto perturbed = *artifact;
  perturbed.variants[1].file = messages::reference_file(stage(), "int8-qint8.ptl").value();
  ASSERT_THAT(messages::write_artifact(stage(), perturbed), IsOk());
  EXPECT_THAT(create(), ErrorIs(ErrorCode::refused, HasSubstr("int8-qint8")));
  EXPECT_FALSE(fs::exists(release_folder()));

  ASSERT_THAT(create(/*skip_host_proof=*/true), IsOk());
  const ShellOutcome run = outcrop(bench_release());
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.output, HasSubstr("--skip-host-proof"));
  EXPECT_THAT(run.output, HasSubstr("int8-qint8: the proof failed: output 'velocity' is off by"));
}

TEST_F(Bench, refuses_goldens_that_are_not_what_the_signed_manifest_describes) {
  fs::create_directory(scratch());
  fs::copy(keys(), scratch() / "keys", fs::copy_options::recursive);
  const auto honest = release::create_release(
      {stage(), scratch() / "keys", scratch() / "release", release::Policy(), true},
      release::make_host_prover(runner_options()), SystemClock());
  ASSERT_THAT(honest, IsOk());
  messages::Manifest manifest = honest->manifest;
  manifest.golden.calls.pop_back();
  replace_manifest(manifest);
  ASSERT_THAT(create(/*skip_host_proof=*/true), IsOk());
  const ShellOutcome run = outcrop(bench_release());
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.output, HasSubstr("the golden input holds 'latent', which no call names"));
  EXPECT_THAT(run.output, ::testing::Not(HasSubstr("p50")));
}

TEST_F(Bench, refuses_a_flipped_bit_by_its_digest) {
  const auto created = create();
  ASSERT_THAT(created, IsOk());
  for (const auto& entry : fs::recursive_directory_iterator(release_folder())) {
    if (entry.path().filename() != created->manifest.variants[1].blob.sha256.hex()) continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(5000);
    const char byte = static_cast<char>(file.get() ^ 1);
    file.seekp(5000);
    file.put(byte);
  }
  const ShellOutcome run = outcrop(bench_release());
  EXPECT_EQ(run.code, 1);
  EXPECT_THAT(run.output, HasSubstr("the digest is"));
  EXPECT_THAT(run.output, ::testing::Not(HasSubstr("p50")));
}

TEST_F(Bench, says_that_a_bare_file_is_not_verified_and_wants_to_be_asked_for_it) {
  const std::string file = (stage() / "float.ptl").string();
  const ShellOutcome refused = outcrop("bench " + file);
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.output, HasSubstr("--unverified"));
  const ShellOutcome run = outcrop("bench " + file + " --unverified --calls 4");
  EXPECT_EQ(run.code, 0) << run.output;
  EXPECT_THAT(run.output, HasSubstr("NOT VERIFIED"));
  EXPECT_THAT(outcrop(bench_release() + " --variant int4").output, HasSubstr("release"));
}

TEST_F(Bench, names_the_share_of_a_bare_files_numbers_that_are_none_and_times_it_all_the_same) {
  const fs::path file = stage() / "lost.ptl";
  hostile::write_partly_finite(file);
  const ShellOutcome run = outcrop("bench " + file.string() + " --unverified --calls 4");
  EXPECT_EQ(run.code, 1) << run.output;
  EXPECT_THAT(run.output, HasSubstr("output 2 of forward holds 2 of 10 values that are not finite (20 %)"));
  const ShellOutcome json = outcrop("bench " + file.string() + " --unverified --calls 4 --json 2>/dev/null");
  const auto variant = nlohmann::json::parse(json.output)["variants"][0];
  EXPECT_EQ(variant["verdict"], "invalid data");
  EXPECT_EQ(variant["calls"], 4);
}

TEST_F(Bench, runs_the_runner_that_it_is_told) {
  // A launcher of the runner's own name, as an emulator needs one; it leaves a mark.
  const fs::path script = stage() / "runner";
  const fs::path mark = stage() / "was-here";
  std::ofstream(script) << "#!/bin/sh\ntouch " << mark.string() << "\nexec " << OUTCROP_BIN
                        << "/outcrop-runner-torch \"$@\"\n";
  fs::permissions(script, fs::perms::owner_all);
  const std::string rest = (stage() / "float.ptl").string() + " --unverified --calls 2 --runner ";
  const ShellOutcome run = outcrop("bench " + rest + script.string());
  EXPECT_EQ(run.code, 0) << run.output;
  EXPECT_TRUE(fs::exists(mark));
  const ShellOutcome none = outcrop("bench " + rest + "/no/such/runner");
  EXPECT_EQ(none.code, 2);
  EXPECT_THAT(none.output, HasSubstr("/no/such/runner"));
}

}  // namespace
}  // namespace outcrop
