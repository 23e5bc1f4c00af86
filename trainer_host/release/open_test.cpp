#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>
#include <functional>
#include <span>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "trainer_host/release/release_fixture.hpp"

namespace outcrop::release {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class OpenTest : public ReleaseTest {
 protected:
  void SetUp() override {
    ReleaseTest::SetUp();
    created_ = create(request());
    ASSERT_THAT(created_, IsOk());
  }

  fs::path metadata(const std::string& name) const {
    return folder_.path() / "release" / "metadata" / name;
  }
  fs::path blob(const trust::Sha256Digest& digest) const {
    return folder_.path() / "release" / "blobs" / digest.hex();
  }
  trust::PrivateKey stage_key(const std::string& model) const {
    return *trust::PrivateKey::read_pem(keys_ / "stages" / model / "stage.key");
  }
  // Signs a list for "curvefault" and puts it into the release.
  void sign_list(const trust::StageMetadata& list, const trust::PrivateKey& key) const {
    ASSERT_TRUE(write_file_durably(
        metadata("stage-curvefault.json"),
        trust::sign_envelope("stage", as_bytes(trust::to_json(list)), std::span(&key, 1))));
  }
  // The list that permits exactly this text as a manifest, which is put into the release.
  void permit_text(const std::string& text) const {
    fs::remove(blob(created_->manifest_digest));
    ASSERT_TRUE(write_file_durably(blob(trust::sha256(text)), text));
    trust::StageMetadata list;
    list.expires = clock_.now() + std::chrono::days(1);
    list.model = "curvefault";
    list.releases = {{trust::sha256(text), ByteCount(text.size()), 1, 20}};
    sign_list(list, stage_key("curvefault"));
  }
  std::string manifest_text() const { return *read_text_file(blob(created_->manifest_digest)); }

  Result<CreatedRelease> created_ = fail(ErrorCode::internal, "not made");
};

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return at == std::string::npos ? text : text.replace(at, what.size(), by);
}

TEST_F(OpenTest, names_every_step_of_the_chain) {
  Checks checks;
  ASSERT_THAT(open("release", &checks), IsOk());
  std::vector<std::string> names;
  for (const Check& check : checks) names.push_back(check.what);
  EXPECT_THAT(names,
              ::testing::ElementsAre("root", "targets", "revoked", "model", "stage-curvefault",
                                     "listed", "not revoked", "manifest"));
}

TEST_F(OpenTest, refuses_a_release_without_signature) {
  const std::string list = *read_text_file(metadata("stage-curvefault.json"));
  const std::size_t at = list.find("\"signatures\":[");
  ASSERT_TRUE(write_file_durably(metadata("stage-curvefault.json"),
                                 list.substr(0, at) + "\"signatures\":[]}"));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::untrusted, HasSubstr("not signed")));
  fs::remove(metadata("targets.json"));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::untrusted, HasSubstr("not signed")));
}

TEST_F(OpenTest, refuses_a_strangers_signature) {
  sign_list(*open()->stage(), *trust::PrivateKey::generate());
  EXPECT_THAT(open(), ErrorIs(ErrorCode::untrusted, HasSubstr("does not name")));
}

TEST_F(OpenTest, refuses_a_whole_release_from_another_root) {
  KeyStoreOptions options;
  options.models = {"curvefault"};
  ASSERT_TRUE(init_key_store(folder_.path() / "strange", options, clock_.now()));
  const auto strange = read_key_store(folder_.path() / "strange");
  ASSERT_THAT(strange, IsOk());
  EXPECT_THAT(open_release(folder_.path() / "release", strange->root, clock_),
              ErrorIs(ErrorCode::untrusted, HasSubstr("role targets does not name")));
}

TEST_F(OpenTest, refuses_the_stage_key_of_another_model) {
  sign_list(*open()->stage(), stage_key("flatvel"));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::untrusted,
                              HasSubstr("signed by the stage key of the model 'flatvel'")));
}

TEST_F(OpenTest, refuses_what_has_expired) {
  clock_.advance(std::chrono::days(364));
  EXPECT_THAT(open(), IsOk());
  clock_.advance(std::chrono::days(1));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::expired, HasSubstr("targets: expired on")));
  ASSERT_THAT(renew_targets(keys_, std::chrono::days(365), clock_.now()), IsOk());
  EXPECT_THAT(create(request("renewed")), IsOk());
  EXPECT_THAT(open("renewed"), IsOk());
}

TEST_F(OpenTest, refuses_an_expired_list_of_releases) {
  trust::StageMetadata list = *open()->stage();
  list.expires = clock_.now();
  sign_list(list, stage_key("curvefault"));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::expired, HasSubstr("stage-curvefault")));
}

TEST_F(OpenTest, refuses_a_release_revoked_after_it_was_made) {
  const trust::Revocation revoked{created_->manifest_digest, "trained on bad data", clock_.now()};
  ASSERT_THAT(revoke_manifest(keys_, revoked, std::chrono::days(365), clock_.now()), IsOk());
  EXPECT_THAT(open(), ErrorIs(ErrorCode::revoked, HasSubstr("trained on bad data")));
  fs::copy_file(keys_ / "metadata/revoked.json", metadata("revoked.json"),
                fs::copy_options::overwrite_existing);
  const auto pinned = pin_root_file(keys_ / "metadata/1.root.json");
  EXPECT_THAT(open_release(folder_.path() / "release", *pinned, clock_),
              ErrorIs(ErrorCode::revoked, HasSubstr("trained on bad data")));
}

TEST_F(OpenTest, refuses_releases_of_a_revoked_stage_key) {
  const trust::Revocation revoked{stage_key("curvefault").public_key().id(), "stolen laptop",
                                  clock_.now()};
  ASSERT_THAT(revoke_key(keys_, revoked, std::chrono::days(365), clock_.now()), IsOk());
  EXPECT_THAT(open(), ErrorIs(ErrorCode::revoked, HasSubstr("stolen laptop")));
  EXPECT_THAT(create(request("again")), ErrorIs(ErrorCode::revoked, HasSubstr("stolen laptop")));
}

TEST_F(OpenTest, refuses_a_blob_of_another_digest_or_length) {
  const auto release = open();
  ASSERT_THAT(release, IsOk());
  const messages::BlobReference reference = release->manifest().variants[1].blob;
  const std::string good = *read_text_file(blob(reference.sha256));
  std::string bad = good;
  bad[77] ^= 1;
  ASSERT_TRUE(write_file_durably(blob(reference.sha256), bad));
  EXPECT_THAT(release->blob(reference), ErrorIs(ErrorCode::untrusted, HasSubstr("digest")));
  ASSERT_TRUE(write_file_durably(blob(reference.sha256), good + "x"));
  EXPECT_THAT(release->blob(reference), ErrorIs(ErrorCode::untrusted, HasSubstr("length")));
  int failed = 0;
  for (const Check& check : check_blobs(*release)) {
    if (check.status) continue;
    ++failed;
    EXPECT_EQ(check.what, "variant int8-qint8");
  }
  EXPECT_EQ(failed, 1);
}

TEST_F(OpenTest, refuses_a_changed_manifest) {
  std::string text = manifest_text();
  ASSERT_TRUE(
      write_file_durably(blob(created_->manifest_digest),
                         replaced(text, "\"host_proof\": \"done\"", "\"host_proof\": \"dxne\"")));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::untrusted, HasSubstr("digest")));
}

TEST_F(OpenTest, refuses_a_manifest_that_is_too_large_before_reading_it) {
  permit_text(manifest_text() + std::string(300'000, ' '));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data, HasSubstr("more than the 262.14 kB")));
}

TEST_F(OpenTest, refuses_a_manifest_that_is_too_new) {
  const std::string good = manifest_text();
  permit_text(replaced(replaced(good, "\"minimum_protocol\": 4", "\"minimum_protocol\": 99"),
                       "\"about\"", "\"about_of_protocol_99\""));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::unsupported, HasSubstr("too new: it needs protocol 99")));
}

TEST_F(OpenTest, refuses_a_manifest_for_a_newer_agent) {
  const std::string good = manifest_text();
  permit_text(replaced(good, "\"minimum_agent\": \"0.", "\"minimum_agent\": \"99."));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::unsupported, HasSubstr("it needs outcrop 99.")));
}

TEST_F(OpenTest, refuses_unknown_and_duplicate_keys_in_a_signed_manifest) {
  const std::string good = manifest_text();
  permit_text(replaced(good, "{", "{\"surprise\": 1,"));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data, HasSubstr("surprise: is an unknown key")));
}

TEST_F(OpenTest, refuses_duplicate_keys_in_a_signed_manifest) {
  const std::string good = manifest_text();
  permit_text(replaced(good, "{", "{\"model\": \"other\","));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::invalid_data, HasSubstr("'model' stands twice")));
}

TEST_F(OpenTest, refuses_a_manifest_of_another_model_or_stage_than_was_signed) {
  const std::string good = manifest_text();
  permit_text(replaced(good, "\"stage\": 1", "\"stage\": 3"));
  EXPECT_THAT(open(), ErrorIs(ErrorCode::untrusted, HasSubstr("was signed as")));
}

// One that nobody reads on the way would fail at publish.
TEST_F(OpenTest, refuses_a_root_that_the_others_do_not_follow) {
  const auto release = open();
  ASSERT_THAT(release, IsOk());
  ASSERT_TRUE(write_file_durably(folder_.path() / "release/metadata/1.root.json", "garbage"));
  const Checks checks = check_blobs(*release);
  EXPECT_THAT(checks[checks.size() - 2].status,
              ErrorIs(ErrorCode::invalid_data, HasSubstr("1.root.json")));
}

TEST_F(OpenTest, refuses_strays_and_missing_blobs) {
  const auto release = open();
  ASSERT_THAT(release, IsOk());
  // What a file manager leaves is nobody's part of a release, and read by nobody.
  fs::create_directory(folder_.path() / "release/.Trash-0");
  ASSERT_TRUE(write_file_durably(folder_.path() / "release/.Trash-0/old", "x"));
  ASSERT_TRUE(write_file_durably(folder_.path() / "release/blobs/.DS_Store", "x"));
  EXPECT_THAT(check_blobs(*release).back().status, IsOk());
  ASSERT_TRUE(write_file_durably(folder_.path() / "release/blobs/extra", "x"));
  EXPECT_THAT(check_blobs(*release).back().status,
              ErrorIs(ErrorCode::untrusted, HasSubstr("extra")));
  fs::remove(folder_.path() / "release/blobs/extra");
  ASSERT_TRUE(write_file_durably(folder_.path() / "release/blobs/\033]0;owned\007", "x"));
  EXPECT_THAT(check_blobs(*release).back().status,
              ErrorIs(ErrorCode::untrusted, HasSubstr("?]0;owned?"))) << "a name for a terminal";
  fs::remove(folder_.path() / "release/blobs/\033]0;owned\007");
  const fs::path output = blob(release->manifest().golden.output.sha256);
  fs::rename(output, folder_.path() / "elsewhere");
  fs::create_symlink(folder_.path() / "elsewhere", output);
  EXPECT_THAT(check_blobs(*release).back().status,
              ErrorIs(ErrorCode::untrusted, HasSubstr("is a link")));
  fs::remove(output);
  EXPECT_THAT(check_blobs(*release)[2].status, ErrorIs(ErrorCode::not_found, HasSubstr("opening")));
}

TEST_F(OpenTest, refuses_any_flipped_byte_of_the_signed_files) {
  for (const char* name : {"targets.json", "revoked.json", "stage-curvefault.json"}) {
    const std::string good = *read_text_file(metadata(name));
    for (std::size_t i = 0; i < good.size(); i += 7) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 0x10);
      std::ofstream(metadata(name), std::ios::binary) << bad;
      EXPECT_FALSE(open()) << name << ", byte " << i;
    }
    std::ofstream(metadata(name), std::ios::binary) << good;
  }
  EXPECT_THAT(open(), IsOk());
}

TEST_F(OpenTest, follows_a_new_root_that_an_old_one_signed) {
  const auto old_root = pin_root_file(keys_ / "metadata/1.root.json");
  ASSERT_THAT(old_root, IsOk());
  trust::RootMetadata next = **old_root;
  next.version = 2;
  next.expires += std::chrono::days(100);
  const auto key = *trust::PrivateKey::read_pem(keys_ / "offline/root.key");
  const std::string envelope =
      trust::sign_envelope("root", as_bytes(trust::to_json(next)), std::span(&key, 1));
  ASSERT_TRUE(write_file_durably(keys_ / "metadata/2.root.json", envelope));
  ASSERT_THAT(create(request("second")), IsOk());
  const auto release = open_release(folder_.path() / "second", *old_root, clock_);
  ASSERT_THAT(release, IsOk());
  EXPECT_EQ(release->root()->version, 2U);
  const std::string damaged = replaced(envelope, "\"sig\":\"", "\"sig\":\"A");
  ASSERT_TRUE(write_file_durably(folder_.path() / "second/metadata/2.root.json", damaged));
  EXPECT_FALSE(open_release(folder_.path() / "second", *old_root, clock_));
}

}  // namespace
}  // namespace outcrop::release
