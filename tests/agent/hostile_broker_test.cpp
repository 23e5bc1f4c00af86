// What a board does with commands that its host never gave, however they come: each attack of The
// Update Framework's list (specification 1.5.2) that a broker could try on `cmd`.

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include <filesystem>

#include "tests/agent/rig.hpp"

namespace outcrop {
namespace {

namespace fs = std::filesystem;
using messages::Cancel;
using ::testing::HasSubstr;

constexpr std::uint64_t highest = (std::uint64_t{1} << 53) - 1;

class HostileBroker : public AgentTest {
 protected:
  using AgentTest::AgentTest;

  [[nodiscard]] bool logs(const std::string& words) {
    return loop_.until([&] { return log().find(words) != std::string::npos; });
  }
  [[nodiscard]] std::size_t blobs() const {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(state_ / "releases/blobs")) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }
  // Serves the first release, as of generation 1, and obeys its host.
  void still_obeys(const ForgedRelease& first) {
    EXPECT_EQ(host_.status()->active_manifest, first.manifest);
    EXPECT_EQ(host_.status()->generation, 1U);
    const ForgedRelease second = released({.stage = 2});
    host_.send(host_.offer(second, 2, forge_));
    EXPECT_NE(ends(2, State::updated), nullptr);
  }
};

TEST_F(HostileBroker, cannot_take_back_a_release) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const std::size_t before = blobs();
  const Cancel forged{"rollout-1", highest, trust::sha256("never here"), std::nullopt, "forged"};
  host_.send_raw(to_json(forged));
  ASSERT_TRUE(logs("nobody signed it"));
  Cancel likely{"rollout-1", 2, first.manifest, std::nullopt, "forged"};
  host_.send_raw(forge_.command("pi-1", likely, std::chrono::hours(1), "snapshot"));
  EXPECT_TRUE(logs("(2 so far)"));
  EXPECT_EQ(blobs(), before);
  still_obeys(first);
}

TEST_F(HostileBroker, cannot_use_what_was_signed_for_another_board_or_for_another_day) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const Cancel cancel{"rollout-1", 2, first.manifest, std::nullopt, "back"};
  host_.send_raw(forge_.command("pi-2", cancel));
  ASSERT_TRUE(logs("it is for the board 'pi-2'"));
  for (int i = 0; i < 3; ++i) {  // the log tells the 1st, 2nd and 4th
    host_.send_raw(forge_.command("pi-1", cancel, std::chrono::seconds(-7200)));
  }
  ASSERT_TRUE(logs("it expired on"));
  still_obeys(first);
}

TEST_F(HostileBroker, cannot_make_a_board_forget_its_reports) {
  agent_is_online();
  host_.acknowledge(false);
  const ForgedRelease first = first_release();
  const messages::Report* report = host_.report(1, State::updated);
  const auto waiting = [&] {
    const auto status = agent_says("status --json --config " + config_.string()).output;
    return nlohmann::json::parse(status, nullptr, /*allow_exceptions=*/false)
        .value("reports_waiting", std::size_t{0});
  };
  const std::size_t before = waiting();
  ASSERT_GT(before, 0U);
  const messages::Acknowledgement known{{{report->header.session, report->header.sequence}}};
  host_.send_raw(to_json(known));
  ASSERT_TRUE(logs("nobody signed it"));
  EXPECT_EQ(waiting(), before);
  host_.send(known);
  EXPECT_TRUE(loop_.until([&] { return waiting() == before - 1; }));
  EXPECT_GT(host_.signed_statuses, 0U);
  still_obeys(first);
}

// By a thief of the director's key, say.
TEST_F(HostileBroker, cannot_use_up_the_generations_or_sessions_of_a_board) {
  agent_is_online();
  const ForgedRelease first = first_release();
  host_.send(Cancel{"rollout-1", highest, first.manifest, std::nullopt, "stolen"});
  ASSERT_TRUE(logs("refusing generation 9007199254740991"));
  host_.send(messages::Used{highest});
  ASSERT_TRUE(logs("session 9007199254740991 leaps"));
  still_obeys(first);
}

TEST_F(HostileBroker, takes_back_nothing_that_is_not_named_and_what_served_is_kept_a_while) {
  agent_is_online();
  const ForgedRelease first = first_release();
  host_.send(Cancel{"rollout-1", 2, trust::sha256("never here"), std::nullopt, "mistaken"});
  const messages::Report* refused = ends(2, State::rejected);
  ASSERT_NE(refused, nullptr);
  EXPECT_THAT(refused->reason, HasSubstr("does not serve here, and what serves stays"));
  EXPECT_EQ(refused->active_manifest, first.manifest);
  // One that names it is obeyed; its bytes wait for whoever thinks better of it.
  host_.send(Cancel{"rollout-1", 3, first.manifest, std::nullopt, "back to nothing"});
  const messages::Report* returned = ends(3, State::rolled_back);
  ASSERT_NE(returned, nullptr);
  EXPECT_EQ(returned->active_manifest, std::nullopt);
  const std::uint64_t chunks = host_.chunks();
  host_.send(host_.offer(first, 4, forge_));
  const messages::Report* again = ends(4, State::updated);
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->active_manifest, first.manifest);
  EXPECT_EQ(host_.chunks(), chunks);
}

TEST_F(HostileBroker, loses_its_numbers_with_the_key_of_the_director) {
  agent_is_online();
  const ForgedRelease first = first_release();
  host_.send(Cancel{"rollout-1", 1'000'000, trust::sha256("x"), first.manifest, "stolen key"});
  ASSERT_NE(ends(1'000'000, State::rolled_back), nullptr);
  const std::string of_thief =
      forge_.command("pi-1", Cancel{"rollout-1", 1'000'001, first.manifest, std::nullopt, "again"});
  forge_.replace_director();
  const ForgedRelease second = released({.stage = 2});
  ASSERT_TRUE(loop_.until([&] { return host_.status()->root_version == 2; }));
  host_.send_raw(of_thief);
  host_.send(host_.offer(second, 2, forge_));
  ASSERT_NE(ends(2, State::updated), nullptr);
  EXPECT_EQ(host_.status()->generation, 2U);
}

TEST_F(HostileBroker, loses_its_numbers_where_the_board_is_enrolled_anew) {
  agent_is_online();
  const ForgedRelease first = first_release();
  host_.send(Cancel{"rollout-1", 1'000'000, trust::sha256("x"), first.manifest, "a bad day"});
  ASSERT_NE(ends(1'000'000, State::rolled_back), nullptr);
  EXPECT_EQ(end_agent(), 0);
  enroll();
  agent_is_online();
  EXPECT_EQ(host_.status()->generation, 0U);
  EXPECT_EQ(host_.status()->active_manifest, first.manifest);
}

// Under a root of before protocol 5 boards are served as before.
class UndirectedBoard : public HostileBroker {
 protected:
  UndirectedBoard() : HostileBroker(false) {}
};

TEST_F(UndirectedBoard, takes_commands_as_they_come_and_says_so) {
  agent_is_online();
  const ForgedRelease first = first_release();
  EXPECT_EQ(host_.signed_statuses, 0U);
  EXPECT_THAT(log(), HasSubstr("commands count unsigned"));
  still_obeys(first);
}

}  // namespace
}  // namespace outcrop
