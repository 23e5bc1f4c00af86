#include <gmock/gmock.h>

#include <fstream>

#include <nlohmann/json.hpp>

#include "protocol/base/clock.hpp"
#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "trainer_host/release/release_fixture.hpp"

namespace outcrop::release {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

ShellOutcome run(const std::string& arguments) {
  return run_shell(OUTCROP_BIN "/outcrop " + arguments);
}

// A release made now, by the system's clock, since the program has no other.
class ReleaseVerbsTest : public ReleaseTest {
 protected:
  void SetUp() override {
    ReleaseTest::SetUp();
    fs::remove_all(keys_);
    const ShellOutcome made =
        run("keys init --dir " + keys_.string() + " --model curvefault --model flatvel");
    ASSERT_EQ(made.code, 0) << made.output;
    EXPECT_THAT(made.output, HasSubstr("Move this folder to a medium that you keep"));
    const HostProver prover = [this](const HostProofRequest&) -> Result<HostProof> {
      return proof_;
    };
    ASSERT_THAT(create_release(request(), prover, SystemClock()), IsOk());
  }
  std::string release() const { return (folder_.path() / "release").string(); }
  std::string keys() const { return " --keys " + keys_.string(); }
};

TEST_F(ReleaseVerbsTest, verify_lists_every_check_and_says_whom_it_trusts) {
  const ShellOutcome good = run("release verify " + release() + keys());
  EXPECT_EQ(good.code, 0) << good.output;
  EXPECT_THAT(good.output, HasSubstr("metadata/1.root.json (version 1, sha256"));
  EXPECT_THAT(good.output, HasSubstr("variant int8-qint8, chunk table  ok"));
  const ShellOutcome by_root = run("release verify " + release() + " --json --root " +
                                   (keys_ / "metadata/1.root.json").string());
  EXPECT_EQ(by_root.code, 0) << by_root.output;
  EXPECT_TRUE(nlohmann::json::parse(by_root.output)["good"].get<bool>());
}

TEST_F(ReleaseVerbsTest, verify_fails_and_names_the_damage) {
  for (const auto& entry : fs::directory_iterator(folder_.path() / "release/blobs")) {
    if (entry.file_size() > 90'000) std::ofstream(entry.path(), std::ios::app) << "x";
  }
  const ShellOutcome bad = run("release verify " + release() + keys());
  EXPECT_EQ(bad.code, 1) << bad.output;
  EXPECT_THAT(bad.output, HasSubstr("FAILED"));
  EXPECT_THAT(bad.output, HasSubstr("is not good"));
}

TEST_F(ReleaseVerbsTest, show_tells_how_good_the_model_is_and_what_is_against_float) {
  const auto shown = run("release show " + release() + keys());
  ASSERT_EQ(shown.code, 0) << shown.output;
  for (const char* text : {"64 held-out samples", "the model (float)", "mean of the training data",
                           "seismic RMSE, pressure", "0.819", "0.929",
                           "drawn velocity: 16 samples lie 690 (RMS, m/s) from that mean",
                           "velocity tolerance against float (mean / max)"}) {
    EXPECT_THAT(shown.output, HasSubstr(text));
  }
  const auto json =
      nlohmann::json::parse(run("release show --json " + release() + keys()).output);
  EXPECT_EQ(json["quality"]["baselines"][0]["outputs"]["seismic"]["rmse"], 0.929);
}

TEST_F(ReleaseVerbsTest, create_says_what_a_policy_may_ask_and_refuses_by_it) {
  const auto create = [&](const std::string& policy) {
    std::ofstream(folder_.path() / "policy.toml") << policy;
    return run("release create " + stage_folder_.string() + keys() + " --policy " +
               (folder_.path() / "policy.toml").string() + " --out " +
               (folder_.path() / "other").string());
  };
  const ShellOutcome strict = create("minimum_quality = 0.5\n");
  EXPECT_EQ(strict.code, 1);
  EXPECT_THAT(strict.output, HasSubstr("minimum_quality 0.5 asks for less than 0.4645 pressure"));
  EXPECT_EQ(create("minimum_quality = \"good\"\n").code, 2);
  const std::string help = run("release create --help").output;
  for (const char* key : {"minimum_quality", "most_spread", "factor", "agreement", "expires_days",
                          "floor_mean_abs", "cap_max_abs", "docs/release-policy.md"}) {
    EXPECT_THAT(help, HasSubstr(key));
  }
}

TEST_F(ReleaseVerbsTest, revoked_releases_are_neither_verified_nor_shown) {
  const auto shown = run("release show --json " + release() + keys());
  ASSERT_EQ(shown.code, 0) << shown.output;
  const auto json = nlohmann::json::parse(shown.output);
  EXPECT_EQ(json["manifest"]["model"], "curvefault");
  const ShellOutcome revoked =
      run("keys revoke --dir " + keys_.string() + " --reason 'bad data' --manifest " +
          json["manifest_sha256"].get<std::string>());
  EXPECT_EQ(revoked.code, 0) << revoked.output;
  const ShellOutcome after = run("release show " + release() + keys());
  EXPECT_EQ(after.code, 1);
  EXPECT_THAT(after.output, HasSubstr("was revoked on"));
  EXPECT_EQ(run("release verify " + release() + keys()).code, 1);
}

TEST_F(ReleaseVerbsTest, keys_for_a_further_model_are_made_beside_the_others) {
  const ShellOutcome added = run("keys add-model --dir " + keys_.string() + " marmousi");
  EXPECT_EQ(added.code, 0) << added.output;
  EXPECT_THAT(added.output, HasSubstr("device enroll NAME --class CLASS --model marmousi"));
  EXPECT_TRUE(fs::exists(keys_ / "stages/marmousi/stage.key"));
  EXPECT_EQ(run("release verify " + release() + keys()).code, 0) << "what was signed before holds";
  const ShellOutcome again = run("keys add-model --dir " + keys_.string() + " marmousi");
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.output, HasSubstr("signs stages of 'marmousi' already"));
}

TEST_F(ReleaseVerbsTest, values_in_json_are_values) {
  const auto json = nlohmann::json::parse(run("release show --json " + release() + keys()).output);
  EXPECT_EQ(json["trust_root"]["version"], 1);
  EXPECT_EQ(json["trust_root"]["sha256"].get<std::string>().size(), 64U);
  EXPECT_EQ(json["trust_root"]["file"], (keys_ / "metadata/1.root.json").string());
}

// What bash offers for the last of these words.
std::string offered_by_bash(const std::string& words) {
  return run_shell("PATH='" OUTCROP_BIN "':$PATH bash -c '. \"$0\"; COMP_WORDS=(" + words +
                   "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _outcrop; "
                   "printf \"%s\\n\" \"${COMPREPLY[@]}\"' '" OUTCROP_BUILD
                   "/completion/bash/outcrop'")
      .output;
}

TEST(Completion, bash_offers_what_the_program_takes) {
  EXPECT_EQ(offered_by_bash("outcrop rollout sta"), "start\nstatus\n");
  EXPECT_EQ(offered_by_bash("outcrop rollout start --on-unmeasurable f"), "fail\n");
  EXPECT_EQ(offered_by_bash("outcrop release verify --ke"), "--keys\n");
  EXPECT_EQ(offered_by_bash("outcrop help keys ren"), "renew\n");
}

TEST(ManualPage, is_made_with_the_program) {
  const auto page = read_text_file(OUTCROP_BUILD "/man/outcrop.1", ByteCount::mib(1));
  ASSERT_THAT(page, IsOk());
  EXPECT_THAT(*page, ::testing::AllOf(HasSubstr(".SS outcrop keys add\\-model\n"),
                                      HasSubstr("\\-\\-on\\-unmeasurable"),
                                      HasSubstr(".SH ENVIRONMENT")));
}

// Two persons, two machines: neither alone changes what boards believe.
TEST_F(ReleaseVerbsTest, a_role_of_two_signers_changes_by_both_alone) {
  const std::string dir = " --dir " + keys_.string();
  const std::string alice = (folder_.path() / "alice.key").string();
  const std::string copy = (folder_.path() / "copy.json").string();
  const std::string request = (keys_ / "request.json").string();
  ASSERT_EQ(run("keys make-key " + alice).code, 0);
  ASSERT_EQ(run("keys add-key root " + alice + dir).code, 0);
  const ShellOutcome alone = run("keys threshold root 2" + dir);
  EXPECT_EQ(alone.code, 1);
  EXPECT_THAT(alone.output, HasSubstr("root is signed by 1 of the 2 keys"));
  const ShellOutcome asked = run("keys threshold root 2 --request" + dir);
  EXPECT_EQ(asked.code, 0);
  EXPECT_THAT(asked.output, HasSubstr(request + " waits for signatures"));
  const ShellOutcome shown = run("keys sign " + request);
  EXPECT_THAT(shown.output, ::testing::AllOf(HasSubstr("root version 3 (before: 2), valid until"), HasSubstr("  ! threshold of root: 2 (before: 1)"), HasSubstr("Missing:")));
  EXPECT_EQ(run("keys join " + request + dir).code, 1) << "it brings nothing";
  ASSERT_EQ(run("keys sign " + request + " --key " + alice + " --out " + copy).code, 0);
  EXPECT_EQ(run("keys sign " + copy + " --key " + alice).code, 1) << "a key counts once";
  EXPECT_THAT(run("keys sign " + copy).output, HasSubstr("All have signed; where the key folder is: outcrop keys join " + copy + " --dir KEYS"));
  const auto version = [&] { return nlohmann::json::parse(run("keys show --json" + dir).output)["root_version"]; };
  EXPECT_EQ(version(), 2);
  const std::string bad = (folder_.path() / "bad.json").string();
  ASSERT_THAT(write_file_durably(bad, "{\"type\": \"cut o"), IsOk());
  const ShellOutcome useless = run("keys join " + bad + dir);
  EXPECT_EQ(useless.code, 1);
  EXPECT_THAT(useless.output, HasSubstr(bad));
  EXPECT_EQ(version(), 2);
  const ShellOutcome joined = run("keys join " + bad + " " + copy + dir);
  ASSERT_EQ(joined.code, 0) << joined.output;
  EXPECT_THAT(joined.output, ::testing::AllOf(HasSubstr("left aside: "), HasSubstr(bad)));
  EXPECT_EQ(version(), 3);
  // By the first digits of its id.
  const std::string id = nlohmann::json::parse(run("keys show --json" + dir).output)["roles"]["root"]["keyids"][0];
  EXPECT_THAT(run("keys remove-key root " + id.substr(0, 12) + dir).output, HasSubstr("would have fewer keys"));
  EXPECT_EQ(run("keys remove-key root zz" + dir).code, 2);
  EXPECT_THAT(run("keys add-key root nonsense" + dir).output, HasSubstr("64 hexadecimal digits"));
  EXPECT_EQ(run("keys drop" + dir).code, 1) << "nothing waits any more";
  EXPECT_EQ(run("keys threshold root 9" + dir).code, 2);
}

TEST_F(ReleaseVerbsTest, wrong_use_is_told_from_failure) {
  EXPECT_EQ(run("release verify").code, 2);
  EXPECT_EQ(run("keys init --dir " + (folder_.path() / "k").string() + " --model 'Bad Name'").code,
            2);
  EXPECT_EQ(run("keys revoke --dir " + keys_.string() + " --reason x --manifest zz").code, 2);
  const ShellOutcome again = run("keys init --dir " + keys_.string() + " --model a");
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.output, HasSubstr("never overwritten"));
  EXPECT_THAT(run("release create --help").output, HasSubstr("Example:"));
}

}  // namespace
}  // namespace outcrop::release
