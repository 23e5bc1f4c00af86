#include "protocol/base/program.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>

#include "protocol/base/json_integer.hpp"
#include "protocol/base/json_text.hpp"

namespace outcrop {
namespace {

using ::testing::HasSubstr;

struct Ended {
  int status;
  std::string said;  // on standard error
};

// Runs it as the whole work of a program whose standard output is that file; "" closes it.
Ended run_as_program(const char* output, const std::function<int()>& work) {
  std::fflush(nullptr);
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return {-1, "no pipe"};
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::close(STDOUT_FILENO);
    if (*output != '\0') ::dup2(::open(output, O_WRONLY), STDOUT_FILENO);
    ::_exit(run_main("prog", work));
  }
  ::close(ends[1]);
  Ended ended{-1, ""};
  std::array<char, 512> text{};
  for (ssize_t got = 0; (got = ::read(ends[0], text.data(), text.size())) > 0;) {
    ended.said.append(text.data(), static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  ::waitpid(child, &ended.status, 0);
  ended.status = WIFEXITED(ended.status) ? WEXITSTATUS(ended.status) : -ended.status;
  return ended;
}

TEST(Program, ends_with_what_its_work_returns) {
  const Ended ended = run_as_program("/dev/null", [] {
    std::printf("done\n");
    return 2;
  });
  EXPECT_EQ(ended.status, 2);
  EXPECT_EQ(ended.said, "");
}

TEST(Program, fails_where_its_output_cannot_be_written) {
  for (const std::size_t size : {1U, 100'000U}) {
    const Ended ended = run_as_program("/dev/full", [&] {
      std::printf("%s", std::string(size, 'x').c_str());
      return 0;
    });
    EXPECT_EQ(ended.status, 1);
    EXPECT_EQ(ended.said,
              "prog: standard output cannot be written: No space left on device\n");
  }
  const Ended by_stream = run_as_program("/dev/full", [] {
    std::cout << "help";
    return 0;
  });
  EXPECT_EQ(by_stream.status, 1);
  const Ended closed = run_as_program("", [] {
    std::printf("x");
    return 0;
  });
  EXPECT_EQ(closed.status, 1);
  EXPECT_THAT(closed.said, HasSubstr("cannot be written"));
}

TEST(Program, that_says_nothing_needs_no_output_and_keeps_files_apart_from_it) {
  const Ended ended = run_as_program("", [] {
    const int opened = ::open("/dev/null", O_WRONLY);
    return opened > STDERR_FILENO ? 0 : 7;
  });
  EXPECT_EQ(ended.status, 0);
  EXPECT_EQ(ended.said, "");
}

TEST(Program, lets_no_exception_out) {
  const Ended thrown = run_as_program("/dev/null", []() -> int {
    throw std::runtime_error("the library says no");
  });
  EXPECT_EQ(thrown.status, 1);
  EXPECT_EQ(thrown.said, "prog: internal error: the library says no; please report it\n");
  const Ended in_thread = run_as_program("/dev/null", [] {
    std::thread([] { throw 5; }).join();
    return 0;
  });
  EXPECT_EQ(in_thread.status, 1);
  EXPECT_THAT(in_thread.said, HasSubstr("prog: internal error of an unknown kind"));
  const Ended no_memory = run_as_program("/dev/null", []() -> int { throw std::bad_alloc(); });
  EXPECT_EQ(no_memory.said, "prog: out of memory\n");
}

TEST(JsonInteger, takes_whole_numbers_in_their_bounds_and_nothing_for_one) {
  EXPECT_EQ(*json_integer(8, "latent", 1), 8);
  EXPECT_EQ(*json_integer(-3, "offset", -5, 5), -3);
  for (const auto& wrong : {nlohmann::json(8.5), nlohmann::json(8.0), nlohmann::json("8"),
                            nlohmann::json(true), nlohmann::json(nullptr), nlohmann::json(0),
                            nlohmann::json(65), nlohmann::json(18446744073709551615ULL)}) {
    const auto read = json_integer(wrong, "latent", 1, 64);
    ASSERT_FALSE(read) << wrong;
    EXPECT_EQ(read.error().code(), ErrorCode::invalid_data);
    EXPECT_THAT(read.error().message(), HasSubstr("latent is " + wrong.dump() + "; it must be"));
  }
}

TEST(JsonText, replaces_bytes_that_are_not_utf_8) {
  EXPECT_EQ(json_text(nlohmann::json{{"folder", "caf\xe9"}}), "{\"folder\":\"caf\uFFFD\"}");
  EXPECT_EQ(json_text(nlohmann::ordered_json{{"b", 1}, {"a", "\xff"}}, 1),
            "{\n \"b\": 1,\n \"a\": \"\uFFFD\"\n}");
}

}  // namespace
}  // namespace outcrop
