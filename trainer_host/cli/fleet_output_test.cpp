#include "trainer_host/cli/best_output.hpp"
#include "trainer_host/cli/fleet_output.hpp"

#include <gmock/gmock.h>

#include "tests/support/good_quality.hpp"
#include "trainer_host/cli/host_notes.hpp"
#include "trainer_host/cli/human.hpp"
#include "trainer_host/cli/quality_note.hpp"
#include "trainer_host/cli/rollout_output.hpp"

namespace outcrop::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Timestamp now{std::chrono::seconds(1'800'000'000)};
const std::string manifest(64, 'a');

std::string ago(int seconds) {
  return to_rfc3339(now - std::chrono::seconds(seconds));
}

Json device(const std::string& name) {
  return {{"name", name},
          {"model", "curvefault"},
          {"device_class", "raspberry-pi-4"},
          {"enrolled", ago(90'000)},
          {"revoked", nullptr},
          {"revoked_reason", ""},
          {"online", true},
          {"last_seen", ago(3)},
          {"status",
           {{"held", false}, {"active", {{"manifest", manifest}, {"variant", "int8-qint8"}}}}},
          {"desired", nullptr},
          {"progress", nullptr}};
}

Json variant(const std::string& name, double p90) {
  Json measured{{"name", name},
                {"outcome", "measured"},
                {"reason", ""},
                {"proof",
                 {{{"output", "velocity"}, {"mean_abs", 12.5}, {"max_abs", 90}},
                  {{"output", "seismic"}, {"mean_abs", 0.039}, {"max_abs", 0.1}}}},
                {"measurement", nullptr}};
  if (p90 > 0) {
    measured["measurement"] = {{"p50_ms", p90 - 1},          {"p90_ms", p90},
                               {"first_ms", 180.4},          {"load_ms", 0.0123},
                               {"peak_memory", 104'000'000}, {"void_because", Json::array()}};
  }
  return measured;
}

Json report(const std::string& board, const std::string& state, std::vector<Json> variants,
            int seconds = 1) {
  return {{"received", ago(seconds)},
          {"report",
           {{"device", board},
            {"manifest", manifest},
            {"state", state},
            {"reason", ""},
            {"engine", {{"name", "torch"}, {"version", "1.13.1"}}},
            {"confinement", {{"level", "full"}, {"missing", Json::array()}}},
            {"active", {{"manifest", manifest}, {"variant", "int8-qint8"}}},
            {"variants", std::move(variants)}}}};
}

ReleaseDetails details() {
  const Json bounds{{{"output", "velocity"}, {"mean_abs", 90.0}, {"max_abs", 1500}},
                    {{"output", "seismic"}, {"mean_abs", 0.04}, {"max_abs", 0.4}}};
  return {{manifest,
           {{"manifest", manifest},
            {"model", "curvefault"},
            {"stage", 2},
            {"published", ago(100)},
            {"document",
             {{"golden",
               {{"outputs",
                 {{{"name", "velocity"}, {"unit", "m/s"}},
                  {{"name", "seismic"}, {"unit", "pressure"}}}}}},
              {"variants",
               {{{"name", "float"}, {"tolerance", bounds}},
                {{"name", "int8-qint8"}, {"tolerance", bounds}}}}}}}}};
}

const View anywhere{now, 0};

Fleet fleet_of(std::vector<Json> devices) {
  return {{{"devices", std::move(devices)}}, true, {}};
}

std::string show(const Json& reports, const ReleaseDetails& releases = details(),
                 std::size_t width = 0) {
  return report_table(Json{{"reports", reports}}, releases,
                      fleet_of({device("pi-1"), device("pi-2")}), {now, width});
}

std::size_t widest_line(const std::string& text) {
  std::size_t widest = 0;
  std::size_t columns = 0;
  for (const char c : text) {
    if (c == '\n') {
      columns = 0;
    } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {
      widest = std::max(widest, ++columns);
    }
  }
  return widest;
}

std::vector<std::string> texts(const Json& rollout) {
  std::vector<std::string> all;
  for (const RolloutLine& line : rollout_lines(rollout)) all.push_back(line.text);
  return all;
}

TEST(Human, ages_and_numbers_are_short) {
  EXPECT_EQ(age(ago(3), now), "3 s ago");
  EXPECT_EQ(age(ago(300), now), "5 min ago");
  EXPECT_EQ(age(ago(3 * 3600), now), "3 h ago");
  EXPECT_EQ(age(ago(4 * 86'400), now), "4 d ago");
  EXPECT_EQ(age(ago(-5), now), "0 s ago") << "another machine's clock";
  EXPECT_EQ(age("nonsense", now), "nonsense");
  EXPECT_EQ(short_digest(manifest), "aaaaaaaaaaaa");
  EXPECT_EQ(short_digest(""), "–");
  EXPECT_EQ(shortened("trained badly", 20), "trained badly");
  EXPECT_EQ(shortened("trained badly", 8), "trained…");
  EXPECT_EQ(shortened("äöü", 3), "äöü");
  EXPECT_EQ(shortened("äöüß", 3), "äö…");
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(180.4), "180");
  EXPECT_EQ(short_number(18.98), "19.0");
  EXPECT_EQ(short_number(4.518), "4.52");
  EXPECT_EQ(short_number(0.0123), "0.012");
  EXPECT_EQ(short_number(12'345), "12345");
  EXPECT_EQ(short_number(1.31e-4), "1.31e-04");
}

// "1.0000 against float" says nothing of the model: what it makes of held-out samples does.
TEST(FleetOutput, what_boards_serve_is_shown_with_how_good_it_is) {
  Json served = device("pi-1");
  served["active_release"] = {{"manifest", manifest},
                              {"model", "curvefault"},
                              {"stage", 2},
                              {"quality", Json::parse(messages::to_json(good_quality()))}};
  Json older = device("pi-2");
  older["active_release"] = {{"manifest", std::string(64, 'b')},
                             {"model", "curvefault"},
                             {"stage", 1},
                             {"quality", nullptr}};
  Json foreign = device("pi-3");
  foreign["active_release"] = nullptr;
  EXPECT_EQ(quality_notes({{"devices", {served, served, older, foreign}}}),
            "curvefault stage 2: RMSE on 64 held-out samples: seismic 0.82 pressure (mean of the "
            "training data 0.93), velocity 250 m/s (mean 710)\n"
            "curvefault stage 1: nobody wrote down how good it is\n");
}

TEST(FleetOutput, boards_are_shown_with_what_they_serve_and_do) {
  Json loading = device("pi-2");
  loading["desired"] = {{"rollout", "update-2"}, {"state", "DOWNLOADING"}, {"reason", ""}};
  loading["progress"] = {
      {"state", "DOWNLOADING"}, {"variant", ""}, {"bytes_done", 45}, {"bytes_total", 100}};
  Json away = device("pi-3");
  away["online"] = false;
  away["last_seen"] = nullptr;
  away["status"] = nullptr;
  Json held = device("pi-4");
  held["status"]["held"] = true;
  Json gone = device("pi-5");
  gone["revoked"] = ago(10);
  gone["revoked_reason"] = "stolen";
  const Fleet fleet = fleet_of({device("pi-1"), loading, away, held, gone});
  const std::string text = device_table(fleet, details(), anywhere);
  EXPECT_THAT(text,
              AllOf(HasSubstr("stage 2, int8-qint8"), HasSubstr("update-2 DOWNLOADING 45 %"),
                    HasSubstr("never seen"), HasSubstr("online, held"),
                    HasSubstr("pi-4: its owner holds updates back")));
  EXPECT_THAT(text, AllOf(Not(HasSubstr("pi-5")), Not(HasSubstr("aaaaaa"))));
  EXPECT_THAT(enrolment_table(fleet.devices, anywhere), HasSubstr("revoked 10 s ago: stolen"));
  for (const std::size_t width : {60U, 80U}) {
    EXPECT_LE(widest_line(device_table(fleet, details(), {now, width})), width);
    EXPECT_LE(widest_line(enrolment_table(fleet.devices, {now, width})), width);
  }
}

TEST(FleetOutput, tells_of_whom_not_all_is_taken_and_of_what_kind) {
  Json loud = device("pi-1");
  loud["limited"] = 4;
  loud["limited_by_kind"] = {{"status", 3}, {"telemetry", 1}};
  loud["refused_by_kind"] = {{"forged", 2}, {"stale", 9}};
  Json returned = device("pi-2");  // a session that is over says nothing against it
  returned["limited"] = 0;
  returned["refused_by_kind"] = {{"stale", 1}};
  const std::string table = device_table(fleet_of({loud, returned}), details(), anywhere);
  EXPECT_THAT(table, AllOf(HasSubstr("4 messages were not taken since outcropd started (status 3, telemetry 1)"),
                           HasSubstr("says what is not taken (forged 2)"), Not(HasSubstr("stale"))));
}

TEST(FleetOutput, a_board_that_is_away_is_offline_and_what_was_said_before_is_stale) {
  Json killed = device("pi-1");
  killed["online"] = false;
  EXPECT_EQ(seen(killed, true, now), "offline 3 s");
  EXPECT_EQ(seen(killed, false, now), "stale 3 s");
  Json failed = device("pi-2");
  failed["desired"] = {
      {"rollout", "update-2"}, {"state", "FAILED"}, {"reason", "too slow"}, {"cancelled", false}};
  Fleet fleet = fleet_of({killed, failed, device("pi-3")});
  EXPECT_THAT(fleet_problems(fleet, now),
              ::testing::ElementsAre("pi-1 is offline (3 s)", "pi-2 is FAILED in rollout update-2"));
  fleet.listening = false;
  EXPECT_THAT(device_table(fleet, details(), anywhere),
              AllOf(HasSubstr("stale 3 s"), HasSubstr("not connected to its broker")));
  EXPECT_THAT(fleet_problems(fleet, now), ::testing::Contains(HasSubstr("broker")));
  fleet.restarting = "to let in boards of another device authority";
  EXPECT_THAT(device_table(fleet, details(), anywhere), AllOf(HasSubstr("being started again, to let in"), Not(HasSubstr("not connected"))));
  EXPECT_THAT(fleet_problems(fleet, now), Not(::testing::Contains(HasSubstr("broker"))));
  EXPECT_TRUE(fleet_problems(fleet_of({device("pi-3")}), now).empty());
}

TEST(FleetOutput, models_are_told_apart_where_there_are_several) {
  Json other = device("pi-2");
  other["model"] = "flatvel";
  EXPECT_THAT(device_table(fleet_of({device("pi-1"), other}), details(), anywhere),
              HasSubstr("flatvel"));
  EXPECT_THAT(device_table(fleet_of({device("pi-1")}), details(), anywhere),
              Not(HasSubstr("curvefault")));
}

TEST(FleetOutput, two_releases_of_one_stage_are_told_apart) {
  ReleaseDetails releases = details();
  EXPECT_EQ(stage_in_words(releases, manifest), "stage 2");
  const std::string second(64, 'b');
  releases[second] = releases[manifest];
  EXPECT_EQ(stage_of(releases, second), "2 (bbbbbb)");
  EXPECT_EQ(stage_in_words({}, second), "bbbbbbbbbbbb");
}

TEST(FleetOutput, reports_show_each_variant_of_each_board) {
  Json later = variant("float", 0);
  later["outcome"] = "not-measured";
  later["reason"] = "not asked for";
  const Json reports{report("pi-1", "UPDATED", {later, variant("int8-qint8", 19.0)}),
                     report("pi-1", "MEASURING", {variant("float", 32.5)}, 300),
                     report("pi-2", "UPDATED", {variant("int8-qint8", 28.0)})};
  const std::string text = show(reports);
  // What a later report does not tell of, an earlier one does.
  EXPECT_THAT(text, ::testing::ContainsRegex(
                        "pi-1       2  float         31.5    32.5    180  0.012 .*5 min"));
  EXPECT_THAT(text, HasSubstr("0.039 pressure")) << "the output nearest to its tolerance";
  EXPECT_THAT(text, HasSubstr("pi-2, stage 2: not tried there: float"));
  EXPECT_THAT(text, AllOf(Not(HasSubstr("not asked for")), Not(HasSubstr("UPDATED"))));
  for (const std::size_t width : {60U, 80U}) {
    EXPECT_LE(widest_line(show(reports, details(), width)), width);
  }
  EXPECT_THAT(show(reports, details(), 80),
              AllOf(HasSubstr("p90 ms"), HasSubstr("serves"), HasSubstr("left out")));
}

TEST(FleetOutput, a_board_serves_one_release_only_and_a_measurement_stands_once) {
  // Stage 1 and then stage 2 ended UPDATED, each by its own report; the board tells what it serves.
  const std::string first(64, 'c');
  ReleaseDetails releases = details();
  releases[first] = releases[manifest];
  releases[first]["stage"] = 1;
  Json before = report("pi-1", "UPDATED", {variant("int8-qint8", 21.0)}, 4000);
  before["report"]["manifest"] = first;
  before["report"]["active"]["manifest"] = first;
  const Json same = variant("int8-qint8", 19.0);
  const Json reports{report("pi-1", "ROLLED_BACK", {same}, 20), report("pi-1", "UPDATED", {same}, 200),
                     report("pi-1", "MEASURING", {same}, 240), before};
  const std::string text = show(reports, releases);
  EXPECT_EQ(text.find("serves"), text.rfind("serves")) << text;
  EXPECT_THAT(text, ::testing::ContainsRegex("pi-1 +2  int8-qint8 .*19.0 .*serves +4 min"))
      << "measured once, and told of three times";
  EXPECT_EQ(text.find("19.0"), text.rfind("19.0"));
  EXPECT_THAT(text, ::testing::ContainsRegex("pi-1 +1  int8-qint8 .*21.0 .*66 min"));
  EXPECT_THAT(text, HasSubstr("pi-1, stage 2: ROLLED_BACK 20 s ago\n"));
}

TEST(FleetOutput, figures_that_do_not_count_are_not_shown_and_what_is_left_out_is_explained) {
  Json emulated = variant("int8-qint8", 19.0);
  emulated["outcome"] = "not-measurable";
  emulated["measurement"]["void_because"] = {"emulated: qemu runs the runner here"};
  emulated["reason"] = "emulated: qemu runs the runner here";
  Json left_out = variant("float", 0);
  left_out["outcome"] = "not-measured";
  left_out["proof"] = Json::array();
  left_out["reason"] = "needs the operator aten::new, which this board's torch 1.13.1-lite has not";
  Json said = report("arm-1", "UPDATED", {left_out, emulated});
  said["report"]["engine"]["version"] = "1.13.1-lite";
  said["report"]["confinement"] = {{"level", "reduced"}, {"missing", {"filter", "memory limit"}}};
  const std::string text = show(Json::array({said}));
  EXPECT_THAT(text, ::testing::ContainsRegex("int8-qint8 +void +void +void +void +void +0.039"));
  EXPECT_THAT(text, Not(HasSubstr("19.0")));
  EXPECT_THAT(text, HasSubstr("arm-1, stage 2, int8-qint8: emulated: qemu"));
  EXPECT_THAT(text, HasSubstr("arm-1, stage 2, float: needs the operator aten::new"));
  EXPECT_THAT(text, HasSubstr("arm-1: torch 1.13.1-lite, confinement reduced (filter; memory "
                              "limit)"));
  EXPECT_THAT(show(Json::array({report("pi-1", "UPDATED", {})})),
              HasSubstr("pi-1: torch 1.13.1, confinement full\n"));
}

TEST(FleetOutput, kernels_that_compute_wrongly_on_a_board_are_named) {
  Json said = report("pi-1", "UPDATED", {});
  said["report"]["engine"]["backends"] = {
      {{"name", "onednn"}, {"failed", {"quantized::conv_transpose2d", "quantized::linear"}}},
      {{"name", "qnnpack"}, {"failed", Json::array()}}};
  EXPECT_THAT(
      show(Json::array({said})),
      HasSubstr("pi-1: torch 1.13.1 with onednn, qnnpack, confinement full\n"
                "pi-1: onednn computes wrongly there, and variants that use these are left out: "
                "quantized::conv_transpose2d, quantized::linear\n"));
  said["report"]["engine"]["backends"] = Json::array();
  EXPECT_THAT(show(Json::array({said})),
              HasSubstr("pi-1: torch 1.13.1 without quantized kernels, confinement full\n"));
}

TEST(FleetOutput, without_the_manifest_what_boards_said_is_shown) {
  const Json reports = Json::array({report("pi-1", "FAILED", {variant("int8-qint8", 19.0)})});
  EXPECT_THAT(show(reports, {}),
              AllOf(HasSubstr("12.5 velocity"), HasSubstr("aaaaaaaaaaaa"),
                    HasSubstr("pi-1, aaaaaaaaaaaa: FAILED 1 s ago")));
  EXPECT_THAT(show(Json::array()), HasSubstr("No report yet"));
}

TEST(RolloutOutput, a_page_and_a_log_say_where_each_board_stands) {
  Json working = device("pi-1");
  working["progress"] = {{"state", "PROVING"}, {"variant", "float"}};
  const Json devices{{"devices", {working}}};
  const Json rollout{{"name", "first"},
                     {"model", "curvefault"},
                     {"manifest", manifest},
                     {"state", "canary"},
                     {"reason", "waits for pi-1"},
                     {"started", ago(20)},
                     {"devices",
                      {{{"name", "pi-1"},
                        {"canary", true},
                        {"generation", 4},
                        {"cancelled", false},
                        {"state", "PROVING"},
                        {"updated", ago(130)},
                        {"reason", ""}},
                       {{"name", "pi-2"},
                        {"canary", false},
                        {"generation", 0},
                        {"cancelled", false},
                        {"excluded", true},
                        {"state", nullptr},
                        {"reason", "no budget for its class"}}}}};
  EXPECT_THAT(
      rollout_page(rollout, devices, details(), anywhere),
      AllOf(HasSubstr("started 20 s ago"), HasSubstr("Rollout first of curvefault stage 2,"),
            HasSubstr("PROVING   float  2 min"), HasSubstr("left out"),
            HasSubstr("pi-2: no budget for its class"), HasSubstr("canary: waits for pi-1")));
  EXPECT_EQ(texts(rollout),
            (std::vector<std::string>{"pi-1 (canary)  PROVING",
                                      "pi-2 (rest)  left out: no budget for its class",
                                      "rollout first: canary phase"}));
  EXPECT_FALSE(has_ended(rollout));
  Json listed = rollout;
  listed["boards"] = {{"all", 2}, {"updated", 0}};
  EXPECT_THAT(rollout_list(Json{{"rollouts", {listed}}}, details(), anywhere),
              AllOf(HasSubstr("0 of 2"), Not(HasSubstr("aaaaaa"))));
  EXPECT_LE(widest_line(rollout_page(rollout, devices, details(), {now, 60})), 60u);
}

TEST(RolloutOutput, says_why_a_state_lasts_while_it_lasts) {
  Json measuring{{"name", "pi-1"},     {"canary", true},        {"generation", 4},
                 {"cancelled", false}, {"state", "MEASURING"},  {"updated", ago(240)},
                 {"reason", "other work kept the board 47 % busy"}};
  Json rollout{{"name", "first"},
               {"model", "curvefault"},
               {"state", "canary"},
               {"reason", ""},
               {"started", ago(300)},
               {"soak_seconds", 600},
               {"on_unmeasurable", "activate"},
               {"manifest", manifest},
               {"devices", {measuring}}};
  Json working = device("pi-1");
  working["progress"] = {{"state", "MEASURING"}, {"variant", "float"}};
  const Json devices{{"devices", {working}}};
  EXPECT_THAT(rollout_page(rollout, devices, details(), anywhere),
              AllOf(HasSubstr("MEASURING  float  4 min"), HasSubstr("47 % busy"),
                    HasSubstr("get a variant UNMEASURED")));
  EXPECT_EQ(texts(rollout)[0], "pi-1 (canary)  MEASURING: other work kept the board 47 % busy");
  EXPECT_THAT(still_at_work(rollout, devices, now),
              ::testing::ElementsAre("pi-1 (canary)  still MEASURING float after 4 min: other work "
                                     "kept the board 47 % busy"));
  const std::string key = rollout_lines(rollout)[0].key;
  rollout["devices"][0]["reason"] = "other work kept the board 52.5 % busy";
  EXPECT_EQ(rollout_lines(rollout)[0].key, key) << "other figures are no news";
  rollout["devices"][0]["reason"] = "another process measures";
  EXPECT_NE(rollout_lines(rollout)[0].key, key);
  rollout["devices"][0]["reason"] = "";
  rollout["devices"][0]["state"] = "SOAKING";
  EXPECT_THAT(rollout_page(rollout, nullptr, details(), anywhere),
              HasSubstr("it must serve for 600 s before it is committed"));
  rollout["devices"][0]["state"] = nullptr;
  rollout["devices"][0]["online"] = false;
  EXPECT_THAT(still_at_work(rollout, nullptr, now), ::testing::ElementsAre(HasSubstr("offline")));
  rollout["devices"][0]["state"] = "UPDATED";
  EXPECT_TRUE(still_at_work(rollout, nullptr, now).empty());
}

TEST(RolloutOutput, shows_what_a_release_costs_beside_what_served) {
  Json rollout{{"name", "second"}, {"model", "curvefault"}, {"state", "widening"}, {"reason", ""},
               {"started", ago(20)}, {"manifest", manifest}, {"devices", Json::array()}};
  Json few{{"device_class", "raspberry-pi-5"}, {"boards", 2}, {"ratio", 1.04}, {"interval", {nullptr, nullptr}},
           {"slower", 1.3}, {"ended", 2}, {"failures", 0}, {"failed", 1.0}, {"too_few", true}};
  Json many{{"device_class", "raspberry-pi-4"}, {"boards", 14}, {"ratio", 1.051}, {"interval", {1.039, 1.062}},
            {"slower", 212.4}, {"ended", 15}, {"failures", 1}, {"failed", 1.0}, {"too_few", false}};
  rollout["evidence"] = {{"evidence", 106.9}, {"line", 100.0}, {"words", ""}, {"classes", {many, few}}};
  const std::string page = rollout_page(rollout, nullptr, {}, anywhere);
  EXPECT_THAT(page, AllOf(HasSubstr("raspberry-pi-4      14  +5.1 %  +3.9 % to +6.2 %  212 of 100  1 of 15"),
                          HasSubstr("+4.0 %"), HasSubstr("so few boards are no evidence")));
  EXPECT_LE(widest_line(rollout_page(rollout, nullptr, {}, {now, 60})), 60u);
  rollout["evidence"]["classes"] = Json::array();
  EXPECT_THAT(rollout_page(rollout, nullptr, {}, anywhere), Not(HasSubstr("beside")));
}

TEST(BestOutput, shows_what_is_best_and_what_that_is_worth) {
  const auto contender = [](const char* variant, Json ratio, Json low, Json high, const char* words) {
    return Json{{"manifest", manifest}, {"variant", variant}, {"boards", 14}, {"ratio", ratio}, {"low", low}, {"high", high},
                {"better", 1}, {"worse", 1}, {"words", words}};
  };
  const Json served = contender("qint8", 1.0, nullptr, nullptr, "what 14 of 15 boards serve");
  Json best{{"model", "curvefault"}, {"device_class", "raspberry-pi-4"}, {"boards", 15}, {"serving", 14}, {"incumbent", served},
            {"variants", {contender("quint8", .88, .86, nullptr, "less, evidence 212 of 100"), served,
                          contender("float", nullptr, nullptr, nullptr, "no board measured both")}},
            {"releases", {served}}, {"words", "quint8 is better than qint8: -12.0 %"}};
  const Json answer{{"objective", "size"}, {"unread", 3}, {"classes", {best}}};
  const std::string text = best_tables(answer, {}, anywhere);
  EXPECT_THAT(text, AllOf(HasSubstr("curvefault on raspberry-pi-4 (15 boards), by least size, beside qint8 of"), HasSubstr("which 14 serve"),
                          HasSubstr("quint8   -12.0 %  -14.0 % to open      14  less, evidence 212 of 100"),
                          HasSubstr("no board measured both"), HasSubstr("\nquint8 is better than qint8: -12.0 %\n"),
                          HasSubstr("3 boards are still to be read")));
  EXPECT_LE(widest_line(best_tables(answer, {}, {now, 60})), 60u);
  EXPECT_THAT(best_tables({{"objective", "size"}, {"unread", 0}, {"classes", Json::array()}}, {}, anywhere), HasSubstr("No board is enrolled"));
  EXPECT_THAT(best_tables({{"objective", "size"}, {"unread", 1}, {"classes", Json::array()}}, {}, anywhere, true),
              AllOf(HasSubstr("No board fits"), HasSubstr("1 board is still to be read")));
}

TEST(RolloutOutput, says_what_would_help_where_nothing_goes_on_by_itself) {
  const auto board = [](const char* name, const char* state) {
    return Json{{"name", name},       {"canary", true}, {"generation", 4},
                {"cancelled", false}, {"state", state}, {"reason", ""}};
  };
  Json rollout{{"name", "first"},
               {"model", "curvefault"},
               {"state", "canary"},
               {"reason", ""},
               {"started", ago(20)},
               {"manifest", manifest},
               {"devices", {board("pi-1", "NOT_MEASURABLE"), board("pi-2", "HELD")}}};
  EXPECT_THAT(rollout_page(rollout, nullptr, {}, anywhere),
              AllOf(HasSubstr("outcrop rollout resume first"), HasSubstr("outcrop-agent approve")));
  EXPECT_EQ(texts(rollout).size(), 4u);
  rollout["devices"].push_back(board("pi-3", "MEASURING"));
  EXPECT_EQ(texts(rollout).size(), 4u) << "pi-3 goes on";
  rollout["state"] = "aborted";
  EXPECT_THAT(rollout_page(rollout, nullptr, {}, anywhere), Not(HasSubstr("resume")));
}

TEST(HostNotes, say_what_outcropd_wants_done) {
  EXPECT_EQ(host_notes(Json{{"devices", 3}}), "");
  EXPECT_EQ(host_notes(Json{{"attention", Json::array()}}), "");
  EXPECT_EQ(host_notes(Json{{"attention", {"targets expires", "blobs are missing"}}}),
            "\noutcropd: targets expires\noutcropd: blobs are missing\n");
}

}  // namespace
}  // namespace outcrop::cli
