#include "trainer_host/release/token_key.hpp"

#include <gmock/gmock.h>

#include <cstdlib>

#include "protocol/base/durable_file.hpp"
#include "protocol/trust/new_key_for_tests.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"
#include "trainer_host/release/offline_key.hpp"
#include "trainer_host/release/rotate.hpp"
#include "trainer_host/release/sign_documents.hpp"

namespace outcrop::release {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr Timestamp token_time{std::chrono::seconds(1'800'000'000)};
constexpr std::chrono::days token_days{365};
constexpr const char* soft_module = "/usr/lib/softhsm/libsofthsm2.so";

// A token of SoftHSM in a folder of its own, with the keys "root" and "targets".
class TokenKeyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v softhsm2-util > /dev/null") != 0 || !fs::exists(soft_module)) {
      GTEST_SKIP() << "softhsm2 is not installed (script/bootstrap installs it)";
    }
    fs::create_directory(folder_.path() / "tokens");
    const fs::path configuration = folder_.path() / "softhsm2.conf";
    ASSERT_THAT(write_file_durably(configuration, "directories.tokendir = " + (folder_.path() / "tokens").string() +
                                                      "\nobjectstore.backend = file\nlog.level = ERROR\n"),
                IsOk());
    ::setenv("SOFTHSM2_CONF", configuration.c_str(), 1);
    ASSERT_TRUE(tool("--init-token --free --label box --pin 4711 --so-pin 12345678"));
    add("root", "01");
    add("targets", "02");
    write_pin("4711\n");
  }
  void TearDown() override { ::unsetenv("SOFTHSM2_CONF"); }

  static bool tool(const std::string& arguments) {
    return std::system(("softhsm2-util " + arguments + " > /dev/null 2>&1").c_str()) == 0;
  }
  void add(const std::string& name, const std::string& id) {
    const fs::path file = folder_.path() / (name + id + ".pem");
    const trust::PrivateKey key = trust::new_key();
    ASSERT_THAT(key.write_pem(file), IsOk());
    ASSERT_TRUE(tool("--import " + file.string() + " --token box --label " + name + " --id " + id + " --pin 4711"));
    public_keys_[name] = key.public_key();
  }
  void write_pin(std::string_view text) {
    ASSERT_THAT(write_file_durably(pin_, text), IsOk());
    fs::permissions(pin_, fs::perms::owner_read | fs::perms::owner_write);
  }
  std::string uri(const std::string& object, const std::string& token = "box") const {
    return "pkcs11:token=" + token + ";object=" + object + "?module-path=" + soft_module + "&pin-source=file:" + pin_.string();
  }

  TemporaryFolder folder_;
  fs::path pin_ = folder_.path() / "pin";
  std::map<std::string, trust::PublicKey> public_keys_;
};

TEST_F(TokenKeyTest, signs_what_a_key_folder_is_made_of) {
  const fs::path keys = folder_.path() / "keys";
  KeyStoreOptions options;
  options.models = {"curvefault"};
  options.root_key = uri("root");
  options.targets_key = uri("targets");
  ASSERT_THAT(init_key_store(keys, options, token_time), IsOk());
  const auto store = read_key_store(keys);
  ASSERT_THAT(store, IsOk());
  EXPECT_TRUE(store->root->keys.contains(public_keys_["root"].id()));
  EXPECT_THAT(*read_text_file(keys / "offline/root.key"), HasSubstr("pkcs11:token=box"));
  EXPECT_THAT(renew_targets(keys, token_days, token_time), IsOk());
  EXPECT_THAT(rotate_keys(keys, {"timestamp"}, token_days, token_time), IsOk());
  EXPECT_THAT(rotate_keys(keys, {"root"}, token_days, token_time), ErrorIs(ErrorCode::refused, HasSubstr("on a token")));
  EXPECT_THAT(encrypt_offline_keys(keys), ErrorIs(ErrorCode::refused, HasSubstr("on tokens")));
  EXPECT_EQ(read_public_key(uri("root")).value(), public_keys_["root"]);
}

TEST_F(TokenKeyTest, says_what_is_wrong) {
  const auto open = [](const std::string& text) { return open_signing_key(text); };
  ASSERT_THAT(open(uri("root")), IsOk());
  EXPECT_THAT(open("pkcs11:nonsense"), ErrorIs(ErrorCode::invalid_data, HasSubstr("not a PKCS #11 URI")));
  EXPECT_THAT(open("pkcs11:token=box?pin-value=4711"), ErrorIs(ErrorCode::refused, HasSubstr("has a PIN in it")));
  EXPECT_THAT(open("pkcs11:token=box;object=root?module-path=/nowhere.so"), ErrorIs(ErrorCode::not_found, HasSubstr("/nowhere.so")));
  EXPECT_THAT(open(uri("root", "other")), ErrorIs(ErrorCode::not_found, HasSubstr("no token")));
  EXPECT_THAT(open(uri("other")), ErrorIs(ErrorCode::not_found, HasSubstr("no private key")));
  add("root", "03");
  EXPECT_THAT(open(uri("root")), ErrorIs(ErrorCode::refused, HasSubstr("several private keys")));
  write_pin("1\n");
  EXPECT_THAT(open(uri("targets")), ErrorIs(ErrorCode::untrusted, HasSubstr("no login with this PIN")));
  fs::permissions(pin_, fs::perms::group_read, fs::perm_options::add);
  EXPECT_THAT(open(uri("targets")), ErrorIs(ErrorCode::untrusted, HasSubstr("chmod 600")));
}

}  // namespace
}  // namespace outcrop::release
