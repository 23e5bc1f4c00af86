#include <gmock/gmock.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "protocol/base/durable_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/shell.hpp"
#include "trainer_host/fleet/outcropd_fixture.hpp"

// Who may come, and who may not any more.

namespace outcrop::fleet {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Members of another group than the one that rules, by a socket of their own.
TEST_F(OutcropdTest, who_may_only_read_rules_nothing) {
  const group* own = ::getgrgid(::getgid());
  ASSERT_NE(own, nullptr);
  write_config("[broker]\nport = 0\n");
  const std::string before = *read_text_file(config_);
  ASSERT_THAT(write_file_durably(config_, "readers_group = \"" + std::string(own->gr_name) + "\"\n" + before), IsOk());
  start();
  const fs::path ruling = socket_;
  const fs::path readers = socket_.parent_path() / "readers.sock";
  struct stat info {};
  ASSERT_EQ(::stat(readers.c_str(), &info), 0);
  EXPECT_EQ(info.st_gid, ::getgid());
  EXPECT_EQ(info.st_mode & 0777, 0660U);
  socket_ = readers;
  EXPECT_TRUE(get("/v1/devices").contains("devices"));
  int ruling_calls = 0;
  const auto document = get("/v1/openapi.json");
  for (const auto& [route, methods] : document["paths"].items()) {
    for (const auto& [name, described] : methods.items()) {
      if (described["x-role"] == "viewer") continue;
      std::string path = route;
      while (path.find('{') != std::string::npos) path.replace(path.find('{'), path.find('}') - path.find('{') + 1, "x");
      std::string method = name;
      for (char& letter : method) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
      call(method, path, method == "POST" || method == "PUT" ? json::object() : json(), 403);
      ++ruling_calls;
    }
  }
  EXPECT_GT(ruling_calls, 10);
  socket_ = ruling;
  call("PUT", "/v1/groups/all", {{"filter", "class=pi"}});
  kill(SIGTERM);
  EXPECT_FALSE(fs::exists(readers));
  ASSERT_THAT(write_file_durably(config_, "readers_group = \"nobody-has-this\"\n" + before), IsOk());
  EXPECT_NE(run({"--config", config_.string(), "--check-config"}), 0);
  EXPECT_THAT(output_, HasSubstr("there is no group 'nobody-has-this'"));
}

// Stolen: whoever has it makes certificates of any board.
TEST_F(OutcropdTest, an_authority_that_is_removed_lets_nobody_in_any_more) {
  start();
  const auto board = enroll("pi-1");
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/devices/pi-1")["online"] == true; }));
  const auto listed = get("/v1/device-authorities");
  ASSERT_EQ(listed["authorities"].size(), 1U);
  EXPECT_EQ(listed["authorities"][0]["devices"], 1);
  const std::string remove = "/v1/device-authorities/" + listed["authorities"][0]["keyid"].get<std::string>() + "/remove";
  post("/v1/device-authorities/" + std::string(64, 'a') + "/remove", {{"reason", "stolen"}, {"revoke_devices", true}}, 404);
  EXPECT_THAT(post(remove, {{"reason", "stolen"}, {"revoke_devices", false}}, 409).dump(), AllOf(HasSubstr("1 board is enrolled"), HasSubstr("--revoke-devices")));
  const std::string shown = "curl -s -i --unix-socket " + socket_.string() + " -H 'If-Match: \"seen-before\"' -X POST -d '{\"reason\": \"stolen\", "
                            "\"revoke_devices\": true}' http://local" + remove;
  EXPECT_THAT(run_shell(shown).output, HasSubstr("412 Precondition Failed"));
  EXPECT_EQ(get("/v1/device-authorities/" + listed["authorities"][0]["keyid"].get<std::string>())["name"], listed["authorities"][0]["name"]);
  const auto removed = post(remove, {{"reason", "stolen"}, {"revoke_devices", true}});
  EXPECT_EQ(removed["revoked"], json::array({"pi-1"}));
  EXPECT_TRUE(until([&] { return !board->connected(); }));
  EXPECT_EQ(get("/v1/devices/pi-1")["revoked_reason"], "its device authority was removed: stolen");
  EXPECT_EQ(get("/v1/audit?action=authority-removed")["entries"].size(), 1U);
  // Neither by habit nor after a restart, whatever the broker's folder remembers.
  const auto again = [&, authority = devices_->certificate(), list = *devices_->revocation_list()] {
    return post("/v1/device-authority", {{"authority", authority}, {"crl", list}}, 403).dump();
  };
  EXPECT_THAT(again(), HasSubstr("was removed on"));
  EXPECT_THAT(post(remove, {{"reason", "stolen"}, {"revoke_devices", true}}, 409).dump(), HasSubstr("was removed already on"));
  kill(SIGKILL);
  devices_.reset();  // else start() brings it
  start();
  EXPECT_THAT(again(), HasSubstr("was removed on"));
  EXPECT_EQ(get("/v1/device-authorities")["removed"].size(), 1U);
  EXPECT_EQ(get("/v1/device-authorities")["authorities"].size(), 0U);
}

}  // namespace
}  // namespace outcrop::fleet
