#include "agent/verify/metadata_follower.hpp"

#include <gmock/gmock.h>
#include <boost/asio/io_context.hpp>

#include "agent/verify/metadata_fixture.hpp"
#include "platform/spawn/spawn.hpp"
#include "protocol/transport/topics.hpp"
#include "tests/support/fake_session.hpp"

namespace outcrop::agent {
namespace {

using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::Contains;

class MetadataFollowerTest : public MetadataTest {
 protected:
  void connect() {
    session_->break_off();
    session_->come_back();
    platform::spawn(io_.get_executor(), [](MetadataFollower& follower) -> boost::asio::awaitable<void> {
      (void)co_await follower.begin();
    }(follower_));
    settle();
  }
  void hear(const std::string& role, const std::string& envelope) {
    (void)store_.accept(role, envelope);
    follower_.on_role(role, envelope);
    settle();
  }
  void settle() {
    io_.restart();
    io_.run();
  }
  // What is asked for now, without its prefix.
  std::vector<std::string> asked_for() const {
    std::vector<std::string> roles;
    for (const std::string& filter : session_->filters()) {
      roles.push_back(filter.substr(transport::topics::metadata_prefix.size()));
    }
    return roles;
  }

  boost::asio::io_context io_;
  transport::FakeNetwork network_{io_.get_executor()};
  std::unique_ptr<transport::FakeSession> session_ = network_.session();
  MetadataStore store_ = open();
  MetadataFollower follower_{*session_, store_, "curvefault"};
  const std::vector<std::string> rest_{"snapshot", "targets", "revoked", "stage-curvefault"};
};

TEST_F(MetadataFollowerTest, asks_for_the_rest_until_a_timestamp_counts) {
  connect();
  EXPECT_THAT(asked_for(), Contains("timestamp"));
  EXPECT_THAT(asked_for(), Not(Contains("snapshot")));
  auto all = documents();
  const auto timestamp = all.back();
  all.pop_back();
  hear(timestamp.first, timestamp.second);
  EXPECT_THAT(asked_for(), IsSupersetOf(rest_));
  for (const auto& [role, envelope] : all) hear(role, envelope);
  EXPECT_EQ(store_.snapshot_version(), 1U);
  EXPECT_THAT(asked_for(), Not(Contains("snapshot")));

  // What is here is not fetched by the next connection, nor where the host signs the time anew.
  connect();
  hear(timestamp.first, timestamp.second);
  EXPECT_THAT(asked_for(), Not(Contains("snapshot")));
  ++timestamp_.version;
  hear("timestamp", documents().back().second);
  EXPECT_THAT(asked_for(), Not(Contains("snapshot")));
  release("release 2");
  hear("timestamp", documents().back().second);
  EXPECT_THAT(asked_for(), IsSupersetOf(rest_));
}

TEST_F(MetadataFollowerTest, asks_for_the_roots_after_its_own_only) {
  connect();
  EXPECT_THAT(asked_for(), IsSupersetOf({"root/2", "root/5"}));
  EXPECT_THAT(asked_for(), Not(Contains("root/1")));
  EXPECT_THAT(asked_for(), Not(Contains("root/6")));
  hear("root/2", next_root({"root"}));
  EXPECT_EQ(store_.root_version(), 2U);
  EXPECT_THAT(asked_for(), Contains("root/6"));
}

TEST_F(MetadataFollowerTest, asks_for_all_again_after_a_root_that_leaves_nothing) {
  connect();
  for (const auto& [role, envelope] : documents()) hear(role, envelope);
  EXPECT_THAT(asked_for(), Not(Contains("snapshot")));
  hear("root/2", next_root({"timestamp", "snapshot"}));
  EXPECT_EQ(store_.snapshot_version(), 0U);
  EXPECT_THAT(asked_for(), IsSupersetOf(rest_));
}

}  // namespace
}  // namespace outcrop::agent
