#include "trainer_host/pki/token_book.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>

#include "protocol/base/durable_file.hpp"
#include "protocol/trust/certificate.hpp"
#include "protocol/trust/enrolment_token.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/pki/authority.hpp"

namespace outcrop::pki {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr Timestamp issued{std::chrono::seconds(1'800'000'000)};

class TokenBookTest : public ::testing::Test {
 protected:
  std::string grant() {
    auto token = grant_token(folder_.path(), {"pi-1", "curvefault", "raspberry-pi-4"}, issued,
                             std::chrono::minutes(30));
    EXPECT_THAT(token, IsOk());
    return *token;
  }
  static messages::EnrolmentRequest request(const std::string& token) {
    const auto parsed = trust::EnrolmentToken::parse(token);
    const auto key = trust::PrivateKey::generate();
    const auto text = trust::make_certificate_request(*key);
    return {parsed->id, *text, trust::token_mac(parsed->secret, *text)};
  }
  TemporaryFolder folder_;
};

TEST_F(TokenBookTest, a_token_lets_one_request_through) {
  const std::string token = grant();
  const auto first = request(token);
  auto grant = redeem(folder_.path(), first, issued);
  ASSERT_THAT(grant, IsOk());
  EXPECT_EQ(grant->grant.device, "pi-1");
  EXPECT_EQ(grant->grant.device_class, "raspberry-pi-4");
  EXPECT_EQ(grant->answer_key, trust::answer_key(trust::EnrolmentToken::parse(token)->secret));
  EXPECT_THAT(redeem(folder_.path(), request(token), issued),
              ErrorIs(ErrorCode::already_exists, HasSubstr("was used on")));
}

TEST_F(TokenBookTest, signing_that_was_cut_off_is_completed_by_the_same_request) {
  const auto first = request(grant());
  ASSERT_THAT(redeem(folder_.path(), first, issued), IsOk());
  const auto again = redeem(folder_.path(), first, issued + std::chrono::hours(2));
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->answer_key, redeem(folder_.path(), first, issued)->answer_key) << "its answer is proved again";
}

TEST_F(TokenBookTest, the_secret_is_kept_from_others_and_gone_after_use) {
  const std::string token = grant();
  const auto parsed = trust::EnrolmentToken::parse(token);
  const fs::path file = folder_.path() / "tokens" / (parsed->id + ".json");
  struct stat info {};
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  EXPECT_THAT(*read_text_file(file), HasSubstr(parsed->secret));
  ASSERT_THAT(redeem(folder_.path(), request(token), issued), IsOk());
  EXPECT_THAT(*read_text_file(file), ::testing::Not(HasSubstr(parsed->secret)));
  ASSERT_EQ(::stat(file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
}

TEST_F(TokenBookTest, an_expired_token_lets_nothing_through) {
  const auto late = request(grant());
  EXPECT_THAT(redeem(folder_.path(), late, issued + std::chrono::minutes(30)),
              ErrorIs(ErrorCode::expired, HasSubstr("expired on")));
}

TEST_F(TokenBookTest, a_wrong_mac_does_not_use_the_token_up) {
  const std::string token = grant();
  auto forged = request(token);
  forged.mac = trust::sha256("guess");
  EXPECT_THAT(redeem(folder_.path(), forged, issued),
              ErrorIs(ErrorCode::untrusted, HasSubstr("not made with the token")));
  auto swapped = request(token);
  swapped.certificate_request = request(token).certificate_request;
  EXPECT_THAT(redeem(folder_.path(), swapped, issued),
              ErrorIs(ErrorCode::untrusted, HasSubstr("not made with the token")));
  EXPECT_THAT(redeem(folder_.path(), request(token), issued), IsOk());
}

TEST_F(TokenBookTest, what_is_no_token_of_ours_is_untrusted) {
  auto stranger = request(grant());
  stranger.token_id = "0123456789abcdef";
  EXPECT_THAT(redeem(folder_.path(), stranger, issued),
              ErrorIs(ErrorCode::untrusted, HasSubstr("did not grant")));
  stranger.token_id = "../../authority";
  EXPECT_THAT(redeem(folder_.path(), stranger, issued),
              ErrorIs(ErrorCode::untrusted, HasSubstr("did not grant")));
  for (const char* text : {"", "x", "0123456789abcdef", "0123456789ABCDEF-0"}) {
    EXPECT_THAT(trust::EnrolmentToken::parse(text),
                ErrorIs(ErrorCode::invalid_argument, HasSubstr("no enrolment token")));
  }
}

TEST_F(TokenBookTest, names_are_checked_before_a_token_is_granted) {
  EXPECT_THAT(grant_token(folder_.path(), {"Pi 1", "m", "c"}, issued, std::chrono::minutes(1)),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("device's name")));
  EXPECT_THAT(grant_token(folder_.path(), {"pi-1", "m", "c"}, issued, std::chrono::minutes(0)),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("a minute at least")));
}

// A request by openssl itself that asks for more than it should get.
TEST_F(TokenBookTest, only_the_key_is_taken_from_a_request) {
  const std::string at = folder_.path().string();
  const std::string command =
      "cd " + at +
      " && openssl req -new -newkey ed25519 -nodes -keyout k.pem -out r.pem -subj "
      "/CN=outcropd:host "
      "-addext 'extendedKeyUsage=serverAuth' -addext 'subjectAltName=DNS:pi-2' "
      "-addext 'basicConstraints=critical,CA:TRUE' 2>/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  auto key = trust::read_certificate_request(*read_text_file(folder_.path() / "r.pem"));
  ASSERT_THAT(key, IsOk());
  auto authority = Authority::open_or_make(folder_.path() / "ca", "Outcrop devices");
  ASSERT_THAT(authority, IsOk());
  auto pem = authority->issue({"pi-1", {}, Authority::Usage::client}, *key);
  ASSERT_THAT(pem, IsOk());
  ASSERT_THAT(write_file_durably(folder_.path() / "c.pem", *pem), IsOk());
  ASSERT_EQ(
      std::system(("openssl x509 -noout -text -nameopt RFC2253 -in " + at + "/c.pem > " + at + "/t")
                      .c_str()),
      0);
  const std::string text = *read_text_file(folder_.path() / "t");
  EXPECT_THAT(text, HasSubstr("Subject: CN=pi-1"));
  for (const char* asked : {"outcropd:host", "Web Server", "pi-2", "CA:TRUE"}) {
    EXPECT_THAT(text, ::testing::Not(HasSubstr(asked)));
  }
}

TEST_F(TokenBookTest, other_keys_and_broken_requests_are_refused) {
  const std::string at = folder_.path().string();
  ASSERT_EQ(std::system(("openssl req -new -newkey rsa:2048 -nodes -keyout " + at + "/k -out " +
                         at + "/r -subj /CN=x 2>/dev/null")
                            .c_str()),
            0);
  EXPECT_THAT(trust::read_certificate_request(*read_text_file(folder_.path() / "r")),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("no Ed25519 key")));
  std::string broken = request(grant()).certificate_request;
  const std::size_t at_signature = broken.size() - 50;
  broken[at_signature] = broken[at_signature] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(trust::read_certificate_request(broken));
  EXPECT_THAT(trust::read_certificate_request("hello"),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("not a certificate request")));
}

}  // namespace
}  // namespace outcrop::pki
