#include "platform/spawn/spawn.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "protocol/base/program.hpp"

namespace outcrop::platform {
namespace {

namespace asio = boost::asio;

asio::awaitable<void> count(int& turns) {
  co_await asio::post(asio::use_awaitable);
  ++turns;
}

asio::awaitable<void> throw_after_a_turn() {
  co_await asio::post(asio::use_awaitable);
  throw std::runtime_error("the seventh chunk is missing");
}

// A whole program whose loop has other work, too.
[[noreturn]] void run_a_program_whose_coroutine_throws() {
  std::_Exit(run_main("prog", [] {
    asio::io_context io(1);
    const auto kept_alive = asio::make_work_guard(io);
    spawn(io.get_executor(), throw_after_a_turn());
    io.run();
    return 0;
  }));
}

TEST(Spawn, runs_a_coroutine_that_nobody_waits_for) {
  asio::io_context io(1);
  int turns = 0;
  spawn(io.get_executor(), count(turns));
  EXPECT_EQ(turns, 0) << "not from within the call";
  io.run();
  EXPECT_EQ(turns, 1);
}

TEST(Spawn, what_a_coroutine_throws_is_said_and_ends_the_program) {
  EXPECT_EXIT(run_a_program_whose_coroutine_throws(), ::testing::ExitedWithCode(1),
              "prog: internal error: the seventh chunk is missing");
}

}  // namespace
}  // namespace outcrop::platform
