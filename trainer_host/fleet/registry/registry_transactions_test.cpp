#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trainer_host/fleet/registry/registry_fixture_for_tests.hpp"

// What stands or falls together, and who is told of it when.

namespace outcrop::fleet {
namespace {

using ::testing::HasSubstr;

TEST_F(RegistryTest, a_transaction_that_fails_leaves_nothing) {
  const auto registry = open();
  const Status status = registry->transaction([&]() -> Status {
    OUTCROP_CHECK(registry->save(device("pi-1")));
    EXPECT_EQ(registry->next_generation(), 1U);
    return fail(ErrorCode::refused, "no");
  });
  EXPECT_THAT(status, ErrorIs(ErrorCode::refused, HasSubstr("no")));
  EXPECT_TRUE(registry->devices()->empty());
  EXPECT_EQ(registry->next_generation(), 1U);
}

TEST_F(RegistryTest, a_part_of_a_transaction_fails_by_itself_and_lasts_with_the_whole) {
  const auto registry = open();
  const auto save = [&](const std::string& name, bool well) {
    return registry->transaction([&]() -> Status {
      OUTCROP_CHECK(registry->save(device(name)));
      return well ? Status() : fail(ErrorCode::refused, "no");
    });
  };
  ASSERT_THAT(registry->transaction([&]() -> Status {
    EXPECT_THAT(save("pi-1", true), IsOk());
    EXPECT_THAT(save("pi-2", false), ErrorIs(ErrorCode::refused, HasSubstr("no")));
    return save("pi-3", true);
  }),
              IsOk());
  ASSERT_EQ(registry->devices()->size(), 2U);
  EXPECT_EQ(registry->devices()->back().name, "pi-3");
  EXPECT_FALSE(registry->transaction([&]() -> Status {
    EXPECT_THAT(save("pi-4", true), IsOk());
    return fail(ErrorCode::refused, "all of it");
  }));
  EXPECT_EQ(registry->devices()->size(), 2U);
}

TEST_F(RegistryTest, tells_which_boards_were_written_and_again_what_came_to_nothing) {
  auto registry = open();
  std::vector<std::string> heard;
  auto listening = registry->listen([&](const std::string& name, Written what) {
    heard.push_back(name + (what == Written::report ? " reported" : ""));
  });
  ASSERT_THAT(registry->save(device("a")), IsOk());
  ASSERT_EQ(registry->save_tags("a", {"lab"}), true);
  ASSERT_EQ(registry->save_tags("nobody", {"lab"}), false);
  EXPECT_THAT(heard, ::testing::ElementsAre("a", "a"));
  heard.clear();
  const Status failed = registry->transaction([&]() -> Status {
    EXPECT_EQ(registry->revoke("a", at(3000), "stolen", ""), true);
    EXPECT_TRUE((*registry->device("a"))->revoked) << "as it is within the transaction";
    return fail(ErrorCode::no_space, "disk full");
  });
  EXPECT_THAT(failed, ErrorIs(ErrorCode::no_space, HasSubstr("disk full")));
  EXPECT_THAT(heard, ::testing::ElementsAre("a", "a"));
  EXPECT_FALSE((*registry->device("a"))->revoked) << "what was kept of it is not of what came to nothing";
  EXPECT_THAT((*registry->device("a"))->tags, ::testing::ElementsAre("lab"));
  heard.clear();
  listening.reset();
  ASSERT_EQ(registry->save_tags("a", {}), true);
  EXPECT_TRUE(heard.empty());
}

TEST_F(RegistryTest, what_waits_for_a_commit_is_done_after_it_and_not_where_it_was_rolled_back) {
  const auto registry = open();
  std::vector<std::string> done;
  const auto note = [&](const std::string& what) { registry->when_committed([&done, what] { done.push_back(what); }); };
  note("at once");
  EXPECT_EQ(done, std::vector<std::string>{"at once"});
  EXPECT_THAT(registry->transaction([&]() -> Status {
    note("whole");
    EXPECT_THAT(registry->transaction([&]() -> Status { return note("part"), Status(); }), IsOk());
    EXPECT_FALSE(registry->transaction([&]() -> Status { return note("failed"), fail(ErrorCode::refused, "no"); }));
    EXPECT_EQ(done.size(), 1U);
    return {};
  }), IsOk());
  EXPECT_EQ(done, (std::vector<std::string>{"at once", "whole", "part"}));
  EXPECT_FALSE(registry->transaction([&]() -> Status { return note("lost"), fail(ErrorCode::refused, "no"); }));
  EXPECT_EQ(done.size(), 3U);
}

TEST_F(RegistryTest, a_kill_in_the_middle_of_a_transaction_leaves_nothing_of_it) {
  ASSERT_THAT(open()->save(device("before")), IsOk());
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto registry = open_sqlite_registry(file_);
    if (!registry) ::_exit(1);
    (void)(*registry)->transaction([&]() -> Status {
      for (int i = 0; i < 100; ++i) {
        OUTCROP_CHECK((*registry)->save(device("pi-" + std::to_string(i))));
      }
      ::kill(::getpid(), SIGKILL);
      return {};
    });
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const auto devices = open()->devices();
  ASSERT_THAT(devices, IsOk());
  ASSERT_EQ(devices->size(), 1U);
  EXPECT_EQ(devices->front().name, "before");
}

}  // namespace
}  // namespace outcrop::fleet
