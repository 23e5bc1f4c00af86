#include "agent/enroll/identity.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "protocol/base/durable_file.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/enrolment_token.hpp"
#include "protocol/trust/envelope.hpp"
#include "protocol/trust/roles.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* token = "0123456789abcdef-00112233445566778899aabbccddeeff";

class IdentityTest : public ::testing::Test {
 protected:
  // Signs as the openssl program would: agent/ does not know the host's code.
  std::string certificate(const messages::EnrolmentRequest& request, const std::string& name) {
    EXPECT_THAT(write_file_durably(at("r.pem"), request.certificate_request), IsOk());
    if (!fs::exists(at("ca.pem"))) {
      shell(
          "openssl req -x509 -newkey ed25519 -nodes -keyout ca.key -out ca.pem -days 9 -subj "
          "'/CN=Outcrop devices'");
    }
    shell("openssl req -in r.pem -noout -verify");
    shell(
        "openssl x509 -req -in r.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 -subj /CN=" +
        name + " -out c.pem");
    return *read_text_file(at("c.pem"));
  }
  static std::string root_envelope() {
    const auto key = trust::PrivateKey::generate();
    trust::RootMetadata root;
    root.expires = Timestamp(std::chrono::seconds(4'000'000'000));
    const trust::PublicKey& public_key = key->public_key();
    root.keys.emplace(public_key.id(), public_key);
    for (const std::string& role : trust::top_level_roles()) {
      root.roles[role] = {{public_key.id()}, 1};
    }
    return trust::sign_envelope(trust::RootMetadata::kind, as_bytes(trust::to_json(root)),
                                std::span(&*key, 1));
  }
  messages::EnrolmentBundle bundle_for(const messages::EnrolmentRequest& request,
                                       const std::string& name = "pi-1") {
    messages::EnrolmentBundle bundle;
    bundle.device = name;
    bundle.model = "curvefault";
    bundle.device_class = "raspberry-pi-4";
    bundle.certificate = certificate(request, name);
    bundle.broker_authority = *read_text_file(at("ca.pem"));
    bundle.broker_host = "fleet.example";
    bundle.root_envelope = root_envelope();
    bundle.root = trust::sha256(bundle.root_envelope);
    bundle.versions = {{"snapshot", 7}};
    bundle.time = Timestamp(std::chrono::seconds(1'790'000'000));
    prove(bundle);
    return bundle;
  }
  static void prove(messages::EnrolmentBundle& bundle, const char* secret = "00112233445566778899aabbccddeeff") {
    bundle.mac = trust::token_mac(trust::answer_key(secret).hex(), unproved_text(bundle));
  }
  Status accept(const messages::EnrolmentBundle& bundle) {
    return accept_enrolment(state_, bundle, "curvefault", "raspberry-pi-4");
  }
  fs::path at(const std::string& name) const { return folder_.path() / name; }
  void shell(const std::string& command) const {
    EXPECT_EQ(
        std::system(
            ("cd " + folder_.path().string() + " && " + command + " 2>/dev/null >&2").c_str()),
        0)
        << command;
  }
  TemporaryFolder folder_;
  fs::path state_ = folder_.path() / "state";
};

TEST_F(IdentityTest, a_board_asks_and_becomes_what_the_host_says) {
  EXPECT_THAT(Identity::open(state_),
              ErrorIs(ErrorCode::not_found, HasSubstr("outcrop device enroll")));
  const auto request = request_enrolment(state_, token);
  ASSERT_THAT(request, IsOk());
  EXPECT_EQ(request->token_id, "0123456789abcdef");
  EXPECT_EQ(request->mac,
            trust::token_mac("00112233445566778899aabbccddeeff", request->certificate_request));
  const auto bundle = bundle_for(*request);
  ASSERT_THAT(accept(bundle), IsOk());
  const auto identity = Identity::open(state_);
  ASSERT_THAT(identity, IsOk());
  EXPECT_EQ(identity->device(), "pi-1");
  EXPECT_EQ(identity->enrolment(), bundle);
  EXPECT_EQ(*read_text_file(identity->certificate_file()), bundle.certificate);
  EXPECT_EQ(*read_text_file(identity->authority_file()), bundle.broker_authority);
  EXPECT_EQ(trust::read_certificate(bundle.certificate)->key, identity->key().public_key());
  EXPECT_FALSE(fs::exists(state_ / "identity/answer.key")) << "nothing else is to be proved by it";
  EXPECT_THAT(accept(bundle), IsOk()) << "the same again";
  auto other = bundle;
  other.versions["snapshot"] = 8;
  prove(other);
  EXPECT_THAT(accept(other), ErrorIs(ErrorCode::not_found, HasSubstr("does not know any more")));
}

TEST_F(IdentityTest, the_key_is_the_boards_alone_and_stays_through_requests) {
  const auto first = request_enrolment(state_, token);
  const auto second = request_enrolment(state_, token);
  EXPECT_EQ(*first, *second);
  struct stat info {};
  ASSERT_EQ(::stat((state_ / "identity/device.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  ASSERT_EQ(::stat((state_ / "identity/answer.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  ASSERT_EQ(::stat((state_ / "identity").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0700u);
}

TEST_F(IdentityTest, a_bundle_for_another_key_is_refused) {
  ASSERT_THAT(request_enrolment(state_, token), IsOk());
  const auto other = request_enrolment(folder_.path() / "other", token);
  EXPECT_THAT(accept(bundle_for(*other)),
              ErrorIs(ErrorCode::untrusted, HasSubstr("another board's key")));
  EXPECT_THAT(Identity::open(state_), ErrorIs(ErrorCode::not_found, HasSubstr("not enrolled")));
}

TEST_F(IdentityTest, an_answer_that_its_token_does_not_prove_is_refused) {
  const auto request = request_enrolment(state_, token);
  ASSERT_THAT(request, IsOk());
  const auto good = bundle_for(*request);
  auto bundle = good;
  bundle.root_envelope = root_envelope();  // as good as the host's own, were it not for the token
  bundle.root = trust::sha256(bundle.root_envelope);
  EXPECT_THAT(accept(bundle), ErrorIs(ErrorCode::untrusted, HasSubstr("not the answer to this board's last request")));
  bundle = good;
  bundle.versions["snapshot"] = 1;
  EXPECT_THAT(accept(bundle), ErrorIs(ErrorCode::untrusted, HasSubstr("changed on the way")));
  prove(bundle, "ffeeddccbbaa99887766554433221100");
  EXPECT_THAT(accept(bundle), ErrorIs(ErrorCode::untrusted, HasSubstr("changed on the way")));
  // The proof cannot be left out by saying that the host is an earlier one: a person says that.
  bundle = good;
  bundle.protocol = first_protocol;
  EXPECT_THAT(accept(bundle), ErrorIs(ErrorCode::untrusted, HasSubstr("--unproved")));
  EXPECT_THAT(Identity::open(state_), ErrorIs(ErrorCode::not_found, HasSubstr("not enrolled")));
  EXPECT_THAT(accept_enrolment(state_, bundle, "curvefault", "raspberry-pi-4", true), IsOk());
  EXPECT_EQ(request_enrolment(state_, token, true)->protocol, first_protocol);
}

TEST_F(IdentityTest, a_bundle_that_contradicts_itself_or_the_board_is_refused) {
  const auto request = request_enrolment(state_, token);
  const auto good = bundle_for(*request);
  auto bundle = good;
  bundle.device = "pi-2";
  EXPECT_THAT(accept(bundle), ErrorIs(ErrorCode::untrusted, HasSubstr("names 'pi-1'")));
  bundle = good;
  bundle.model = "flatvel";
  prove(bundle);
  EXPECT_THAT(accept(bundle), ErrorIs(ErrorCode::refused, HasSubstr("says model 'curvefault'")));
  bundle = good;
  bundle.device_class = "server";
  prove(bundle);
  EXPECT_THAT(accept(bundle), ErrorIs(ErrorCode::refused, HasSubstr("says class")));
  bundle = good;
  bundle.root_envelope = "{}";
  EXPECT_THAT(accept(bundle), ErrorIs(ErrorCode::invalid_data, HasSubstr("enrolment.root")));
  bundle = good;
  bundle.broker_authority = "none";
  EXPECT_THAT(accept(bundle),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("enrolment.broker_authority")));
  EXPECT_THAT(accept_enrolment(folder_.path() / "new", good, "curvefault", "raspberry-pi-4"),
              ErrorIs(ErrorCode::not_found, HasSubstr("has not asked")));
}

TEST_F(IdentityTest, a_token_with_a_slip_is_told) {
  for (const char* wrong : {"", "0123456789abcdef", "0123456789abcdef-0011", " x"}) {
    EXPECT_THAT(request_enrolment(state_, wrong),
                ErrorIs(ErrorCode::invalid_argument, HasSubstr("no enrolment token")));
  }
  EXPECT_FALSE(fs::exists(state_));
}

TEST_F(IdentityTest, acceptance_that_was_cut_off_is_completed_and_damage_is_named) {
  ASSERT_THAT(accept(bundle_for(*request_enrolment(state_, token))), IsOk());
  fs::remove(state_ / "identity/certificate.pem");
  ASSERT_THAT(Identity::open(state_), IsOk());
  EXPECT_TRUE(fs::exists(state_ / "identity/certificate.pem"));
  fs::remove(state_ / "identity/device.key");
  ASSERT_THAT(trust::PrivateKey::generate()->write_pem(state_ / "identity/device.key"), IsOk());
  EXPECT_THAT(Identity::open(state_), ErrorIs(ErrorCode::untrusted, HasSubstr("another board")));
  for (const char* name : {"identity/enrolment.json", "identity/enrolment.json.spare"}) {
    ASSERT_THAT(write_file_durably(state_ / name, "{"), IsOk());
  }
  EXPECT_THAT(Identity::open(state_),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("enrolment.json")));
}

TEST_F(IdentityTest, survives_the_loss_of_any_of_its_files) {
  ASSERT_THAT(accept(bundle_for(*request_enrolment(state_, token))), IsOk());
  const auto good = Identity::open(state_);
  ASSERT_THAT(good, IsOk());
  for (const char* name : {"device.key", "enrolment.json", "certificate.pem", "authority.pem"}) {
    for (const std::string& text : {std::string(64, '\0'), std::string(), std::string("gone")}) {
      const fs::path file = state_ / "identity" / name;
      const std::string before = *read_text_file(file);
      fs::remove(file);
      if (text != "gone") {
        ASSERT_THAT(write_file_durably(file, std::string_view(text)), IsOk());
        fs::permissions(file, fs::perms::owner_read | fs::perms::owner_write);
      }
      const auto again = Identity::open(state_);
      ASSERT_THAT(again, IsOk()) << name;
      EXPECT_EQ(again->enrolment(), good->enrolment());
      EXPECT_EQ(again->key().public_key(), good->key().public_key());
      EXPECT_EQ(*read_text_file(file), before) << name << " was mended";
      EXPECT_EQ(Identity::open(state_)->trouble(), std::nullopt);
    }
  }
}

TEST_F(IdentityTest, what_is_lost_with_its_spare_says_how_to_enrol_anew_and_that_works) {
  for (const std::string name : {"device.key", "enrolment.json"}) {
    for (const bool missing : {false, true}) {
      if (missing && name == "enrolment.json") continue;  // that is a board that never was enrolled
      ASSERT_THAT(accept(bundle_for(*request_enrolment(state_, token))), IsOk());
      const auto before = Identity::open(state_);
      ASSERT_THAT(before, IsOk());
      for (const std::string& file : {name, name + ".spare"}) {
        const fs::path path = state_ / "identity" / file;
        fs::remove(path);
        if (missing) continue;
        ASSERT_THAT(write_file_durably(path, std::string(64, '\0')), IsOk());
        fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
      }
      EXPECT_THAT(Identity::open(state_),
                  ErrorIs(ErrorCode::invalid_data,
                          AllOf(HasSubstr(name), HasSubstr("has lost its identity"),
                                HasSubstr("outcrop device enroll NAME"),
                                HasSubstr("outcrop-agent enroll request"))));
      const auto request = request_enrolment(state_, token);
      ASSERT_THAT(request, IsOk()) << name;
      ASSERT_THAT(accept(bundle_for(*request)), IsOk()) << name;
      const auto again = Identity::open(state_);
      ASSERT_THAT(again, IsOk()) << name;
      EXPECT_EQ(again->trouble(), std::nullopt);
      EXPECT_EQ(again->key().public_key() == before->key().public_key(), name != "device.key");
    }
  }
  EXPECT_TRUE(fs::exists(state_ / "identity/device.key.damaged"));
}

TEST_F(IdentityTest, what_is_next_and_known_takes_the_place_wherever_that_is_cut_off) {
  const auto request = request_enrolment(state_, token);
  ASSERT_THAT(request, IsOk());
  ASSERT_THAT(accept(bundle_for(*request)), IsOk());
  const auto before = Identity::open(state_);
  ASSERT_THAT(before, IsOk());
  const NextIdentity next(state_);
  ASSERT_THAT(next.begin(), IsOk());
  const trust::PublicKey key = next.key()->public_key();
  ASSERT_THAT(next.take(certificate({"", *trust::make_certificate_request(*next.key()), {}}, "pi-1"), "pi-1"), IsOk());
  EXPECT_EQ(before->key_file(), next.key_file()) << "it connects by it";
  const auto on_trial = Identity::open(state_);
  ASSERT_THAT(on_trial, IsOk());
  EXPECT_NE(on_trial->key().public_key(), key) << "and signs by the one that the host knows";
  EXPECT_FALSE(on_trial->renewed());
  ASSERT_THAT(next.become_known(), IsOk());
  fs::copy(state_, at("cut-off"), fs::copy_options::recursive);
  // Killed between key and certificate.
  fs::copy_file(next.key_file(), at("cut-off/identity/device.key"), fs::copy_options::overwrite_existing);
  for (const fs::path& state : {state_, fs::path(at("cut-off"))}) {
    const auto read = Identity::read(state);
    ASSERT_THAT(read, IsOk());
    EXPECT_EQ(read->key().public_key(), key);
    const auto opened = Identity::open(state);
    ASSERT_THAT(opened, IsOk());
    EXPECT_TRUE(opened->renewed());
    EXPECT_FALSE(fs::exists(state / "identity/next"));
    const auto again = Identity::open(state);
    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(again->key().public_key(), key);
    EXPECT_FALSE(again->renewed());
    EXPECT_EQ(again->trouble(), std::nullopt);
    fs::remove(state / "identity/device.key");  // the spare is the new one's, too
    ASSERT_THAT(Identity::open(state), IsOk());
  }
}

TEST_F(IdentityTest, a_key_that_others_may_use_is_not_mended_in_silence) {
  ASSERT_THAT(accept(bundle_for(*request_enrolment(state_, token))), IsOk());
  ASSERT_THAT(Identity::open(state_), IsOk());
  fs::permissions(state_ / "identity/device.key", fs::perms::others_read, fs::perm_options::add);
  EXPECT_THAT(Identity::open(state_), ErrorIs(ErrorCode::untrusted, HasSubstr("chmod 600")));
}

}  // namespace
}  // namespace outcrop::agent
