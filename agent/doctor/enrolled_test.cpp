// Certificate and broker: real files, real TLS, a real mosquitto on loopback.

#include "agent/doctor/enrolled.hpp"

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "agent/doctor/broker_probe.hpp"
#include "agent/doctor/finding_matchers.hpp"
#include "agent/doctor/test_authority.hpp"
#include "protocol/base/durable_file.hpp"
#include "protocol/base/unique_fd.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/enrolment_token.hpp"
#include "protocol/trust/envelope.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/test_broker.hpp"

namespace outcrop::agent {
namespace {

using std::chrono::days;
using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::Field;
using ::testing::HasSubstr;

const Timestamp now = SystemClock().now();

std::string root_envelope() {
  const auto key = trust::PrivateKey::generate();
  trust::RootMetadata root;
  root.expires = now + days(1000);
  const trust::PublicKey& public_key = key->public_key();
  root.keys.emplace(public_key.id(), public_key);
  for (const std::string& role : trust::top_level_roles()) {
    root.roles[role] = {{public_key.id()}, 1};
  }
  return trust::sign_envelope(trust::RootMetadata::kind, as_bytes(trust::to_json(root)),
                              std::span(&*key, 1));
}

class EnrolledTest : public ::testing::Test {
 protected:
  struct Enrolment {
    Timestamp not_before = now - days(1);
    Timestamp not_after = now + days(100);
    const TestAuthority* issuer = nullptr;    // of the board's certificate
    const TestAuthority* believes = nullptr;  // whom the board trusts for the broker
    std::string host = "127.0.0.1";
    std::uint16_t port = 8883;
  };
  // A board that is enrolled so.
  Result<Identity> enroll(const Enrolment& wish) {
    const auto request =
        request_enrolment(state_, "0123456789abcdef-00112233445566778899aabbccddeeff");
    const auto key = trust::read_certificate_request(request->certificate_request);
    messages::EnrolmentBundle bundle;
    bundle.device = "pi-1";
    bundle.model = "curvefault";
    bundle.device_class = "raspberry-pi-4";
    bundle.certificate = (wish.issuer == nullptr ? devices_ : *wish.issuer)
                             .issue({"pi-1", "", wish.not_before, wish.not_after}, *key);
    bundle.broker_authority = (wish.believes == nullptr ? brokers_ : *wish.believes).certificate();
    bundle.broker_host = wish.host;
    bundle.broker_port = wish.port;
    bundle.root_envelope = root_envelope();
    bundle.root = trust::sha256(bundle.root_envelope);
    bundle.mac = trust::token_mac(trust::answer_key("00112233445566778899aabbccddeeff").hex(), unproved_text(bundle));
    EXPECT_THAT(accept_enrolment(state_, bundle, "curvefault", "raspberry-pi-4"), IsOk());
    return Identity::read(state_);
  }
  // The lines of mosquitto.conf by which it asks boards for certificates of devices_.
  std::string mutual_tls(const std::string& name = "IP:127.0.0.1",
                         Timestamp not_after = now + days(9)) {
    const auto key = trust::PrivateKey::generate();
    const std::filesystem::path folder = folder_.path() / "broker";
    std::filesystem::create_directories(folder);
    EXPECT_THAT(key->write_pem(folder / "key.pem"), IsOk());
    EXPECT_THAT(write_file_durably(
                    folder / "broker.pem",
                    brokers_.issue({"broker", name, now - days(20), not_after}, key->public_key())),
                IsOk());
    EXPECT_THAT(write_file_durably(folder / "devices.pem", devices_.certificate()), IsOk());
    return "cafile " + (folder / "devices.pem").string() + "\ncertfile " +
           (folder / "broker.pem").string() + "\nkeyfile " + (folder / "key.pem").string() +
           "\nrequire_certificate true\nuse_identity_as_username true\n";
  }
  static Finding probe(const Result<Identity>& identity,
                       milliseconds patience = milliseconds(5000)) {
    return check_broker(identity, default_agent_config(), patience);
  }

  TestAuthority devices_{"Test devices"};
  TestAuthority brokers_{"Test brokers"};
  TemporaryFolder folder_;
  std::filesystem::path state_ = folder_.path() / "state";
};

TEST_F(EnrolledTest, is_told_how_to_enrol_where_it_is_not) {
  const auto nobody = Identity::read(state_);
  EXPECT_THAT(check_certificate(nobody, now),
              AllOf(Finds(Verdict::warn, HasSubstr("not enrolled")),
                    Field(&Finding::advice, HasSubstr("outcrop device enroll"))));
  EXPECT_THAT(probe(nobody), Finds(Verdict::unknown, HasSubstr("no identity")));
  EXPECT_FALSE(std::filesystem::exists(state_));
}

TEST_F(EnrolledTest, is_warned_a_month_before_the_certificate_ends) {
  EXPECT_THAT(check_certificate(enroll({.not_after = now + days(31)}), now),
              Finds(Verdict::ok, HasSubstr("pi-1, valid until ")));
  EXPECT_THAT(check_certificate(enroll({.not_after = now + days(29)}), now),
              Finds(Verdict::warn, HasSubstr("valid until")));
  EXPECT_THAT(check_certificate(enroll({.not_after = now - days(1)}), now),
              Finds(Verdict::fail, HasSubstr("has expired")));
  EXPECT_THAT(check_certificate(enroll({.not_before = now + days(1)}), now),
              Finds(Verdict::fail, HasSubstr("not valid before")));
  // As Outcrop's own authority issues them: beyond what 32 bits of seconds can say.
  EXPECT_THAT(check_certificate(enroll({.not_after = *from_rfc3339("2120-01-01T00:00:00Z")}), now),
              Finds(Verdict::ok, HasSubstr("2120-01-01")));
}

TEST_F(EnrolledTest, says_that_a_damaged_enrolment_is_to_be_made_again) {
  ASSERT_THAT(enroll({}), IsOk());
  for (const char* name : {"identity/enrolment.json", "identity/enrolment.json.spare"}) {
    EXPECT_THAT(write_file_durably(state_ / name, std::string_view("{}")), IsOk());
  }
  EXPECT_THAT(check_certificate(Identity::read(state_), now),
              Finds(Verdict::fail, HasSubstr("enrolment.json")));
  std::filesystem::remove(state_ / "identity/device.key");
  EXPECT_THAT(check_certificate(Identity::read(state_), now), Finds(Verdict::fail, HasSubstr("")));
}

TEST_F(EnrolledTest, writes_nothing_into_the_agent_s_folder) {
  ASSERT_THAT(enroll({}), IsOk());
  std::filesystem::remove(state_ / "identity/certificate.pem");
  EXPECT_THAT(check_certificate(Identity::read(state_), now),
              Finds(Verdict::ok, HasSubstr("pi-1")));
  EXPECT_FALSE(std::filesystem::exists(state_ / "identity/certificate.pem"));
}

TEST_F(EnrolledTest, reaches_a_broker_that_takes_it) {
  const TestBroker broker(mutual_tls());
  EXPECT_THAT(probe(enroll({.port = broker.port()})),
              Finds(Verdict::ok, AllOf(HasSubstr("at 127.0.0.1"), HasSubstr("TLSv1."))));
  EXPECT_EQ(broker.log().find("CONNECT from"), std::string::npos);
}

TEST_F(EnrolledTest, reaches_a_broker_by_a_link_local_address_with_its_zone) {
  const std::string address = link_local_address();
  if (address.empty()) GTEST_SKIP() << "this machine has no link-local address";
  const std::uint16_t port = free_port();
  const TestBroker broker("listener " + std::to_string(port) + " " + address + "\n" +
                          mutual_tls("IP:" + address.substr(0, address.find('%'))));
  EXPECT_THAT(probe(enroll({.host = address, .port = port})),
              Finds(Verdict::ok, AllOf(HasSubstr("at " + address), HasSubstr("TLSv1."))));
  EXPECT_THAT(probe(enroll({.host = "fe80::5%nowhere0"})),
              AllOf(Finds(Verdict::fail, HasSubstr("no network interface 'nowhere0'")),
                    Field(&Finding::advice, HasSubstr("ip link"))));
}

TEST_F(EnrolledTest, says_which_step_to_the_broker_failed) {
  EXPECT_THAT(probe(enroll({.host = "no-such-host.invalid"}), milliseconds(2000)),
              AllOf(Finds(Verdict::fail, HasSubstr("no-such-host.invalid is not known")),
                    Field(&Finding::advice, HasSubstr("name server"))));
  EXPECT_THAT(probe(enroll({.port = free_port()})),
              AllOf(Finds(Verdict::fail, HasSubstr("connection refused")),
                    Field(&Finding::advice, HasSubstr("outcropd"))));
}

TEST_F(EnrolledTest, does_not_wait_for_ever_for_one_that_says_nothing) {
  const UniqueFd silent(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(silent.get(), any, length), 0);
  ASSERT_EQ(::listen(silent.get(), 1), 0);
  ASSERT_EQ(::getsockname(silent.get(), any, &length), 0);
  EXPECT_THAT(probe(enroll({.port = ntohs(address.sin_port)}), milliseconds(200)),
              Finds(Verdict::fail, HasSubstr("no TLS handshake within the time")));
}

TEST_F(EnrolledTest, tells_a_broker_without_tls) {
  const TestBroker plain;
  EXPECT_EQ(probe(enroll({.port = plain.port()})).verdict, Verdict::fail);
}

TEST_F(EnrolledTest, does_not_believe_a_broker_of_another_authority) {
  const TestBroker broker(mutual_tls());
  const TestAuthority stranger("Test brokers");  // the same name
  EXPECT_THAT(probe(enroll({.believes = &stranger, .port = broker.port()})),
              Finds(Verdict::fail, HasSubstr("another authority")));
}

TEST_F(EnrolledTest, does_not_believe_a_broker_of_another_name_or_another_time) {
  const TestBroker renamed(mutual_tls("DNS:another.example"));
  EXPECT_THAT(probe(enroll({.port = renamed.port()})),
              AllOf(Finds(Verdict::fail, HasSubstr("does not name 127.0.0.1")),
                    Field(&Finding::advice, HasSubstr("names in host.toml"))));
  std::filesystem::remove_all(folder_.path() / "broker");
  const TestBroker old(mutual_tls("IP:127.0.0.1", now - days(2)));
  EXPECT_THAT(probe(enroll({.port = old.port()})), Finds(Verdict::fail, HasSubstr("expired")));
}

TEST_F(EnrolledTest, hears_that_the_broker_refuses_its_certificate) {
  const TestBroker broker(mutual_tls());
  EXPECT_THAT(probe(enroll({.not_after = now - days(1), .port = broker.port()})),
              Finds(Verdict::fail,
                    AllOf(HasSubstr("refuses this board's certificate"), HasSubstr("expired"))));
  const TestAuthority stranger("Test devices");
  EXPECT_THAT(probe(enroll({.issuer = &stranger, .port = broker.port()})),
              Finds(Verdict::fail, HasSubstr("refuses this board's certificate")));
}

}  // namespace
}  // namespace outcrop::agent
