#include "trainer_host/pki/authority.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/pki/device_book.hpp"
#include "trainer_host/pki/revocation_list.hpp"

namespace outcrop::pki {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Timestamp now{std::chrono::seconds(1'800'000'000)};

class AuthorityTest : public ::testing::Test {
 protected:
  Authority make(const std::string& name = "devices") {
    auto authority = Authority::open_or_make(folder_.path() / name, "Outcrop " + name);
    EXPECT_THAT(authority, IsOk());
    return std::move(*authority);
  }
  std::string save(const std::string& name, const std::string& text) {
    const fs::path path = folder_.path() / name;
    EXPECT_THAT(write_file_durably(path, text), IsOk());
    return path.string();
  }
  static trust::PrivateKey key() { return std::move(*trust::PrivateKey::generate()); }
  std::string verify(const Authority& authority, const std::string& leaf,
                     const std::string& options) {
    save("list.pem", *authority.revocation_list());
    const std::string at = folder_.path().string();
    return run_shell("openssl verify -x509_strict " + options + " -CAfile " +
                     (authority.folder() / "authority.pem").string() + " -crl_check -CRLfile " +
                     at + "/list.pem " + save("leaf.pem", leaf))
        .output;
  }
  TemporaryFolder folder_;
};

TEST_F(AuthorityTest, certificates_say_only_what_the_authority_decides) {
  const Authority authority = make();
  const trust::PrivateKey board = key();
  auto pem = authority.issue({"pi-1", {}, Authority::Usage::client}, board.public_key());
  ASSERT_THAT(pem, IsOk());
  auto info = read_certificate(*pem);
  ASSERT_THAT(info, IsOk());
  EXPECT_EQ(info->common_name, "pi-1");
  EXPECT_EQ(info->key, board.public_key());
  EXPECT_GE(info->serial.size(), 39u);
  EXPECT_THAT(check_issued_by(*pem, authority.certificate()), IsOk());
  EXPECT_THAT(verify(authority, *pem, "-purpose sslclient"), HasSubstr("leaf.pem: OK"));
  EXPECT_THAT(verify(authority, *pem, "-purpose sslserver"), Not(HasSubstr("leaf.pem: OK")));
  const std::string text =
      run_shell("openssl x509 -noout -text -in " + (folder_.path() / "leaf.pem").string()).output;
  EXPECT_THAT(text, HasSubstr("Not Before: Jan  1 00:00:00 1970 GMT"));
  EXPECT_THAT(text, HasSubstr("Not After : Jan  1 00:00:00 2120 GMT"));
  EXPECT_THAT(text, HasSubstr("TLS Web Client Authentication"));
  EXPECT_THAT(text, HasSubstr("DNS:pi-1"));
  EXPECT_THAT(text, HasSubstr("CA:FALSE"));
}

TEST_F(AuthorityTest, valid_for_clocks_before_and_far_after_today) {
  const Authority authority = make();
  const auto pem = authority.issue({"pi-1", {}, Authority::Usage::client}, key().public_key());
  for (const char* when : {"1577923200", "4733424000"}) {  // 2020-01-02, 2119-12-31
    EXPECT_THAT(verify(authority, *pem, std::string("-purpose sslclient -attime ") + when),
                HasSubstr("leaf.pem: OK"));
  }
  // A board, which looks at no list.
  EXPECT_THAT(run_shell("openssl verify -x509_strict -attime 1 -CAfile " + (authority.folder() / "authority.pem").string() + " " +
                        save("leaf.pem", *pem)).output,
              HasSubstr("leaf.pem: OK"));
}

TEST_F(AuthorityTest, servers_are_reached_by_names_and_addresses) {
  const Authority authority = make("broker");
  const Authority::Subject subject{
      "outcropd", {"localhost", "127.0.0.1", "::1", "fleet.example"}, Authority::Usage::server};
  auto pem = authority.issue(subject, key().public_key());
  ASSERT_THAT(pem, IsOk());
  EXPECT_THAT(verify(authority, *pem, "-purpose sslserver -verify_ip 127.0.0.1"),
              HasSubstr("leaf.pem: OK"));
  EXPECT_THAT(verify(authority, *pem, "-verify_hostname fleet.example"), HasSubstr(": OK"));
  EXPECT_THAT(verify(authority, *pem, "-verify_hostname other.example"), Not(HasSubstr(": OK")));
}

TEST_F(AuthorityTest, a_name_never_becomes_two) {
  const Authority authority = make();
  const Authority::Subject subject{
      "outcropd", {"a.example,DNS:evil.example"}, Authority::Usage::server};
  EXPECT_THAT(authority.issue(subject, key().public_key()),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("neither a DNS name")));
  EXPECT_THAT(authority.issue({"a\nb", {}, Authority::Usage::client}, key().public_key()),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("common name")));
}

TEST_F(AuthorityTest, revoked_certificates_stand_in_the_list) {
  const Authority authority = make();
  auto lost = authority.issue({"pi-1", {}, Authority::Usage::client}, key().public_key());
  auto kept = authority.issue({"pi-2", {}, Authority::Usage::client}, key().public_key());
  auto list = authority.revoke(*lost, "stolen", now);
  ASSERT_THAT(list, IsOk());
  EXPECT_EQ(*authority.revoke(*lost, "again", now), *list);
  EXPECT_EQ(*authority.revocation_list(), *list);
  EXPECT_EQ(*read_text_file(authority.folder() / "revoked.pem"), *list);
  EXPECT_THAT(verify(authority, *lost, ""), HasSubstr("certificate revoked"));
  EXPECT_THAT(verify(authority, *kept, ""), HasSubstr("leaf.pem: OK"));
  const std::string text =
      run_shell("openssl crl -noout -text -in " + (folder_.path() / "list.pem").string()).output;
  EXPECT_THAT(text, HasSubstr("Last Update: Jan  1 00:00:02 2020 GMT"));
  EXPECT_THAT(text, HasSubstr("Next Update: Jan  1 00:00:00 2120 GMT"));
  EXPECT_TRUE(*authority.is_revoked(*lost));
  EXPECT_FALSE(*authority.is_revoked(*kept));
  EXPECT_THAT(authority.revoke(*kept, "two\nlines", now),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("a line")));
}

TEST_F(AuthorityTest, another_authoritys_certificate_is_refused) {
  const Authority ours = make("ours");
  const Authority other = make("other");
  auto pem = other.issue({"pi-1", {}, Authority::Usage::client}, key().public_key());
  EXPECT_THAT(check_issued_by(*pem, ours.certificate()),
              ErrorIs(ErrorCode::untrusted, HasSubstr("not signed by that authority")));
  EXPECT_THAT(ours.revoke(*pem, "x", now), ErrorIs(ErrorCode::untrusted, HasSubstr("not signed")));
  EXPECT_THAT(read_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("not a certificate")));
}

TEST_F(AuthorityTest, opens_what_it_made_and_completes_what_was_cut_off) {
  const std::string certificate = make().certificate();
  EXPECT_EQ(make().certificate(), certificate);
  const fs::path folder = folder_.path() / "devices";
  struct stat info {};
  ASSERT_EQ(::stat((folder / "authority.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  fs::remove(folder / "authority.pem");  // killed before it was written
  const Authority completed = make();
  EXPECT_EQ(read_certificate(completed.certificate())->key, read_certificate(certificate)->key);
  EXPECT_THAT(Authority::open(folder_.path() / "none"),
              ErrorIs(ErrorCode::not_found, HasSubstr("no certificate authority")));
  fs::remove(folder / "authority.key");
  ASSERT_THAT(key().write_pem(folder / "authority.key"), IsOk());
  EXPECT_THAT(Authority::open(folder), ErrorIs(ErrorCode::untrusted, HasSubstr("not the key")));
}

TEST_F(AuthorityTest, a_board_keeps_its_certificate_until_its_key_is_revoked) {
  const Authority authority = make();
  const trust::PrivateKey board = key();
  auto first = device_certificate(authority, "pi-1", board.public_key());
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(*device_certificate(authority, "pi-1", board.public_key()), *first);
  auto second = device_certificate(authority, "pi-1", key().public_key());
  ASSERT_THAT(second, IsOk());
  ASSERT_THAT(revoke_device(authority, "pi-1", "lost", now), IsOk());
  EXPECT_TRUE(*authority.is_revoked(*first));
  EXPECT_TRUE(*authority.is_revoked(*second));
  EXPECT_THAT(device_certificate(authority, "pi-1", board.public_key()),
              ErrorIs(ErrorCode::revoked, HasSubstr("makes a new key")));
  EXPECT_THAT(device_certificate(authority, "pi-1", key().public_key()), IsOk());
  EXPECT_THAT(revoke_device(authority, "pi-9", "lost", now),
              ErrorIs(ErrorCode::not_found, HasSubstr("no certificate to 'pi-9'")));
  EXPECT_THAT(revoke_device(authority, "../x", "lost", now),
              ErrorIs(ErrorCode::invalid_argument, HasSubstr("device's name")));
}

TEST_F(AuthorityTest, what_was_replaced_is_revoked_once_the_next_counts_and_not_before) {
  const Authority authority = make();
  const auto first = device_certificate(authority, "pi-1", key().public_key());
  const auto next = device_certificate(authority, "pi-1", key().public_key());
  ASSERT_THAT(next, IsOk());
  ASSERT_THAT(note_replacement(authority, "pi-1", *first, *first), IsOk());
  EXPECT_TRUE(boards_with_replacements(authority)->empty()) << "the same again replaces nothing";
  ASSERT_THAT(note_replacement(authority, "pi-1", *first, *next), IsOk());
  EXPECT_EQ(boards_with_replacements(authority).value(), std::vector<std::string>{"pi-1"});
  EXPECT_FALSE(revoke_replaced(authority, "pi-1", *first, now).value()) << "the board has not come by it";
  EXPECT_FALSE(*authority.is_revoked(*first));
  EXPECT_TRUE(revoke_replaced(authority, "pi-1", *next, now).value());
  EXPECT_TRUE(*authority.is_revoked(*first));
  EXPECT_FALSE(*authority.is_revoked(*next));
  EXPECT_TRUE(boards_with_replacements(authority)->empty());
  EXPECT_FALSE(revoke_replaced(authority, "pi-1", *next, now).value());

  // What another authority gave is that one's to revoke, and no reason to stop.
  const auto strange = make("others").issue({"pi-1", {}, Authority::Usage::client}, key().public_key());
  ASSERT_THAT(note_replacement(authority, "pi-1", *strange, *next), IsOk());
  EXPECT_FALSE(revoke_replaced(authority, "pi-1", *next, now).value());
  EXPECT_TRUE(boards_with_replacements(authority)->empty());
}

TEST_F(AuthorityTest, a_list_names_what_was_revoked_and_is_its_authoritys_only) {
  const Authority authority = make();
  const auto one = authority.issue({"pi-1", {}, Authority::Usage::client}, key().public_key());
  const auto two = authority.issue({"pi-2", {}, Authority::Usage::client}, key().public_key());
  ASSERT_THAT(authority.revoke(*one, "stolen", now), IsOk());
  const auto list =
      RevocationList::read(authority.certificate(), *authority.revocation_list());
  ASSERT_THAT(list, IsOk());
  EXPECT_TRUE(list->names(read_certificate(*one)->serial));
  EXPECT_FALSE(list->names(read_certificate(*two)->serial));
  EXPECT_THAT(RevocationList::read(make("others").certificate(), *authority.revocation_list()),
              ErrorIs(ErrorCode::untrusted, HasSubstr("not signed by this device authority")));
  EXPECT_THAT(RevocationList::read(authority.certificate(), "x"),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("not a list")));
  EXPECT_THAT(RevocationList::read("x", *authority.revocation_list()),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("certificate")));
}

}  // namespace
}  // namespace outcrop::pki
