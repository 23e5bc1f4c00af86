// Releases that a board must not serve, and commands that it must not obey.

#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/deploy/ledger.hpp"
#include "runtime/measure/measurement_lock.hpp"
#include "tests/agent/rig.hpp"

namespace outcrop {
namespace {

using messages::OnUnmeasurable;
using messages::VariantOutcome;
using ::testing::HasSubstr;

TEST_F(AgentTest, refuses_wrong_outputs_and_goes_on_with_what_serves) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease wrong = released({.stage = 2, .variants = {{.offset = 400}}});
  host_.send(host_.offer(wrong, 2, forge_));
  const auto* report = ends(2, State::failed);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("the proof failed: output 'velocity' is off by 400"));
  EXPECT_EQ(report->variants.at(0).outcome, VariantOutcome::refused);
  EXPECT_EQ(report->variants.at(0).proof.at(0).mean_abs, 400.0);
  EXPECT_EQ(report->active_manifest, first.manifest);
}

// What is served is what is proved: the decoder alone is right, and nobody is served by it.
TEST_F(AgentTest, refuses_a_release_whose_sampler_is_wrong) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease wrong = released({.stage = 2, .variants = {{.sampler_offset = 400}}});
  host_.send(host_.offer(wrong, 2, forge_));
  const auto* report = ends(2, State::failed);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("the proof failed: output 'velocity' is off by 400"));
  EXPECT_EQ(report->active_manifest, first.manifest);
}

TEST_F(AgentTest, judges_the_time_of_what_it_serves) {
  agent_is_online();
  const ForgedRelease first = first_release();
  Forge::ReleaseOptions slow{.stage = 2, .variants = {{.sampler_ms = 6}}};
  slow.budgets = {{Forge::device_class, 2.0, 2000.0}};
  host_.send(host_.offer(released(slow), 2, forge_));
  const auto* report = ends(2, State::failed);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("budget: no variant keeps that of raspberry-pi-4"));
  EXPECT_GE(report->variants.at(0).measurement->p90_ms, 6.0);
  EXPECT_EQ(report->active_manifest, first.manifest);
}

TEST_F(AgentTest, refuses_a_release_that_is_too_slow_and_takes_it_within_a_higher_budget) {
  agent_is_online();
  const ForgedRelease first = first_release();
  Forge::ReleaseOptions slow{.stage = 2, .variants = {{.call_ms = 6}}};
  slow.budgets = {{Forge::device_class, 2.0, 2000.0}};
  const ForgedRelease refused = released(slow);
  host_.send(host_.offer(refused, 2, forge_));
  const auto* report = ends(2, State::failed);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("budget: no variant keeps that of raspberry-pi-4"));
  EXPECT_EQ(report->active_manifest, first.manifest);
  slow.budgets = {{Forge::device_class, 2000.0, 2000.0}};
  slow.stage = 3;
  const ForgedRelease taken = released(slow);
  host_.send(host_.offer(taken, 3, forge_));
  EXPECT_NE(ends(3, State::updated), nullptr);
}

TEST_F(AgentTest, reports_a_runner_that_crashes_and_goes_on) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease crashing = released({.stage = 2, .variants = {{.crash_at_call = 2}}});
  host_.send(host_.offer(crashing, 2, forge_));
  const auto* report = ends(2, State::failed);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("signal 11"));
  EXPECT_THAT(report->reason, HasSubstr("terminate called   what():  no such fault"));
  EXPECT_EQ(report->active_manifest, first.manifest);
  // What was written down can be read again: what serves goes on.
  EXPECT_EQ(end_agent(), 0);
  agent_is_online();
  EXPECT_TRUE(host_.at(2, State::failed));
  EXPECT_EQ(host_.status()->active_manifest, first.manifest);
}

// The kernel ends what it has no memory for: that says nothing of the release.
TEST_F(AgentTest, leaves_out_a_variant_whose_runner_the_kernel_kills) {
  agent_is_online();
  const ForgedRelease first = first_release();
  ScriptedVariant large{.name = "large", .kill_at_call = 2};
  const ForgedRelease mixed = released({.stage = 2, .variants = {large, {}}});
  host_.send(host_.offer(mixed, 2, forge_));
  const auto* report = ends(2, State::updated);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->active_variant, "int8-qint8");
  EXPECT_EQ(report->variants.at(0).outcome, VariantOutcome::not_measured);
  EXPECT_THAT(report->variants.at(0).reason, HasSubstr("does not fit here: "));
  large.kill_at_call = 1;
  const ForgedRelease alone = released({.stage = 3, .variants = {large}});
  host_.send(host_.offer(alone, 3, forge_));
  report = ends(3, State::not_measurable);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("large does not fit here: "));
  EXPECT_EQ(report->active_manifest, mixed.manifest);
}

// One runner fits, that of what serves included: each makes way for the next.
TEST_F(AgentTest, tries_four_variants_where_memory_holds_one_runner) {
  fault_ = {"boot-1", "nowhere", "70"};
  agent_is_online();
  const ForgedRelease first = first_release();
  EXPECT_EQ(agent_says("infer --seed 1 --out " + (folder_.path() / "made.safetensors").string() +
                       " --config " + config_.string()).code, 0);
  const ForgedRelease four = released({.stage = 2,
                                       .variants = {{.name = "float", .call_ms = 30},
                                                    {.name = "float-mobile", .call_ms = 30},
                                                    {.name = "int8-quint8", .call_ms = 30},
                                                    {.name = "int8-qint8", .call_ms = 1}}});
  host_.send(host_.offer(four, 2, forge_));
  const auto* report = ends(2, State::updated);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->active_variant, "int8-qint8");
  for (const auto& variant : report->variants) {
    EXPECT_EQ(variant.outcome, VariantOutcome::measured) << variant.name << ": " << variant.reason;
  }
  ASSERT_TRUE(report->incumbent);
  EXPECT_EQ(report->incumbent->variant.outcome, VariantOutcome::measured);
  int most = 0;
  std::ifstream(config_.string() + ".runners") >> most;
  EXPECT_EQ(most, 1);
}

// Killed beside others, it has not shown yet that it does not fit.
TEST_F(AgentTest, tries_a_runner_once_more_alone_that_the_kernel_killed_beside_others) {
  configure("[measure]\ncalls = 4\nrounds = 1\n");
  agent_is_online();
  // Its second life proves nothing anew, and so has two calls less.
  const ForgedRelease mixed =
      released({.stage = 1, .variants = {{}, {.name = "large", .kill_at_call = 9}}});
  host_.send(host_.offer(mixed, 1, forge_));
  const auto* report = ends(1, State::updated);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->variants.at(1).outcome, VariantOutcome::measured) << report->variants.at(1).reason;
}

TEST_F(AgentTest, rolls_back_a_release_whose_runner_crashes_while_it_soaks) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease crashing = released({.stage = 2, .variants = {{.crash_after_ms = 5000}}});
  auto offer = host_.offer(crashing, 2, forge_);
  offer.soak = std::chrono::seconds(12);
  host_.send(offer);
  ASSERT_TRUE(reaches(2, State::soaking));
  EXPECT_EQ(host_.status()->active_manifest, crashing.manifest);
  const auto* report = ends(2, State::rolled_back);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("while it soaked: the runner ended by signal 11"));
  EXPECT_EQ(report->active_manifest, first.manifest);
}

TEST_F(AgentTest, measures_and_activates_nothing_without_a_budget_for_its_class) {
  agent_is_online();
  const ForgedRelease release = released({.stage = 1, .budgets = {{"workstation", 100.0, 1000.0}}});
  host_.send(host_.offer(release, 1, forge_));
  const auto* report = ends(1, State::held);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("no budget for boards of the class raspberry-pi-4"));
  EXPECT_EQ(report->variants.at(0).outcome, VariantOutcome::measured);
  EXPECT_EQ(report->active_manifest, std::nullopt);
}

TEST_F(AgentTest, rejects_offers_that_are_not_for_this_board) {
  agent_is_online();
  const ForgedRelease release = released({.stage = 1});
  auto other_model = host_.offer(release, 1, forge_);
  other_model.model = "flatvel";
  host_.send(other_model);
  const auto* model = ends(1, State::rejected);
  ASSERT_NE(model, nullptr);
  EXPECT_THAT(model->reason, HasSubstr("flatvel"));
  auto other_class = host_.offer(release, 2, forge_);
  other_class.device_class = "raspberry-pi-5";
  host_.send(other_class);
  EXPECT_NE(ends(2, State::rejected), nullptr);
  auto other_variant = host_.offer(release, 3, forge_);
  other_variant.variants = {"int4"};
  host_.send(other_variant);
  const auto* variant = ends(3, State::failed);
  ASSERT_NE(variant, nullptr);
  EXPECT_THAT(variant->reason, HasSubstr("no variant 'int4'"));
}

TEST_F(AgentTest, ignores_what_is_no_command) {
  agent_is_online();
  host_.send_raw("");
  host_.send_raw("{\"type\":\"offer\"}");
  host_.send_raw(std::string(100'000, '['));
  host_.send_raw(R"({"type":"offer","protocol":99})");
  host_.send_raw(R"({"type":"format","protocol":1})");
  first_release();
  EXPECT_TRUE(agent_runs());
}

TEST_F(AgentTest, stops_a_transfer_at_its_byte_budget) {
  agent_is_online();
  const ForgedRelease release = released({.stage = 1, .variants = {{.padding = 1'000'000}}});
  auto offer = host_.offer(release, 1, forge_);
  offer.byte_budget = ByteCount(300'000);
  host_.send(offer);
  const auto* report = ends(1, State::failed);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("budget"));
}

// A release that is stored and published, with metadata or a manifest that forbids it.
struct Forbidden {
  std::string name;
  std::function<void(Forge&, const ForgedRelease&)> spoil;
  Forge::ReleaseOptions options;
  messages::DeploymentState end;
  std::string reason;
};

class ForbiddenRelease : public AgentTest, public ::testing::WithParamInterface<Forbidden> {};

TEST_P(ForbiddenRelease, is_not_installed) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease release = Forge::make_release(GetParam().options);
  GetParam().spoil(forge_, release);
  host_.store(release);
  host_.publish(forge_);
  host_.send(host_.offer(release, 2, forge_));
  const auto* report = ends(2, GetParam().end);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr(GetParam().reason));
  EXPECT_EQ(report->active_manifest, first.manifest);
}

INSTANTIATE_TEST_SUITE_P(
    Each, ForbiddenRelease,
    ::testing::Values(
        Forbidden{"that_nobody_lists",
                  [](Forge&, const ForgedRelease&) {},
                  {.stage = 2},
                  messages::DeploymentState::rejected,
                  "not"},
        Forbidden{"withdrawn",
                  [](Forge& forge, const ForgedRelease& release) {
                    forge.permit(release);
                    forge.withdraw(release);
                  },
                  {.stage = 2},
                  messages::DeploymentState::rejected,
                  "not"},
        Forbidden{"revoked",
                  [](Forge& forge, const ForgedRelease& release) {
                    forge.permit(release);
                    forge.revoke(release, "wrong faults");
                  },
                  {.stage = 2},
                  messages::DeploymentState::rejected,
                  "wrong faults"},
        Forbidden{"for_a_newer_protocol",
                  [](Forge& forge, const ForgedRelease& release) { forge.permit(release); },
                  {.stage = 2, .minimum_protocol = 99},
                  messages::DeploymentState::rejected,
                  "a newer outcrop can read it"},
        Forbidden{"for_a_newer_agent",
                  [](Forge& forge, const ForgedRelease& release) { forge.permit(release); },
                  {.stage = 2, .minimum_agent = "99.0.0"},
                  messages::DeploymentState::rejected,
                  "too new"}),
    [](const auto& test) { return test.param.name; });

// A release of which no variant can run here.
struct Unfit {
  std::string name;
  ScriptedVariant variant;
  std::string reason;
};

class UnfitRelease : public AgentTest, public ::testing::WithParamInterface<Unfit> {
 protected:
  bool asked_for(const messages::BlobReference& blob) const {
    return host_.asked_for.contains(blob.sha256) || host_.asked_for.contains(blob.chunk_table);
  }
};

TEST_P(UnfitRelease, is_refused_before_a_byte_of_a_variant_is_asked_for) {
  agent_is_online();
  const ForgedRelease first = first_release();
  ASSERT_TRUE(asked_for(first.variants.at("int8-qint8")));
  const ForgedRelease release = released({.stage = 2, .variants = {GetParam().variant}});
  host_.send(host_.offer(release, 2, forge_));
  const auto* report = ends(2, State::rejected);
  ASSERT_NE(report, nullptr);
  EXPECT_THAT(report->reason, HasSubstr("no variant of this release can run here; special needs"));
  EXPECT_THAT(report->reason, HasSubstr(GetParam().reason));
  ASSERT_EQ(report->variants.size(), 1U);
  EXPECT_EQ(report->variants[0].outcome, VariantOutcome::not_measured);
  EXPECT_THAT(report->variants[0].reason, HasSubstr(GetParam().reason));
  EXPECT_EQ(report->active_manifest, first.manifest);
  EXPECT_TRUE(host_.asked_for.contains(release.manifest));
  EXPECT_FALSE(asked_for(release.variants.at("special")));
}

// Beside one that can, it is left out.
TEST_P(UnfitRelease, is_not_pulled_where_another_variant_runs) {
  agent_is_online();
  const ForgedRelease release = released({.stage = 1, .variants = {{}, GetParam().variant}});
  host_.send(host_.offer(release, 1, forge_));
  const auto* report = ends(1, State::updated);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->active_variant, "int8-qint8");
  ASSERT_EQ(report->variants.size(), 2U);
  EXPECT_EQ(report->variants[1].name, "special");
  EXPECT_EQ(report->variants[1].outcome, VariantOutcome::not_measured);
  EXPECT_THAT(report->variants[1].reason, HasSubstr(GetParam().reason));
  EXPECT_TRUE(asked_for(release.variants.at("int8-qint8")));
  EXPECT_FALSE(asked_for(release.variants.at("special")));
}

INSTANTIATE_TEST_SUITE_P(
    Each, UnfitRelease,
    ::testing::Values(
        Unfit{"for_an_operator_that_nobody_has",
              {.name = "special", .operators = {"quantized::levitate.new", "test::script"}},
              "the operator quantized::levitate.new, which this board's torch 0.0-scripted has "
              "not"},
        Unfit{"for_another_backend",
              {.name = "special", .backend = "onednn"},
              "the backend 'onednn', which this board's engine has not"},
        Unfit{"for_another_engine",
              {.name = "special", .engine = "onnxruntime"},
              "the engine 'onnxruntime'; this board has torch"}),
    [](const auto& test) { return test.param.name; });

// With a time limit for metadata that a test can wait for, these would say FAILED; here the board
// is seen to stay where it is.
TEST_F(AgentTest, does_not_take_a_release_by_another_key_or_under_expired_metadata) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease release = Forge::make_release({.stage = 2});
  forge_.permit(release);
  forge_.sign_stage_with_another_key();
  host_.store(release);
  host_.publish(forge_);
  host_.send(host_.offer(release, 2, forge_));
  ASSERT_TRUE(reaches(2, State::offered));
  loop_.run_for(std::chrono::milliseconds(700));
  EXPECT_TRUE(host_.at(2, State::offered));
  EXPECT_EQ(host_.status()->active_manifest, first.manifest);
  EXPECT_THAT(log(), HasSubstr("metadata stage-curvefault does not count"));
}

struct Unmeasurable {
  std::string name;
  OnUnmeasurable wanted;
  bool first_install;
  messages::DeploymentState end;
};

class Disturbed : public AgentTest, public ::testing::WithParamInterface<Unmeasurable> {};

// Every core is kept busy: no measurement can be valid.
TEST_P(Disturbed, board_does_what_the_offer_says) {
  configure("[measure]\ncalls = 8\nseconds = 2\nrounds = 1\nattempts = 2\n");
  agent_is_online();
  if (!GetParam().first_install) {
    auto offer = host_.offer(released({.stage = 1}), 1, forge_);
    offer.on_unmeasurable = OnUnmeasurable::activate;
    host_.send(offer);
    ASSERT_NE(ends(1, State::updated), nullptr);
  }
  std::atomic<bool> stop = false;
  std::vector<std::thread> others;
  for (unsigned i = 0; i < 2 * std::thread::hardware_concurrency(); ++i) {
    others.emplace_back([&] {
      while (!stop) {
      }
    });
  }
  const ForgedRelease release = released({.stage = 2, .variants = {{.call_ms = 25}}});
  auto offer = host_.offer(release, 2, forge_);
  offer.on_unmeasurable = GetParam().wanted;
  host_.send(offer);
  const auto* report = ends(2, GetParam().end);
  stop = true;
  for (std::thread& other : others) other.join();
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->variants.at(0).outcome, VariantOutcome::not_measurable);
  EXPECT_FALSE(report->variants.at(0).measurement->void_because.empty());
  EXPECT_TRUE(std::any_of(host_.progress.begin(), host_.progress.end(), [](const auto& progress) {
    return progress.reason.starts_with("is measured anew (2 of 2): ");
  })) << "why it lasts is told while it lasts";
  EXPECT_EQ(report->active_manifest == release.manifest, GetParam().end == State::updated);
}

INSTANTIATE_TEST_SUITE_P(
    Each, Disturbed,
    ::testing::Values(
        Unmeasurable{"hold", OnUnmeasurable::hold, true, messages::DeploymentState::not_measurable},
        Unmeasurable{"fail", OnUnmeasurable::fail, true, messages::DeploymentState::failed},
        Unmeasurable{"activate_a_first_install", OnUnmeasurable::activate, true,
                     messages::DeploymentState::updated},
        Unmeasurable{"activate_nothing_later", OnUnmeasurable::activate, false,
                     messages::DeploymentState::not_measurable}),
    [](const auto& test) { return test.param.name; });

TEST_F(AgentTest, says_not_measurable_while_another_process_keeps_the_measurement_lock) {
  const auto lock = runtime::MeasurementLock::acquire(std::chrono::minutes(2));
  ASSERT_TRUE(lock);
  configure("[measure]\nattempts = 1\npatience_seconds = 1\n");
  agent_is_online();
  const ForgedRelease release = released({.stage = 1});
  host_.send(host_.offer(release, 1, forge_));
  const auto* report = ends(1, State::not_measurable);
  ASSERT_NE(report, nullptr);
  EXPECT_EQ(report->active_manifest, std::nullopt);
  EXPECT_THAT(report->reason, HasSubstr("is measuring on this machine"));
  // What the proof says does not need the lock.
  EXPECT_EQ(report->variants.at(0).proof.at(0).mean_abs, 0.0);
  const ForgedRelease wrong = released({.stage = 2, .variants = {{.offset = 400}}});
  host_.send(host_.offer(wrong, 2, forge_));
  const auto* refused = ends(2, State::failed);
  ASSERT_NE(refused, nullptr);
  EXPECT_THAT(refused->reason, HasSubstr("the proof failed"));
  auto offer = host_.offer(release, 3, forge_);
  offer.on_unmeasurable = OnUnmeasurable::activate;
  host_.send(offer);
  EXPECT_NE(ends(3, State::updated), nullptr);
}

TEST_F(AgentTest, measures_what_serves_unmeasured_once_the_board_comes_to_rest) {
  auto lock = runtime::MeasurementLock::acquire(std::chrono::minutes(2));
  ASSERT_TRUE(lock);
  std::optional<runtime::MeasurementLock> held = std::move(*lock);
  configure(
      "[measure]\ncalls = 4\nseconds = 1\nrounds = 1\nattempts = 1\npatience_seconds = 1\n"
      "again_seconds = 1\n");
  agent_is_online();
  auto offer = host_.offer(released({.stage = 1}), 1, forge_);
  offer.on_unmeasurable = OnUnmeasurable::activate;
  host_.send(offer);
  const auto* unmeasured = ends(1, State::updated);
  ASSERT_NE(unmeasured, nullptr);
  EXPECT_EQ(unmeasured->variants.at(0).outcome, VariantOutcome::not_measurable);
  // Also by an agent that was started again.
  EXPECT_EQ(end_agent(), 0);
  agent_is_online();
  held.reset();
  const auto measured = [&] {
    return host_.reports.back().variants.at(0).outcome == VariantOutcome::measured;
  };
  ASSERT_TRUE(loop_.until(measured, std::chrono::minutes(2)));
  const messages::Report& report = host_.reports.back();
  EXPECT_EQ(report.state, State::updated);
  EXPECT_EQ(report.deployment.generation, 1U);
  EXPECT_THAT(report.reason, HasSubstr("measured while it serves: int8-qint8 p90 "));
  EXPECT_GT(report.variants.at(0).measurement->p90_ms, 0.0);
  EXPECT_EQ(report.variants.at(0).proof.at(0).mean_abs, 0.0);
  EXPECT_EQ(report.active_manifest, report.deployment.manifest);
  // Once, and not forgotten.
  EXPECT_EQ(end_agent(), 0);
  const agent::Decided decided = agent::Ledger::open(state_).found();
  EXPECT_EQ(decided.record.deployment->variants.at(0).outcome, VariantOutcome::measured);
}

// Runners and whatever else lives below a process.
std::size_t children_of(pid_t process) {
  std::size_t count = 0;
  std::error_code error;
  const std::string tasks = "/proc/" + std::to_string(process) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
    std::ifstream file(task.path() / "children");
    for (pid_t child = 0; file >> child;) ++count;
  }
  return count;
}

TEST_F(AgentTest, ends_a_trial_that_waits_for_the_lock_for_a_newer_offer) {
  auto lock = runtime::MeasurementLock::acquire(std::chrono::minutes(2));
  ASSERT_TRUE(lock);
  configure("[measure]\nattempts = 9\npatience_seconds = 600\n");
  agent_is_online();
  ASSERT_TRUE(loop_.until([&] { return children_of(agent_) == 0; }));
  host_.send(host_.offer(released({.stage = 1}), 1, forge_));
  ASSERT_TRUE(loop_.until([&] { return children_of(agent_) == 1; }));
  // It has proved, waits for the lock, and says so.
  ASSERT_TRUE(loop_.until([&] {
    return !host_.progress.empty() &&
           host_.progress.back().reason.find("is measuring on this machine") != std::string::npos;
  }));
  const ForgedRelease refused = released({.stage = 2, .minimum_protocol = 99});
  host_.send(host_.offer(refused, 2, forge_));
  ASSERT_NE(ends(2, State::rejected), nullptr);
  EXPECT_TRUE(loop_.until([&] { return children_of(agent_) == 0; }));
}

TEST_F(AgentTest, stops_serving_a_release_that_is_revoked) {
  agent_is_online();
  const ForgedRelease first = first_release();
  const ForgedRelease second = released({.stage = 2});
  host_.send(host_.offer(second, 2, forge_));
  ASSERT_NE(ends(2, State::updated), nullptr);
  forge_.revoke(second, "wrong faults");
  host_.publish(forge_);
  const auto* back = ends(2, State::rolled_back);
  ASSERT_NE(back, nullptr);
  EXPECT_THAT(back->reason, HasSubstr("wrong faults"));
  EXPECT_EQ(back->active_manifest, first.manifest);
  forge_.revoke(first, "wrong layers");
  host_.publish(forge_);
  ASSERT_TRUE(loop_.until([&] { return !host_.status()->active_manifest; }));
  // Neither comes back by a restart or a cancel.
  EXPECT_EQ(end_agent(), 0);
  agent_is_online();
  host_.send(messages::Cancel{"rollout-2", 3, second.manifest, first.manifest, "back"});
  EXPECT_NE(ends(3, State::failed), nullptr);
  EXPECT_FALSE(host_.status()->active_manifest);
}

}  // namespace
}  // namespace outcrop
