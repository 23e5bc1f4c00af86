#include "trainer_host/cli/monitor_output.hpp"

#include <gmock/gmock.h>

#include "tests/support/result_matchers.hpp"
#include "trainer_host/cli/layers_output.hpp"
#include "trainer_host/fleet/monitor/audit.hpp"

namespace outcrop::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Timestamp today{std::chrono::seconds(1'800'000'000)};

json point(int hours_ago, double p90, std::uint64_t throttled, std::uint64_t errors = 1) {
  return {{"at", to_rfc3339(today - std::chrono::hours(hours_ago))}, {"seconds", 3600}, {"count", 120},
          {"p50", p90 * 0.8}, {"p90", p90}, {"min", 1.0}, {"max", p90 * 2}, {"samples", 12},
          {"errors", errors}, {"boards", 1},
          {"throttled", {{"under-voltage", 0}, {"throttled", throttled}}}};
}

HistoryAnswers some_answers() {
  HistoryAnswers answers;
  answers.served = {{"cut", false}, {"points", {point(2, 8.5, 0), point(1, 12.5, 3)}}};
  answers.temperature = {{"cut", false}, {"points", {point(1, 40.5, 3)}}};
  json is_void = point(1, 0, 0);
  is_void["p90"] = nullptr;
  answers.measured = {{"cut", false}, {"points", {point(3, 9.25, 0, 0), is_void}}};
  answers.outliers = {{"outliers",
                       {{{"device", "pi-1"}, {"at", to_rfc3339(today - std::chrono::hours(3))}, {"variant", "int8"},
                         {"p90_ms", 26.0}, {"usual_ms", 8.45}, {"against", "its own 4 measurements"}},
                        {{"device", "pi-2"}, {"at", to_rfc3339(today)}, {"variant", "int8"}, {"p90_ms", 99.0},
                         {"usual_ms", 8.0}, {"against", "its own 4 measurements"}}}}};
  return answers;
}

TEST(MonitorOutput, shows_a_board_over_time_with_the_age_of_each_line) {
  const std::string text = history_tables("pi-1", some_answers(), today, 0);
  EXPECT_THAT(text, HasSubstr("2 h ago"));
  EXPECT_THAT(text, HasSubstr("12.5"));
  EXPECT_THAT(text, HasSubstr("throttled 3"));
  EXPECT_THAT(text, HasSubstr("121")) << "calls that failed are calls";
  EXPECT_THAT(text, HasSubstr("void"));
  EXPECT_THAT(text, HasSubstr("! 3 h ago: int8 p90 26.0 ms, where 8.45 is usual by its own 4 measurements"));
  EXPECT_THAT(text, Not(HasSubstr("99")));
}

TEST(MonitorOutput, says_why_there_may_be_nothing) {
  HistoryAnswers nothing;
  nothing.served = nothing.temperature = nothing.measured = {{"cut", false}, {"points", json::array()}};
  nothing.outliers = {{"outliers", json::array()}};
  EXPECT_THAT(history_tables("pi-1", nothing, today, 0), HasSubstr("nothing is kept of pi-1"));
}

TEST(MonitorOutput, shows_what_a_call_is_spent_on_by_operator) {
  messages::Layers layers;
  layers.header = {"pi-1", 7, 9, today, true};
  layers.device_class = "raspberry-pi-4";
  layers.engine = "torch";
  layers.engine_version = "1.13.1";
  const auto takes = [](const char* name, int microseconds) {
    return messages::VariantLayers::Operator{name, std::chrono::microseconds(microseconds)};
  };
  layers.variants = {{"float", "", 25, {takes("aten::relu", 250), takes("aten::conv2d", 1500), takes("aten::conv2d", 750)}},
                     {"int8-qint8", "the proof failed", 0, {}}};
  const std::string text = layers_tables(layers, {});
  EXPECT_THAT(text, HasSubstr("pi-1 (raspberry-pi-4) told on 2027-01-15"));
  EXPECT_THAT(text, HasSubstr("float, 3 operators in 2.50 ms (medians of 25 calls)"));
  EXPECT_THAT(text, HasSubstr("int8-qint8 was not timed: the proof failed"));
  const std::size_t longest = text.find("aten::conv2d");
  EXPECT_LT(longest, text.find("aten::relu")) << "what took longest comes first";
  EXPECT_THAT(text.substr(longest, text.find('\n', longest) - longest), HasSubstr("90"));
}

TEST(MonitorOutput, says_who_measures_and_who_does_not) {
  const std::string text = measure_words({{"asked", {"pi-1"}}, {"left_out", {{"pi-2", "it is offline"}}}});
  EXPECT_THAT(text, HasSubstr("pi-1 is asked to measure again"));
  EXPECT_THAT(text, HasSubstr("pi-2 is not asked: it is offline"));
}

TEST(PictureOutput, says_who_draws_and_what_is_in_the_file) {
  const std::string asked = picture_words({{"asked", {"pi-1"}}, {"left_out", {{"pi-2", "it is offline"}}}});
  EXPECT_THAT(asked, HasSubstr("pi-1 is asked for a picture\npi-2 is not asked: it is offline\neach draws when nobody uses it"));
  json answer{{"device", "pi-1"}, {"words", "It is not what was signed."}, {"comparison", {{"verdict", "beyond"}}},
              {"picture", {{"output", "velocity"}, {"variant", "float"}}}};
  EXPECT_EQ(picture_text(answer, "all", "a.png"),
            "a.png: velocity as pi-1 drew it (float), the host's own of the same seed, and the difference.\nIt is not what was signed.");
  EXPECT_THAT(picture_text(answer, "host", "a.png"), HasSubstr("velocity, the host's own."));
  answer["comparison"] = nullptr;
  EXPECT_THAT(picture_text(answer, "all", "a.png"), Not(HasSubstr("the host's own")));
}

class AuditOutput : public ::testing::Test {
 protected:
  AuditOutput() {
    fleet::monitor::AuditEntry before;
    for (std::uint64_t number = 1; number <= 3; ++number) {
      fleet::monitor::AuditEntry entry;
      entry.number = number;
      entry.time = today - std::chrono::hours(4 - number);
      entry.who = "uid 1000";
      entry.action = "api";
      entry.subject = "POST /v1/rollouts";
      entry.detail = R"({"status": 201, "words": "a \"b\", c"})";
      entry.before = before.hash;
      entry.hash = hash_of(entry);
      entries_.insert(entries_.begin(), json{{"number", number}, {"time", to_rfc3339(entry.time)}, {"who", entry.who},
                                         {"action", entry.action}, {"subject", entry.subject},
                                         {"detail_text", entry.detail}, {"before", entry.before.hex()},
                                         {"hash", entry.hash.hex()}});
      before = entry;
    }
  }
  std::vector<json> entries_;  // newest first
};

TEST_F(AuditOutput, checks_the_chain_and_a_head_that_was_noted) {
  const auto checked = check_audit(entries_, "");
  ASSERT_THAT(checked, IsOk());
  EXPECT_EQ(checked->entries, 3U);
  EXPECT_EQ(checked->head, "3:" + entries_[0]["hash"].get<std::string>());
  EXPECT_THAT(check_audit(entries_, checked->head), IsOk());
  const std::string other = "2:" + std::string(64, 'a');
  EXPECT_THAT(check_audit(entries_, other), ErrorIs(ErrorCode::untrusted, HasSubstr("written anew")));
  EXPECT_THAT(check_audit({entries_[1], entries_[2]}, checked->head),
              ErrorIs(ErrorCode::untrusted, HasSubstr("is gone")));
  EXPECT_THAT(check_audit(entries_, "3"), ErrorIs(ErrorCode::invalid_argument, HasSubstr("NUMBER:HASH")));
  EXPECT_EQ(check_audit({}, "")->entries, 0U);
}

TEST_F(AuditOutput, a_changed_or_removed_entry_shows) {
  auto changed = entries_;
  changed[1]["who"] = "nobody";
  EXPECT_THAT(check_audit(changed, ""), ErrorIs(ErrorCode::untrusted, HasSubstr("entry 2 of the audit log was changed")));
  auto removed = entries_;
  removed.erase(removed.begin() + 1);
  EXPECT_THAT(check_audit(removed, ""), ErrorIs(ErrorCode::untrusted, HasSubstr("is gone")));
}

TEST_F(AuditOutput, is_quoted_for_other_programs) {
  const std::string csv = audit_csv(entries_);
  EXPECT_THAT(csv, HasSubstr("number,time,who,action,subject,detail,before,hash\r\n3,"));
  EXPECT_THAT(csv, HasSubstr(R"("{""status"": 201, ""words"": ""a \""b\"", c""}")"));
  EXPECT_THAT(audit_table(entries_, today, 0), HasSubstr("POST /v1/rollouts"));
}

}  // namespace
}  // namespace outcrop::cli
