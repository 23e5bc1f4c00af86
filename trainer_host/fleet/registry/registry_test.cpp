#include "trainer_host/fleet/registry/registry_fixture_for_tests.hpp"

// What is kept, and that it is given back as it was.

namespace outcrop::fleet {
namespace {

using ::testing::HasSubstr;

TEST_F(RegistryTest, gives_back_what_was_saved_after_it_was_opened_again) {
  Device saved = device("pi-1");
  saved.revoked = at(5000);
  saved.revoked_reason = "lost";
  saved.last_seen = at(6000);
  saved.highest_session = 12;
  saved.attention = "set back";
  messages::DeviceStatus status;
  status.device = "pi-1";
  status.session = 3;
  status.agent = "0.1.0";
  status.model = "curvefault";
  status.device_class = "raspberry-pi-4";
  saved.status = status;
  Assignment offered = assignment("r", "pi-1", 9);
  offered.canary = true;
  offered.return_to = trust::sha256("before");
  offered.variants = {"float", "int8-qint8"};
  offered.state = messages::DeploymentState::not_measurable;
  offered.reason = "busy \"machine\"";
  offered.confirmed = true;
  offered.message = {3, 17};
  offered.updated = at(7000);
  RolloutRecord ended = rollout("r", "m");
  ended.state = RolloutState::stopped;
  ended.reason = "canary pi-1 FAILED";
  ended.ended = at(8000);
  ended.past = true;
  ended.rings_skipped = 2;
  ended.minute = at(60);
  ended.in_minute = 5;
  offered.slowdown = {1.04, 1.01};
  {
    const auto registry = open();
    fill(*registry);
    ASSERT_THAT(registry->save(saved), IsOk());
    ASSERT_THAT(registry->save(ended), IsOk());
    ASSERT_THAT(registry->save(offered), IsOk());
    EXPECT_EQ(registry->save_tags("pi-1", {"lab", "roof"}), true);
    EXPECT_EQ(registry->save_tags("pi-2", {"lab"}), false) << "there is no such board";
    ASSERT_THAT(registry->save(saved), IsOk());  // as it is enrolled anew: tags are no part of that
    ASSERT_THAT(registry->save(Group{"lab-boards", "tag=lab"}), IsOk());
  }
  const auto registry = open();
  const auto back = registry->device("pi-1");
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ((*back)->revoked, saved.revoked);
  EXPECT_EQ((*back)->revoked_reason, "lost");
  EXPECT_EQ((*back)->key, saved.key);
  EXPECT_EQ((*back)->status, saved.status);
  EXPECT_EQ((*back)->last_seen, saved.last_seen);
  EXPECT_EQ((*back)->highest_session, 12U);
  EXPECT_EQ((*back)->attention, "set back");
  EXPECT_EQ((*back)->tags, (std::set<std::string>{"lab", "roof"}));
  ASSERT_EQ(registry->groups()->size(), 1U);
  EXPECT_EQ(registry->groups()->front().filter, "tag=lab");
  EXPECT_EQ(registry->remove_group("lab-boards"), true);
  EXPECT_EQ(registry->remove_group("lab-boards"), false);
  const auto assignments = registry->assignments("r");
  ASSERT_THAT(assignments, IsOk());
  ASSERT_EQ(assignments->size(), 1U);
  const Assignment& read = assignments->front();
  EXPECT_EQ(read.return_to, offered.return_to);
  EXPECT_EQ(read.variants, offered.variants);
  EXPECT_EQ(read.state, offered.state);
  EXPECT_EQ(read.reason, offered.reason);
  EXPECT_EQ(read.message, offered.message);
  EXPECT_TRUE(read.canary && read.confirmed && !read.excluded && !read.cancelled);
  const auto rollouts = registry->rollouts();
  ASSERT_THAT(rollouts, IsOk());
  EXPECT_EQ(rollouts->front().state, RolloutState::stopped);
  EXPECT_EQ(rollouts->front().ended, ended.ended);
  EXPECT_TRUE(rollouts->front().past);
  EXPECT_EQ(rollouts->front().limits, ended.limits);
  EXPECT_EQ(rollouts->front().target, ended.target);
  EXPECT_EQ(rollouts->front().schedule, ended.schedule);
  EXPECT_EQ(rollouts->front().rings_skipped, 2U);
  EXPECT_EQ(rollouts->front().minute, at(60));
  EXPECT_EQ(rollouts->front().in_minute, 5U);
  EXPECT_EQ(read.slowdown, offered.slowdown);
}

TEST_F(RegistryTest, knows_nothing_of_what_is_not_there) {
  const auto registry = open();
  EXPECT_FALSE(registry->device("pi-1")->has_value());
  EXPECT_FALSE(registry->desired("pi-1")->has_value());
  EXPECT_FALSE(registry->rollout("r")->has_value());
  EXPECT_TRUE(registry->metadata()->empty());
}

TEST_F(RegistryTest, what_a_board_is_to_be_at_is_its_highest_generation) {
  const auto registry = open();
  fill(*registry);
  ASSERT_THAT(registry->save(rollout("s", "m")), IsOk());
  ASSERT_THAT(registry->save(assignment("s", "pi-1", 0)), IsOk());
  EXPECT_FALSE(registry->desired("pi-1")->has_value());  // not offered yet
  ASSERT_THAT(registry->save(assignment("r", "pi-1", 5)), IsOk());
  EXPECT_EQ((*registry->desired("pi-1"))->rollout, "r");
  ASSERT_THAT(registry->save(assignment("s", "pi-1", 6)), IsOk());
  EXPECT_EQ((*registry->desired("pi-1"))->rollout, "s");
}

TEST_F(RegistryTest, generations_rise_across_openings) {
  EXPECT_EQ(open()->last_generation(), 0U);
  EXPECT_EQ(open()->next_generation(), 1U);
  EXPECT_EQ(open()->next_generation(), 2U);
  ASSERT_THAT(open()->raise_generation(7), IsOk());
  ASSERT_THAT(open()->raise_generation(3), IsOk());
  EXPECT_EQ(open()->last_generation(), 7U);
  EXPECT_EQ(open()->next_generation(), 8U);
}

TEST_F(RegistryTest, remembers_notes_until_they_are_removed) {
  EXPECT_EQ(open()->note("n"), std::nullopt);
  ASSERT_THAT(open()->save_note("n", "one"), IsOk());
  ASSERT_THAT(open()->save_note("n", "two"), IsOk());
  EXPECT_EQ(open()->note("n"), "two");
  ASSERT_THAT(open()->remove_note("n"), IsOk());
  EXPECT_EQ(open()->note("n"), std::nullopt);
}

TEST_F(RegistryTest, the_same_report_twice_is_one_report) {
  const auto registry = open();
  fill(*registry);
  const trust::KeyId key = device("pi-1").key.id();
  EXPECT_EQ(registry->add_report(report(1, 1), key, "envelope", at(1)), ReportTaken::added);
  EXPECT_EQ(registry->add_report(report(1, 1), key, "envelope", at(2)), ReportTaken::repeated);
  EXPECT_EQ(registry->add_report(report(1, 2), key, "envelope", at(3)), ReportTaken::added);
  // Another board by that name, enrolled with another key, counts anew.
  EXPECT_EQ(registry->add_report(report(1, 1), trust::sha256("other"), "envelope", at(4)),
            ReportTaken::added);
  const auto reports = registry->reports("", std::nullopt, 10);
  ASSERT_THAT(reports, IsOk());
  EXPECT_EQ(reports->size(), 3U);
  EXPECT_EQ(reports->front().received, at(4));  // newest first
  EXPECT_EQ(registry->reports("pi-2", std::nullopt, 10)->size(), 0U);
  EXPECT_EQ(registry->reports("pi-1", trust::sha256("m"), 2)->size(), 2U);
  EXPECT_EQ(registry->reports("pi-1", trust::sha256("n"), 2)->size(), 0U);
}

TEST_F(RegistryTest, a_number_that_comes_with_other_content_is_another_report) {
  const auto registry = open();
  fill(*registry);
  const trust::KeyId key = device("pi-1").key.id();
  messages::Report other = report(1, 1);
  other.state = messages::DeploymentState::failed;
  EXPECT_EQ(registry->add_report(report(1, 1), key, "envelope", at(1)), ReportTaken::added);
  EXPECT_EQ(registry->add_report(other, key, "other", at(2)), ReportTaken::number_used);
  EXPECT_EQ(registry->add_report(report(1, 1), key, "envelope", at(3)), ReportTaken::repeated);
  EXPECT_EQ(registry->add_report(other, key, "other", at(4)), ReportTaken::repeated);
  const auto reports = registry->reports("", std::nullopt, 10);
  ASSERT_THAT(reports, IsOk());
  ASSERT_EQ(reports->size(), 2U);
  EXPECT_EQ(reports->front().report, other);
  EXPECT_TRUE(reports->front().number_used);
  EXPECT_FALSE(reports->back().number_used);
}

TEST_F(RegistryTest, keeps_the_newest_reports_of_a_board_about_each_release) {
  const auto registry = open();
  fill(*registry);
  const auto count = [&](const std::string& text) {
    return registry->reports("pi-1", trust::sha256(text), 1000)->size();
  };
  const trust::KeyId key = device("pi-1").key.id();
  std::uint64_t sequence = 0;
  const auto add = [&](const std::string& text) {
    messages::Report next = report(1, ++sequence);
    next.deployment.manifest = trust::sha256(text);
    ASSERT_EQ(registry->add_report(next, key, "envelope", at(1)), ReportTaken::added);
  };
  for (std::size_t i = 0; i < reports_kept + 3; ++i) add("m");
  EXPECT_EQ(count("m"), reports_kept);
  EXPECT_EQ(registry->reports("pi-1", std::nullopt, 1)->front().report.header.sequence, sequence);
  // Digests of its own making fill nothing up, and cost it no report about a release.
  for (std::size_t i = 0; i < reports_kept + 3; ++i) add("made up " + std::to_string(i));
  EXPECT_EQ(registry->reports("pi-1", std::nullopt, 1000)->size(), 2 * reports_kept);
  EXPECT_EQ(count("m"), reports_kept);
}

TEST_F(RegistryTest, keeps_so_many_bytes_of_what_a_board_says_at_length) {
  const auto registry = open();
  fill(*registry);
  const trust::KeyId key = device("pi-1").key.id();
  const auto all = [&] { return registry->reports("pi-1", std::nullopt, 1000)->size(); };
  ASSERT_EQ(registry->add_report(report(1, 1), key, "envelope", at(1)), ReportTaken::added);
  messages::Report wordy = report(1, 1);
  messages::ReportedVariant variant;
  variant.name = "float";
  variant.outcome = messages::VariantOutcome::failed;
  variant.reason = std::string(1024, 'x');
  wordy.variants.assign(16, variant);
  for (std::size_t i = 0; i < wordy.variants.size(); ++i) wordy.variants[i].name = "v" + std::to_string(i);
  const std::size_t bytes = messages::to_json(wordy).size();
  ASSERT_GT(bytes, long_report.value());
  const std::size_t fit = long_reports_kept.value() / bytes;
  for (std::size_t i = 0; i < 2 * fit; ++i) {
    wordy.header.sequence = 2 + i;
    wordy.deployment.manifest = trust::sha256(i % 2 == 0 ? "m" : "made up");
    ASSERT_EQ(registry->add_report(wordy, key, "envelope", at(1)), ReportTaken::added);
  }
  EXPECT_LE(all(), fit + 2);
  EXPECT_GE(all(), fit / 2);
  const auto kept = registry->reports("pi-1", std::nullopt, 1000);
  EXPECT_EQ(kept->front().report.header.sequence, 1 + 2 * fit) << "the newest stay";
  EXPECT_EQ(kept->back().report.header.sequence, 1U) << "what is short is not what takes room";
}

TEST_F(RegistryTest, refuses_what_refers_to_nothing) {
  const auto registry = open();
  EXPECT_THAT(registry->save(assignment("r", "pi-1", 1)),
              ErrorIs(ErrorCode::refused, HasSubstr("FOREIGN KEY")));
  EXPECT_THAT(registry->add_report(report(1, 1), trust::sha256("k"), "e", at(1)),
              ErrorIs(ErrorCode::refused, HasSubstr("FOREIGN KEY")));
}

// A board's word is read before, and written after, somebody revoked it.
TEST_F(RegistryTest, what_a_board_says_does_not_undo_its_revocation) {
  const auto registry = open();
  ASSERT_THAT(registry->save(device("pi-1")), IsOk());
  Device says = **registry->device("pi-1");
  says.attention = "two boards use its identity";
  says.highest_session = 7;
  says.signs = true;
  EXPECT_EQ(registry->save_word(says), true);
  EXPECT_EQ(registry->revoke("pi-1", at(5000), "lost", ""), true);
  says.last_seen = at(6000);
  EXPECT_EQ(registry->save_word(says), false);
  const Device after = **registry->device("pi-1");
  EXPECT_EQ(after.revoked, at(5000));
  EXPECT_EQ(after.revoked_reason, "lost");
  EXPECT_EQ(after.last_seen, std::nullopt);
  EXPECT_EQ(after.highest_session, 7U);
}

TEST_F(RegistryTest, a_word_of_the_board_before_changes_nothing_of_the_one_that_is_enrolled_now) {
  const auto registry = open();
  ASSERT_THAT(registry->save(device("pi-1")), IsOk());
  Device before = **registry->device("pi-1");
  Device anew = device("pi-1");
  anew.key = trust::PrivateKey::from_seed(Bytes(32, std::byte{9}))->public_key();
  ASSERT_THAT(registry->save(anew), IsOk());
  before.highest_session = 99;
  EXPECT_EQ(registry->save_word(before), false);
  EXPECT_EQ((*registry->device("pi-1"))->highest_session, 0U);
}

TEST_F(RegistryTest, sessions_only_rise_and_who_signs_signs_for_good) {
  const auto registry = open();
  ASSERT_THAT(registry->save(device("pi-1")), IsOk());
  Device says = **registry->device("pi-1");
  says.highest_session = 7;
  says.signs = true;
  EXPECT_EQ(registry->save_word(says), true);
  says.highest_session = 3;
  says.signs = false;
  EXPECT_EQ(registry->save_word(says), true);
  EXPECT_EQ((*registry->device("pi-1"))->highest_session, 7U);
  EXPECT_TRUE((*registry->device("pi-1"))->signs);
}

TEST_F(RegistryTest, a_revocation_stays_as_it_was_told_first) {
  const auto registry = open();
  ASSERT_THAT(registry->save(device("pi-1")), IsOk());
  EXPECT_EQ(registry->revoke("pi-1", at(5000), "named by a list", ""), true);
  EXPECT_EQ(registry->revoke("pi-1", at(6000), "again", ""), false);
  EXPECT_EQ(registry->revoke("pi-1", at(6000), "lost", "named by a list"), true);
  EXPECT_EQ((*registry->device("pi-1"))->revoked, at(5000));
  EXPECT_EQ((*registry->device("pi-1"))->revoked_reason, "lost");
  EXPECT_EQ(registry->revoke("pi-2", at(6000), "lost", ""), false);
  EXPECT_EQ(registry->count_enrolled(), 0U);
}

TEST_F(RegistryTest, knows_which_releases_boards_may_still_want) {
  const auto registry = open();
  fill(*registry);
  const auto wanted = [&](const std::string& text) { return registry->wanted()->contains(trust::sha256(text)); };
  Assignment offered = assignment("r", "pi-1", 5);
  offered.return_to = trust::sha256("before");
  ASSERT_THAT(registry->save(offered), IsOk());
  EXPECT_EQ(wanted("m"), true);
  EXPECT_EQ(wanted("before"), true);
  EXPECT_EQ(wanted("serves"), false);
  offered.cancelled = true;
  ASSERT_THAT(registry->save(offered), IsOk());
  EXPECT_EQ(wanted("m"), false) << "it is to go back from it";
  EXPECT_EQ(wanted("before"), true);
  Device says = **registry->device("pi-1");
  says.status.emplace();
  says.status->device = "pi-1";
  says.status->agent = "0.1.0";
  says.status->model = says.model;
  says.status->device_class = says.device_class;
  says.status->active_manifest = trust::sha256("serves");
  EXPECT_EQ(registry->save_word(says), true);
  EXPECT_EQ(wanted("serves"), true);
  EXPECT_EQ(registry->revoke("pi-1", at(5000), "lost", ""), true);
  EXPECT_EQ(wanted("serves"), false);
  EXPECT_EQ(wanted("before"), false);
}

TEST_F(RegistryTest, removes_a_rollout_that_ended_and_that_no_board_is_at) {
  const auto registry = open();
  fill(*registry);
  ASSERT_THAT(registry->save(rollout("s", "m")), IsOk());
  RolloutRecord first = rollout("r", "m");
  ASSERT_THAT(registry->save(assignment("r", "pi-1", 5)), IsOk());
  EXPECT_EQ(registry->remove(first), false) << "it is under way";
  first.state = RolloutState::done;
  first.ended = at(4000);
  ASSERT_THAT(registry->save(first), IsOk());
  EXPECT_EQ(registry->remove(first), false) << "a board is to be at it";
  ASSERT_THAT(registry->save(assignment("s", "pi-1", 6)), IsOk());
  EXPECT_EQ(registry->remove(first), true);
  EXPECT_FALSE(registry->rollout("r")->has_value());
  EXPECT_TRUE(registry->assignments("r")->empty());
  EXPECT_EQ(registry->rollouts_under_way()->size(), 1U);
}

// Every statement of a report's or status's way, and of the views: none goes over a table that grows with
// the fleet or its history.
TEST_F(RegistryTest, finds_what_it_is_asked_for_by_indexes) {
  std::vector<std::string> statements;
  {
    auto opened = open_sqlite_registry(file_, [&](const std::string& sql) { statements.push_back(sql); });
    ASSERT_THAT(opened, IsOk());
    Registry& registry = **opened;
    fill(registry);
    const trust::KeyId key = device("pi-1").key.id();
    messages::Report unknown = report(1, 2);
    unknown.deployment.manifest = trust::sha256("none");
    ASSERT_THAT(registry.add_report(report(1, 1), key, "envelope", at(1)), IsOk());
    ASSERT_THAT(registry.add_report(unknown, key, "envelope", at(1)), IsOk());
    for (const std::string name : {"", "pi-1"}) {
      ASSERT_THAT(registry.reports(name, std::nullopt, 10), IsOk());
      ASSERT_THAT(registry.reports(name, trust::sha256("m"), 10), IsOk());
    }
    ASSERT_THAT(registry.save_word(device("pi-1")), IsOk());
    ASSERT_THAT(registry.revoke("pi-2", at(1), "lost", ""), IsOk());
    ASSERT_THAT(registry.save(assignment("r", "pi-1", 5)), IsOk());
    ASSERT_THAT(registry.assignments("r"), IsOk());
    ASSERT_THAT(registry.assignment("r", "pi-1"), IsOk());
    ASSERT_THAT(registry.desired("pi-1"), IsOk());
    ASSERT_THAT(registry.devices_of("curvefault"), IsOk());
    ASSERT_THAT(registry.rollouts_under_way(), IsOk());
    ASSERT_THAT(registry.devices_without_word(), IsOk());
    ASSERT_THAT(registry.newcomers(rollout("r", "m")), IsOk());
    ASSERT_THAT(registry.save_tags("pi-1", {"lab"}), IsOk());
    ASSERT_THAT(registry.remove(rollout("r", "m")), IsOk());
    for (const std::string subject : {"", "r"}) {
      for (const std::string action : {"", "api"}) {
        ASSERT_THAT(registry.audit_below(5, 10, subject, action), IsOk());
      }
    }
    ASSERT_THAT(registry.audit_after(5, 10), IsOk());
    ASSERT_THAT(registry.answer("uid 0", "k", at(1)), IsOk());
  }
  auto database = Database::open(file_);
  ASSERT_THAT(database, IsOk());
  std::size_t looked_at = 0;
  for (const std::string& sql : statements) {
    if (sql.starts_with("BEGIN") || sql.starts_with("COMMIT")) continue;
    ++looked_at;
    ASSERT_THAT(database->query("EXPLAIN QUERY PLAN " + sql, {},
                                [&](const Database::Row& row) {
                                  const std::string plan = row.text(3);
                                  EXPECT_FALSE(plan.starts_with("SCAN") &&
                                               plan.find("CONSTANT") == std::string::npos &&
                                               plan.find("INDEX rollout_under_way") == std::string::npos &&
                                               plan.find("INDEX assignment_without_word") == std::string::npos)
                                      << plan << " for " << sql;
                                  EXPECT_EQ(plan.find("TEMP B-TREE"), std::string::npos)
                                      << plan << " for " << sql;
                                  return Status();
                                }),
                IsOk());
  }
  EXPECT_GT(looked_at, 20U);
}

TEST_F(RegistryTest, keeps_answers_for_a_day_and_of_each_caller_so_many) {
  const auto registry = open();
  const auto given = [&](const std::string& caller, const std::string& key, Timestamp when, std::size_t bytes = 1) {
    return GivenAnswer{caller, key, trust::sha256(key), when, 201, std::string(bytes, 'x')};
  };
  ASSERT_THAT(registry->save(given("uid 0", "k", at(0))), IsOk());
  ASSERT_THAT(registry->save(given("token ops", "k", at(0))), IsOk());
  EXPECT_THAT(registry->save(given("uid 0", "k", at(0))), ErrorIs(ErrorCode::refused, HasSubstr("")));
  const auto kept = [&](const std::string& caller, const std::string& key, Timestamp now) {
    const auto found = registry->answer(caller, key, now);
    EXPECT_THAT(found, IsOk());
    return found && found->has_value();
  };
  ASSERT_TRUE(kept("uid 0", "k", at(0) + std::chrono::hours(23)));
  EXPECT_EQ((*registry->answer("uid 0", "k", at(0)))->status, 201);
  EXPECT_EQ((*registry->answer("uid 0", "k", at(0)))->request, trust::sha256("k"));
  EXPECT_FALSE(kept("uid 0", "k", at(0) + std::chrono::hours(24)));
  EXPECT_FALSE(kept("uid 1", "k", at(0)));
  // One caller's many leave another's alone.
  ASSERT_THAT(registry->transaction([&]() -> Status {
    for (std::size_t i = 0; i < answers_kept; ++i) {
      OUTCROP_CHECK(registry->save(given("uid 0", std::to_string(i), at(1))));
    }
    return {};
  }), IsOk());
  EXPECT_FALSE(kept("uid 0", "k", at(1)));
  EXPECT_TRUE(kept("uid 0", "0", at(1)));
  EXPECT_TRUE(kept("token ops", "k", at(1)));
  ASSERT_THAT(registry->save(given("uid 0", "long", at(1), answer_bytes_kept.value() + 1)), IsOk());
  EXPECT_TRUE(kept("uid 0", "long", at(1)));
  EXPECT_FALSE(kept("uid 0", "255", at(1)));
  // A day later the old ones are gone from the file, too.
  ASSERT_THAT(registry->save(given("uid 1", "k", at(2) + std::chrono::hours(24))), IsOk());
  EXPECT_FALSE(kept("token ops", "k", at(0)));
}

TEST_F(RegistryTest, knows_who_has_said_no_word_of_what_it_was_told_and_who_is_new_to_a_rollout) {
  const auto registry = open();
  fill(*registry);
  for (const char* name : {"pi-2", "pi-3"}) ASSERT_THAT(registry->save(device(name)), IsOk());
  ASSERT_THAT(registry->save(assignment("r", "pi-1", 5)), IsOk());
  Assignment answered = assignment("r", "pi-2", 6);
  answered.state = messages::DeploymentState::downloading;
  ASSERT_THAT(registry->save(answered), IsOk());
  const auto silent = registry->devices_without_word();
  ASSERT_THAT(silent, IsOk());
  ASSERT_EQ(silent->size(), 1U);
  EXPECT_EQ(silent->front().name, "pi-1");
  const auto newcomers = registry->newcomers(rollout("r", "m"));
  ASSERT_THAT(newcomers, IsOk());
  ASSERT_EQ(newcomers->size(), 1U);
  EXPECT_EQ(newcomers->front().name, "pi-3");
}

TEST_F(RegistryTest, names_a_row_that_does_not_read_as_written) {
  {
    const auto registry = open();
    fill(*registry);
  }
  change("UPDATE rollout SET state = 'sideways'");
  EXPECT_THAT(open()->rollouts(), ErrorIs(ErrorCode::invalid_data, HasSubstr("rollout 'r'")));
}

TEST_F(RegistryTest, keeps_the_newest_picture_of_each_board_while_it_is_that_board) {
  auto registry = open();
  fill(*registry);
  messages::Picture picture;
  picture.header = {"pi-1", 1, 1, at(5000), true};
  picture.manifest = trust::sha256("m");
  picture.variant = "float";
  picture.drawn = messages::Picture::Drawn{"velocity", {2, 2}, 1, 2, "abcd"};
  EXPECT_EQ(registry->save(picture, at(5000)), false) << "it was not asked";
  ASSERT_THAT(registry->ask_picture("pi-1", at(5001)), IsOk());
  EXPECT_TRUE((*registry->picture("pi-1"))->waits);
  EXPECT_EQ((*registry->picture("pi-1"))->picture, std::nullopt);
  EXPECT_EQ(registry->save(picture, at(5002)), true);
  EXPECT_EQ(registry->save(picture, at(5009)), true) << "the same again";
  const auto kept = *registry->picture("pi-1");
  EXPECT_EQ(kept->picture, picture);
  EXPECT_EQ(kept->received, at(5002));
  EXPECT_FALSE(kept->waits);
  ASSERT_THAT(registry->ask_picture("pi-1", at(5010)), IsOk());
  EXPECT_EQ((*registry->picture("pi-1"))->picture, picture) << "until there is another";
  EXPECT_EQ(registry->pictures_of(picture.manifest, 5)->size(), 1U);
  EXPECT_TRUE(registry->pictures_of(trust::sha256("other"), 5)->empty());

  Device renewed = device("pi-1");
  renewed.key = trust::PrivateKey::from_seed(Bytes(32, std::byte{8}))->public_key();
  ASSERT_THAT(registry->save(renewed), IsOk());
  EXPECT_TRUE(registry->picture("pi-1")->has_value()) << "a key that is renewed is the same board's";
  renewed.enrolled = at(9000);
  ASSERT_THAT(registry->save(renewed), IsOk());
  EXPECT_FALSE(registry->picture("pi-1")->has_value()) << "another board by its name";
  ASSERT_THAT(registry->ask_picture("pi-1", at(9001)), IsOk());
  EXPECT_EQ(registry->revoke("pi-1", at(9002), "lost", ""), true);
  EXPECT_FALSE(registry->picture("pi-1")->has_value());
}

TEST_F(RegistryTest, keeps_pictures_of_so_many_boards_as_were_asked_last) {
  auto registry = open();
  for (std::size_t i = 0; i < pictures_kept + 2; ++i) {
    ASSERT_THAT(registry->ask_picture("pi-" + std::to_string(i), at(5000 + static_cast<std::int64_t>(i))), IsOk());
  }
  EXPECT_FALSE(registry->picture("pi-1")->has_value());
  EXPECT_TRUE(registry->picture("pi-2")->has_value());
}

}  // namespace
}  // namespace outcrop::fleet
