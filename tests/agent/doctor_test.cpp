// What `outcrop-agent doctor` says of a board with a real broker, before and while its agent runs.

#include <gmock/gmock.h>

#include <filesystem>
#include <map>
#include <sstream>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "tests/agent/rig.hpp"

namespace outcrop {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DoctorTest : public AgentTest {
 protected:
  ShellOutcome doctor(const std::string& options = "") {
    return agent_says("doctor --config " + config_.string() + options);
  }
  // The checks by their names.
  std::map<std::string, nlohmann::json> checks() {
    // What doctor says on standard error would spoil the JSON.
    const auto json = nlohmann::json::parse(doctor(" --json 2>/dev/null; true").output, nullptr,
                                            /*allow_exceptions=*/false);
    std::map<std::string, nlohmann::json> found;
    if (!json.is_object()) return found;
    for (const auto& check : json["checks"]) found[check["check"].get<std::string>()] = check;
    return found;
  }
  // Whether a key is there, and no line of it in the text.
  bool tells_no_key(const std::string& text) const {
    bool key_seen = false;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(state_ / "identity")) {
      const auto key = read_text_file(entry.path(), ByteCount::mib(1));
      if (!key || key->find("PRIVATE KEY") == std::string::npos) continue;
      key_seen = true;
      std::istringstream lines(*key);
      for (std::string line; std::getline(lines, line) && !line.empty();) EXPECT_THAT(text, Not(HasSubstr(line)));
    }
    return key_seen;
  }
};

TEST_F(DoctorTest, finds_an_enrolled_board_good_before_its_agent_runs) {
  auto line = checks();
  EXPECT_EQ(line["engine"]["verdict"], "ok");
  EXPECT_EQ(line["kernels qnnpack"]["verdict"], "ok");
  EXPECT_THAT(line["confinement"]["found"].get<std::string>(),
              ::testing::StartsWith(OUTCROP_TESTED_CONFINEMENT));
  EXPECT_EQ(line["certificate"]["verdict"], "ok");
  EXPECT_THAT(line["certificate"]["found"], HasSubstr("pi-1, valid until 2120"));
  EXPECT_EQ(line["broker"]["verdict"], "ok");
  EXPECT_EQ(line["metadata"]["found"], "none yet");
}

TEST_F(DoctorTest, leaves_a_running_agent_its_session) {
  agent_is_online();
  first_release();
  const std::size_t statuses = host_.statuses.size();
  const ShellOutcome table = doctor();
  EXPECT_THAT(table.output, HasSubstr("ok       certificate"));
  EXPECT_THAT(table.output, HasSubstr("ok       metadata         snapshot "));
  loop_.run_for(std::chrono::milliseconds(300));
  for (std::size_t i = statuses; i < host_.statuses.size(); ++i) {
    EXPECT_TRUE(host_.statuses[i].online);
  }
  EXPECT_TRUE(agent_runs());
}

TEST_F(DoctorTest, collects_what_helps_others_and_no_secret) {
  agent_is_online();
  const ForgedRelease release = first_release();
  const std::string file = (folder_.path() / "support.json").string();
  const ShellOutcome outcome = agent_says("collect --out " + file + " --config " + config_.string());
  EXPECT_EQ(outcome.code, 0) << outcome.output;
  const auto text = read_text_file(file, ByteCount::mib(16));
  ASSERT_TRUE(text);
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["status"]["active"]["manifest"], release.manifest.hex());
  EXPECT_EQ(json["fsck"], nlohmann::json::array());
  EXPECT_THAT(json["documents"]["board.json"].get<std::string>(), HasSubstr(release.manifest.hex()));
  EXPECT_THAT(json["configuration"][config_.string()].get<std::string>(), HasSubstr("[device]"));
  EXPECT_TRUE(tells_no_key(*text));
}

// Whoever may write there would have the key handed out.
TEST_F(DoctorTest, collects_nothing_by_links_or_other_names) {
  agent_is_online();
  const std::filesystem::path drop_ins = config_.string() + ".d";
  std::filesystem::create_directories(drop_ins);
  std::filesystem::create_symlink(state_ / "identity/device.key", drop_ins / "link.toml");
  std::filesystem::create_hard_link(state_ / "identity/device.key", drop_ins / "name.toml");
  ASSERT_TRUE(write_file_durably(drop_ins / ".hidden.toml", "of an editor"));
  const std::string file = (folder_.path() / "support.json").string();
  EXPECT_EQ(agent_says("collect --out " + file + " --config " + config_.string()).code, 0);
  const auto text = read_text_file(file, ByteCount::mib(16));
  ASSERT_TRUE(text);
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  EXPECT_THAT(json["configuration"][(drop_ins / "link.toml").string()]["error"].get<std::string>(), HasSubstr("is a link, and is not read"));
  EXPECT_THAT(json["configuration"][(drop_ins / "name.toml").string()]["error"].get<std::string>(), HasSubstr("has another name, and is not read"));
  EXPECT_THAT(*text, Not(HasSubstr("of an editor")));
  EXPECT_TRUE(tells_no_key(*text));
}

TEST_F(DoctorTest, ends_with_1_where_a_check_failed) {
  configure("[broker]\nport = 1\n");
  const ShellOutcome refused = doctor();
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.output, HasSubstr("connection refused"));
  EXPECT_THAT(refused.output, HasSubstr("checks failed"));
  EXPECT_EQ(doctor(" --no-such-option").code, 2);
}

TEST_F(DoctorTest, says_that_the_broker_is_gone) {
  broker_.stop_broker();
  auto line = checks();
  EXPECT_EQ(line["broker"]["verdict"], "fail");
  EXPECT_EQ(line["certificate"]["verdict"], "ok");
}

}  // namespace
}  // namespace outcrop
