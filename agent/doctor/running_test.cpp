#include "agent/doctor/running.hpp"

#include <gmock/gmock.h>

#include <thread>

#include <boost/asio/io_context.hpp>

#include "platform/http/server.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

using ::testing::HasSubstr;

// What the doctor finds where an agent answers so.
Finding found_of(const std::string& status, bool synchronised) {
  const TemporaryFolder folder;
  boost::asio::io_context io;
  auto server = http::Server::listen(io.get_executor(), {folder.path() / "agent.sock"},
                                     [&](http::Request) -> boost::asio::awaitable<http::Response> {
                                       http::Response response;
                                       response.body = status;
                                       co_return response;
                                     });
  std::thread serving([&] { io.run(); });
  const Finding finding = check_running(ask_status(folder.path() / "agent.sock"), {{}, synchronised});
  io.stop();
  serving.join();
  return finding;
}

TEST(Running, agent_that_cannot_see_a_kept_clock_is_found) {
  const std::string blind = R"({"agent": "0.1.0", "clock": "floor"})";
  const Finding finding = found_of(blind, true);
  EXPECT_EQ(finding.verdict, Verdict::fail);
  EXPECT_THAT(finding.found, HasSubstr("0.1.0 runs, and cannot see that the clock is kept right"));
  EXPECT_EQ(found_of(blind, false).verdict, Verdict::ok) << "nobody keeps it";
  EXPECT_EQ(found_of(R"({"agent": "0.1.0", "clock": "synchronised"})", true).verdict, Verdict::ok);
  EXPECT_EQ(found_of("nonsense", true).verdict, Verdict::ok);
}

TEST(Running, agent_that_does_not_run_is_no_failure) {
  EXPECT_EQ(check_running(ask_status("/nowhere/agent.sock"), {{}, true}).verdict, Verdict::unknown);
}

}  // namespace
}  // namespace outcrop::agent
