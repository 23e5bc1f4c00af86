// A board's way from an offer to what serves, with the real program, broker and depot.

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "protocol/base/durable_file.hpp"
#include "tests/agent/rig.hpp"
#include "tests/support/result_matchers.hpp"

namespace outcrop {
namespace {

using messages::OnUnmeasurable;
using messages::VariantOutcome;
using ::testing::AnyOf;
using ::testing::HasSubstr;

// The speeds lie so far apart that a busy machine measures them in the right order, too; four calls
// are over before a measurement is long enough to be judged by what else ran.
TEST_F(AgentTest, pulls_proves_measures_and_serves_a_first_release) {
  agent_is_online();
  const ForgedRelease release = released(
      {.stage = 1,
       .variants = {{.name = "float", .call_ms = 30}, {.name = "int8-qint8", .call_ms = 1}}});
  host_.send(host_.offer(release, 1, forge_));
  const messages::Report* report = ends(1, State::updated);
  ASSERT_NE(report, nullptr);
  ASSERT_EQ(report->variants.size(), 2U);
  EXPECT_EQ(report->variants[0].outcome, VariantOutcome::measured);
  EXPECT_GE(report->variants[0].measurement->p50_ms, 30.0);
  EXPECT_EQ(report->variants[0].proof.at(0).mean_abs, 0.0);
  EXPECT_EQ(report->active_manifest, release.manifest);
  EXPECT_EQ(report->active_variant, "int8-qint8");
  EXPECT_EQ(report->full_confinement, std::string_view(OUTCROP_TESTED_CONFINEMENT) == "full");
  const std::vector<messages::ReportedBackend> backends{{"qnnpack", {}},
                                                        {"fbgemm", {"quantized::linear"}}};
  EXPECT_EQ(report->backends, backends);
  EXPECT_NE(host_.report(1, State::measuring), nullptr);
  EXPECT_EQ(host_.bad_reports, 0U);
  EXPECT_EQ(host_.statuses.front().protocol, 1) << "nothing is known of the host yet";
  EXPECT_EQ(host_.status()->protocol, protocol_version);
  EXPECT_EQ(host_.status()->stage_version, 2U);
  const std::uint64_t instance = host_.status()->instance;
  EXPECT_EQ(end_agent(), 0);
  agent_is_online();
  EXPECT_NE(host_.status()->instance, instance);
  std::vector<State> seen;
  for (const auto& status : host_.statuses) {
    if (status.deployment && (seen.empty() || seen.back() != status.deployment->state)) {
      seen.push_back(status.deployment->state);
    }
  }
  EXPECT_THAT(seen, ::testing::ElementsAre(State::offered, State::downloading, State::downloaded,
                                           State::verified, State::proving, State::measuring,
                                           State::updating, State::soaking, State::updated));
}

TEST_F(AgentTest, answers_a_host_of_protocol_1_in_protocol_1) {
  agent_is_online();
  messages::Offer offer = host_.offer(released({.stage = 1}), 1, forge_);
  offer.protocol = 1;
  host_.send(offer);
  const messages::Report* report = ends(1, State::updated);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->header.protocol, 1);
  EXPECT_EQ(host_.status()->protocol, 1);
  EXPECT_TRUE(report->backends.empty());
  EXPECT_EQ(host_.bad_reports, 0U);
}

// Proved and measured by decode, and served as it always was.
TEST_F(AgentTest, takes_a_release_of_protocol_1) {
  agent_is_online();
  const ForgedRelease release =
      released({.stage = 1, .variants = {{.sampler_ms = 40}}, .minimum_protocol = 1});
  host_.send(host_.offer(release, 1, forge_));
  const messages::Report* report = ends(1, State::updated);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->active_manifest, release.manifest);
  EXPECT_LT(report->variants.at(0).measurement->min_ms, 40.0);
  const std::string file = (folder_.path() / "maps.safetensors").string();
  const ShellOutcome made =
      agent_says("infer --seed 7 --count 2 --out " + file + " --config " + config_.string());
  EXPECT_EQ(made.code, 0) << made.output;
  EXPECT_THAT(made.output, HasSubstr("velocity float32 [2, 1, 3, 3]"));
}

TEST_F(AgentTest, measures_what_serves_beside_a_new_release) {
  agent_is_online();
  const ForgedRelease first = released({.stage = 1, .variants = {{.name = "float", .call_ms = 2}}});
  host_.send(host_.offer(first, 1, forge_));
  const messages::Report* updated = ends(1, State::updated);
  ASSERT_NE(updated, nullptr);
  EXPECT_FALSE(updated->incumbent) << "nothing served";
  const ForgedRelease second =
      released({.stage = 2, .variants = {{.name = "float", .call_ms = 30}, {.name = "int8-qint8", .call_ms = 25}}});
  host_.send(host_.offer(second, 2, forge_));
  updated = ends(2, State::updated);
  ASSERT_NE(updated, nullptr);
  ASSERT_TRUE(updated->incumbent);
  EXPECT_EQ(updated->incumbent->manifest, first.manifest);
  EXPECT_EQ(updated->incumbent->variant.name, "float");
  EXPECT_EQ(updated->incumbent->variant.outcome, VariantOutcome::measured);
  EXPECT_THAT(host_.no_progress, ::testing::IsEmpty());
  EXPECT_EQ(updated->variants.size(), 2U);
  ASSERT_TRUE(messages::slowdown(*updated));
  EXPECT_GT(messages::slowdown(*updated)->p90, 1.0);
  EXPECT_EQ(host_.bad_reports, 0U);

  // A release that breaks is no matter of the one that serves, and the other way round.
  auto third = host_.offer(released({.stage = 3}), 3, forge_);
  third.protocol = 5;
  host_.send(third);
  updated = ends(3, State::updated);
  ASSERT_NE(updated, nullptr);
  EXPECT_FALSE(updated->incumbent) << "a host of protocol 5 knows none";
}

TEST_F(AgentTest, keeps_the_release_before_and_returns_to_it_without_a_transfer) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, 2, forge_));
  const auto* updated = ends(2, State::updated);
  ASSERT_NE(updated, nullptr);
  EXPECT_EQ(updated->active_manifest, second.manifest);

  const std::uint64_t chunks = host_.chunks();
  host_.send(host_.offer(first, 3, forge_));
  const auto* returned = ends(3, State::updated);
  ASSERT_NE(returned, nullptr);
  EXPECT_EQ(returned->active_manifest, first.manifest);
  EXPECT_TRUE(returned->variants.empty());
  EXPECT_EQ(host_.chunks(), chunks);
}

TEST_F(AgentTest, measures_only_the_variant_that_the_offer_names) {
  agent_is_online();
  const ForgedRelease release =
      released({.stage = 1, .variants = {{.name = "float"}, {.name = "int8-qint8"}}});
  auto offer = host_.offer(release, 1, forge_);
  offer.variants = {"float"};
  host_.send(offer);
  const auto* report = ends(1, State::updated);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->active_variant, "float");
  ASSERT_EQ(report->variants.size(), 2U);
  EXPECT_EQ(report->variants[1].outcome, VariantOutcome::not_measured);
}

TEST_F(AgentTest, ignores_an_old_offer_and_repeats_itself_for_a_known_one) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, 5, forge_));
  ASSERT_NE(ends(5, State::updated), nullptr);
  const std::size_t said = host_.statuses.size();
  host_.send(host_.offer(first, 1, forge_));  // replayed
  host_.send(host_.offer(first, 5, forge_));  // this generation was about something else
  ASSERT_TRUE(loop_.until([&] { return host_.statuses.size() > said; }));
  EXPECT_TRUE(host_.at(5, State::updated));
  EXPECT_EQ(host_.status()->active_manifest, second.manifest);
  EXPECT_EQ(host_.statuses.size(), said + 1);
  // Also by an agent that was started again.
  EXPECT_EQ(end_agent(), 0);
  agent_is_online();
  host_.send(host_.offer(first, 4, forge_));
  host_.send(host_.offer(second, 5, forge_));
  loop_.run_for(std::chrono::milliseconds(300));
  EXPECT_TRUE(host_.at(5, State::updated));
  EXPECT_EQ(host_.status()->generation, 5U);
}

TEST_F(AgentTest, ends_what_it_is_at_for_a_higher_generation) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  auto long_soak = host_.offer(second, 2, forge_);
  long_soak.soak = std::chrono::hours(1);
  host_.send(long_soak);
  ASSERT_TRUE(reaches(2, State::soaking));
  EXPECT_EQ(host_.status()->active_manifest, second.manifest);
  const ForgedRelease third = released({.stage = 3});
  host_.send(host_.offer(third, 3, forge_));
  const auto* report = ends(3, State::updated);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->active_manifest, third.manifest);
  const auto* ended = host_.report(2, State::rolled_back);
  ASSERT_NE(ended, nullptr);
  EXPECT_THAT(ended->reason, HasSubstr("superseded"));
  EXPECT_EQ(ended->active_manifest, first.manifest);
}

TEST_F(AgentTest, goes_back_when_the_host_takes_a_release_back) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, 2, forge_));
  ASSERT_NE(ends(2, State::updated), nullptr);
  host_.send(messages::Cancel{"rollout-2", 3, second.manifest, first.manifest, "canary failed"});
  const auto* back = ends(3, State::rolled_back);
  ASSERT_NE(back, nullptr);
  EXPECT_EQ(back->active_manifest, first.manifest);
  EXPECT_EQ(back->reason, "canary failed");
  // What served lately is still here.
  const std::uint64_t chunks = host_.chunks();
  host_.send(messages::Cancel{"rollout-2", 4, first.manifest, second.manifest, "again"});
  const auto* again = ends(4, State::rolled_back);
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->active_manifest, second.manifest);
  EXPECT_EQ(host_.chunks(), chunks);
  // A release that is not here cannot be returned to: what serves goes on.
  host_.send(messages::Cancel{"rollout-2", 5, second.manifest, trust::sha256("none"), "again"});
  const auto* failed = ends(5, State::failed);
  ASSERT_NE(failed, nullptr);
  EXPECT_EQ(failed->active_manifest, second.manifest);
  host_.send(messages::Cancel{"rollout-2", 6, second.manifest, std::nullopt, "serve nothing"});
  const auto* nothing = ends(6, State::rolled_back);
  ASSERT_NE(nothing, nullptr);
  EXPECT_EQ(nothing->active_manifest, std::nullopt);
}

TEST_F(AgentTest, returns_to_the_later_release_where_going_back_is_taken_back) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, 2, forge_));
  ASSERT_NE(ends(2, State::updated), nullptr);
  host_.send(host_.offer(first, 3, forge_));
  const auto* back = ends(3, State::updated);
  ASSERT_NE(back, nullptr);
  ASSERT_EQ(back->active_manifest, first.manifest);
  const std::uint64_t chunks = host_.chunks();
  host_.send(messages::Cancel{"rollout-3", 4, first.manifest, second.manifest, "aborted"});
  const auto* aborted = ends(4, State::rolled_back);
  ASSERT_NE(aborted, nullptr);
  EXPECT_EQ(aborted->active_manifest, second.manifest);
  EXPECT_EQ(host_.chunks(), chunks);
}

TEST_F(AgentTest, sends_reports_again_until_they_are_acknowledged) {
  host_.acknowledge(false);
  agent_is_online();
  first_release();
  EXPECT_EQ(end_agent(), 0);
  EXPECT_FALSE(host_.status()->online);
  const std::size_t before = host_.reports.size();
  const std::uint64_t session = host_.status()->session;
  host_.acknowledge(true);
  agent_is_online();
  ASSERT_TRUE(loop_.until([&] { return host_.reports.size() >= 2 * before; }));
  EXPECT_EQ(host_.reports.back().header, host_.reports[before - 1].header);
  EXPECT_GT(host_.status()->session, session);
  ASSERT_TRUE(loop_.until([&] {
    return std::filesystem::is_empty(state_ / "outbox") ||
           agent_says("status --json --config " + config_.string())
                   .output.find("\"reports_waiting\": 0") != std::string::npos;
  }));
}

TEST_F(AgentTest, waits_for_metadata_that_comes_after_the_offer) {
  agent_is_online();
  const ForgedRelease release = Forge::make_release({.stage = 1});
  forge_.permit(release);
  host_.store(release);
  auto offer = host_.offer(release, 1, forge_);
  offer.snapshot_version = forge_.snapshot_version() + 1;
  host_.send(offer);
  ASSERT_TRUE(reaches(1, State::offered));
  loop_.run_for(std::chrono::milliseconds(200));
  EXPECT_TRUE(host_.at(1, State::offered));
  host_.publish(forge_);
  EXPECT_NE(ends(1, State::updated), nullptr);
}

// The host's signed word begins both; what is asked unsigned, or on the topic of commands, is nothing.
TEST_F(AgentTest, tells_how_it_fares_and_measures_again_when_the_host_asks) {
  agent_is_online();
  const ForgedRelease release = first_release();
  const std::size_t before = host_.reports.size();
  host_.ask_raw(to_json(messages::Measure{release.manifest}));
  host_.send_raw(forge_.command("pi-1", messages::Measure{release.manifest}));
  host_.send(messages::Measure{trust::sha256("another release")});
  host_.send(messages::Watch{std::chrono::seconds(10), std::chrono::seconds(3600)});
  ASSERT_TRUE(loop_.until([&] { return !host_.telemetry.empty(); }, std::chrono::seconds(60)));
  const messages::Telemetry& told = host_.telemetry.front();
  EXPECT_EQ(told.active_manifest, release.manifest);
  EXPECT_EQ(told.device_class, Forge::device_class);
  EXPECT_TRUE(told.free_memory && told.free_disk && told.uptime);
  EXPECT_EQ(host_.reports.size(), before) << "nothing was asked in its right form yet";
  const std::string file = (folder_.path() / "made.safetensors").string();
  EXPECT_EQ(agent_says("infer --seed 7 --out " + file + " --config " + config_.string()).code, 0);
  messages::Measure with_layers{release.manifest};
  with_layers.layers = true;
  with_layers.protocol = messages::layers_since;
  host_.send(with_layers);
  const auto measured = [&] {
    return host_.reports.size() > before &&
           host_.reports.back().reason.find("measured while it serves") != std::string::npos;
  };
  ASSERT_TRUE(loop_.until(measured, std::chrono::minutes(2)));
  const messages::Report& report = host_.reports.back();
  EXPECT_EQ(report.state, State::updated);
  EXPECT_EQ(report.deployment.generation, 1U);
  EXPECT_EQ(report.deployment.manifest, release.manifest);
  EXPECT_NE(report.variants.at(0).measurement, std::nullopt);
  ASSERT_TRUE(loop_.until([&] { return !host_.layers.empty(); }, std::chrono::minutes(2)));
  const messages::Layers& layers = host_.layers.front();
  EXPECT_EQ(layers.manifest, release.manifest);
  EXPECT_EQ(layers.device_class, Forge::device_class);
  EXPECT_EQ(layers.engine_version, "0.0-scripted");
  EXPECT_GT(layers.header.sequence, report.header.sequence);
  EXPECT_EQ(layers.variants.size(), 1U) << "of those that lie here";
  for (const messages::VariantLayers& variant : layers.variants) {
    if (!variant.reason.empty()) continue;  // of a machine that others use
    ASSERT_EQ(variant.operators.size(), 2U) << variant.name;
    EXPECT_EQ(variant.operators[0].name, "test::script");
    EXPECT_GT(variant.calls, 0U);
  }
  // What was served since the sample before, and nothing that was only measured.
  const auto served = [&] {
    messages::Telemetry::Served all;
    for (const messages::Telemetry& sample : host_.telemetry) {
      all.calls += sample.served.calls;
      all.errors += sample.served.errors;
      all.latency_ms.merge(sample.served.latency_ms);
    }
    return all;
  };
  ASSERT_TRUE(loop_.until([&] { return served().calls > 0; }, std::chrono::seconds(60)));
  EXPECT_EQ(served().calls, 1U);
  EXPECT_EQ(served().errors, 0U);
  EXPECT_EQ(served().latency_ms.count(), 1U);
}

// One for each time that it is asked, by what serves: the first golden call is forward(1, 1).
TEST_F(AgentTest, draws_when_the_host_asks_and_says_why_it_does_not) {
  agent_is_online();
  const ForgedRelease release = first_release();
  const auto answered = [&](std::size_t times) {
    return loop_.until([&] { return host_.pictures.size() >= times; }, std::chrono::seconds(60));
  };
  host_.ask_raw(to_json(messages::Draw{release.manifest}));
  host_.send(messages::Draw{trust::sha256("another release")});
  ASSERT_TRUE(answered(1)) << "nobody signed the first";
  EXPECT_EQ(host_.pictures[0].why, "another release serves, or none");
  EXPECT_EQ(host_.pictures[0].drawn, std::nullopt);
  host_.acknowledge(false);
  host_.send(messages::Draw{release.manifest});
  ASSERT_TRUE(answered(2));
  const messages::Picture drawn = host_.pictures[1];
  EXPECT_EQ(drawn.manifest, release.manifest);
  EXPECT_EQ(drawn.variant, host_.status()->active_variant);
  ASSERT_TRUE(drawn.drawn) << drawn.why;
  EXPECT_EQ(drawn.drawn->output, "velocity");
  EXPECT_EQ(drawn.drawn->shape, (std::vector<std::int64_t>{1, 1, 3, 3}));
  EXPECT_NEAR(drawn.drawn->max - drawn.drawn->min, 8, 1e-3);
  EXPECT_EQ(drawn.drawn->gray, std::string("\x00\x20\x40\x60\x80\x9f\xbf\xdf\xff", 9));
  // What was not acknowledged is said again after the next connection.
  broker_.broker().disconnect("pi-1");
  ASSERT_TRUE(answered(3));
  EXPECT_EQ(host_.pictures[2], drawn);
}

TEST_F(AgentTest, draws_nothing_where_its_owner_wants_nothing_told) {
  configure("[owner]\ntelemetry = \"off\"\n");
  agent_is_online();
  const ForgedRelease release = first_release();
  host_.send(messages::Draw{release.manifest});
  ASSERT_TRUE(loop_.until([&] { return !host_.pictures.empty(); }, std::chrono::seconds(60)));
  EXPECT_THAT(host_.pictures[0].why, HasSubstr("its owner does not want"));
}

// The host is told that it waits, by a report that it takes for no failure.
TEST_F(AgentTest, waits_for_its_window_and_says_until_when) {
  const auto hour = [](int from_now) {
    const std::time_t then = std::time(nullptr) + from_now * 3600;
    std::tm local{};
    ::localtime_r(&then, &local);
    return (local.tm_hour < 10 ? "0" : "") + std::to_string(local.tm_hour) + ":00";
  };
  configure("[updates]\nwindow = \"" + hour(6) + "-" + hour(8) + "\"\n");
  agent_is_online();
  const ForgedRelease release = released({.stage = 1});
  host_.send(host_.offer(release, 1, forge_));
  const auto* report = ends(1, State::held);
  ASSERT_NE(report, nullptr);
  // Where nobody keeps this machine's clock, hours mean nothing.
  EXPECT_THAT(report->reason, AnyOf(HasSubstr("waits until"), HasSubstr("waits for the clock")));
  EXPECT_THAT(report->reason, HasSubstr("its window (" + hour(6)));
  EXPECT_TRUE(host_.asked_for.empty());
  kill_agent();
  agent_is_online();
  EXPECT_TRUE(host_.at(1, State::held));
  kill_agent();
  configure("[updates]\nwindow = \"00:00-24:00\"\n");
  agent_is_online();
  if (host_.status()->deployment->reason.find("the clock") != std::string::npos) {
    GTEST_SKIP() << "nobody keeps this machine's clock";
  }
  EXPECT_NE(ends(1, State::updated), nullptr);
}

// Another program keeps the clock, as far as the agent can tell, and it is moved while the agent runs.
TEST_F(AgentTest, takes_what_waited_for_its_window_when_that_opens) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "faketime and sanitizers each want to be loaded first";
#endif
  const std::filesystem::path clock = folder_.path() / "clock";
  const auto set_clock = [&](const char* ahead) { ASSERT_THAT(write_file_durably(clock, std::string_view(ahead)), IsOk()); };
  const auto hour = [](int from_now) {
    const std::time_t then = std::time(nullptr) + from_now * 3600;
    std::tm local{};
    ::localtime_r(&then, &local);
    return (local.tm_hour < 10 ? "0" : "") + std::to_string(local.tm_hour) + ":00";
  };
  set_clock("+0");
  launcher_ = {"env", "LD_PRELOAD=" OUTCROP_KEPT_CLOCK " /usr/$LIB/faketime/libfaketime.so.1",
               "FAKETIME_TIMESTAMP_FILE=" + clock.string(), "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"};
  configure("[updates]\nwindow = \"" + hour(3) + "-" + hour(6) + "\"\n");
  agent_is_online();
  const auto status = nlohmann::json::parse(agent_says("status --json --config " + config_.string()).output, nullptr, false);
  ASSERT_TRUE(status.is_object());
  if (status["clock"] == "floor") GTEST_SKIP() << "nothing can be loaded before this program's libraries";
  const ForgedRelease release = released({.stage = 1});
  host_.send(host_.offer(release, 1, forge_));
  const auto* report = ends(1, State::held);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("waits until"));
  EXPECT_TRUE(host_.asked_for.empty());
  set_clock("+4h");
  ASSERT_NE(ends(1, State::updated), nullptr) << "nobody told it to go on";
  EXPECT_EQ(host_.status()->active_manifest, release.manifest);
}

TEST_F(AgentTest, receives_no_more_than_it_may_a_day_and_goes_on_where_it_stopped) {
  configure("[updates]\nmax_mb_a_day = 1\nmax_kb_a_second = 100000\n");
  agent_is_online();
  const ForgedRelease release = released({.stage = 1, .variants = {{.padding = 4'000'000}}});
  host_.send(host_.offer(release, 1, forge_));
  const auto* report = ends(1, State::held);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("1.05 MB in 24 hours are used up"));
  EXPECT_TRUE(std::any_of(host_.progress.begin(), host_.progress.end(), [](const messages::Progress& progress) {
    return progress.state == State::downloading && progress.reason == "receives at most 102.40 MB a second, as its owner allows";
  }));
  const std::size_t before = host_.chunks();
  EXPECT_LT(before, 16U + 8U + 8U) << "a window more than the megabyte, and small blobs";
  kill_agent();
  agent_is_online();
  loop_.run_for(std::chrono::milliseconds(500));
  EXPECT_TRUE(host_.at(1, State::held)) << "counted over restarts";
  EXPECT_EQ(host_.chunks(), before);
  kill_agent();
  configure();
  agent_is_online();
  ASSERT_NE(ends(1, State::updated), nullptr);
  std::uint64_t whole = 0;
  for (const auto& [digest, bytes] : release.blobs) whole += bytes.size() / 65'536 + 1;
  EXPECT_LE(host_.chunks(), whole + 16U) << "what was on its way when it stopped comes twice";
}

TEST_F(AgentTest, pulls_nothing_by_a_metered_link_and_takes_what_its_owner_brings) {
  configure("[updates]\nmetered = true\n");
  agent_is_online();
  const ForgedRelease release = released({.stage = 1});
  host_.send(host_.offer(release, 1, forge_));
  const auto* report = ends(1, State::held);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("metered: releases come by `outcrop-agent install`"));
  EXPECT_TRUE(host_.asked_for.empty());
  const std::string socket = " --config " + config_.string();
  const std::string install = "install --soak 0 " + carried(release).string() + socket;
  EXPECT_THAT(agent_says(install).output, HasSubstr("an update is at work"));
  EXPECT_EQ(agent_says("rollback" + socket).code, 0);
  const ShellOutcome installed = agent_says(install);
  EXPECT_EQ(installed.code, 0) << installed.output;
  EXPECT_TRUE(loop_.until([&] { return host_.status()->active_manifest == release.manifest; }));
}

// Boards without a battery begin in 1970, and whatever a clock says that nobody keeps decides nothing.
class ClockTest : public AgentTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(ClockTest, is_connected_and_takes_a_release_whatever_its_clock_says) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "faketime and sanitizers each want to be loaded first";
#endif
  // What the program faketime does, which stays the agent's parent and leaves it behind when it is killed.
  launcher_ = {"env", "LD_PRELOAD=/usr/$LIB/faketime/libfaketime.so.1", std::string("FAKETIME=") + GetParam()};
  agent_is_online();
  ASSERT_NE(host_.status(), nullptr) << "faketime is one of script/packages.txt";
  const auto status = nlohmann::json::parse(agent_says("status --json --config " + config_.string()).output, nullptr, false);
  ASSERT_TRUE(status.is_object());
  if (status["clock"] != "floor") GTEST_SKIP() << "somebody keeps this machine's clock, and so the agent believes it";
  first_release();
}

INSTANTIATE_TEST_SUITE_P(Clocks, ClockTest, ::testing::Values("@1970-01-01 00:00:10", "-30d", "+30d"));

}  // namespace
}  // namespace outcrop
