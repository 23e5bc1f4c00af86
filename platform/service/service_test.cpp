#include "platform/service/service.hpp"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <future>
#include <string>
#include <thread>

#include <spdlog/spdlog.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "protocol/base/unique_fd.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::platform {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

// What systemd is to a service: a datagram socket, and a time within which pings must come.
class ServiceTest : public ::testing::Test {
 protected:
  static constexpr milliseconds deadline{600};

  void SetUp() override {
    const std::string path = (folder_.path() / "notify").string();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    ::setenv("WATCHDOG_USEC", std::to_string(deadline.count() * 1000).c_str(), 1);
    ::unsetenv("WATCHDOG_PID");
  }
  void TearDown() override {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }
  // The next message; "" when none comes in time.
  std::string next(milliseconds patience) const {
    pollfd waited{socket_.get(), POLLIN, 0};
    if (::poll(&waited, 1, static_cast<int>(patience.count())) <= 0) return "";
    std::string message(4096, '\0');
    const ssize_t got = ::recv(socket_.get(), message.data(), message.size(), 0);
    message.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return message;
  }
  TemporaryFolder folder_;
  UniqueFd socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
};

TEST_F(ServiceTest, systemd_hears_ready_status_and_stopping) {
  notify_ready();
  EXPECT_EQ(next(milliseconds(5000)), "READY=1");
  notify_status("3 boards online\nWATCHDOG=1");
  EXPECT_EQ(next(milliseconds(5000)), "STATUS=3 boards online");
  notify_stopping();
  EXPECT_EQ(next(milliseconds(5000)), "STOPPING=1");
}

TEST_F(ServiceTest, pings_stop_when_the_loop_hangs_and_come_back_with_it) {
  boost::asio::io_context loop;
  auto watchdog = std::make_unique<Watchdog>(loop.get_executor());
  std::thread thread([&] { loop.run(); });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(next(deadline), "WATCHDOG=1");
  std::promise<void> hanging;
  std::promise<void> let_go;
  boost::asio::post(loop, [&] {
    hanging.set_value();
    let_go.get_future().wait();
  });
  hanging.get_future().wait();
  while (!next(milliseconds(0)).empty()) {
  }
  EXPECT_EQ(next(deadline), "");  // systemd would end the program now
  let_go.set_value();
  EXPECT_EQ(next(milliseconds(5000)), "WATCHDOG=1");
  boost::asio::post(loop, [&] { watchdog.reset(); });
  thread.join();  // the loop ends by itself: nothing of the watchdog is left in it
}

TEST_F(ServiceTest, a_watchdog_for_another_process_is_left_alone) {
  ::setenv("WATCHDOG_PID", "1", 1);
  boost::asio::io_context loop;
  const Watchdog watchdog(loop.get_executor());
  loop.run();
  EXPECT_EQ(next(milliseconds(0)), "");
}

TEST_F(ServiceTest, without_systemd_nothing_happens) {
  ::unsetenv("NOTIFY_SOCKET");
  notify_ready();
  notify_status("x");
  EXPECT_EQ(next(milliseconds(0)), "");
}

// Standard error as a file for as long as it lives.
class CapturedLog {
 public:
  explicit CapturedLog(const std::filesystem::path& file)
      : file_(file), kept_(::dup(STDERR_FILENO)) {
    std::fflush(stderr);
    std::FILE* opened = std::fopen(file_.c_str(), "w");
    ::dup2(::fileno(opened), STDERR_FILENO);
    std::fclose(opened);
  }
  ~CapturedLog() { ::dup2(kept_.get(), STDERR_FILENO); }
  [[nodiscard]] std::string text() const {
    std::string read(16 * 1024, '\0');
    std::FILE* opened = std::fopen(file_.c_str(), "r");
    read.resize(std::fread(read.data(), 1, read.size(), opened));
    std::fclose(opened);
    return read;
  }

 private:
  std::filesystem::path file_;
  UniqueFd kept_;
};

TEST_F(ServiceTest, the_journal_gets_priorities_and_a_terminal_gets_times) {
  {
    const CapturedLog log(folder_.path() / "plain");
    start_log("outcropd", "info");
    spdlog::warn("the broker is away");
    spdlog::debug("not asked for");
    EXPECT_THAT(log.text(), ::testing::MatchesRegex(
                                "....-..-..T..:..:..\\....Z warning outcropd: the broker is "
                                "away\n"));
  }
  {
    const CapturedLog log(folder_.path() / "journal");
    struct stat info {};
    ASSERT_EQ(::fstat(STDERR_FILENO, &info), 0);
    ::setenv("JOURNAL_STREAM",
             (std::to_string(info.st_dev) + ":" + std::to_string(info.st_ino)).c_str(), 1);
    start_log("outcropd", "debug");
    spdlog::error("no space");
    spdlog::debug("details");
    EXPECT_EQ(log.text(), "<3>no space\n<7>details\n");
  }
  ::setenv("JOURNAL_STREAM", "1:1", 1);  // inherited, but not our stream
  const CapturedLog log(folder_.path() / "other");
  start_log("outcropd", "nonsense");
  spdlog::info("hello");
  EXPECT_THAT(log.text(), HasSubstr("outcropd: hello"));
  ::unsetenv("JOURNAL_STREAM");
}

TEST_F(ServiceTest, what_others_say_begins_no_line_of_the_log_and_gives_no_orders) {
  const CapturedLog log(folder_.path() / "log");
  start_log("outcropd", "info");
  spdlog::info("GET /x\x1b[31m\u009b\n2026-11-30T00:00:00.000Z info  outcropd: forged\x7f\r\tend \u00e4");
  spdlog::info("{}", std::string(3000, 'a') + std::string(3000, '\n'));
  const std::string text = log.text();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << text;
  EXPECT_THAT(text, HasSubstr("GET /x\\u001b[31m\\u009b\\n2026-11-30T00:00:00.000Z info  outcropd: forged\\u007f\\u000d\tend \u00e4\n"));
  EXPECT_LT(text.size(), 4096U + 400U);
  EXPECT_THAT(text, ::testing::EndsWith("...\n"));
}

}  // namespace
}  // namespace outcrop::platform
