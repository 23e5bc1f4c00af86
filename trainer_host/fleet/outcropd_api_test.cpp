#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "tests/support/shell.hpp"
#include "tests/support/test_broker.hpp"
#include "trainer_host/fleet/outcropd_fixture.hpp"

namespace outcrop::fleet {
namespace {

using nlohmann::json;

// What a stranger's program makes of the API's document, and of what is behind it.
class OutcropdApiTest : public OutcropdTest {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(tools_ + "/st")) GTEST_SKIP() << "no schemathesis here: script/api-tools";
    OutcropdTest::SetUp();
  }
  const std::string tools_ = OUTCROP_SOURCE "/build/api-tools/bin";
  const std::string document_ = OUTCROP_SOURCE "/trainer_host/fleet/api/openapi.json";
};

TEST_F(OutcropdApiTest, its_document_is_one_of_openapi_3_1) {
  const ShellOutcome checked = run_shell(tools_ + "/openapi-spec-validator --schema 3.1 " + document_);
  EXPECT_EQ(checked.code, 0) << checked.output;
}

// Requests that the document allows and some that it does not, by schemathesis, always the same ones. Left out: events, which
// do not end, and the removal of a token, which would be the very one that it comes with.
TEST_F(OutcropdApiTest, answers_as_its_document_says_whatever_it_is_asked) {
  const std::string port = std::to_string(free_port());
  write_config("[broker]\nport = " + std::to_string(free_port()) + "\n[http]\nlisten = \"127.0.0.1:" + port + "\"\n");
  start();
  const std::string manifest = publish(1);
  auto board = enroll("board");
  board->connect();
  ASSERT_TRUE(until([&] { return get("/v1/host")["online"] == 1; }));
  post("/v1/rollouts", {{"name", "first"}, {"manifest", manifest}}, 201);
  ASSERT_TRUE(rollout_is("first", "done"));
  const std::string token = post("/v1/tokens", {{"name", "tries-all"}, {"role", "admin"}}, 201)["token"];
  const ShellOutcome tried = run_shell(
      "cd " + home_.string() + " && OUTCROP_TOKEN=" + token + " timeout 240 " + tools_ + "/st --config-file " OUTCROP_SOURCE
      "/tests/api/schemathesis.toml run " + document_ + " --url http://127.0.0.1:" + port +
      " --max-examples 3 --phases coverage,fuzzing,stateful --generation-deterministic --exclude-operation-id listen"
      " --exclude-operation-id removeToken --no-shrink --continue-on-failure --warnings off --no-color 2>&1");
  EXPECT_EQ(tried.code, 0) << tried.output;
  EXPECT_NE(tried.output.find(" generated"), std::string::npos) << tried.output;
  // And it is as well as before.
  EXPECT_EQ(get("/v1/releases")["releases"].size(), 1U);
  kill(SIGTERM);
  EXPECT_EQ(exit_code_, 0);
}

}  // namespace
}  // namespace outcrop::fleet
