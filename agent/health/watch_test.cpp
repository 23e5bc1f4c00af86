#include "agent/health/watch.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "protocol/trust/digest.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::agent {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Optional;

TEST(CallWindow, takes_some_failures_for_requests_that_no_model_survives) {
  CallWindow calls;
  for (int i = 0; i < 2; ++i) calls.add(CallEnd::broke);
  for (int i = 0; i < 7; ++i) calls.add(CallEnd::failed);
  EXPECT_FALSE(calls.complaint());
  calls.add(CallEnd::failed);
  EXPECT_THAT(calls.complaint(), Optional(HasSubstr("of the last 10 calls 10 failed")));
}

TEST(CallWindow, complains_of_runners_that_break_again_and_again_and_forgets_what_is_long_past) {
  CallWindow calls;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 5; ++j) calls.add(CallEnd::answered);
    calls.add(CallEnd::broke);
  }
  EXPECT_THAT(calls.complaint(), Optional(HasSubstr("of the last 18 calls 3 broke their runner")));
  for (int j = 0; j < 9; ++j) calls.add(CallEnd::answered);
  EXPECT_FALSE(calls.complaint());
}

class SetClock final : public Clock {
 public:
  [[nodiscard]] Timestamp now() const override { return time; }
  Timestamp time{std::chrono::seconds(1'800'000'000)};
};

class WatchTest : public ::testing::Test {
 protected:
  WatchTest() { put("proc/sys/kernel/osrelease", "6.1.0"); }

  void put(const std::string& name, const std::string& text) {
    const auto file = folder_.path() / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void heat(const std::string& millidegrees) {
    put("sys/class/thermal/thermal_zone0/type", "cpu-thermal");
    put("sys/class/thermal/thermal_zone0/temp", millidegrees);
  }
  Watch watch() {
    return {folder_.path() / "proved.json", {24h, 10min, folder_.path() / "runner"}, clock_,
            runtime::MachineFiles(folder_.path())};
  }

  TemporaryFolder folder_;
  SetClock clock_;
  Watch::Time now_ = Watch::Time(1000h);
  const Installed release_{trust::sha256("one"), ByteCount(9), "float"};
};

TEST_F(WatchTest, has_what_serves_proved_each_day_however_often_the_board_is_unplugged) {
  Watch first = watch();
  EXPECT_FALSE(first.due());
  first.serves(release_, now_);
  EXPECT_EQ(first.due(), now_ + 10min);
  EXPECT_FALSE(first.proved(ProvedAgain::right, "", now_));
  EXPECT_EQ(first.due(), now_ + 24h);

  clock_.time += 20h;
  Watch next_start = watch();
  next_start.serves(release_, now_);
  EXPECT_EQ(next_start.due(), now_ + 4h);
  clock_.time += 20h;
  Watch late_start = watch();
  late_start.serves(release_, now_);
  EXPECT_EQ(late_start.due(), now_ + 10min);
  clock_.time -= 1000h;
  Watch without_clock = watch();
  without_clock.serves(release_, now_);
  EXPECT_EQ(without_clock.due(), now_ + 10min);
}

TEST_F(WatchTest, has_it_proved_soon_after_a_change_of_kernel_firmware_runner_or_heat) {
  heat("50000");
  Watch running = watch();
  running.serves(release_, now_);
  (void)running.proved(ProvedAgain::right, "", now_);
  const auto changes = [&](const std::function<void()>& change) {
    (void)running.proved(ProvedAgain::right, "", now_);
    change();
    running.look_around(now_);
    return running.due() == now_ + 10min;
  };
  EXPECT_FALSE(changes([] {}));
  EXPECT_FALSE(changes([&] { heat("71000"); })) << "near the border";
  EXPECT_TRUE(changes([&] { heat("74000"); }));
  EXPECT_FALSE(changes([&] { heat("68000"); })) << "near the border";
  EXPECT_TRUE(changes([&] { put("proc/sys/kernel/osrelease", "6.6.1"); }));
  EXPECT_TRUE(changes([&] { put("proc/device-tree/chosen/bootloader/version", "abc"); }));
  EXPECT_TRUE(changes([&] { put("runner", "newer"); }));
  put("proc/sys/kernel/osrelease", "6.6.2");
  Watch booted = watch();
  booted.serves(release_, now_);
  EXPECT_EQ(booted.due(), now_ + 10min);
}

TEST_F(WatchTest, complains_of_what_is_wrong_twice_in_a_row) {
  Watch running = watch();
  running.serves(release_, now_);
  EXPECT_FALSE(running.proved(ProvedAgain::wrong, "off by 9", now_));
  EXPECT_EQ(running.due(), now_) << "tried again at once";
  EXPECT_FALSE(running.proved(ProvedAgain::right, "", now_));
  EXPECT_FALSE(running.proved(ProvedAgain::wrong, "off by 9", now_));
  EXPECT_FALSE(running.proved(ProvedAgain::not_possible, "no runner", now_));
  EXPECT_EQ(running.due(), now_ + 1h);
  EXPECT_THAT(running.proved(ProvedAgain::wrong, "off by 9", now_), Optional(HasSubstr("off by 9")));
}

TEST_F(WatchTest, forgets_the_calls_of_another_release) {
  Watch running = watch();
  running.serves(release_, now_);
  const Installed other{trust::sha256("two"), ByteCount(9), "float"};
  for (int i = 0; i < 5; ++i) running.on_call(other, CallEnd::broke);
  EXPECT_FALSE(running.complaint_of_calls());
  for (int i = 0; i < 5; ++i) running.on_call(release_, CallEnd::broke);
  EXPECT_TRUE(running.complaint_of_calls());
  running.serves(other, now_);
  EXPECT_FALSE(running.complaint_of_calls());
}

}  // namespace
}  // namespace outcrop::agent
