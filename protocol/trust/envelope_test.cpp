#include "protocol/trust/envelope.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "protocol/base/hex.hpp"
#include "protocol/trust/base64.hpp"
#include "protocol/trust/new_key_for_tests.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::trust {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

Signers signers_of(std::span<const PrivateKey> keys, std::size_t threshold) {
  Signers signers{"test", {}, threshold};
  for (const PrivateKey& key : keys) {
    signers.keys.emplace(key.public_key().id(), key.public_key());
  }
  return signers;
}

std::string sign(std::string_view payload, std::vector<PrivateKey> keys) {
  return sign_envelope("test", as_bytes(payload), keys);
}

TEST(Base64, agrees_with_rfc_4648) {
  const std::vector<std::pair<std::string, std::string>> vectors{{"", ""},
                                                                 {"f", "Zg=="},
                                                                 {"fo", "Zm8="},
                                                                 {"foo", "Zm9v"},
                                                                 {"foob", "Zm9vYg=="},
                                                                 {"fooba", "Zm9vYmE="},
                                                                 {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(to_base64(as_bytes(plain)), encoded);
    EXPECT_EQ(*from_base64(encoded), to_bytes(plain));
  }
}

TEST(Base64, refuses_every_other_spelling) {
  for (const char* bad :
       {"Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zm 9v", "Zm9v\n", "Zg==Zg==", "Zm-_"}) {
    EXPECT_FALSE(from_base64(bad)) << bad;
  }
}

TEST(Ed25519, agrees_with_rfc_8032) {
  struct Vector {
    const char *seed, *key, *message, *signature;
  };
  // Section 7.1, tests 1 to 3.
  for (const Vector& v :
       {Vector{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
               "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
               "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61"
               "e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
        Vector{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
               "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
               "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458"
               "f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
        Vector{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
               "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
               "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae6"
               "7f760984dc6594a7c15e9716ed28dc027beceea1ec40a"}}) {
    const auto key = PrivateKey::from_seed(*from_hex(v.seed));
    ASSERT_THAT(key, IsOk());
    EXPECT_EQ(key->public_key().hex(), v.key);
    const Bytes message = *from_hex(v.message);
    EXPECT_EQ(to_hex(key->sign(message)), v.signature);
    EXPECT_TRUE(key->public_key().verifies(message, *from_hex(v.signature)));
    EXPECT_FALSE(key->public_key().verifies(to_bytes("other"), *from_hex(v.signature)));
  }
}

TEST(Ed25519, keeps_its_file_to_the_owner_and_never_overwrites) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "x.key";
  const PrivateKey key = new_key();
  ASSERT_THAT(key.write_pem(path), IsOk());
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_THAT(key.write_pem(path), ErrorIs(ErrorCode::already_exists, HasSubstr("x.key")));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
  EXPECT_EQ(PrivateKey::read_pem(path)->public_key(), key.public_key());
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  EXPECT_THAT(PrivateKey::read_pem(path), ErrorIs(ErrorCode::untrusted, HasSubstr("others")));
}

TEST(Envelope, encodes_as_the_dsse_specification_shows) {
  EXPECT_EQ(as_text(pre_authentication_encoding("http://example.com/HelloWorld",
                                                as_bytes("hello world"))),
            "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

TEST(Envelope, gives_back_exactly_the_signed_bytes) {
  const std::vector<PrivateKey> keys{new_key()};
  const std::string payload("{ \"a\" :1}\0\xff", 11);
  const auto verified = verify_envelope(sign(payload, keys), "test", signers_of(keys, 1));
  ASSERT_THAT(verified, IsOk());
  EXPECT_EQ(as_text(verified->bytes()), payload);
}

TEST(Envelope, refuses_what_is_unsigned_or_signed_by_a_stranger) {
  const std::vector<PrivateKey> keys{new_key()};
  EXPECT_THAT(verify_envelope(sign("x", {}), "test", signers_of(keys, 1)),
              ErrorIs(ErrorCode::untrusted, HasSubstr("not signed")));
  EXPECT_THAT(verify_envelope(sign("x", {new_key()}), "test", signers_of(keys, 1)),
              ErrorIs(ErrorCode::untrusted, HasSubstr("does not name")));
  EXPECT_THAT(verify_envelope(sign("x", keys), "test", signers_of({}, 0)),
              ErrorIs(ErrorCode::untrusted, HasSubstr("does not name")))
      << "no key configured must never mean that anything passes";
}

TEST(Envelope, refuses_a_document_of_another_kind) {
  const std::vector<PrivateKey> keys{new_key()};
  EXPECT_THAT(verify_envelope(sign("x", keys), "root", signers_of(keys, 1)),
              ErrorIs(ErrorCode::untrusted, HasSubstr("payload type")));
}

TEST(Envelope, counts_each_key_of_the_role_once) {
  const std::vector<PrivateKey> keys{new_key(), new_key()};
  EXPECT_THAT(verify_envelope(sign("x", keys), "test", signers_of(keys, 2)), IsOk());
  EXPECT_THAT(verify_envelope(sign("x", {keys[0]}), "test", signers_of(keys, 2)),
              ErrorIs(ErrorCode::untrusted, HasSubstr("1 of the 2")));
  EXPECT_THAT(verify_envelope(sign("x", {keys[0], new_key()}), "test", signers_of(keys, 2)),
              ErrorIs(ErrorCode::untrusted, HasSubstr("1 of the 2")));
  EXPECT_THAT(verify_envelope(sign("x", {keys[0], keys[0]}), "test", signers_of(keys, 2)),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("signs twice")));
}

TEST(Envelope, refuses_every_flipped_bit) {
  const std::vector<PrivateKey> keys{new_key()};
  const std::string good = sign("{\"a\":1}", keys);
  const Signers signers = signers_of(keys, 1);
  ASSERT_THAT(verify_envelope(good, "test", signers), IsOk());
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      EXPECT_THAT(verify_envelope(bad, "test", signers),
                  AnyOf(ErrorIs(ErrorCode::untrusted, HasSubstr("")),
                        ErrorIs(ErrorCode::invalid_data, HasSubstr(""))))
          << "byte " << i << " bit " << bit;
    }
  }
}

TEST(Envelope, refuses_what_is_cut_short_or_too_long) {
  const std::vector<PrivateKey> keys{new_key()};
  const std::string good = sign("{\"a\":1}", keys);
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(verify_envelope(good.substr(0, length), "test", signers_of(keys, 1)));
  }
  EXPECT_THAT(verify_envelope(std::string(2 << 20, ' '), "test", signers_of(keys, 1)),
              ErrorIs(ErrorCode::invalid_data, HasSubstr("more than")));
}

}  // namespace
}  // namespace outcrop::trust
