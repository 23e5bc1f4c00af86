#include "trainer_host/release/signing_request.hpp"

#include <gmock/gmock.h>

#include "protocol/base/durable_file.hpp"
#include "protocol/trust/new_key_for_tests.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/release/delegate.hpp"
#include "trainer_host/release/role_change.hpp"
#include "trainer_host/release/rotate.hpp"
#include "trainer_host/release/sign_documents.hpp"
#include "trainer_host/release/stage_store.hpp"

namespace outcrop::release {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using trust::PrivateKey;

constexpr Timestamp signed_at{std::chrono::seconds(1'800'000'000)};
constexpr std::chrono::days a_year{365};

// A key folder, and a person with a key elsewhere.
class SigningRequestTest : public ::testing::Test {
 protected:
  SigningRequestTest() {
    KeyStoreOptions options;
    options.models = {"curvefault"};
    EXPECT_THAT(init_key_store(keys_, options, signed_at), IsOk());
  }
  KeyStoreTrust store() { return *read_key_store(keys_); }
  SigningRequest waiting() { return *read_request(request_file(keys_)); }
  SigningRequest signed_by(const PrivateKey& key) {
    SigningRequest copy = waiting();
    EXPECT_THAT(copy.sign(SigningKey(key)), IsOk());
    // As it travels.
    return *SigningRequest::parse(copy.to_json());
  }
  Result<std::vector<std::string>> join(const std::vector<SigningRequest>& requests) {
    std::vector<SignedCopy> copies;
    for (const SigningRequest& request : requests) copies.push_back({"copy-" + std::to_string(copies.size()), request});
    return join_request(keys_, std::nullopt, copies);
  }
  // Root, targets and revoked ask for two signatures, of which Alice's is made elsewhere.
  void two_of_two() {
    for (const char* role : {"root", "targets", "revoked"}) {
      ASSERT_THAT(add_key(keys_, role, alice_.public_key(), Missing::refuse), IsOk());
    }
    for (const char* role : {"targets", "revoked", "root"}) {
      EXPECT_THAT(set_threshold(keys_, role, 2, Missing::refuse), ErrorIs(ErrorCode::refused, HasSubstr("1 of the 2")));
      ASSERT_THAT(set_threshold(keys_, role, 2, Missing::request), IsOk());
      ASSERT_THAT(join({signed_by(alice_)}), IsOk()) << role;
    }
  }

  TemporaryFolder folder_;
  fs::path keys_ = folder_.path() / "keys";
  KeyStorePaths paths_{keys_};
  PrivateKey alice_ = trust::new_key();
};

TEST_F(SigningRequestTest, nothing_counts_before_as_many_have_signed_as_the_role_asks_for) {
  two_of_two();
  const auto before = store();
  EXPECT_EQ(before.root->roles.at("root").threshold, 2U);
  EXPECT_EQ(before.root->roles.at("targets").threshold, 2U);
  EXPECT_THAT(renew_targets(keys_, a_year, signed_at), ErrorIs(ErrorCode::refused, HasSubstr("targets is signed by 1 of the 2")));
  EXPECT_FALSE(fs::exists(request_file(keys_)));
  ASSERT_THAT(renew_targets(keys_, a_year, signed_at, Missing::request), IsOk());
  EXPECT_EQ(store().targets->version, before.targets->version);
  EXPECT_THAT(waiting_requests(keys_), SizeIs(1));
  EXPECT_THAT(renew_targets(keys_, a_year, signed_at, Missing::request), ErrorIs(ErrorCode::refused, HasSubstr("waits for signatures")));
  EXPECT_THAT(join({}), ErrorIs(ErrorCode::refused, HasSubstr("1 of these is missing: " + alice_.public_key().id().short_hex())));
  EXPECT_THAT(*waiting().in_words(), HasSubstr("targets version " + std::to_string(before.targets->version + 1) + " (before: " + std::to_string(before.targets->version) + ")"));
  ASSERT_THAT(join({signed_by(alice_)}), IsOk());
  EXPECT_EQ(store().targets->version, before.targets->version + 1);
  EXPECT_EQ(store().revoked->version, before.revoked->version + 1);
  EXPECT_THAT(waiting_requests(keys_), IsEmpty());
}

TEST_F(SigningRequestTest, shows_what_changes_and_what_stays) {
  const auto own = store().root->roles.at("root").keyids.front();
  const auto shown = [&] { return *waiting().in_words(); };
  const std::string alice = alice_.public_key().id().hex();
  ASSERT_THAT(add_key(keys_, "root", alice_.public_key(), Missing::refuse), IsOk());
  ASSERT_THAT(set_threshold(keys_, "root", 2, Missing::request), IsOk());
  EXPECT_THAT(shown(), AllOf(HasSubstr("root version 3 (before: 2)"), HasSubstr("  ! threshold of root: 2 (before: 1)\n"),
                             HasSubstr("    key of root " + alice + "\n"), HasSubstr("    key of root " + own.hex() + "\n")));
  ASSERT_THAT(drop_request(keys_, std::nullopt), IsOk());
  fs::rename(keys_ / "offline", folder_.path() / "offline");
  ASSERT_THAT(add_key(keys_, "targets", alice_.public_key(), Missing::request), IsOk());
  EXPECT_THAT(shown(), HasSubstr("  + key of targets " + alice + "\n"));
  ASSERT_THAT(drop_request(keys_, std::nullopt), IsOk());
  ASSERT_THAT(remove_key(keys_, "root", own, Missing::request), IsOk());
  EXPECT_THAT(shown(), HasSubstr("  - key of root " + own.hex() + "\n"));
  ASSERT_THAT(drop_request(keys_, std::nullopt), IsOk());
  fs::rename(folder_.path() / "offline", keys_ / "offline");
  const trust::Revocation first{trust::sha256("bad"), "first", signed_at};
  ASSERT_THAT(revoke_manifest(keys_, first, a_year, signed_at), IsOk());
  fs::rename(keys_ / "offline", folder_.path() / "offline");
  ASSERT_THAT(revoke_manifest(keys_, {trust::sha256("worse"), "second", signed_at}, 2 * a_year, signed_at, Missing::request), IsOk());
  EXPECT_THAT(shown(), AllOf(HasSubstr("    release " + first.what.hex() + ": first"), HasSubstr("  + release " + trust::sha256("worse").hex() + ": second"),
                             HasSubstr("valid until " + to_rfc3339(signed_at + 2 * a_year) + " (before: " + to_rfc3339(signed_at + a_year))));
  EXPECT_EQ(*SigningRequest::parse(waiting().to_json())->in_words(), shown()) << "it travels";
  EXPECT_THAT(shown(), testing::Not(HasSubstr("not signed as it should be")));
}

// Who would have it signed may give what was never signed as the document before.
TEST_F(SigningRequestTest, says_where_what_it_is_compared_with_was_not_signed) {
  trust::RevokedMetadata next = *store().revoked;
  const auto envelope = [](const trust::RevokedMetadata& list) {
    return trust::write_envelope("revoked", as_bytes(trust::to_json(list)), {});
  };
  const std::string forged = envelope(next);
  ++next.version;
  const auto request = SigningRequest::make(store().root.envelope(), store().targets.envelope(), {{"revoked", envelope(next)}}, {forged, ""});
  ASSERT_THAT(request, IsOk());
  EXPECT_THAT(*request->in_words(), HasSubstr("what it is compared with is not signed as it should be now: "));
}

TEST_F(SigningRequestTest, what_is_missing_says_by_which_root) {
  const PrivateKey bob = trust::new_key();
  ASSERT_THAT(add_key(keys_, "root", alice_.public_key(), Missing::refuse), IsOk());
  ASSERT_THAT(set_threshold(keys_, "root", 2, Missing::request), IsOk());
  ASSERT_THAT(join({signed_by(alice_)}), IsOk());
  fs::rename(keys_ / "offline", folder_.path() / "offline");
  ASSERT_THAT(remove_key(keys_, "root", alice_.public_key().id(), Missing::request), ErrorIs(ErrorCode::refused, HasSubstr("fewer keys")));
  ASSERT_THAT(add_key(keys_, "root", bob.public_key(), Missing::request), IsOk());
  EXPECT_THAT(*waiting().missing(),
              ElementsAre(AllOf(HasSubstr("asks for by root version 3; 2 of these are missing"), testing::Not(HasSubstr(bob.public_key().id().short_hex()))),
                          AllOf(HasSubstr("asks for by root version 4; 2 of these are missing"), HasSubstr(bob.public_key().id().short_hex()))));
}

TEST_F(SigningRequestTest, of_several_copies_those_of_use_are_taken_and_the_others_named) {
  two_of_two();
  const PrivateKey bob = trust::new_key();
  ASSERT_THAT(add_key(keys_, "targets", bob.public_key(), Missing::request), IsOk());
  ASSERT_THAT(join({signed_by(alice_)}), IsOk());
  ASSERT_THAT(renew_targets(keys_, a_year, signed_at, Missing::request), IsOk());
  const SigningRequest unsigned_copy = waiting();
  const SigningRequest by_bob = signed_by(bob);
  EXPECT_THAT(join({unsigned_copy, by_bob}), ErrorIs(ErrorCode::refused, AllOf(HasSubstr("copy-0: "), HasSubstr("revoked is signed by 1 of the 2"))));
  EXPECT_THAT(join({by_bob}), ErrorIs(ErrorCode::refused, HasSubstr("copy-0: the copy brings no signature")));
  const auto left_aside = join({unsigned_copy, signed_by(alice_)});
  ASSERT_THAT(left_aside, IsOk());
  EXPECT_THAT(*left_aside, ElementsAre(HasSubstr("copy-0: the copy brings no signature")));
}

TEST_F(SigningRequestTest, says_what_to_do_by_commands_that_can_be_pasted) {
  const auto at = [&](const char* folder) { return join_request(folder_.path() / folder, std::nullopt, {}); };
  EXPECT_THAT(at("keys"), ErrorIs(ErrorCode::not_found, AllOf(HasSubstr("nothing waits"), HasSubstr("again"), HasSubstr("--request"))));
  EXPECT_THAT(at("elsewhere"), ErrorIs(ErrorCode::not_found, HasSubstr("is not a key folder")));
  EXPECT_THAT(drop_request(folder_.path() / "elsewhere", std::nullopt), ErrorIs(ErrorCode::not_found, HasSubstr("is not a key folder")));
  EXPECT_THAT(how_to_join(request_file(keys_)), HasSubstr("outcrop keys join --dir " + keys_.string()));
  EXPECT_THAT(how_to_join(stage_request_file(paths_, "curvefault")), HasSubstr("--dir " + keys_.string() + " --model curvefault"));
  EXPECT_THAT(how_to_join("/media/a stick/request.json"), HasSubstr("outcrop keys join '/media/a stick/request.json' --dir KEYS"));
  fs::remove_all(keys_ / "offline");
  ASSERT_THAT(renew_targets(keys_, a_year, signed_at, Missing::request), IsOk());
  EXPECT_THAT(waiting_requests(keys_), ElementsAre(HasSubstr("outcrop keys join COPY --dir " + keys_.string())));
}

TEST_F(SigningRequestTest, a_key_counts_once_and_strangers_never) {
  two_of_two();
  ASSERT_THAT(renew_targets(keys_, a_year, signed_at, Missing::request), IsOk());
  SigningRequest copy = waiting();
  const PrivateKey own = *PrivateKey::read_pem(paths_.offline_key("targets"));
  EXPECT_THAT(copy.sign(SigningKey(own)), ErrorIs(ErrorCode::refused, HasSubstr("has signed already")));
  EXPECT_THAT(join({copy}), ErrorIs(ErrorCode::refused, HasSubstr("no signature that is not here already")));
  EXPECT_THAT(copy.sign(SigningKey(trust::new_key())), ErrorIs(ErrorCode::refused, HasSubstr("is not one of those")));
  EXPECT_THAT(copy.sign(SigningKey(*PrivateKey::read_pem(paths_.offline_key("root")))), ErrorIs(ErrorCode::refused, HasSubstr("is not one of those")));

  // By hand, past sign().
  const auto with = [&](const PrivateKey& key, BytesView signed_bytes) {
    std::vector<SigningRequest::Document> documents = waiting().documents();
    for (auto& document : documents) {
      const Bytes payload = *trust::unverified_payload(document.envelope, document.kind);
      auto signatures = *trust::unverified_signatures(document.envelope, document.kind);
      const Bytes encoding = trust::pre_authentication_encoding(trust::payload_type(document.kind), payload);
      signatures[key.public_key().id()] = key.sign(signed_bytes.empty() ? BytesView(encoding) : signed_bytes);
      document.envelope = trust::write_envelope(document.kind, payload, signatures);
    }
    return SigningRequest::make(store().root.envelope(), store().targets.envelope(), documents);
  };
  EXPECT_THAT(with(trust::new_key(), {}), ErrorIs(ErrorCode::untrusted, HasSubstr("is not one of the role targets")));
  EXPECT_THAT(with(alice_, as_bytes("something else")), ErrorIs(ErrorCode::untrusted, HasSubstr("does not hold")));
  ASSERT_THAT(with(alice_, {}), IsOk());
}

TEST_F(SigningRequestTest, refuses_signatures_for_other_documents) {
  two_of_two();
  ASSERT_THAT(renew_targets(keys_, a_year, signed_at, Missing::request), IsOk());
  const SigningRequest copy = signed_by(alice_);
  ASSERT_THAT(drop_request(keys_, std::nullopt), IsOk());
  EXPECT_THAT(join({copy}), ErrorIs(ErrorCode::not_found, HasSubstr("nothing waits")));
  ASSERT_THAT(renew_targets(keys_, 2 * a_year, signed_at, Missing::request), IsOk());
  EXPECT_THAT(join({copy}), ErrorIs(ErrorCode::refused, HasSubstr("another request")));
  ASSERT_THAT(drop_request(keys_, std::nullopt), IsOk());
  ASSERT_THAT(revoke_manifest(keys_, {trust::sha256("bad"), "bad", signed_at}, a_year, signed_at, Missing::request), IsOk());
  EXPECT_THAT(join({copy}), ErrorIs(ErrorCode::refused, HasSubstr("another request")));
}

// The offline keys need not come to the machine that the folder is on.
TEST_F(SigningRequestTest, online_keys_are_rotated_by_signatures_from_elsewhere) {
  const PrivateKey root = *PrivateKey::read_pem(paths_.offline_key("root"));
  fs::remove_all(keys_ / "offline");
  const auto before = PrivateKey::read_pem(paths_.online_key("timestamp"))->public_key();
  EXPECT_THAT(rotate_keys(keys_, {"timestamp"}, a_year, signed_at), ErrorIs(ErrorCode::not_found, HasSubstr("--request")));
  ASSERT_THAT(rotate_keys(keys_, {"timestamp"}, a_year, signed_at, Missing::request), IsOk());
  EXPECT_EQ(PrivateKey::read_pem(paths_.online_key("timestamp"))->public_key(), before) << "not before root names it";
  ASSERT_THAT(join({signed_by(root)}), IsOk());
  const auto after = PrivateKey::read_pem(paths_.online_key("timestamp"))->public_key();
  EXPECT_NE(after, before);
  EXPECT_TRUE(store().root->roles.at("timestamp").keyids == std::vector{after.id()});
  // Given up, the new key goes.
  ASSERT_THAT(rotate_keys(keys_, {"timestamp"}, a_year, signed_at, Missing::request), IsOk());
  ASSERT_THAT(drop_request(keys_, std::nullopt), IsOk());
  EXPECT_FALSE(fs::exists(paths_.online_key("timestamp").string() + ".new"));
}

TEST_F(SigningRequestTest, a_stolen_key_of_two_is_replaced_and_signs_no_more) {
  two_of_two();
  const auto stolen = PrivateKey::read_pem(paths_.offline_key("targets"));
  ASSERT_THAT(rotate_keys(keys_, {"targets"}, a_year, signed_at, Missing::request), IsOk());
  ASSERT_THAT(join({signed_by(alice_)}), IsOk());
  const auto after = store();
  EXPECT_EQ(after.root->roles.at("targets").threshold, 2U);
  EXPECT_EQ(after.root->roles.at("targets").keyids, after.root->roles.at("revoked").keyids);
  EXPECT_FALSE(after.root->keys.contains(stolen->public_key().id()));
  EXPECT_TRUE(after.root->keys.contains(PrivateKey::read_pem(paths_.offline_key("targets"))->public_key().id()));
}

TEST_F(SigningRequestTest, what_was_cut_off_while_it_was_put_in_place_is_finished) {
  two_of_two();
  ASSERT_THAT(rotate_keys(keys_, {"targets"}, a_year, signed_at, Missing::request), IsOk());
  SigningRequest request = waiting();
  ASSERT_THAT(request.join(signed_by(alice_)), IsOk());
  ASSERT_THAT(write_file_durably(request_file(keys_), request.to_json()), IsOk());
  // Targets is there, root is not: no reader makes sense of it.
  ASSERT_THAT(write_file_durably(paths_.metadata() / "targets.json", request.documents()[1].envelope), IsOk());
  EXPECT_THAT(read_key_store(keys_), ErrorIs(ErrorCode::untrusted, HasSubstr("outcrop keys join finishes")));
  ASSERT_THAT(join({}), IsOk());
  EXPECT_THAT(read_key_store(keys_), IsOk());
  EXPECT_THAT(renew_targets(keys_, a_year, signed_at), ErrorIs(ErrorCode::refused, HasSubstr("1 of the 2"))) << "the new key is in its place";
}

TEST_F(SigningRequestTest, a_list_of_releases_may_need_two_as_well) {
  const trust::PermittedRelease release{trust::sha256("m"), ByteCount(1), 1, 1};
  {
    const auto trust = store();
    auto stage = StageStore::open(keys_, "curvefault", trust);
    ASSERT_THAT(stage->permit(release, a_year, signed_at, trust), IsOk());
  }
  ASSERT_THAT(add_key(keys_, "stage-curvefault", alice_.public_key(), Missing::refuse), IsOk());
  ASSERT_THAT(set_threshold(keys_, "stage-curvefault", 2, Missing::refuse), IsOk());
  const auto join = [&] {
    SigningRequest copy = *read_request(stage_request_file(paths_, "curvefault"));
    EXPECT_THAT(copy.sign(SigningKey(alice_)), IsOk());
    return join_request(keys_, "curvefault", {{"copy", copy}});
  };
  EXPECT_THAT(read_signed_list(keys_, "curvefault", store()), ErrorIs(ErrorCode::untrusted, HasSubstr("1 of the 2")));
  ASSERT_THAT(join(), IsOk()) << "the list from before is signed anew";
  const auto trust = store();
  EXPECT_EQ((*read_signed_list(keys_, "curvefault", trust))->metadata->version, 2U);
  const trust::PermittedRelease next{trust::sha256("n"), ByteCount(1), 2, 1};
  const auto permit = [&]() -> Status {
    OUTCROP_TRY(stage, StageStore::open(keys_, "curvefault", trust));
    OUTCROP_CHECK(stage.permit(next, a_year, signed_at, trust));
    return {};
  };
  EXPECT_THAT(permit(), ErrorIs(ErrorCode::refused, HasSubstr("needs further signatures")));
  EXPECT_THAT(permit(), ErrorIs(ErrorCode::refused, HasSubstr("waits for signatures")));
  ASSERT_THAT(join(), IsOk());
  EXPECT_THAT(permit(), IsOk()) << "found signed";
  EXPECT_EQ((*read_signed_list(keys_, "curvefault", trust))->metadata->releases.size(), 2U);
}

TEST_F(SigningRequestTest, a_release_is_not_proved_while_a_list_waits) {
  ASSERT_THAT(add_key(keys_, "stage-curvefault", alice_.public_key(), Missing::refuse), IsOk());
  const auto open = [&] { return StageStore::open(keys_, "curvefault", store()); };
  EXPECT_THAT(open()->signs_alone(store()), IsOk());
  ASSERT_THAT(set_threshold(keys_, "stage-curvefault", 2, Missing::refuse), IsOk());
  EXPECT_THAT(open()->signs_alone(store()), ErrorIs(ErrorCode::refused, HasSubstr("stage-curvefault asks for 2 signatures")));
  EXPECT_THAT(open()->nothing_waits(), IsOk());
  EXPECT_THAT(open()->permit({trust::sha256("m"), ByteCount(1), 1, 1}, a_year, signed_at, store()), ErrorIs(ErrorCode::refused, HasSubstr("outcrop keys join COPY --dir")));
  EXPECT_THAT(open()->nothing_waits(), ErrorIs(ErrorCode::refused, HasSubstr("waits for signatures")));
  EXPECT_THAT(*read_request(stage_request_file(paths_, "curvefault"))->in_words(), HasSubstr("with nothing before it to compare with"));
}

TEST_F(SigningRequestTest, refuses_what_makes_no_sense) {
  EXPECT_THAT(set_threshold(keys_, "root", 2, Missing::refuse), ErrorIs(ErrorCode::invalid_argument, HasSubstr("root has 1 key: ")));
  EXPECT_THAT(set_threshold(keys_, "root", 1, Missing::refuse), ErrorIs(ErrorCode::invalid_argument, HasSubstr("already")));
  EXPECT_THAT(set_threshold(keys_, "timestamp", 1, Missing::refuse), ErrorIs(ErrorCode::invalid_argument, HasSubstr("is no role with several keys")));
  EXPECT_THAT(set_threshold(keys_, "stage-other", 1, Missing::refuse), ErrorIs(ErrorCode::not_found, HasSubstr("delegates no stage-other")));
  const auto own = store().root->roles.at("root").keyids.front();
  EXPECT_THAT(remove_key(keys_, "root", own, Missing::refuse), ErrorIs(ErrorCode::refused, HasSubstr("fewer keys")));
  EXPECT_THAT(remove_key(keys_, "root", alice_.public_key().id(), Missing::refuse), ErrorIs(ErrorCode::not_found, HasSubstr("has no key")));
  EXPECT_THAT(add_key(keys_, "root", PrivateKey::read_pem(paths_.offline_key("root"))->public_key(), Missing::refuse),
              ErrorIs(ErrorCode::already_exists, HasSubstr("already")));
  for (const char* text : {"", "{}", R"({"type": "outcrop-signing-request", "protocol": 99})"}) {
    EXPECT_FALSE(SigningRequest::parse(text)) << text;
  }
}

}  // namespace
}  // namespace outcrop::release
